//! Finds the client on this host (docker exec, podman exec, …) that asked an engine to run a
//! command in a container.

use procfs::process::{Process, all_processes};

use crate::event::{Client, ContainerId};
use crate::system;

/// Programs by which people enter containers.
const CLIENTS: &[&str] = &[
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "crictl",
    "docker-compose",
];
/// Processes looked at; with more on the host a client may stay unknown, but the engine's thread
/// is not held up.
const MOST: usize = 20_000;

/// The youngest client whose command line runs something in this container. Its name, the
/// beginning of its id or, for Compose, its service must be an argument.
pub(super) fn find(id: &ContainerId, name: &str, service: Option<&str>) -> Option<(u32, Client)> {
    let processes = all_processes().ok()?.take(MOST).flatten();
    let mut found: Option<(u64, Process, Vec<String>)> = None;
    for process in processes {
        let Ok(stat) = process.stat() else { continue };
        if !CLIENTS.contains(&stat.comm.as_str()) {
            continue;
        }
        let Ok(argv) = process.cmdline() else {
            continue;
        };
        let youngest = found.as_ref().is_none_or(|(at, ..)| *at < stat.starttime);
        if youngest && enters(&argv, id, name, service) {
            found = Some((stat.starttime, process, argv));
        }
    }
    let (_, process, argv) = found?;
    let uid = process.uid().ok()?;
    // All ones: nobody logged in.
    let login_uid = process.loginuid().ok().filter(|uid| *uid != u32::MAX);
    let tty = match process.stat().ok()?.tty_nr() {
        (0, _) => String::new(),
        (4, minor) => format!("tty{minor}"),
        (major, minor) => format!("pts/{}", (major - 136).max(0) * 256 + minor),
    };
    let client = Client {
        argv: argv.iter().take(32).map(|a| a.as_str().into()).collect(),
        uid,
        login_uid,
        user: system::user(login_uid.unwrap_or(uid))
            .map(|user| user.name)
            .unwrap_or_default(),
        tty: tty.as_str().into(),
    };
    Some((u32::try_from(process.pid()).ok()?, client))
}

/// Whether a command line enters this container.
fn enters(argv: &[String], id: &ContainerId, name: &str, service: Option<&str>) -> bool {
    let Some(verb) = argv.iter().position(|a| a == "exec") else {
        return false;
    };
    argv.iter().skip(verb + 1).any(|a| {
        (!name.is_empty() && a == name)
            || (a.len() >= 2 && id.as_str().starts_with(a.as_str()))
            || service == Some(a.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_enters_this_container_counts() {
        let id = ContainerId::new(&"ab12".repeat(16));
        let enters = |line: &str| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            enters(&argv, &id, "web", Some("front"))
        };
        assert!(enters("docker exec -it web sh"));
        assert!(enters("docker container exec ab12ab sh"));
        assert!(enters("docker compose exec front sh"));
        assert!(!enters("docker exec -it db sh"));
        assert!(!enters("docker logs web"));
        assert!(!enters("docker exec a web2"));
        assert_eq!(system::user(0).map(|u| u.name), Some("root".into()));
    }
}
