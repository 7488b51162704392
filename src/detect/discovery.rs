//! Discovery commands, by which an intruder explores a system first.

use bstr::ByteSlice as _;

use super::program_roles::{directory, leaf};

/// Weight from which commands count as an exploration of the system.
pub(crate) const EXPLORATION: u32 = 4;
/// Maximum number of commands examined in one text.
const MAX_COMMANDS: usize = 32;
/// Maximum number of bytes examined of one text.
const MAX_TEXT: usize = 4096;

/// A command that prints facts about the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Discovery<'a> {
    /// The subject of the query: the command's name, or the file that it prints.
    pub(crate) about: &'a [u8],
    /// How typical it is of an exploration; at [`EXPLORATION`] or above it is one by itself.
    pub(crate) weight: u32,
}

/// Names and weights of commands that print facts about the system whatever their arguments are.
const COMMANDS: &[(&[u8], u32)] = &[
    (b"whoami", EXPLORATION),
    (b"getcap", EXPLORATION),
    (b"capsh", EXPLORATION),
    (b"lastlog", 2),
    (b"last", 2),
    (b"dmesg", 2),
    (b"ifconfig", 2),
    (b"arp", 2),
    (b"lsmod", 2),
    (b"uname", 1),
    (b"hostname", 1),
    (b"groups", 1),
    (b"ls", 1),
    (b"dir", 1),
    (b"ps", 1),
    (b"netstat", 1),
    (b"ss", 1),
    (b"ip", 1),
    (b"route", 1),
    (b"who", 1),
    (b"w", 1),
    (b"getent", 1),
    (b"lsblk", 1),
    (b"lscpu", 1),
    (b"find", 1),
];

/// Programs that print files.
const SHOW: &[&[u8]] = &[
    b"cat", b"head", b"tail", b"less", b"more", b"strings", b"nl", b"tac", b"grep", b"awk", b"sed",
    b"cut", b"xxd", b"od", b"base64",
];

/// Programs that reduce what they read to a figure or a few lines, as monitoring does.
const REDUCE: &[&[u8]] = &[
    b"wc", b"grep", b"egrep", b"awk", b"sed", b"cut", b"tail", b"sort",
];

/// Files with facts of the system.
fn describes_system(path: &[u8]) -> bool {
    matches!(
        path,
        b"/etc/passwd"
            | b"/etc/passwd-"
            | b"/etc/group"
            | b"/etc/shadow"
            | b"/etc/hosts"
            | b"/etc/issue"
            | b"/etc/resolv.conf"
            | b"/etc/crontab"
            | b"/etc/sudoers"
            | b"/etc/fstab"
            | b"/etc/os-release"
            | b"/etc/hostname"
            | b"/proc/version"
            | b"/proc/mounts"
            | b"/proc/cpuinfo"
    ) || path.ends_with(b"-release")
        || (path.starts_with(b"/proc/")
            && matches!(
                leaf(path),
                b"environ" | b"cgroup" | b"mountinfo" | b"status" | b"cmdline" | b"route" | b"arp"
            ))
}

/// The fact about the system that the command queries, if any.
#[must_use]
pub(crate) fn of<'a>(argv: &[&'a [u8]]) -> Option<Discovery<'a>> {
    let (program, arguments) = argv.split_first()?;
    let name = leaf(program);
    if name == b"busybox" {
        return of(arguments);
    }
    let found = |about, weight| Some(Discovery { about, weight });
    let operands = || arguments.iter().filter(|a| !a.starts_with(b"-"));
    let has = |word: &[u8]| arguments.contains(&word);
    match name {
        // Scripts query one number (`id -u`) or one account; people query everything.
        b"id" => {
            let all = arguments.is_empty();
            all.then_some(Discovery {
                about: name,
                weight: EXPLORATION,
            })
        }
        b"sudo" | b"crontab" if has(b"-l") => found(name, EXPLORATION),
        b"find" if arguments.iter().any(|a| *a == b"-perm" || *a == b"-4000") => {
            found(name, EXPLORATION)
        }
        b"uname" if has(b"-a") => found(name, 2),
        b"env" | b"printenv" | b"mount" | b"set" | b"export" if arguments.is_empty() => {
            found(name, 2)
        }
        b"ls" | b"dir" | b"find" if operands().any(|at| outermost(at)) => found(name, 2),
        _ if SHOW.contains(&name) => {
            let mut shown = operands().copied();
            let about = shown.find(|path| describes_system(path))?;
            let accounts = matches!(about, b"/etc/passwd" | b"/etc/shadow" | b"/etc/sudoers");
            found(about, 2 + u32::from(accounts))
        }
        _ => {
            let (about, weight) = COMMANDS.iter().find(|(known, _)| *known == name)?;
            found(about, *weight)
        }
    }
}

