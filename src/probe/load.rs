//! Loads and attaches the programs, and takes records and losses from them.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::FExit;
use aya::{Btf, Ebpf, EbpfLoader};

use super::convert::ConvertError;
use super::dns_streams::DnsStreams;
use super::gate::Gate;
use super::loading::{Loaded, TracepointProgram};
use super::losses::Losses;
use super::object::{load_error, named, take, tracepoint};
use super::record::Decoded;
use super::repeats::{Due, Repeats};
use super::ring::Ring;
use super::type_info::{self, TypeInfo};
use super::{
    Loss, Observed, ProbeConfig, ProbeError, Report, hooks, io_uring, offsets, record, tables,
};
use crate::event::{LostReason, Timestamp};
use crate::system::{OwnProcess, SessionClock};

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/hullwatch.bpf.o"));

/// A program that attaches by itself, with its tracepoint, and whether it is required.
const ATTACHED: &[(TracepointProgram, bool)] = &[
    // Before the program that reports the exec, which needs its container.
    (("exec_namespaces", &["sched_process_exec"]), false),
    (("process_exec", &["sched_process_exec"]), true),
    // Attached after the program that records the exec.
    (("exec_input", &["sched_process_exec"]), false),
    (("process_fork", &["sched_process_fork"]), true),
    (("process_exit", &["sched_process_exit"]), true),
    (("cgroup_born", &["cgroup_mkdir"]), true),
    (("cgroup_gone", &["cgroup_rmdir"]), true),
    (("cgroup_joined", &["cgroup_attach_task"]), true),
    (("call_exit", &["sys_exit"]), true),
    (("net_state", &["inet_sock_set_state"]), false),
];

/// The program on the check of capabilities, where that is a tracepoint (since 6.13).
const CAPABILITY: TracepointProgram = ("capability_check", &[CAPABILITY_CHECK]);

/// The tracepoint, or the kernel's function, that checks a capability.
const CAPABILITY_CHECK: &str = "cap_capable";

/// Programs that the call dispatcher calls, by class: index 1 and up.
const CLASSES: &[TracepointProgram] = &[
    ("file_exit", &["sys_exit"]),
    ("privilege_exit", &["sys_exit"]),
    ("net_exit", &["sys_exit"]),
    ("attribute_exit", &["sys_exit"]),
    ("first_exit", &["sys_exit"]),
    ("enter_exit", &["sys_exit"]),
];

