//! Containers whose cgroup has an ordinary name (`/team/web`, `/job`), recognised by the state
//! directory or the shim of their runtime.

use std::fs;
use std::path::Path;

use super::cgroup_name::is_name;
use super::supervisor;
use crate::event::{ContainerId, Runtime};

/// Bundles of containerd's containers, by namespace and id.
const CONTAINERD_TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";
/// State of root's runc containers, by id.
const RUNC: &str = "/run/runc";

/// The container whose cgroup is `leaf` in the top-level cgroup `parent`, or at the top itself:
/// runtimes without a configured parent cgroup create it there. Deeper cgroups have names of a
/// known form.
pub(super) fn recognise(parent: &str, leaf: &str) -> Option<(Runtime, ContainerId)> {
    if !is_name(leaf) {
        return None;
    }
    let id = |text: String| ContainerId::new(&text);
    let Some(namespace) = parent.strip_prefix('/') else {
        let known = parent.is_empty() && is_directory(&Path::new(RUNC).join(leaf));
        return known.then(|| (Runtime::Runc, id(format!("runc/{leaf}"))));
    };
    if !is_name(namespace) || namespace == "docker" {
        return None;
    }
    let bundle = Path::new(CONTAINERD_TASKS).join(namespace).join(leaf);
    let known = is_directory(&bundle)
        || supervisor::shims().any(|shim| shim.namespace == namespace && shim.id == leaf);
    known.then(|| (Runtime::Containerd, id(format!("{namespace}/{leaf}"))))
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}
