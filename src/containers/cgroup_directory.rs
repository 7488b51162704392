//! The map of cgroups to containers, kept up to date from the first scan on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::cgroup_name::recognise_leaf;
use super::{pid_namespace, selftest_marker, state_dirs};
use crate::event::{ContainerId, Runtime};
use crate::system;

/// Maximum depth of the scan: the kernel's own nesting is far below it, and a container must not be
/// able to make the scan endless.
const MAX_DEPTH: usize = 64;
/// Maximum depth of the search for a container's processes in its cgroups.
const MEMBER_DEPTH: usize = 8;

/// A container recognised by its cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContainer {
    /// Version 2 cgroup id; of a container without a cgroup of its own its pid namespace, as the
    /// kernel programs report it.
    pub cgroup: u64,
    /// The container.
    pub id: ContainerId,
    /// The runtime that the name points to.
    pub runtime: Runtime,
    /// Path below the version 2 mount, e.g. `/docker/3f4e…`; empty without a cgroup of its own.
    pub path: String,
}

impl FoundContainer {
    /// Its name by the cgroup: the id if that is a name, else the short id.
    #[must_use]
    pub fn name(&self) -> &str {
        self.id.name().unwrap_or(self.id.short())
    }

    /// Host pids of its processes, without those of containers inside it.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        match pid_namespace::is_namespace(self.cgroup) {
            true => pid_namespace::members_of(self.cgroup),
            false => members(&self.path),
        }
    }
}

/// A container whose cgroup does not identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundByNamespace {
    /// With its own cgroup, where it has one; else its namespace and no path.
    pub container: FoundContainer,
    /// Its pid namespace, as the kernel programs report it.
    pub namespace: u64,
    /// Host pid of its init; 0 when that is not found.
    pub init: u32,
}

#[derive(Debug, Clone)]
struct CgroupNode {
    /// The container it belongs to, if any.
    container: Option<ContainerId>,
    /// True for the container's own cgroup, false for its children.
    own: bool,
    /// Whether it is in the test container of another hullwatch, which is not reported.
    selftest: bool,
    /// Path below the mount.
    path: String,
}

/// Version 2 cgroup ids and the containers they belong to. Children of a container's cgroup
/// belong to it, unless they are a container themselves (Docker in Docker).
#[derive(Debug, Clone, Default)]
pub struct CgroupDirectory {
    nodes: BTreeMap<u64, CgroupNode>,
    problem: Option<String>,
}

impl CgroupDirectory {
    /// Walks this host's version 2 hierarchy; the containers come sorted by path. Without such
    /// a hierarchy the directory is empty and [`CgroupDirectory::problem`] has the reason.
    #[must_use]
    pub fn scan() -> (Self, Vec<FoundContainer>) {
        match system::cgroup2_mount() {
            Ok(mount) => Self::scan_at(&mount),
            Err(problem) => {
                let empty = Self {
                    problem: Some(problem),
                    ..Self::default()
                };
                (empty, Vec::new())
            }
        }
    }

