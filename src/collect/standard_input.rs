//! Who feeds a shell: noted in the event of its start, since only `/proc` tells it.

use crate::containers::pipe_writers::pipe_writers;
use crate::detect::waits_for_input;
use crate::event::{Kind, Timestamp};

/// Starts within a second whose input is looked at: a look reads all processes of the host, and a
/// container can start shells as fast as it likes.
const MAX_LOOKS: u32 = 8;

/// Looks at the standard input of shells that start, within a bound.
#[derive(Debug, Default)]
pub(super) struct StandardInputs {
    second: i64,
    looks: u32,
}

impl StandardInputs {
    /// Notes the processes that write into the standard input of a shell or interpreter that takes
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
