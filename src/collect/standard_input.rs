//! Notes the processes that write into a shell's input in the event of its start, since only
//! `/proc` shows them.

use crate::containers::pipe_writers::pipe_writers;
use crate::detect::waits_for_input;
use crate::event::{Kind, Timestamp};

/// Maximum number of starts within a second whose input is examined: that reads all processes of
/// the host, and a container can start shells at any rate.
const MAX_LOOKS: u32 = 8;

/// Examines the standard input of starting shells, within a bound.
#[derive(Debug, Default)]
pub(super) struct StandardInputs {
    second: i64,
    looks: u32,
}

impl StandardInputs {
    /// Notes the processes that write into the standard input of a shell or interpreter that reads
    /// its program from there. Beyond the bound of a second it notes nothing: the rules then know
    /// the shell's parent and siblings only.
    pub(super) fn note(&mut self, ts: Timestamp, pid: u32, kind: &mut Kind) {
        if let Kind::Exec(exec) = kind
            && waits_for_input(exec)
            && self.has_room(ts)
        {
            exec.fed_by = pipe_writers(pid);
        }
    }

    fn has_room(&mut self, ts: Timestamp) -> bool {
        if self.second != ts.seconds() {
            (self.second, self.looks) = (ts.seconds(), 0);
        }
        self.looks += 1;
        self.looks <= MAX_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_shells_is_looked_at_within_the_bound() {
        let mut inputs = StandardInputs::default();
        let at = |second: i64| Timestamp(second * 1_000_000_000 + 5);
        let looked = (0..100).filter(|_| inputs.has_room(at(7))).count();
        assert_eq!(looked, 8);
        assert!(inputs.has_room(at(8)));
    }
}
