//! The maps by which the kernel programs decide which events are recorded.

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use hullwatch_abi::header::{ANY_MOUNT_NAMESPACE, ANY_PID_NAMESPACE, PID_NAMESPACE};

use super::ProbeError;
use super::object::{load_error, take};

/// Bit of a mark of the kernel programs: the process entered from the host.
const ENTERED: u64 = 1 << 62;

/// Sets which events the kernel programs record.
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
    /// Takes the maps of the loaded programs.
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

    /// Includes a container's cgroup, or its pid namespace.
    ///
    /// # Errors
    /// When the map of cgroups is full.
    pub fn admit(&mut self, scope: u64) -> Result<(), ProbeError> {
        if scope & PID_NAMESPACE != 0 {
            self.by_namespace.set(0, 1, 0).map_err(load_error)?;
        }
        self.admitted.insert(scope, 1, 0).map_err(load_error)
    }

    /// Whether a container's cgroup is included.
    #[must_use]
    pub fn admits(&self, scope: u64) -> bool {
        self.admitted.get(&scope, 0).is_ok()
    }

    /// Excludes a cgroup or a pid namespace that belongs to no container.
    pub fn dismiss(&mut self, scope: u64) {
        // Fails only when it is not in the map.
        let _ = self.admitted.remove(&scope);
    }

    /// No pid namespace is included: none is looked up until one is.
    pub fn no_namespaces(&mut self) {
        // On failure they are still looked up.
        let _ = self.by_namespace.set(0, 0, 0);
    }

    /// Excludes a pid namespace, without further reports until the kernel programs see it end, which
    /// `will_end` announces: the kernel reuses its number.
    pub fn refuse(&mut self, namespace: u64, will_end: impl Fn() -> bool) {
        self.dismiss(namespace);
        // Whether or not this is refused, it is excluded.
        let _ = self.refused.insert(namespace, 1, 0);
        if !will_end() {
            let _ = self.refused.remove(&namespace);
        }
    }

    /// Marks this process, found in a container's cgroup, as the runtime's until its next exec.
    pub fn set_up(&mut self, pid: u32) {
        // The oldest entry is replaced.
        let _ = self.joined.insert(pid, 1, 0);
    }

    /// Ends the set-up of a process that entered and acts in the container.
    pub fn end_set_up(&mut self, pid: u32) {
        // It may have ended or executed a program.
        let _ = self.joined.remove(&pid);
    }

    /// Notes that the mount namespace with this number is that of the container with this scope.
    pub fn mount_namespace(&mut self, number: u32, scope: u64) {
        self.namespace(number, [scope, ANY_MOUNT_NAMESPACE]);
    }

    /// Notes that the pid namespace with this number is that of the container with this scope.
    pub fn pid_namespace(&mut self, number: u32, scope: u64) {
        self.namespace(number, [scope, ANY_PID_NAMESPACE]);
    }

    fn namespace(&mut self, number: u32, home: [u64; 2]) {
        // The oldest entry is replaced.
        let _ = self.namespaces.insert(number, home, 0);
    }

    /// Marks a process that entered the container with this scope before watching began.
    pub fn entered(&mut self, pid: u32, scope: u64) {
        if self.marks.insert(pid, scope | ENTERED, 0).is_ok() {
            let marked = self.marked.get(&0, 0).unwrap_or(0);
            // On failure it is not seen until its next exec.
            let _ = self.marked.set(0, marked.saturating_add(1), 0);
        }
    }
}
