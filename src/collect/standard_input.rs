//! Who feeds a shell: noted in the event of its start, since only `/proc` tells it.

use crate::containers::pipe_writers::pipe_writers;
use crate::detect::waits_for_input;
use crate::event::Kind;

/// Notes the processes that write into the standard input of a shell or interpreter that takes its
/// program from there. Such starts are rare.
pub(super) fn note(pid: u32, kind: &mut Kind) {
    if let Kind::Exec(exec) = kind
        && waits_for_input(exec)
    {
        exec.fed_by = pipe_writers(pid);
    }
}
