//! Access to the loaded object by name, and the loader's errors in this program's form.

use aya::Ebpf;
use aya::maps::Map;
use aya::programs::{BtfTracePoint, Program};

use super::ProbeError;

/// An error of the loader with its causes, the last of which is the actual problem.
pub(super) fn load_error(error: impl std::error::Error) -> ProbeError {
    // The cause is what helps; errors of the loader name it last.
    let mut text = crate::text::error_chain(&error);
    // The end of a verifier's log has the reason; the statistics after it do not.
    if let Some(log) = text.find("Verifier output") {
        let lines = text[log..].lines().rev();
        let lines =
            lines.filter(|l| !l.starts_with("verification time") && !l.starts_with("stack depth"));
        let tail: Vec<&str> = lines.take(6).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        text = format!("{}… {}", &text[..log], tail.join(" / "));
    }
    ProbeError::Load(text)
}

/// Takes a map out of the object.
///
/// # Errors
/// When the object has no map of this name.
pub(super) fn take(programs: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    programs
        .take_map(name)
        .ok_or_else(|| ProbeError::Load(format!("no map {name} in the object")))
}

/// The program of this name.
///
/// # Errors
/// When the object has none.
pub(super) fn named<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, ProbeError> {
    programs
        .program_mut(name)
        .ok_or_else(|| ProbeError::Load(format!("no program {name} in the object")))
}

/// The tracepoint program of this name.
///
/// # Errors
/// When the object has none.
pub(super) fn tracepoint<'a>(
    programs: &'a mut Ebpf,
    name: &str,
) -> Result<&'a mut BtfTracePoint, ProbeError> {
    named(programs, name)?.try_into().map_err(load_error)
}
