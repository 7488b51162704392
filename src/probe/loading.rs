//! Has the kernel verify the tracepoint programs, several at once.
//!
//! Verification takes most of the time until the first event, and the kernel verifies programs of
//! different threads at the same time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf};

use super::ProbeError;
use super::object::load_error;

/// Maximum number of threads: the longest program alone takes a sixth of the time, and the host has
/// other work.
const THREADS: usize = 4;

/// A program, and the tracepoints it fits: the first that this kernel has is used.
pub(super) type TracepointProgram = (&'static str, &'static [&'static str]);

/// Which programs the kernel accepted, by name.
#[derive(Debug, Default)]
pub(super) struct Loaded(BTreeMap<&'static str, Result<(), ProgramError>>);

impl Loaded {
    /// Loads the programs, in this order where there is only one thread. Attaches none.
    ///
    /// # Errors
    /// When the object has no program of a name, or it is for no tracepoint. What the kernel refuses
    /// is in the result.
    pub(super) fn all(
        programs: &mut Ebpf,
        btf: &Btf,
        wanted: impl IntoIterator<Item = TracepointProgram>,
    ) -> Result<Self, ProbeError> {
        let mut found: BTreeMap<&str, _> = programs.programs_mut().collect();
        let mut queue = Vec::new();
        for (name, points) in wanted {
            let program: &mut BtfTracePoint = found
                .remove(name)
                .ok_or_else(|| ProbeError::Load(format!("no program {name} in the object")))?
                .try_into()
                .map_err(load_error)?;
            queue.push((name, points, program));
        }
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
        let queue = Mutex::new(queue.into_iter());
        let loaded = Mutex::new(BTreeMap::new());
        let work = || {
            // The lock is free again before the kernel verifies.
            while let Some((name, points, program)) = next(&queue) {
                let result = load(program, points, btf);
                if let Ok(mut loaded) = loaded.lock() {
                    loaded.insert(name, result);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // This thread does all of the work where no other can be started.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        Ok(Self(loaded.into_inner().unwrap_or_default()))
    }

    /// What the kernel said of this program; each program is asked for once.
    pub(super) fn take(&mut self, name: &'static str) -> Result<(), ProgramError> {
        self.0.remove(name).unwrap_or(Err(ProgramError::NotLoaded))
    }
}

fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().ok()?.next()
}

/// Loads a program for the first of these tracepoints that there is; the first refusal is reported.
fn load(program: &mut BtfTracePoint, points: &[&str], btf: &Btf) -> Result<(), ProgramError> {
    let mut refused = None;
    for point in points {
        match program.load(point, btf) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(ProgramError::NotLoaded))
}
