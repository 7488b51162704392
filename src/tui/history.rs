//! History of typed lines, recalled with Up and Down.

use super::prompt::{Prompt, Purpose};

/// Maximum number of lines of each purpose.
const MOST: usize = 100;

/// The typed lines by purpose, the latest last.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    filters: Vec<String>,
    searches: Vec<String>,
    commands: Vec<String>,
}

impl History {
    fn of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Filter => &self.filters,
            Purpose::Search => &self.searches,
            Purpose::Command => &self.commands,
        }
    }

    /// The latest line.
    pub(super) fn last(&self, purpose: Purpose) -> Option<&str> {
        self.of(purpose).last().map(String::as_str)
    }

    /// Remembers a line as the latest.
    pub(super) fn remember(&mut self, purpose: Purpose, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        let lines = match purpose {
            Purpose::Filter => &mut self.filters,
            Purpose::Search => &mut self.searches,
            Purpose::Command => &mut self.commands,
        };
        lines.retain(|known| known != line);
        if lines.len() >= MOST {
            lines.remove(0);
        }
        lines.push(line.to_owned());
    }

    /// Puts an older (+1) or newer (-1) line into the prompt.
    pub(super) fn recall(&self, prompt: &mut Prompt, by: isize) {
        let lines = self.of(prompt.purpose);
        let to = prompt.recalled.saturating_add_signed(by).min(lines.len());
        let line = to
            .checked_sub(1)
            .and_then(|back| lines.iter().nth_back(back));
        prompt.set(line.map_or("", String::as_str));
        prompt.recalled = to;
    }
}
