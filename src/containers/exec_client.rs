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

/// Long options of `exec` with a value in the next word, of any client.
const OPTIONS_WITH_VALUE: &[&str] = &[
    "--cap",
    "--cgroup",
    "--console-socket",
    "--container",
    "--cwd",
    "--detach-keys",
    "--env",
    "--env-file",
    "--exec-id",
    "--fifo-dir",
    "--gid",
    "--index",
    "--log-uri",
    "--namespace",
    "--pid-file",
    "--preserve-fds",
    "--process",
    "--timeout",
    "--uid",
    "--user",
    "--workdir",
];

/// Maximum number of clients remembered as having a session.
const MAX_TAKEN: usize = 256;

/// A process, identified beyond the reuse of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClientProcess {
    pid: u32,
    /// Clock ticks after boot.
    started: u64,
}

/// The clients of an engine's sessions.
#[derive(Debug)]
pub(super) struct SessionClients {
    /// Start of the connection: the sessions of earlier clients were not reported on it.
    since: Timestamp,
    /// Those that have a session.
    taken: VecDeque<ClientProcess>,
}

impl Default for SessionClients {
    fn default() -> Self {
        Self {
            since: system::now(),
            taken: VecDeque::new(),
        }
    }
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

impl SessionClients {
    /// The client of a session, and its pid: its command line runs this command in this container, it
    /// began moments before, and it has no session yet. Of several the oldest.
    pub(super) fn find(&mut self, requested: &SearchedSession<'_>) -> Option<(u32, Client)> {
        let (process, client) = search(requested, |process, boot| {
            !self.taken.contains(&process)
                && may_have_begun(process.started, boot, requested.at, self.since)
        })?;
        if self.taken.len() >= MAX_TAKEN {
            self.taken.pop_front();
        }
        self.taken.push_back(process);
        Some((process.pid, client))
    }
}

fn search(
    requested: &SearchedSession<'_>,
    may_be: impl Fn(ClientProcess, Timestamp) -> bool,
) -> Option<(ClientProcess, Client)> {
    let boot = system::boot_time();
    let processes = all_processes().ok()?.take(MOST).flatten();
    let mut found: Option<(u64, Process, Vec<String>)> = None;
    for process in processes {
        let Ok(stat) = process.stat() else { continue };
        if !CLIENTS.contains(&stat.comm.as_str()) {
            continue;
        }
        let known = ClientProcess {
            pid: u32::try_from(stat.pid).unwrap_or(0),
            started: stat.starttime,
        };
        if !may_be(known, boot) {
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

/// Whether a process of this start may be the client of a session at `at`, of a connection that exists
/// since `since`.
fn may_have_begun(ticks: u64, boot: Timestamp, at: Timestamp, since: Timestamp) -> bool {
    let began = super::proc_files::since_boot(boot, ticks, procfs::ticks_per_second().max(1));
    began >= since && at.since(began) <= MOMENTS
}

/// Whether a command line enters this container and runs this command there.
fn enters(argv: &[String], requested: &SearchedSession<'_>) -> bool {
    let Some(verb) = argv.iter().position(|a| a == "exec") else {
        return false;
    };
    let Some((container, command)) =
        container_and_command(argv.get(verb + 1..).unwrap_or_default())
    else {
        return false;
    };
    let named = (!requested.name.is_empty() && container == requested.name)
        || (container.len() >= 2 && requested.id.as_str().starts_with(container))
        || requested.service == Some(container);
    let reported = requested.command.filter(|reported| !reported.is_empty());
    // Docker puts a space behind a program without arguments.
    let runs = |reported: &Bytes| reported.trim_end() == command.join(" ").trim_end().as_bytes();
    named && reported.is_none_or(runs)
}

/// The container and the command in the words after `exec`: the first that is neither an option nor
/// an option's value, and what follows, from `--` on where there is one.
fn container_and_command(words: &[String]) -> Option<(&str, &[String])> {
    let mut at = 0;
    loop {
        let word = words.get(at)?;
        match word.as_str() {
            "--" => at += 1,
            option if option.len() > 1 && option.starts_with('-') => {
                at += if has_value(option) { 2 } else { 1 };
                continue;
            }
            _ => {}
        }
        break;
    }
    let (container, rest) = words.get(at..)?.split_first()?;
    // `kubectl exec POD -c CONTAINER -- COMMAND`
    let options = rest.first().is_some_and(|word| word.starts_with('-'));
    let dashes = rest.iter().position(|word| word == "--");
    let command = match dashes.filter(|_| options) {
        Some(dashes) => &rest[dashes + 1..],
        None => rest,
    };
    Some((container, command))
}

/// Whether the next word is this option's value.
fn has_value(option: &str) -> bool {
    match option.strip_prefix("--") {
        Some(_) => OPTIONS_WITH_VALUE.contains(&option),
        // `-itu USER`, not `-uUSER` or `-it`.
        None => {
            let mut letters = option.chars().skip(1);
            letters.all(|c| "itdT".contains(c) || option.ends_with(c))
                && option.ends_with(['e', 'u', 'w', 'c', 'n', 'p'])
        }
    }
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
            (
                "docker exec -u 0 -w /srv -e A=b -it web sh",
                Some("sh"),
                true,
            ),
            ("docker exec -itu web --env=A web sh", Some("sh"), true),
            (
                "docker exec --user web --workdir web web sh",
                Some("sh"),
                true,
            ),
            ("docker exec -uweb other web sh", Some("sh"), false),
            (
                "kubectl exec web -c side -- sh -c id",
                Some("sh -c id"),
                true,
            ),
            ("runc exec -t -- web sh", Some("sh"), true),
            // Of another container: the name is an option's value, or an argument.
            ("docker exec -u web other sh", None, false),
            ("docker exec --user web other sh", Some("sh"), false),
            ("docker exec other web sh", Some("sh"), false),
            ("docker exec other ab12", None, false),
            ("docker exec", None, false),
            ("docker exec -u", None, false),
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
        assert!(may_have_begun(99 * tick, boot, at, boot));
        assert!(may_have_begun(101 * tick, boot, at, boot), "clocks differ");
        assert!(!may_have_begun(80 * tick, boot, at, boot));
        let connected = boot.plus(Duration::from_secs(98));
        assert!(may_have_begun(99 * tick, boot, at, connected));
        assert!(
            !may_have_begun(97 * tick, boot, at, connected),
            "before watching"
        );
    }
}