/// The running programs. Dropping it detaches them.
pub struct Probe {
    ring: Ring,
    /// The containers whose records are wanted.
    pub gate: Gate,
    losses: [Losses; 3],
    repeats: Repeats,
    dns_streams: DnsStreams,
    bad: u64,
    bad_detail: String,
    clock: SessionClock,
    report: Report,
    /// Skipped runs reported so far, by program.
    misses: BTreeMap<String, u64>,
    /// Keeps the programs attached.
    programs: Ebpf,
    _calls: [ProgramArray<MapData>; 2],
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Probe {
    /// Loads and attaches.
    ///
    /// # Errors
    /// When the kernel lacks something required or refuses a program that is needed.
    pub fn load(config: &ProbeConfig) -> Result<Self, ProbeError> {
        keep_little();
        let (offsets, btf) = {
            let kernel = TypeInfo::read(type_info::KERNEL, None).map_err(no_btf)?;
            (
                offsets::resolve(&kernel)?,
                kernel.reduced(&[CAPABILITY_CHECK]).map_err(no_btf)?,
            )
        };
        let mut report = Report {
            missing: offsets.missing,
            ..Report::default()
        };
        let (shapes, calls) = (tables::file_shapes(), tables::privilege_calls());
        let (net, key) = (tables::net_calls(), hooks::secret());
        let classes = tables::classes();
        let (registers, memory) = (tables::registers(), tables::memory_calls());
        let (compat_calls, compat_registers) = (tables::compat_calls(), tables::compat_registers());
        let (compat_bit, x32) = (
            tables::compat_bit(),
            u32::from(cfg!(target_arch = "x86_64")),
        );
        let secrets = tables::secret_names()?;
        let requests = tables::ring_calls();
        let host = u32::from(config.host);
        // In another pid namespace its number is that of another process of the host.
        let own = match OwnProcess::find() {
            OwnProcess::Host(pid) => pid,
            OwnProcess::Inside(..) | OwnProcess::Unknown => 0,
        };
        let first_calls = u32::from(config.syscalls);
        let mounts = host_mounts()?;
        let fresh = fresh_since();
        let clock = SessionClock::of_this_program();
        let booted = clock.at(0).seconds();
        let mut loader = EbpfLoader::new();
        // The object has no relocations by type information: the offsets are globals.
        loader
            .btf(None)
            .override_global("FIELD_OFFSETS", &offsets.table, true)
            .override_global("FILE_SHAPES", &shapes, true)
            .override_global("PRIVILEGE_CALLS", &calls, true)
            .override_global("NET_CALLS", &net, true)
            .override_global("NET_KEY", &key, true)
            .override_global("CLASSES", &classes, true)
            .override_global("REGS", &registers, true)
            .override_global("COMPAT_CALLS", &compat_calls, true)
            .override_global("COMPAT_REGS", &compat_registers, true)
            .override_global("COMPAT_BIT", &compat_bit, true)
            .override_global("HAS_X32", &x32, true)
            .override_global("MEMORY_CALLS", &memory, true)
            .override_global("RING_CALLS", &requests, true)
            .override_global("SECRET_NAMES", &*secrets, true)
            .override_global("WATCH_HOST", &host, true)
            .override_global("OWN_PID", &own, true)
            .override_global("REPORT_CALLS", &first_calls, true)
            .override_global("FRESH_SINCE", &fresh, true)
            .override_global("BOOT_SECONDS", &booted, true)
            .override_global("HOST_MOUNTS", &mounts, true);
        if config.connections != 0 {
            loader.map_max_entries("NET_OWNERS", config.connections);
        }
        if !config.syscalls {
            // An empty map.
            loader.map_max_entries("CALLS_SEEN", 1);
        }
        let mut programs = loader.load(OBJECT).map_err(load_error)?;
        drop(loader);
        let mut calls =
            ProgramArray::try_from(take(&mut programs, "CLASS_PROGRAMS")?).map_err(load_error)?;
        // Those that take the kernel longest come first.
        let wanted = io_uring::PROGRAMS.iter().chain(CLASSES);
        let wanted = wanted.chain(ATTACHED.iter().map(|(wanted, _)| wanted));
        let wanted = wanted.chain([&CAPABILITY]).copied();
        let mut loaded = Loaded::all(&mut programs, &btf, wanted)?;
        for (class, (name, _)) in (1..).zip(CLASSES) {
            match loaded.take(name) {
                Ok(()) => {
                    let fd = tracepoint(&mut programs, name)?.fd().map_err(load_error)?;
                    calls.set(class, fd, 0).map_err(load_error)?;
                    report.attached.push((*name).to_owned());
                }
                Err(error) => report
                    .refused
                    .push(((*name).to_owned(), load_error(error).to_string())),
            }
        }
        for ((name, _), required) in ATTACHED {
            let program = tracepoint(&mut programs, name)?;
            let done = loaded.take(name).and_then(|()| program.attach());
            match done {
                Ok(_) => report.attached.push((*name).to_owned()),
                Err(error) if *required => {
                    return Err(ProbeError::Refused {
                        program: name,
                        reason: load_error(error).to_string(),
                    });
                }
                Err(error) => report
                    .refused
                    .push(((*name).to_owned(), load_error(error).to_string())),
            }
        }
        capability(&mut programs, &btf, &mut loaded, &mut report)?;
        let ring_programs = io_uring::attach(&mut programs, &mut loaded, &mut report)?;
        let losses = [
            Losses::take(
                &mut programs,
                "LOST",
                LostReason::RingFull,
                "the kernel's buffer was full",
            )?,
            Losses::take(
                &mut programs,
                "NET_UNFOLLOWED",
                LostReason::MapFull,
                "more open TCP connections than can be followed",
            )?,
            Losses::take(
                &mut programs,
                "RING_UNFOLLOWED",
                LostReason::MapFull,
                "more io_uring requests under way than can be followed",
            )?,
        ];
        hooks::attach(&mut programs, &mut report)?;
        drop(btf);
        give_back();
        for (hook, why) in &report.refused {
            tracing::warn!(hook, why, "not attached");
        }
        tracing::info!(hooks = report.attached.len(), "attached");
        Ok(Self {
            ring: ring(take(&mut programs, "EVENTS")?)?,
            gate: Gate::take(&mut programs)?,
            losses,
            repeats: Repeats::new(take(&mut programs, "FILE_SEEN")?, clock)?,
            dns_streams: DnsStreams::default(),
            bad: 0,
            bad_detail: String::new(),
            clock,
            report,
            misses: BTreeMap::new(),
            programs,
            _calls: [calls, ring_programs],
        })
    }

    /// The present on the clock that [`Observed::ts`] is measured by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads all available records; does not block. Returns their number.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Observed)) -> usize {
        let records = self.ring.drain(|bytes| {
            let reported = match record::decode(bytes, self.clock) {
                Ok(Decoded::Fact(mut observed)) => {
                    self.repeats.reported(&mut observed, sink);
                    sink(observed);
                    Ok(())
                }
                Ok(Decoded::Piece(piece)) => self.dns_streams.take(&piece, sink),
                Ok(Decoded::Nothing) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = reported {
                self.bad += 1;
                self.bad_detail = error.to_string();
            }
        });
        let overdue = self.dns_streams.overdue(self.clock.now(), sink);
        self.count_bad(overdue);
        records
    }

    /// Repeated file operations that were counted and not yet reported; for [`Due::All`] also
    /// incomplete DNS answers.
    pub fn repeats(&mut self, now: Timestamp, of: Due<'_>, sink: &mut dyn FnMut(Observed)) {
        self.repeats.due(now, of, sink);
        if of == Due::All {
            let begun = self.dns_streams.finish(sink);
            self.count_bad(begun);
        }
    }

    /// Counts records that could not be decoded.
    fn count_bad(&mut self, decoded: Result<(), ConvertError>) {
        if let Err(error) = decoded {
            self.bad += 1;
            self.bad_detail = error.to_string();
        }
    }

    /// Losses since the last call.
    pub fn losses(&mut self) -> Vec<Loss> {
        let mut losses = Vec::new();
        if self.bad > 0 {
            losses.push(Loss {
                reason: LostReason::BadRecord,
                count: std::mem::take(&mut self.bad),
                cgroup: None,
                detail: std::mem::take(&mut self.bad_detail),
            });
        }
        self.skipped(&mut losses);
        for map in &mut self.losses {
            map.since(&mut losses);
        }
        losses.extend(self.repeats.lost());
        losses
    }

    /// Runs that the kernel skipped because the program was already running on that CPU. Their
    /// container is not known.
    fn skipped(&mut self, losses: &mut Vec<Loss>) {
        for (name, program) in self.programs.programs() {
            // Only a program that was refused has none.
            let Ok(fd) = program.fd() else { continue };
            let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
            let Some(total) = fs::read_to_string(path).ok().and_then(|info| misses(&info)) else {
                continue;
            };
            let reported = self.misses.entry(name.to_owned()).or_default();
            if total > *reported {
                losses.push(Loss {
                    reason: LostReason::Recursion,
                    count: total - *reported,
                    cgroup: None,
                    detail: format!("{name} was already running"),
                });
                *reported = total;
            }
        }
    }

    /// Attached and refused programs.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// The reader of this ring buffer.
fn ring(map: Map) -> Result<Ring, ProbeError> {
    let Map::RingBuf(data) = map else {
        return Err(ProbeError::Load("EVENTS is no ring buffer".to_owned()));
    };
    let size = data.info().map_err(load_error)?.max_entries();
    let fd = data.fd().as_fd().try_clone_to_owned().map_err(load_error)?;
    Ring::new(fd, usize::try_from(size).unwrap_or(0)).map_err(load_error)
}

/// Attaches to the check of capabilities: a tracepoint since 6.13, before that the function.
fn capability(
    programs: &mut Ebpf,
    btf: &Btf,
    loaded: &mut Loaded,
    report: &mut Report,
) -> Result<(), ProbeError> {
    let (at_tracepoint, _) = CAPABILITY;
    let program = tracepoint(programs, at_tracepoint)?;
    let Err(refused) = loaded.take(at_tracepoint).and_then(|()| program.attach()) else {
        report.attached.push(at_tracepoint.to_owned());
        return Ok(());
    };
    let name = "capability_return";
    let program: &mut FExit = named(programs, name)?.try_into().map_err(load_error)?;
    match program
        .load(CAPABILITY_CHECK, btf)
        .and_then(|()| program.attach())
    {
        Ok(_) => report.attached.push(name.to_owned()),
        Err(error) => {
            let why = format!("{}; {}", load_error(refused), load_error(error));
            report.refused.push((at_tracepoint.to_owned(), why));
        }
    }
    Ok(())
}

/// Makes the allocator return large blocks to the system at once. By default it adapts to the first
/// of them and keeps as much at the end of a thread's arena, where [`give_back`] does not reach:
/// often 14 MB of type information stayed allocated.
fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and may be called at any time from any thread. Where it is
    // refused all stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

/// Returns to the system what the kernel's type information took: tens of megabytes in small
/// pieces, which the allocator would keep.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The kernel has no usable type information.
fn no_btf(error: type_info::TypeInfoError) -> ProbeError {
    ProbeError::NoBtf(error.to_string())
}

/// Number of the host's mount namespace: that of process 1, or this process's own where a
/// hardened host does not let it be read.
fn host_mounts() -> Result<u32, ProbeError> {
    ["/proc/1/ns/mnt", "/proc/self/ns/mnt"]
        .into_iter()
        .find_map(|link| fs::metadata(link).ok())
        .and_then(|namespace| u32::try_from(namespace.ino()).ok())
        .ok_or_else(|| ProbeError::Load("/proc/self/ns/mnt cannot be read".to_owned()))
}

/// Code on volumes is reported only if it changed since then: a day ago, seconds since 1970.
fn fresh_since() -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| {
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - DAY
    })
}

/// Skipped runs in what the kernel reports of a program's descriptor (5.12 and later).
fn misses(info: &str) -> Option<u64> {
    info.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_skipped_runs_from_a_descriptors_facts() {
        let info = "pos:\t0\nprog_type:\t26\nrun_cnt:\t0\nrecursion_misses:\t17\n";
        assert_eq!(misses(info), Some(17));
        assert_eq!(misses("pos:\t0\n"), None);
    }
}
