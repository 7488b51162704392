//! Routes keys: to the input line, the open list, the search of the help, or an action.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::core::Core;

use super::action::{Action, ActionGroup};
use super::chord::Chord;
use super::filter::Filter;
use super::palette;
use super::prompt::{Prompt, Purpose, Typed};
use super::ui::{ActionRequest, Ui};

impl Ui {
    /// Handles a key. Esc and a key that follows at once look like that key with Alt: where nothing
    /// is bound to that, they are handled as two.
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

    /// The action of a key, unless an open dialog takes it.
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
            if let Some(dialog) = self.dialog.response.take() {
                (self.dialog.response, self.response) = dialog.press(key);
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
        let general = matches!(entry.group, ActionGroup::Move | ActionGroup::Program)
            || matches!(entry.action, Action::Help | Action::Back);
        if self.dialog.help && !general {
            // The row it would act on is not visible.
            return None;
        }
        let in_tree = self.tree_takes(entry.action) || self.process_tree_takes(entry.action);
        if self.works(entry.place) || in_tree {
            return Some(entry.action.into());
        }
        self.message = Some(format!("{}: {}", entry.name, entry.place.first()));
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

    /// A key while a line is being typed.
    fn typed(&mut self, mut prompt: Prompt, key: &KeyEvent, core: &Core) -> Option<ActionRequest> {
        let purpose = prompt.purpose;
        match (purpose, prompt.press(key)) {
            (Purpose::Filter, Typed::Cancelled) => {
                // Nothing was typed: the filter stays.
                if !prompt.text().is_empty() {
                    self.table_mut().filter = Filter::default();
                }
                return None;
            }
            (_, Typed::Cancelled) => return None,
            (_, Typed::Done) => return self.entered(&prompt, core),
            (Purpose::Command, Typed::Complete) => palette::complete(self, core, &mut prompt),
            (_, change @ (Typed::Older | Typed::Newer | Typed::Changed)) => {
                match change {
                    Typed::Older => self.history.recall(&mut prompt, 1),
                    Typed::Newer => self.history.recall(&mut prompt, -1),
                    _ => {}
                }
                self.dialog.prompt = Some(prompt);
                self.prompt_changed(core);
                return None;
            }
            (_, Typed::Complete | Typed::Same) => {}
        }
        self.dialog.prompt = Some(prompt);
        None
    }

    /// The text of the open line changed: a filter and a search take effect while being typed.
    pub(super) fn prompt_changed(&mut self, core: &Core) {
        let Some(mut prompt) = self.dialog.prompt.take() else {
            return;
        };
        prompt.error = None;
        match prompt.purpose {
            // While it is invalid the previous one stays.
            Purpose::Filter => {
                let pane = self.at.pane;
                prompt.error = self.table_mut().set_filter(pane, prompt.text()).err();
            }
            Purpose::Search => {
                prompt.text().clone_into(&mut self.found);
                self.at.scroll = self.at.scroll.saturating_sub(1);
                self.find_line(core, 1);
                prompt.error = self.message.take();
            }
            Purpose::Command => {}
        }
        self.dialog.prompt = Some(prompt);
    }

    /// Enter: closes the line even if it is refused, so that the next keys are keys again; Up
    /// recalls it for correction.
    fn entered(&mut self, prompt: &Prompt, core: &Core) -> Option<ActionRequest> {
        let line = prompt.text().trim();
        self.history.remember(prompt.purpose, line);
        let (again, refused) = match prompt.purpose {
            Purpose::Filter | Purpose::Search => (Action::Filter, prompt.error.clone()),
            Purpose::Command if line.is_empty() => return None,
            Purpose::Command => match palette::parse(self, core, line) {
                Ok(requested) => return Some(requested),
                Err(error) => (Action::Command, Some(error)),
            },
        };
        if let Some(error) = refused {
            if prompt.purpose == Purpose::Filter {
                let pane = self.at.pane;
                // It was in force, so it is valid.
                let _ = self.table_mut().set_filter(pane, &prompt.previous);
            }
            let key = self.keys.sign(again);
            self.message = Some(format!("{error} ({key} ↑ to correct)"));
        }
        None
    }

    /// Keys typed while the help is open search it; true when the key did.
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