/// The root, or a directory in it.
fn outermost(path: &[u8]) -> bool {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.is_empty() || (path.starts_with(b"/") && directory(path).len() <= 1)
}

/// The queries about the system in a shell's text, each once.
#[must_use]
pub(crate) fn of_text(text: &[u8]) -> Vec<Discovery<'_>> {
    let text = text.get(..text.len().min(MAX_TEXT)).unwrap_or(text);
    let mut all: Vec<Discovery<'_>> = Vec::new();
    let mut rest = text;
    for _ in 0..MAX_COMMANDS {
        let end = rest.iter().position(|b| b";|&\n`(){}".contains(b));
        let (command, after) = rest.split_at(end.unwrap_or(rest.len()));
        let next = after.trim_start_with(|c| ";&\n`(){}".contains(c));
        let piped = after.starts_with(b"|") && !after.starts_with(b"||");
        let next = next.trim_start_with(|c| c == '|');
        let words: Vec<&[u8]> = words(command).collect();
        let reduced = piped
            && self::words(next)
                .next()
                .is_some_and(|name| REDUCE.contains(&leaf(name)));
        if let Some(asks) = of(&words)
            && !(reduced && asks.weight < EXPLORATION)
            && !all.contains(&asks)
        {
            all.push(asks);
        }
        if end.is_none() {
            break;
        }
        rest = next;
    }
    all
}

/// The words of a simple command, without assignments, keywords and quotes around them.
fn words(command: &[u8]) -> impl Iterator<Item = &[u8]> {
    let plain = |word: &&[u8]| {
        let assigns = word.find_byte(b'=').is_some_and(|at| {
            let name = word.get(..at).unwrap_or_default();
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        });
        assigns
            || matches!(
                *word,
                b"exec" | b"then" | b"do" | b"if" | b"!" | b"else" | b"time"
            )
    };
    command
        .fields()
        .map(|word| word.trim_with(|c| matches!(c, '"' | '\'' | '$')))
        .filter(|word| !word.is_empty() && !word.contains(&b'>'))
        .skip_while(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(text: &str) -> u32 {
        of_text(text.as_bytes()).iter().map(|d| d.weight).sum()
    }

    #[test]
    fn typical_first_questions_are_an_exploration() {
        for text in [
            "id",
            "id >/dev/null; date",
            "/usr/bin/id 2>&1",
            "ping -c 1 x; whoami",
            "ping -c 1 x|id",
            "x=1 id",
            "echo $(id)",
            "uname -a; cat /etc/passwd",
            "busybox id",
            "find / -perm -4000 -type f 2>/dev/null",
            "ls -la / && uname -a",
        ] {
            assert!(weight(text) >= EXPLORATION, "{text}");
        }
    }

    #[test]
    fn programs_that_servers_run_are_no_sessions() {
        for text in [
            "date | tr a-z A-Z",
            "test $(id -u) = 0",
            "ps aux | grep nginx | wc -l",
            "netstat -an | grep -c :80; df -h; uptime",
            "cp pg_wal/000000010000000000000001 /archive/000000010000000000000001",
            "git rev-parse HEAD",
            "convert -resize 100x100 /srv/in.png /srv/out.png",
            "echo id",
            "uname -s; hostname",
        ] {
            assert!(weight(text) < EXPLORATION, "{text}: {}", weight(text));
        }
    }

    #[test]
    fn hostile_text_is_bounded() {
        assert!(of_text("id;".repeat(100_000).as_bytes()).len() <= MAX_COMMANDS);
        assert!(of_text(b"|||&&&;;;((({{{```").is_empty());
        assert!(of_text(b"").is_empty());
    }
}
