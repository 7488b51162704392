//! The programs attached to the root of the cgroup tree: datagrams, and answers to DNS queries.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;

use aya::Ebpf;
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, ProgramError,
};

use super::object::load_error;
use super::{ProbeError, Report};

/// Hooks on addresses a process names.
const ADDRESS: &[&str] = &["net_send4", "net_send6", "dns_connect4", "dns_connect6"];
/// The hook on packets that reach a socket.
const INGRESS: &str = "dns_ingress";

/// Attaches the hooks. All are optional: a refusal is reported.
pub(super) fn attach(programs: &mut Ebpf, report: &mut Report) -> Result<(), ProbeError> {
    let root = crate::system::cgroup2_mount()
        .map_err(io::Error::other)
        .and_then(File::open);
    for name in ADDRESS.iter().copied().chain([INGRESS]) {
        let program = programs
            .program_mut(name)
            .ok_or_else(|| ProbeError::Load(format!("no program {name} in the object")))?;
        let done = match &root {
            Err(error) => Err(error.to_string()),
            Ok(root) if name == INGRESS => <&mut CgroupSkb>::try_from(program)
                .and_then(|p| ingress(p, root))
                .map_err(|e| load_error(e).to_string()),
            Ok(root) => <&mut CgroupSockAddr>::try_from(program)
                .and_then(|p| address(p, root))
                .map_err(|e| load_error(e).to_string()),
        };
        match done {
            Ok(()) => report.attached.push(name.to_owned()),
            Err(reason) => report.refused.push((name.to_owned(), reason)),
        }
    }
    Ok(())
}

fn ingress(program: &mut CgroupSkb, root: &File) -> Result<(), ProgramError> {
    program.load()?;
    program
        .attach(root, CgroupSkbAttachType::Ingress, CgroupAttachMode::Single)
        .map(drop)
}

fn address(program: &mut CgroupSockAddr, root: &File) -> Result<(), ProgramError> {
    program.load()?;
    program.attach(root, CgroupAttachMode::Single).map(drop)
}

/// A number no container can guess, for the identity of sockets.
pub(super) fn secret() -> u64 {
    // Keyed by the system's source of randomness.
    RandomState::new().build_hasher().finish()
}
