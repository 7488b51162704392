//! The programs on requests of `io_uring`.

use aya::Ebpf;
use aya::maps::{MapData, ProgramArray};
use hullwatch_abi::class;

use super::loading::{Loaded, TracepointProgram};
use super::object::{load_error, take, tracepoint};
use super::{ProbeError, Report};

/// The program at the beginning of a request.
const SUBMITTED: &str = "ring_submitted";
/// The program at its end.
const DONE: &str = "ring_done";
/// Programs called at the end of a request, by class.
const CLASSES: &[(u8, &str)] = &[
    (class::FILE, "ring_file"),
    (class::NET, "ring_net"),
    (class::ATTRIBUTE, "ring_attribute"),
];

/// All of them, with their tracepoints.
pub(super) const PROGRAMS: &[TracepointProgram] = &[
    // The second name until 6.4.
    (SUBMITTED, &["io_uring_submit_req", "io_uring_submit_sqe"]),
    ("ring_file", &["io_uring_complete"]),
    ("ring_net", &["io_uring_complete"]),
    ("ring_attribute", &["io_uring_complete"]),
    (DONE, &["io_uring_complete"]),
];

/// Attaches them. A kernel without `io_uring` has none of the tracepoints: a refusal is reported.
/// The returned value keeps the programs of the classes loaded.
pub(super) fn attach(
    programs: &mut Ebpf,
    loaded: &mut Loaded,
    report: &mut Report,
) -> Result<ProgramArray<MapData>, ProbeError> {
    let mut classes =
        ProgramArray::try_from(take(programs, "RING_PROGRAMS")?).map_err(load_error)?;
    for (class, name) in CLASSES {
        match loaded.take(name) {
            Ok(()) => {
                let fd = tracepoint(programs, name)?.fd().map_err(load_error)?;
                classes.set(u32::from(*class), fd, 0).map_err(load_error)?;
                report.attached.push((*name).to_owned());
            }
            Err(error) => refused(report, name, load_error(error)),
        }
    }
    // The end first: otherwise beginnings would fill the map.
    for name in [DONE, SUBMITTED] {
        let program = tracepoint(programs, name)?;
        match loaded.take(name).and_then(|()| program.attach()) {
            Ok(_) => report.attached.push(name.to_owned()),
            Err(error) => {
                refused(report, name, load_error(error));
                break;
            }
        }
    }
    Ok(classes)
}

fn refused(report: &mut Report, name: &str, why: ProbeError) {
    report.refused.push((name.to_owned(), why.to_string()));
}
