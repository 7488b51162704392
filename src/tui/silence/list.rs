//! The list of silences, each with the number of findings it hides.

use crossterm::event::{KeyCode, KeyEvent};

use super::edit::PolicyEdit;
use crate::core::Core;

/// The list of silences.
#[derive(Debug, Clone, Default)]
pub(crate) struct SilenceList {
    pub(super) at: usize,
}

impl SilenceList {
    /// Handles a key: whether the list stays open, and the change to write.
    pub(super) fn press(&mut self, key: &KeyEvent, core: &Core) -> (bool, Option<PolicyEdit>) {
        let silences = &core.detector.settings().policy.silence;
        let last = silences.len().saturating_sub(1);
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => self.at = (self.at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.at = self.at.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.at = 0,
            KeyCode::End | KeyCode::Char('G') => self.at = last,
            KeyCode::Char('U') => return (true, Some(PolicyEdit::Undo)),
            KeyCode::Delete | KeyCode::Char('d') => {
                let chosen = silences.get(self.at.min(last)).cloned();
                return (true, chosen.map(|s| PolicyEdit::Remove(Box::new(s))));
            }
            KeyCode::Esc | KeyCode::Char('q' | 'L' | 'h') | KeyCode::Backspace => {
                return (false, None);
            }
            _ => {}
        }
        (true, None)
    }
}
