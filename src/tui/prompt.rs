//! The input line at the bottom of the screen: a filter, a search, a command.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Maximum number of typed characters.
const LONGEST: usize = 1000;

/// The purpose of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A row filter, which takes effect while it is typed.
    Filter,
    /// A search on a page.
    Search,
    /// A command.
    Command,
}

impl Purpose {
    /// Label before the line.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Filter | Self::Search => "/",
            Self::Command => ":",
        }
    }
}

/// An input line.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its purpose.
    pub purpose: Purpose,
    pub(super) text: String,
    /// Byte offset of the cursor.
    cursor: usize,
    /// The error in the text.
    pub error: Option<String>,
    /// The filter that was in force when the line was opened.
    pub(super) previous: String,
    /// Possible completions.
    pub(super) hint: String,
    /// Position in the history; 0: the text was typed.
    pub(super) recalled: usize,
    /// Candidates that Tab cycles through, and their position in the text.
    pub(super) cycle: Option<(usize, VecDeque<String>)>,
}

/// The effect of a key on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// The text changed.
    Changed,
    /// The text did not change.
    Same,
    /// Enter.
    Done,
    /// Esc, C-c, or Backspace in an empty line.
    Cancelled,
    /// Tab: complete it.
    Complete,
    /// Up: the previous line of the history.
    Older,
    /// Down: the next line of the history.
    Newer,
}

impl Prompt {
    /// A line that begins with `text`, the cursor at its end.
    #[must_use]
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self {
            purpose,
            text: text.to_owned(),
            cursor: text.len(),
            error: None,
            previous: String::new(),
            hint: String::new(),
            recalled: 0,
            cycle: None,
        }
    }

    /// The text typed so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    #[must_use]
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Replaces the text; the cursor goes to its end.
    pub(super) fn set(&mut self, text: &str) {
        self.text = text.to_owned();
        self.cursor = text.len();
    }

    fn before(&self) -> usize {
        let (left, _) = self.halves();
        left.chars().next_back().map_or(0, char::len_utf8)
    }

    fn behind(&self) -> usize {
        let (_, right) = self.halves();
        right.chars().next().map_or(0, char::len_utf8)
    }

    fn cut(&mut self, from: usize, to: usize) -> Typed {
        if from == to {
            return Typed::Same;
        }
        self.text.replace_range(from..to, "");
        self.cursor = from;
        Typed::Changed
    }

    fn go(&mut self, to: usize) -> Typed {
        self.cursor = to;
        Typed::Same
    }

    /// Inserts pasted text at the cursor: line breaks and other white space as spaces, without
    /// control characters, as much as there is room for.
    pub(super) fn paste(&mut self, text: &str) -> Typed {
        self.cycle = None;
        self.hint.clear();
        let (mut typed, mut cut) = (Typed::Same, false);
        for c in text.trim().chars() {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c.is_control() {
                continue;
            }
            if self.text.len() >= LONGEST {
                cut = true;
                break;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
            typed = Typed::Changed;
        }
        if cut {
            self.hint = format!("cut to {LONGEST} characters");
        }
        typed
    }

    /// Handles one key.
    pub(super) fn press(&mut self, key: &KeyEvent) -> Typed {
        if key.code != KeyCode::Tab {
            self.cycle = None;
            self.hint.clear();
        }
        let at = self.cursor;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => self.cut(0, at),
            KeyCode::Char('k') if control => {
                let end = self.text.len();
                let done = self.cut(at, end);
                self.cursor = at;
                done
            }
            KeyCode::Char('w') if control => {
                let (left, _) = self.halves();
                let left = left.trim_end();
                let space = left.char_indices().rfind(|(_, c)| c.is_whitespace());
                let word = space.map_or(0, |(at, c)| at + c.len_utf8());
                self.cut(word, at)
            }
            KeyCode::Char('a') if control => self.go(0),
            KeyCode::Char('e') if control => self.go(self.text.len()),
            KeyCode::Char('c') if control => Typed::Cancelled,
            KeyCode::Char(_) if control => Typed::Same,
            KeyCode::Char(c) if !c.is_control() && self.text.len() < LONGEST => {
                self.text.insert(at, c);
                self.cursor += c.len_utf8();
                Typed::Changed
            }
            KeyCode::Backspace if self.text.is_empty() => Typed::Cancelled,
            KeyCode::Backspace => self.cut(at - self.before(), at),
            KeyCode::Delete => {
                let done = self.cut(at, at + self.behind());
                self.cursor = at;
                done
            }
            KeyCode::Left => self.go(at - self.before()),
            KeyCode::Right => self.go(at + self.behind()),
            KeyCode::Home => self.go(0),
            KeyCode::End => self.go(self.text.len()),
            KeyCode::Enter => Typed::Done,
            KeyCode::Esc => Typed::Cancelled,
            KeyCode::Tab => Typed::Complete,
            KeyCode::Up => Typed::Older,
            KeyCode::Down => Typed::Newer,
            _ => Typed::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[KeyEvent]) -> Prompt {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        for key in keys {
            prompt.press(key);
        }
        prompt
    }

    #[test]
    fn a_line_is_edited_by_characters_of_any_width() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let with = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        let mut keys: Vec<KeyEvent> = "ab 日本".chars().map(|c| plain(KeyCode::Char(c))).collect();
        assert_eq!(typed(&keys).text(), "ab 日本");
        keys.extend([plain(KeyCode::Left), plain(KeyCode::Backspace)]);
        assert_eq!(typed(&keys).halves(), ("ab ", "本"));
        keys.push(with('w'));
        assert_eq!(typed(&keys).halves(), ("", "本"));
        keys.push(plain(KeyCode::Delete));
        assert_eq!(typed(&keys).text(), "");
        let wide_space = ['a', '\u{a0}', 'b', '\u{3000}'].map(|c| plain(KeyCode::Char(c)));
        let wide = [&keys[..], &wide_space, &[with('w')]].concat();
        assert_eq!(typed(&wide).text(), "a\u{a0}");
        assert_eq!(
            typed(&keys).press(&plain(KeyCode::Backspace)),
            Typed::Cancelled
        );
    }
}
