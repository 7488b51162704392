//! Finds the client on this host (docker exec, podman exec, …) that made an engine run a command in
//! a container.

use std::collections::VecDeque;
use std::time::Duration;

use bstr::ByteSlice as _;
use procfs::process::{Process, all_processes};

use crate::event::{Bytes, Client, ContainerId, Timestamp};
use crate::system;

/// Programs that start commands in containers.
const CLIENTS: &[&str] = &[
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "crictl",
    "docker-compose",
    "ctr",
    "runc",
    "crun",
];
/// Maximum number of processes examined; on a host with more, a client may stay unknown, but the
/// engine's thread is not blocked.
const MOST: usize = 20_000;

/// A client that started longer than this before the session opened an earlier session.
const MOMENTS: Duration = Duration::from_secs(10);

/// A process, identified beyond the reuse of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientProcess {
    pub(super) pid: u32,
    /// Clock ticks after boot.
    started: u64,
}

/// The session whose client is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchedSession<'a> {
    pub(super) id: &'a ContainerId,
    pub(super) name: &'a str,
    /// Compose service.
    pub(super) service: Option<&'a str>,
    /// The command as the engine reports it: arguments with spaces between; `None` unknown.
    pub(super) command: Option<&'a Bytes>,
    pub(super) at: Timestamp,
}

/// The client of a session: its command line runs this command in this container, it began moments
/// before, and it has no session yet (`taken`). Of several the oldest.
pub(super) fn find(
    requested: &SearchedSession<'_>,
    taken: &VecDeque<ClientProcess>,
) -> Option<(ClientProcess, Client)> {
    let boot = system::boot_time();
    let processes = all_processes().ok()?.take(MOST).flatten();
    let mut found: Option<(u64, Process, Vec<String>)> = None;
    for process in processes {
        let Ok(stat) = process.stat() else { continue };
        if !CLIENTS.contains(&stat.comm.as_str()) {
            continue;
        }
        let pid = u32::try_from(stat.pid).unwrap_or(0);
        let known = ClientProcess {
            pid,
            started: stat.starttime,
        };
        if taken.contains(&known) || !began_moments_before(stat.starttime, boot, requested.at) {
            continue;
        }
        let Ok(argv) = process.cmdline() else {
            continue;
        };
        let eldest = found.as_ref().is_none_or(|(at, ..)| *at > stat.starttime);
        if eldest && enters(&argv, requested) {
            found = Some((stat.starttime, process, argv));
        }
    }
    let (started, process, argv) = found?;
    let uid = process.uid().ok()?;
    // All ones: no login.
    let login_uid = process.loginuid().ok().filter(|uid| *uid != u32::MAX);
    let tty = match process.stat().ok()?.tty_nr() {
        (0, _) => String::new(),
        (4, minor) => format!("tty{minor}"),
        (major, minor) => format!("pts/{}", (major - 136).max(0) * 256 + minor),
    };
    let user = system::user(login_uid.unwrap_or(uid));
    let client = Client {
        argv: argv.iter().take(32).map(|a| a.as_str().into()).collect(),
        uid,
        login_uid,
        user: user.map(|user| user.name).unwrap_or_default(),
        tty: tty.as_str().into(),
        ..Client::default()
    };
    let pid = u32::try_from(process.pid()).ok()?;
    Some((ClientProcess { pid, started }, client))
}

fn began_moments_before(ticks: u64, boot: Timestamp, at: Timestamp) -> bool {
    let began = super::proc_files::since_boot(boot, ticks, procfs::ticks_per_second().max(1));
    at.since(began) <= MOMENTS
}

/// Whether a command line enters this container and runs this command there.
fn enters(argv: &[String], requested: &SearchedSession<'_>) -> bool {
    let Some(verb) = argv.iter().position(|a| a == "exec") else {
        return false;
    };
    let rest = argv.get(verb + 1..).unwrap_or_default();
    let named = |a: &String| {
        (!requested.name.is_empty() && a == requested.name)
            || (a.len() >= 2 && requested.id.as_str().starts_with(a.as_str()))
            || requested.service == Some(a.as_str())
    };
    let places = rest.iter().enumerate().filter(|(_, a)| named(a));
    let mut after = places.map(|(place, _)| rest.get(place + 1..).unwrap_or_default());
    after.any(|command| {
        let command = match command.first() {
            Some(dashes) if dashes == "--" => command.get(1..).unwrap_or_default(),
            _ => command,
        };
        let reported = requested.command.filter(|reported| !reported.is_empty());
        // Docker puts a space behind a program without arguments.
        reported
            .is_none_or(|reported| reported.trim_end() == command.join(" ").trim_end().as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_enters_this_container_with_this_command_counts() {
        let id = ContainerId::new(&"ab12".repeat(16));
        let enters = |line: &str, command: Option<&str>| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let command = command.map(Bytes::from);
            let requested = SearchedSession {
                id: &id,
                name: "web",
                service: Some("front"),
                command: command.as_ref(),
                at: Timestamp(0),
            };
            enters(&argv, &requested)
        };
        for (line, command, expected) in [
            ("docker exec -it web sh", None, true),
            ("docker exec -it web sh", Some("sh"), true),
            ("docker exec web true", Some("true "), true),
            ("docker exec -it web sh", Some("sh -c id"), false),
            ("docker exec ab12ab sh -c id", Some("sh -c id"), true),
            ("docker compose exec front sh", Some("sh"), true),
            ("kubectl exec web -- sh", Some("sh"), true),
            ("docker exec web web", Some("web"), true),
            ("docker exec other sh", None, false),
            ("docker logs web", None, false),
        ] {
            assert_eq!(enters(line, command), expected, "{line} {command:?}");
        }
    }

    #[test]
    fn a_client_left_open_is_not_the_one_of_a_later_session() {
        let boot = Timestamp(1_000_000_000_000);
        let tick = procfs::ticks_per_second();
        let at = boot.plus(Duration::from_secs(100));
        assert!(began_moments_before(99 * tick, boot, at));
        assert!(began_moments_before(101 * tick, boot, at), "clocks differ");
        assert!(!began_moments_before(80 * tick, boot, at));
    }
}
