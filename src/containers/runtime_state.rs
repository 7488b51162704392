//! The state files that runc and crun keep for each container: its init and the path of its bundle.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cgroup_name::{is_id, is_name};
use super::json_file::{number, read_json, text};
use crate::event::{ContainerId, Runtime};

/// Larger files are not read.
const MAX_SIZE: u64 = 1 << 20;
/// Maximum number of containers examined in one directory.
const MAX_CONTAINERS: usize = 4096;
/// Below `/run` and each user's directory there: the runtime's directory, and its file of a
/// container.
const KINDS: &[(&str, &str, Runtime)] = &[
    ("runc", "state.json", Runtime::Runc),
    ("crun", "status", Runtime::Crun),
];

/// A container by the state of its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuntimeState {
    pub(super) runtime: Runtime,
    pub(super) name: String,
    /// The owner of the state: root or a user.
    pub(super) owner: u32,
    /// Host pid of its first process; 0 unknown.
    pub(super) init: u32,
    pub(super) bundle: PathBuf,
}

impl RuntimeState {
    /// hullwatch's id for it. A user's containers cannot take the id of root's.
    pub(super) fn id(&self) -> ContainerId {
        // It belongs to an engine, which names it by that.
        if is_id(&self.name) {
            return ContainerId::new(&self.name);
        }
        let word = self.runtime.word();
        ContainerId::new(&match self.owner {
            0 => format!("{word}/{}", self.name),
            user => format!("{word}-{user}/{}", self.name),
        })
    }
}

/// The first container that matches.
pub(super) fn find(wanted: impl Fn(&RuntimeState) -> bool) -> Option<RuntimeState> {
    find_in(Path::new("/run"), &wanted)
}

fn find_in(run: &Path, wanted: &impl Fn(&RuntimeState) -> bool) -> Option<RuntimeState> {
    let users = fs::read_dir(run.join("user")).into_iter().flatten();
    let users = users.flatten().filter_map(|entry| {
        let uid = entry.file_name().to_str()?.parse().ok()?;
        Some((entry.path(), uid))
    });
    let mut places = vec![(run.to_owned(), 0)];
    places.extend(users);
    places.iter().find_map(|(place, owner)| {
        KINDS.iter().find_map(|(directory, file, runtime)| {
            let entries = fs::read_dir(place.join(directory)).into_iter().flatten();
            entries.flatten().take(MAX_CONTAINERS).find_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let state = read(&entry.path(), file, *runtime, &name, *owner)?;
                wanted(&state).then_some(state)
            })
        })
    })
}

fn read(
    directory: &Path,
    file: &str,
    runtime: Runtime,
    name: &str,
    owner: u32,
) -> Option<RuntimeState> {
    let is_own = fs::symlink_metadata(directory)
        .is_ok_and(|meta| meta.is_dir() && (meta.uid() == 0 || meta.uid() == owner));
    if !is_own || !is_name(name) {
        return None;
    }
    let state = read_json(&directory.join(file), owner, MAX_SIZE)?;
    let (init, bundle) = match runtime {
        Runtime::Crun => (number(&state, "/pid"), text(&state, "/bundle")),
        _ => (number(&state, "/init_process_pid"), labelled(&state)),
    };
    Some(RuntimeState {
        runtime,
        name: name.to_owned(),
        owner,
        init,
        bundle: bundle.unwrap_or_default().into(),
    })
}

/// runc's state names the bundle among the labels.
fn labelled(state: &Value) -> Option<&str> {
    state
        .pointer("/config/labels")?
        .as_array()?
        .iter()
        .find_map(|label| label.as_str()?.strip_prefix("bundle="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn state_of_runc_and_crun_is_found_and_a_users_has_an_id_of_its_own() {
        let run = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let write = |path: String, state: Value| {
            let path = run.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, state.to_string()).unwrap();
        };
        let labels = ["a=b", "bundle=/srv/web"];
        write(
            format!("user/{uid}/runc/web/state.json"),
            json!({"init_process_pid": 7, "config": {"labels": labels}}),
        );
        write(
            format!("user/{uid}/crun/job/status"),
            json!({"pid": 8, "bundle": "/srv/job", "cgroup-path": ""}),
        );
        write(format!("user/{uid}/crun/odd/status"), json!([]));
        let of = |init| find_in(run.path(), &|state: &RuntimeState| state.init == init);
        let web = of(7).unwrap();
        assert_eq!(
            (web.name.as_str(), web.bundle.as_path()),
            ("web", Path::new("/srv/web"))
        );
        let job = of(8).unwrap();
        assert_eq!((job.runtime, job.owner), (Runtime::Crun, uid));
        let root = RuntimeState { owner: 0, ..job };
        assert_eq!(root.id(), ContainerId::new("crun/job"));
        let user = RuntimeState { owner: 5, ..root };
        assert_eq!(user.id(), ContainerId::new("crun-5/job"));
        assert_eq!(of(9), None);
    }
}
