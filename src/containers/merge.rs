//! Merges a container's facts from several sources: the engine before the runtime's files before
//! `/proc`. A better source never loses to a lesser one, and an empty field replaces nothing.

use crate::event::{ContainerId, ContainerInfo, Role, Runtime, Storage};

/// Completes an engine's facts by earlier ones from files: fields that the engine does not report,
/// and the runtime as the supervisor showed it (Podman answers as Docker would).
pub fn complete(info: &mut ContainerInfo, known: &ContainerInfo) {
    if known.runtime != Runtime::Unknown {
        info.runtime = known.runtime;
    }
    fill_identity(info, known);
    fill_storage(&mut info.storage, &known.storage);
    // Only for the same init.
    let same = known
        .confinement
        .as_ref()
        .filter(|c| c.pid == info.init_pid);
    if info.confinement.is_none() && info.init_pid != 0 {
        info.confinement = same.cloned();
    }
    if info.environment.is_empty() {
        info.environment.clone_from(&known.environment);
    }
    // Engines with Docker's API that leave out its fields.
    if info.security.seccomp.is_empty() {
        info.security.seccomp.clone_from(&known.security.seccomp);
    }
}

/// Completes facts from `/proc` by those from the runtime's files, which win.
pub fn prefer(info: &mut ContainerInfo, known: &ContainerInfo) {
    let proc = std::mem::replace(info, known.clone());
    if info.runtime == Runtime::Unknown {
        info.runtime = proc.runtime;
    }
    if info.name.is_empty() {
        info.name = proc.name;
    }
    if info.command.is_empty() {
        info.command = proc.command;
    }
    if info.user.is_empty() {
        info.user = proc.user;
    }
    info.started = info.started.max(proc.started);
    info.init_pid = proc.init_pid;
    let apparmor = proc.security.apparmor.clone();
    if info.security == Default::default() {
        info.security = proc.security;
    } else if info.security.apparmor.is_empty() {
        info.security.apparmor = apparmor;
    }
    if info.cgroup.is_empty() {
        info.cgroup = proc.cgroup;
    }
    if info.role == Role::Container {
        info.role = proc.role;
    }
    if info.build.is_empty() {
        info.build = proc.build;
    }
    fill_storage(&mut info.storage, &proc.storage);
}

/// Names a container that has no name so far; false when nothing changed.
pub fn name(info: &mut ContainerInfo, id: &ContainerId, names: &ContainerInfo) -> bool {
    let unnamed = info.name.is_empty() || (info.name == id.short() && id.name().is_none());
    if !unnamed || names.name.is_empty() {
        return false;
    }
    info.name.clone_from(&names.name);
    if info.image.is_empty() {
        info.image.clone_from(&names.image);
    }
    true
}

fn fill_identity(info: &mut ContainerInfo, known: &ContainerInfo) {
    if info.name.is_empty() {
        info.name.clone_from(&known.name);
    }
    if info.image.is_empty() {
        info.image.clone_from(&known.image);
    }
    if info.role == Role::Container {
        info.role = known.role;
    }
    if info.pod.is_none() {
        info.pod.clone_from(&known.pod);
    }
    if info.engine_namespace.is_empty() {
        info.engine_namespace.clone_from(&known.engine_namespace);
    }
    info.owner = info.owner.or(known.owner);
}

fn fill_storage(storage: &mut Storage, known: &Storage) {
    let missing = storage.upper.is_empty() || storage.lower.is_empty();
    // An engine with mounts of its own names directories that only it sees.
    let visible = known.upper.starts_with(b"/proc/");
    if (missing || visible) && !known.lower.is_empty() {
        let driver = std::mem::take(&mut storage.driver);
        *storage = known.clone();
        if !driver.is_empty() {
            storage.driver = driver;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Pod, Security};

    fn storage(driver: &str, lower: &str) -> Storage {
        Storage {
            driver: driver.to_owned(),
            lower: vec![lower.into()],
            upper: "/u".into(),
            ..Storage::default()
        }
    }

    #[test]
    fn an_engines_facts_keep_what_only_files_say() {
        let known = ContainerInfo {
            runtime: Runtime::Podman,
            name: "old".into(),
            storage: storage("overlay", "/l"),
            pod: Some(Pod::default()),
            ..ContainerInfo::default()
        };
        let mut info = ContainerInfo {
            runtime: Runtime::Docker,
            name: "new".into(),
            storage: Storage {
                driver: "overlayfs".to_owned(),
                ..Storage::default()
            },
            ..ContainerInfo::default()
        };
        complete(&mut info, &known);
        assert_eq!(info.runtime, Runtime::Podman);
        assert_eq!(info.name, "new");
        assert_eq!(info.storage, storage("overlayfs", "/l"));
        assert!(info.pod.is_some());
    }

    #[test]
    fn directories_that_only_the_engine_sees_are_replaced() {
        let visible = Storage {
            upper: "/proc/7/root/u".into(),
            ..storage("overlay", "/proc/7/root/l")
        };
        let of_engine = storage("overlay", "/e");
        for (known, expected) in [(&visible, &visible), (&storage("x", "/l"), &of_engine)] {
            let mut info = of_engine.clone();
            fill_storage(&mut info, known);
            assert_eq!(&info, expected);
        }
    }

    #[test]
    fn a_name_by_the_engines_list_is_for_those_without_one() {
        let id = ContainerId::new(&"ab12".repeat(16));
        let named = |name: &str, image: &str| ContainerInfo {
            name: name.into(),
            image: image.into(),
            ..ContainerInfo::default()
        };
        let listed = named("web", "web:1");
        for before in ["", id.short()] {
            let mut info = named(before, "");
            assert!(name(&mut info, &id, &listed));
            assert_eq!(info, listed);
        }
        let mut by_files = named("front", "front:2");
        assert!(!name(&mut by_files, &id, &listed));
        assert!(!name(&mut named(id.short(), ""), &id, &named("", "web:1")));
    }

    #[test]
    fn files_win_over_proc_but_the_process_is_procs() {
        let known = ContainerInfo {
            name: "web".into(),
            security: Security {
                seccomp: "filter".to_owned(),
                ..Security::default()
            },
            ..ContainerInfo::default()
        };
        let mut info = ContainerInfo {
            runtime: Runtime::Docker,
            name: "0123".into(),
            init_pid: 7,
            storage: storage("overlay", "/l"),
            security: Security {
                apparmor: "docker-default".to_owned(),
                ..Security::default()
            },
            ..ContainerInfo::default()
        };
        prefer(&mut info, &known);
        assert_eq!((info.name, info.init_pid), ("web".into(), 7));
        assert_eq!(info.runtime, Runtime::Docker);
        assert_eq!(info.storage, storage("overlay", "/l"));
        assert_eq!(info.security.seccomp, "filter");
        assert_eq!(info.security.apparmor, "docker-default");
    }
}
