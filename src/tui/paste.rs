//! Pasted text: goes into the open input line only.

use super::prompt::Typed;
use super::ui::Ui;
use crate::core::Core;

impl Ui {
    /// Handles pasted text. It is never read as keys: in an open line it becomes text, in which
    /// line breaks are spaces; without one a message explains it.
    pub fn paste(&mut self, text: &str, core: &Core) {
        self.message = None;
        if let Some(mut prompt) = self.dialog.prompt.take() {
            let typed = prompt.paste(text);
            self.dialog.prompt = Some(prompt);
            if typed == Typed::Changed {
                self.prompt_changed(core);
            }
            return;
        }
        if let Some(dialog) = &mut self.dialog.silence {
            if !dialog.paste(text) {
                self.message = Some("text can only be pasted into the reason".to_owned());
            }
            return;
        }
        if self.dialog.help {
            let line = text.trim().chars().filter(|c| !c.is_control());
            self.dialog.search.extend(line.take(100));
            self.at.scroll = 0;
            return;
        }
        let (filter, command) = (
            self.keys.sign(super::action::Action::Filter),
            self.keys.sign(super::action::Action::Command),
        );
        self.message = Some(format!(
            "pasted text is not read as keys; it goes into an open line: {filter} or {command}"
        ));
    }
}
