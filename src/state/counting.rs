//! Counts what containers do in each second.

use super::tables::State;
use crate::event::{Event, Kind};

impl State {
    /// Counts programs that were run and connections that were made or accepted.
    pub(super) fn count_activity(&mut self, event: &Event) {
        let which = match &event.kind {
            Kind::Exec(exec) if !exec.runtime => 0,
            Kind::Connect(_) | Kind::Accept(_) => 1,
            _ => return,
        };
        if let Some(container) = self.own_container(event) {
            match which {
                0 => container.execs.count(),
                _ => container.connects.count(),
            }
        }
    }
}
