//! Keys: to the line that is typed, the list that is open, the search of the help, or an action.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::core::Core;

use super::action::{Action, ActionGroup};
use super::chord::Chord;
use super::filter::Filter;
use super::palette;
use super::prompt::{Prompt, Purpose, Typed};
use super::ui::{ActionRequest, Ui};

/// Commands that are remembered.
const HISTORY: usize = 100;

impl Ui {
    /// What was typed. Esc and a key that came at once look like that key with Alt: where nothing is
    /// bound to that they are two.
    pub(super) fn typed_as(&self, key: &KeyEvent) -> Vec<KeyEvent> {
        let one_byte = matches!(
            key.code,
            KeyCode::Char(_) | KeyCode::Enter | KeyCode::Tab | KeyCode::Backspace
        );
        let takes_all = self.dialog.takes_keys();
        let bound = !takes_all && self.keys.entry(Chord::from(key)).is_some();
        if !one_byte || bound || !key.modifiers.contains(KeyModifiers::ALT) {
            return vec![*key];
        }
        let plain = key.modifiers - KeyModifiers::ALT;
        vec![
            KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
            KeyEvent::new(key.code, plain),
        ]
    }

    /// What a key asks for: an action, unless the key belongs to what is open.
    pub fn press(&mut self, key: &KeyEvent, core: &Core) -> Option<ActionRequest> {
        if !self.moves(key) {
            self.drawn.listing = None;
        }
        if let Some(prompt) = self.dialog.prompt.take() {
            return self.typed(prompt, key, core);
        }
        self.message = None;
        let chord = Chord::from(key);
        let entry = self.keys.entry(chord);
        let leaves = entry.is_some_and(|entry| {
            matches!(
                entry.action,
                Action::QuitNow | Action::Suspend | Action::Redraw
            )
        });
        if !leaves {
            if let Some(dialog) = self.dialog.silence.take() {
                self.press_silence(dialog, key, core);
                return None;
            }
            if let Some(picker) = self.dialog.picker.take() {
                self.pick(picker, key);
                return None;
            }
            if self.dialog.help && self.searched(key) {
                return None;
            }
        }
        let Some(entry) = entry else {
            let help = self.keys.sign(Action::Help);
            self.message = Some(format!("{chord} does nothing here: {help} shows the keys"));
            return None;
        };
        let general = matches!(entry.group, ActionGroup::Move | ActionGroup::Session)
            || matches!(entry.action, Action::Help | Action::Back);
        if self.dialog.help && !general {
            // What it would act on is not seen.
            return None;
        }
        if self.works(entry.place) {
            return Some(entry.action.into());
        }
        self.message = Some(format!("{}: {}", entry.name, entry.place.needed()));
        None
    }

    /// Whether a key only moves the selection.
    fn moves(&self, key: &KeyEvent) -> bool {
        let open = self.dialog.takes_keys();
        let entry = self.keys.entry(Chord::from(key));
        let moves = entry.is_some_and(|entry| {
            matches!(
                entry.action,
                Action::Move(_)
                    | Action::Page(_)
                    | Action::HalfPage(_)
                    | Action::First
                    | Action::Last
            )
        });
        moves && !open && !self.dialog.help
    }

    /// A key while a line is typed.
    fn typed(&mut self, mut prompt: Prompt, key: &KeyEvent, core: &Core) -> Option<ActionRequest> {
        let typed = prompt.press(key);
        if typed == Typed::Changed {
            prompt.error = None;
        }
        match (prompt.purpose, typed) {
            (Purpose::Filter, Typed::Changed) => self.filter_typed(&mut prompt),
            (Purpose::Filter, Typed::Cancelled) => {
                self.table_mut().filter = Filter::default();
                return None;
            }
            (Purpose::Filter | Purpose::Search, Typed::Done) if prompt.error.is_none() => {
                return None;
            }
            (Purpose::Search, Typed::Changed) => {
                prompt.text().clone_into(&mut self.found);
                self.at.scroll = self.at.scroll.saturating_sub(1);
                self.find_line(core, 1);
                prompt.error = self.message.take();
            }
            (Purpose::Search | Purpose::Command, Typed::Cancelled) => return None,
            (Purpose::Command, Typed::Complete) => palette::complete(self, core, &mut prompt),
            (Purpose::Command, Typed::Older) => self.recall(&mut prompt, 1),
            (Purpose::Command, Typed::Newer) => self.recall(&mut prompt, -1),
            (Purpose::Command, Typed::Done) => {
                let line = prompt.text().trim().to_owned();
                if line.is_empty() {
                    return None;
                }
                match palette::parse(self, core, &line) {
                    Ok(asked) => {
                        self.remember(line);
                        return Some(asked);
                    }
                    Err(error) => prompt.error = Some(error),
                }
            }
            _ => {}
        }
        self.dialog.prompt = Some(prompt);
        None
    }

    /// The filter as far as it is typed; while it cannot be read the one before stays.
    fn filter_typed(&mut self, prompt: &mut Prompt) {
        let pane = self.at.pane;
        let done = self.table_mut().set_filter(pane, prompt.text());
        prompt.error = done.err();
    }

    fn remember(&mut self, line: String) {
        self.commands.retain(|known| *known != line);
        if self.commands.len() >= HISTORY {
            self.commands.remove(0);
        }
        self.commands.push(line);
    }

    /// Puts an older (+1) or newer (-1) command into the line.
    fn recall(&self, prompt: &mut Prompt, by: isize) {
        let now = prompt.recalled;
        let to = now.saturating_add_signed(by).min(self.commands.len());
        let line = to
            .checked_sub(1)
            .and_then(|back| self.commands.iter().nth_back(back));
        prompt.set(line.map_or("", String::as_str));
        prompt.recalled = to;
    }

    /// What is typed while the keys are shown searches them; true when the key did.
    fn searched(&mut self, key: &KeyEvent) -> bool {
        let plain = !key
            .modifiers
            .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('?') => return false,
            KeyCode::Char(c) if plain => self.dialog.search.push(c),
            KeyCode::Backspace if !self.dialog.search.is_empty() => {
                self.dialog.search.pop();
            }
            KeyCode::Esc if !self.dialog.search.is_empty() => self.dialog.search.clear(),
            _ => return false,
        }
        self.at.scroll = 0;
        true
    }
}
