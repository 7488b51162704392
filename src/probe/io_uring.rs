//! The programs on requests of `io_uring`.

use aya::maps::{MapData, ProgramArray};
use aya::{Btf, Ebpf};
use hullwatch_abi::class;

use super::object::{load_error, take, tracepoint};
use super::{ProbeError, Report};

/// Programs called at the end of a request, by class.
const CLASSES: &[(u8, &str)] = &[
    (class::FILE, "ring_file"),
    (class::NET, "ring_net"),
    (class::ATTRIBUTE, "ring_attribute"),
];
/// The end of a request.
const DONE: &str = "io_uring_complete";
/// Its beginning; the second name until 6.4.
const SUBMITTED: &[&str] = &["io_uring_submit_req", "io_uring_submit_sqe"];

/// Attaches them. A kernel without `io_uring` has none of the tracepoints: a refusal is reported.
/// The returned value keeps the programs of the classes loaded.
pub(super) fn attach(
    programs: &mut Ebpf,
    btf: &Btf,
    report: &mut Report,
) -> Result<ProgramArray<MapData>, ProbeError> {
    let mut classes =
        ProgramArray::try_from(take(programs, "RING_PROGRAMS")?).map_err(load_error)?;
    let mut attached = Vec::new();
    let mut refused = |name: &str, why: ProbeError| {
        report.refused.push((name.to_owned(), why.to_string()));
    };
    for (class, name) in CLASSES {
        let program = tracepoint(programs, name)?;
        match program.load(DONE, btf) {
            Ok(()) => {
                let fd = program.fd().map_err(load_error)?;
                classes.set(u32::from(*class), fd, 0).map_err(load_error)?;
                attached.push((*name).to_owned());
            }
            Err(error) => refused(name, load_error(error)),
        }
    }
    // The end first: otherwise beginnings would fill the map.
    let name = "ring_done";
    let program = tracepoint(programs, name)?;
    match program.load(DONE, btf).and_then(|()| program.attach()) {
        Ok(_) => attached.push(name.to_owned()),
        Err(error) => {
            refused(name, load_error(error));
            report.attached.append(&mut attached);
            return Ok(classes);
        }
    }
    let name = "ring_submitted";
    let mut last = None;
    for point in SUBMITTED {
        let program = tracepoint(programs, name)?;
        match program.load(point, btf).and_then(|()| program.attach()) {
            Ok(_) => {
                attached.push(name.to_owned());
                last = None;
                break;
            }
            Err(error) => last = last.or(Some(load_error(error))),
        }
    }
    if let Some(error) = last {
        refused(name, error);
    }
    report.attached.append(&mut attached);
    Ok(classes)
}
