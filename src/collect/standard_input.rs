//! Notes the processes that write into a shell's input in the event of its start, since only
//! `/proc` shows them.

use super::look_limit::LookLimit;
use crate::containers::pipe_writers::pipe_writers;
use crate::detect::waits_for_input;
use crate::event::{Kind, Timestamp};

/// Examines the standard input of starting shells, within a bound: that reads all processes of the host.
#[derive(Debug, Default)]
pub(super) struct StandardInputs {
    limit: LookLimit,
}

impl StandardInputs {
    /// Notes the processes that write into the standard input of a shell or interpreter that reads
    /// its program from there. Beyond the bound of a second it notes nothing: the rules then know
    /// the shell's parent and siblings only.
    pub(super) fn note(&mut self, ts: Timestamp, pid: u32, kind: &mut Kind) {
        if let Kind::Exec(exec) = kind
            && waits_for_input(exec)
            && self.limit.allows(ts)
        {
            exec.fed_by = pipe_writers(pid);
        }
    }
}
