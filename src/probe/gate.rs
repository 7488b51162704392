//! The maps by which the kernel programs know whose records are wanted.

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use hullwatch_abi::header::PID_NAMESPACE;

use super::ProbeError;
use super::object::{load_error, take};

/// In a mark of the kernel programs: the process entered from the host.
const ENTERED: u64 = 1 << 62;

/// Whose records are wanted.
pub struct Gate {
    admitted: HashMap<MapData, u64, u8>,
    joined: HashMap<MapData, u32, u8>,
    by_namespace: Array<MapData, u32>,
    refused: HashMap<MapData, u64, u8>,
    marks: HashMap<MapData, u32, u64>,
    marked: Array<MapData, u64>,
    namespaces: HashMap<MapData, u32, [u64; 2]>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Of the loaded programs.
    pub(super) fn take(programs: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            admitted: HashMap::try_from(take(programs, "CGROUPS")?).map_err(load_error)?,
            joined: HashMap::try_from(take(programs, "JOINED")?).map_err(load_error)?,
            by_namespace: Array::try_from(take(programs, "BY_NAMESPACE")?).map_err(load_error)?,
            refused: HashMap::try_from(take(programs, "REFUSED")?).map_err(load_error)?,
            marks: HashMap::try_from(take(programs, "MARKS")?).map_err(load_error)?,
            marked: Array::try_from(take(programs, "MARKED")?).map_err(load_error)?,
            namespaces: HashMap::try_from(take(programs, "NAMESPACES")?).map_err(load_error)?,
        })
    }

    /// Lets a container's cgroup in, or its pid namespace.
    ///
    /// # Errors
    /// When the map of cgroups is full.
    pub fn admit(&mut self, place: u64) -> Result<(), ProbeError> {
        if place & PID_NAMESPACE != 0 {
            self.by_namespace.set(0, 1, 0).map_err(load_error)?;
        }
        self.admitted.insert(place, 1, 0).map_err(load_error)
    }

    /// Shuts a cgroup or a pid namespace out again that was no container's.
    pub fn dismiss(&mut self, place: u64) {
        // Fails only when it is not there.
        let _ = self.admitted.remove(&place);
    }

    /// No pid namespace is let in: none is looked up until the next one is.
    pub fn no_namespaces(&mut self) {
        // At worst they are still looked up.
        let _ = self.by_namespace.set(0, 0, 0);
    }

    /// Shuts a pid namespace out and is not asked about it again until the kernel programs see it end,
    /// which `will_end` says they will: the kernel gives its number to a later one.
    pub fn refuse(&mut self, namespace: u64, will_end: impl Fn() -> bool) {
        self.dismiss(namespace);
        // Refused or not, it is shut out.
        let _ = self.refused.insert(namespace, 1, 0);
        if !will_end() {
            let _ = self.refused.remove(&namespace);
        }
    }

    /// This process, found in a container's cgroup, does the runtime's work until its next exec.
    pub fn set_up(&mut self, pid: u32) {
        // The oldest entry makes room.
        let _ = self.joined.insert(pid, 1, 0);
    }

    /// This process entered and works in the container: it is no set-up any more.
    pub fn works(&mut self, pid: u32) {
        // It may have ended, or started a program.
        let _ = self.joined.remove(&pid);
    }

    /// The mount or pid namespace of this number is that of the container in this place, while it lives.
    pub fn namespace(&mut self, number: u32, place: u64) {
        // The oldest entry makes room.
        let _ = self.namespaces.insert(number, [place, 0], 0);
    }

    /// This process entered that container from the host before watching began.
    pub fn entered(&mut self, pid: u32, place: u64) {
        if self.marks.insert(pid, place | ENTERED, 0).is_ok() {
            let marked = self.marked.get(&0, 0).unwrap_or(0);
            // At worst it is not seen any more until its next program.
            let _ = self.marked.set(0, marked.saturating_add(1), 0);
        }
    }
}