    /// Walks the hierarchy mounted at `mount`.
    #[must_use]
    pub fn scan_at(mount: &Path) -> (Self, Vec<FoundContainer>) {
        let mut directory = Self::default();
        let mut found = Vec::new();
        match fs::metadata(mount) {
            Ok(root) => {
                directory.nodes.insert(
                    root.ino(),
                    CgroupNode {
                        container: None,
                        own: false,
                        selftest: false,
                        path: String::new(),
                    },
                );
                directory.walk(mount, root.ino(), 0, &mut found);
            }
            Err(e) => directory.problem = Some(format!("{}: {e}", mount.display())),
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        (directory, found)
    }

    fn walk(&mut self, at: &Path, id: u64, depth: usize, found: &mut Vec<FoundContainer>) {
        // A cgroup may end between listing and reading.
        let Ok(entries) = fs::read_dir(at) else {
            return;
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            let Ok(meta) = entry.metadata() else {
                continue;
            };
            found.extend(self.born(meta.ino(), id, entry.file_name().as_bytes()));
            if depth < MAX_DEPTH {
                self.walk(&entry.path(), meta.ino(), depth + 1, found);
            }
        }
    }

    /// Why the scan saw nothing, if it could not look.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The container a cgroup belongs to.
    #[must_use]
    pub fn lookup(&self, cgroup: u64) -> Option<&ContainerId> {
        self.nodes.get(&cgroup)?.container.as_ref()
    }

    /// Whether it is a cgroup of another hullwatch's self-test.
    #[must_use]
    pub fn is_selftest(&self, cgroup: u64) -> bool {
        self.nodes.get(&cgroup).is_some_and(|node| node.selftest)
    }

    /// Path of a known cgroup below the mount; empty for the root.
    #[must_use]
    pub fn path(&self, cgroup: u64) -> Option<&str> {
        self.nodes.get(&cgroup).map(|n| n.path.as_str())
    }

    /// The containers by path of their cgroups and of the cgroups below those.
    #[must_use]
    pub(super) fn by_path(&self) -> BTreeMap<&str, &ContainerId> {
        let nodes = self.nodes.values();
        nodes
            .filter(|node| !node.path.is_empty())
            .filter_map(|node| Some((node.path.as_str(), node.container.as_ref()?)))
            .collect()
    }

    /// Containers known by their pid namespace, by its number.
    #[must_use]
    pub fn by_namespace(&self) -> BTreeMap<u64, &ContainerId> {
        let nodes = self.nodes.iter();
        nodes
            .filter(|(place, _)| pid_namespace::is_namespace(**place))
            .filter_map(|(place, node)| Some((*place, node.container.as_ref()?)))
            .collect()
    }

    /// Every cgroup that belongs to a container, in order of id.
    pub fn members(&self) -> impl Iterator<Item = (u64, &ContainerId)> {
        self.nodes
            .iter()
            .filter_map(|(id, n)| n.container.as_ref().map(|c| (*id, c)))
    }

    /// Adds a created cgroup; `Some` when it is a container that was not known by this cgroup
    /// before. A repeated report (by scan and probe) changes nothing.
    pub fn born(&mut self, id: u64, parent: u64, name: &[u8]) -> Option<FoundContainer> {
        if self.nodes.contains_key(&id) {
            return None;
        }
        let (above, inherited, inside) = match self.nodes.get(&parent) {
            Some(node) => (node.path.clone(), node.container.clone(), node.selftest),
            None => (String::new(), None, false),
        };
        let name = String::from_utf8_lossy(name);
        let path = format!("{above}/{name}");
        let own = recognise_leaf(&above, &name).or_else(|| state_dirs::recognise(&above, &name));
        let selftest = inside
            || own
                .as_ref()
                .is_some_and(|(_, id)| selftest_marker::marks(id));
        let own = own.filter(|_| !selftest);
        self.nodes.insert(
            id,
            CgroupNode {
                container: own.as_ref().map(|(_, c)| c.clone()).or(inherited),
                own: own.is_some(),
                selftest,
                path: path.clone(),
            },
        );
        own.map(|(runtime, container)| FoundContainer {
            cgroup: id,
            id: container,
            runtime,
            path,
        })
    }

    /// Whether the container of a pid namespace has a cgroup of its own, whose end is the
    /// container's.
    #[must_use]
    pub fn is_by_cgroup(&self, namespace: u64) -> bool {
        self.nodes.get(&namespace).is_some_and(|node| !node.own)
    }

    /// A container known by its cgroup was first recognised by its namespace.
    pub fn alias(&mut self, namespace: u64, id: &ContainerId) {
        let node = CgroupNode {
            container: Some(id.clone()),
            own: false,
            selftest: false,
            path: String::new(),
        };
        self.nodes.insert(namespace, node);
    }

    /// Adds the namespace of this container, and its cgroup if it has one of its own.
    pub fn adopt(&mut self, found: &FoundByNamespace) {
        let FoundContainer {
            cgroup, id, path, ..
        } = &found.container;
        self.alias(found.namespace, id);
        let own = CgroupNode {
            container: Some(id.clone()),
            own: true,
            selftest: false,
            path: path.clone(),
        };
        if *cgroup != found.namespace {
            let below = format!("{path}/");
            for inner in self.nodes.values_mut() {
                if inner.path.starts_with(&below) && inner.container.is_none() {
                    inner.container = Some(id.clone());
                }
            }
        }
        self.nodes.insert(*cgroup, own);
    }

    /// Removes a cgroup; `Some` when it was a container's own.
    pub fn gone(&mut self, id: u64) -> Option<ContainerId> {
        let node = self.nodes.remove(&id)?;
        if node.own && !pid_namespace::is_namespace(id) {
            // The namespace by which it was recognised.
            self.nodes.retain(|place, other| {
                !pid_namespace::is_namespace(*place)
                    || other.own
                    || other.container != node.container
            });
        }
        node.own.then_some(node.container).flatten()
    }
}

/// Host pids of the processes in the cgroup at `path` and below it, without those of containers
/// that have cgroups of their own there.
pub(super) fn members(path: &str) -> Vec<u32> {
    let mut found = Vec::new();
    if let Ok(mount) = system::cgroup2_mount() {
        let dir = mount.join(path.trim_start_matches('/'));
        collect_members(&dir, path, MEMBER_DEPTH, &mut found);
    }
    found
}

fn collect_members(dir: &Path, path: &str, depth: usize, found: &mut Vec<u32>) {
    let listed = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    found.extend(listed.lines().filter_map(|pid| pid.parse::<u32>().ok()));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && recognise_leaf(path, &name).is_none()
        {
            let below = format!("{path}/{name}");
            collect_members(&entry.path(), &below, depth - 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b";
    const B: &str = "00000000111111112222222233333333444444445555555566666666777777aa";

    #[test]
    fn scans_nested_containers_and_their_children() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join(format!("docker/{A}/docker/{B}"));
        fs::create_dir_all(inner.join("leaf")).unwrap();
        fs::create_dir_all(root.path().join(format!("docker/{A}/init"))).unwrap();
        fs::create_dir_all(root.path().join("system.slice")).unwrap();
        let (directory, found) = CgroupDirectory::scan_at(root.path());
        let ids: Vec<_> = found.iter().map(|f| (f.id.as_str(), f.runtime)).collect();
        assert_eq!(ids, [(A, Runtime::Docker), (B, Runtime::Docker)]);
        let of = |path: &str| {
            let ino = fs::metadata(root.path().join(path)).unwrap().ino();
            directory.lookup(ino).map(|c| c.as_str().to_owned())
        };
        assert_eq!(of(&format!("docker/{A}/init")).as_deref(), Some(A));
        assert_eq!(of(&format!("docker/{A}/docker")).as_deref(), Some(A));
        assert_eq!(
            of(&format!("docker/{A}/docker/{B}/leaf")).as_deref(),
            Some(B)
        );
        assert_eq!(of("system.slice"), None);
        assert_eq!(found[1].path, format!("/docker/{A}/docker/{B}"));
    }

    #[test]
    fn a_container_is_known_by_its_namespace_and_its_cgroup_until_it_ends() {
        let id = ContainerId::new("runc/web");
        let found = |cgroup, path: &str| FoundByNamespace {
            container: FoundContainer {
                cgroup,
                id: id.clone(),
                runtime: Runtime::Runc,
                path: path.to_owned(),
            },
            namespace: hullwatch_abi::header::PID_NAMESPACE | 7,
            init: 1,
        };
        let mut directory = CgroupDirectory::default();
        directory.born(1, 0, b"odd");
        directory.born(2, 1, b"inner");
        let by_namespace = found(1, "/odd");
        directory.adopt(&by_namespace);
        for place in [1, 2, by_namespace.namespace] {
            assert_eq!(directory.lookup(place), Some(&id), "{place}");
        }
        assert!(directory.is_by_cgroup(by_namespace.namespace));
        assert_eq!(directory.gone(1), Some(id.clone()));
        assert_eq!(directory.lookup(by_namespace.namespace), None);

        let by_namespace = found(hullwatch_abi::header::PID_NAMESPACE | 7, "");
        directory.adopt(&by_namespace);
        assert!(!directory.is_by_cgroup(by_namespace.namespace));
        assert_eq!(
            directory.by_path().len(),
            1,
            "what was inside, no empty path"
        );
        assert_eq!(directory.gone(by_namespace.namespace), Some(id.clone()));
    }

    #[test]
    fn births_and_deaths() {
        let mut directory = CgroupDirectory::default();
        assert!(directory.born(1, 0, b"docker").is_none());
        let found = directory.born(2, 1, A.as_bytes()).unwrap();
        assert_eq!(
            (found.runtime, found.path),
            (Runtime::Docker, format!("/docker/{A}"))
        );
        assert!(
            directory.born(2, 1, A.as_bytes()).is_none(),
            "reported once"
        );
        assert!(directory.born(3, 2, b"child").is_none());
        assert_eq!(directory.lookup(3).unwrap().as_str(), A);
        assert_eq!(
            directory.gone(3),
            None,
            "a child's end is not the container's"
        );
        assert_eq!(directory.gone(2).unwrap().as_str(), A);
        assert_eq!(directory.lookup(2), None);
    }
}
