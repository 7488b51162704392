//! One key as written in the configuration (`j`, `C-d`, `S-Tab`, `PgDn`, `F1`) and as sent by the
//! terminal.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    /// Control and Alt; Shift only for keys that are no characters.
    modifiers: KeyModifiers,
}

/// Named keys, and the symbols of some of them on screen.
const NAMES: &[(KeyCode, &str, &str)] = &[
    (KeyCode::Enter, "Enter", "Enter"),
    (KeyCode::Esc, "Esc", "Esc"),
    (KeyCode::Tab, "Tab", "Tab"),
    (KeyCode::Char(' '), "Space", "Space"),
    (KeyCode::Backspace, "Backspace", "Bksp"),
    (KeyCode::Delete, "Del", "Del"),
    (KeyCode::Insert, "Ins", "Ins"),
    (KeyCode::Home, "Home", "Home"),
    (KeyCode::End, "End", "End"),
    (KeyCode::PageUp, "PgUp", "PgUp"),
    (KeyCode::PageDown, "PgDn", "PgDn"),
    (KeyCode::Up, "Up", "↑"),
    (KeyCode::Down, "Down", "↓"),
    (KeyCode::Left, "Left", "←"),
    (KeyCode::Right, "Right", "→"),
];

impl Chord {
    /// The key in normal form, however the terminal describes it: Shift is part of a character, and
    /// Shift-Tab has a code of its own.
    fn normal(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let kept = modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let (code, modifiers) = match code {
            KeyCode::BackTab => (KeyCode::Tab, kept | KeyModifiers::SHIFT),
            KeyCode::Char(c) if kept.contains(KeyModifiers::CONTROL) => (
                KeyCode::Char(c.to_ascii_lowercase()),
                kept - KeyModifiers::SHIFT,
            ),
            KeyCode::Char(' ') => (code, kept),
            KeyCode::Char(_) => (code, kept - KeyModifiers::SHIFT),
            code => (code, kept),
        };
        Self { code, modifiers }
    }

    fn written(self, on_screen: bool) -> String {
        let mut out = String::new();
        for (modifier, prefix) in [
            (KeyModifiers::CONTROL, "C-"),
            (KeyModifiers::ALT, "A-"),
            (KeyModifiers::SHIFT, "S-"),
        ] {
            if self.modifiers.contains(modifier) {
                out.push_str(prefix);
            }
        }
        match (
            self.code,
            NAMES.iter().find(|(code, ..)| *code == self.code),
        ) {
            (_, Some((_, name, sign))) => out.push_str(if on_screen { sign } else { name }),
            (KeyCode::F(n), _) => out.push_str(&format!("F{n}")),
            (KeyCode::Char(c), _) => out.push(c),
            _ => out.push('?'),
        }
        out
    }

    /// The key event that a terminal sends for it.
    #[cfg(test)]
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// As the screen shows it: short, arrows as arrows.
    #[must_use]
    pub fn sign(self) -> String {
        self.written(true)
    }
}

impl From<&KeyEvent> for Chord {
    fn from(key: &KeyEvent) -> Self {
        Self::normal(key.code, key.modifiers)
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(false))
    }
}

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        // `-` alone is a key: a prefix needs something after it.
        while let (Some(first), Some(more)) = (rest.get(..2), rest.get(2..))
            && !more.is_empty()
        {
            modifiers |= match first {
                "C-" => KeyModifiers::CONTROL,
                "A-" | "M-" => KeyModifiers::ALT,
                "S-" => KeyModifiers::SHIFT,
                _ => break,
            };
            rest = more;
        }
        let named = NAMES
            .iter()
            .find(|(_, name, _)| name.eq_ignore_ascii_case(rest));
        let mut chars = rest.chars();
        let code = match (named, chars.next(), chars.next()) {
            (Some((code, ..)), ..) => *code,
            (_, Some('F'), Some(_)) => match rest[1..].parse() {
                Ok(n @ 1..=24) => KeyCode::F(n),
                _ => return Err(unknown(text)),
            },
            (_, Some(c), None) if !c.is_control() => {
                if modifiers.contains(KeyModifiers::SHIFT) {
                    return Err(format!(
                        "{text:?}: write a shifted character as itself, e.g. G"
                    ));
                }
                KeyCode::Char(c)
            }
            _ => return Err(unknown(text)),
        };
        Ok(Self::normal(code, modifiers))
    }
}

fn unknown(text: &str) -> String {
    format!("{text:?} is not a key; write keys like j, G, C-d, A-x, S-Tab, Enter, PgDn, F1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_events_are_read_back() {
        for text in [
            "j", "G", "C-d", "A-x", "S-Tab", "Tab", "PgDn", "F1", "F12", "Space", "-", "+", "C--",
            "`", "C-Space", "S-Up", "é", "Enter",
        ] {
            let chord: Chord = text.parse().unwrap();
            assert_eq!(chord.to_string(), text);
        }
        assert_eq!("pgdn".parse::<Chord>(), "PgDn".parse());
        for text in ["", "C-", "hello", "F0", "F99", "S-g", "\u{1b}", "X-a"] {
            assert!(text.parse::<Chord>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn keys_from_the_terminal_match_their_names() {
        let sent = |code, modifiers| Chord::from(&KeyEvent::new(code, modifiers)).to_string();
        assert_eq!(sent(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(sent(KeyCode::BackTab, KeyModifiers::SHIFT), "S-Tab");
        assert_eq!(sent(KeyCode::BackTab, KeyModifiers::NONE), "S-Tab");
        assert_eq!(sent(KeyCode::Char('d'), KeyModifiers::CONTROL), "C-d");
        assert_eq!(sent(KeyCode::Char(' '), KeyModifiers::NONE), "Space");
    }
}
