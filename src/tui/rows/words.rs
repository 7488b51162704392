//! Facts as text for cells and pages: escaped.

use super::super::text::bytes;
use crate::core::Core;
use crate::event::{Endpoint, Event, Kind, Origin};
use crate::state::{Container, Owner, ProcessEntry};

/// User id of a process as its container sees it.
pub(in crate::tui) fn inside_uid(core: &Core, process: &ProcessEntry) -> u32 {
    let container = core.state.container(&process.owner);
    container.map_or(process.uid, |c| c.info.inside_uid(process.uid))
}

/// Name of a container for a narrow column.
pub(in crate::tui) fn name(core: &Core, owner: &Owner) -> String {
    match owner {
        None => "host".to_owned(),
        Some(id) => core
            .state
            .containers
            .get(id)
            .map_or_else(|| id.short().to_owned(), |c| c.display_name()),
    }
}

/// The current state of a container: up, paused, unhealthy, created, exited. Escaped.
pub(in crate::tui) fn container_state(container: &Container) -> String {
    let health = &container.info.health;
    match (container.running, container.started()) {
        (false, None) if container.ended.is_none() => "created".to_owned(),
        (false, _) if container.info.restarting => "restarting".to_owned(),
        (false, _) => "exited".to_owned(),
        (true, _) if container.paused => "paused".to_owned(),
        // Healthy is expected, and some engines report nothing.
        (true, _) if !matches!(health.as_str(), "" | "none" | "healthy") => {
            crate::event::escape(health.as_bytes()).to_string()
        }
        (true, _) => "up".to_owned(),
    }
}

/// Command line of a process, escaped.
pub(in crate::tui) fn command(process: &ProcessEntry) -> String {
    if process.argv.is_empty() {
        let name = if process.exe.is_empty() {
            &process.comm
        } else {
            &process.exe
        };
        return format!("[{}]", name.escaped());
    }
    if process.forked {
        // The arguments are the parent's.
        return format!("{} (forked)", process.comm.escaped());
    }
    let words: Vec<String> = process
        .argv
        .iter()
        .take(64)
        .map(|word| word.escaped().to_string())
        .collect();
    words.join(" ")
}

/// Origin of a process's executable in a word.
pub(in crate::tui) fn origin(process: &ProcessEntry) -> String {
    source(process.file.origin()).to_owned()
}

/// The origin of a file in a word; recordings use the probe's words.
pub(in crate::tui) fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::Image => "image",
        Origin::Upper => "added",
        Origin::CopiedUp => "changed",
        Origin::Tmpfs => "tmpfs",
        Origin::Volume => "volume",
        Origin::Memfd => "memfd",
        Origin::Deleted => "deleted",
        Origin::Unknown => "unknown",
    }
}

/// The origin of a file, explained for pages.
pub(in crate::tui) fn source_explained(origin: Origin) -> &'static str {
    match origin {
        Origin::Image => "the image",
        Origin::Upper => "added in the container, not in the image",
        Origin::CopiedUp => "from the image, changed in the container",
        Origin::Tmpfs => "a tmpfs (memory)",
        Origin::Volume => "a volume or bind mount",
        Origin::Memfd => "anonymous memory (memfd), no file",
        Origin::Deleted => "a file that was deleted",
        Origin::Unknown => "unknown",
    }
}

/// A unit variant as recordings write it.
pub(in crate::tui) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// An endpoint, escaped.
pub(in crate::tui) fn endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Inet(address) => address.to_string(),
        Endpoint::Unix(path) => path.escaped().to_string(),
    }
}

/// The name of an error number; `ok` for 0.
pub(in crate::tui) fn errno_name(errno: u16) -> String {
    match errno {
        0 => "ok".to_owned(),
        1 => "EPERM".to_owned(),
        2 => "ENOENT".to_owned(),
        13 => "EACCES".to_owned(),
        17 => "EEXIST".to_owned(),
        22 => "EINVAL".to_owned(),
        26 => "ETXTBSY".to_owned(),
        30 => "EROFS".to_owned(),
        38 => "ENOSYS".to_owned(),
        101 => "ENETUNREACH".to_owned(),
        110 => "ETIMEDOUT".to_owned(),
        111 => "ECONNREFUSED".to_owned(),
        113 => "EHOSTUNREACH".to_owned(),
        125 => "ECANCELED".to_owned(),
        other => format!("errno {other}"),
    }
}

/// An event in a line, escaped.
pub(in crate::tui) fn what(event: &Event) -> String {
    let join = |argv: &[crate::event::Bytes]| {
        let words: Vec<String> = argv
            .iter()
            .take(64)
            .map(|w| w.escaped().to_string())
            .collect();
        words.join(" ")
    };
    match &event.kind {
        Kind::Exec(exec) => format!("{} · {}", exec.exe.escaped(), join(&exec.argv)),
        Kind::Fork(fork) => format!("by {} ({})", fork.ppid, fork.comm.escaped()),
        Kind::Exit(exit) => match (exit.code, exit.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => String::new(),
        },
        Kind::Process(process) => join(&process.argv),
        Kind::Connect(connect) => {
            let outcome = match connect.outcome {
                crate::event::Outcome::Failed(errno) => errno_name(errno),
                crate::event::Outcome::InProgress => "in progress".to_owned(),
                crate::event::Outcome::Established => "established".to_owned(),
            };
            format!(
                "{} {} {outcome}",
                word(&connect.protocol),
                endpoint(&connect.remote)
            )
        }
        Kind::Accept(accept) => format!("{} from {}", accept.local, accept.remote),
        Kind::Close(close) => format!(
            "{} out {} in {}",
            close.remote,
            bytes(close.tx_bytes),
            bytes(close.rx_bytes)
        ),
        Kind::Listen(listen) => format!("{} {}", word(&listen.protocol), listen.local),
        Kind::Socket(socket) => format!("{} {}", word(&socket.protocol), socket.local),
        Kind::Dns(dns) => {
            let cut = if dns.cut { " and more" } else { "" };
            let name = dns.name.escaped();
            format!("{} {name} → {:?}{cut}", dns.qtype, dns.addresses)
        }
        Kind::File(file) => {
            let target = file
                .target
                .as_ref()
                .map_or_else(String::new, |target| format!(" → {}", target.escaped()));
            let result = errno_name(file.errno);
            format!(
                "{} {}{target} {result}",
                word(&file.op),
                file.path.escaped()
            )
        }
        Kind::Compare(compare) => {
            let class = serde_json::to_string(&compare.class).unwrap_or_default();
            let class = crate::event::escape(class.as_bytes()).to_string();
            format!("{} {class}", compare.path.escaped())
        }
        Kind::DriftScan(scan) => crate::event::escape(scan.headline().as_bytes()).to_string(),
        Kind::Privilege(privilege) => format!(
            "{} {} {}",
            privilege.call,
            privilege.detail.escaped(),
            errno_name(privilege.errno)
        ),
        Kind::Capability(capability) => {
            let result = if capability.granted {
                "granted"
            } else {
                "refused"
            };
            format!("{} {result}", capability.name)
        }
        Kind::Syscall(call) => format!(
            "{} {} by {}",
            crate::event::escape(call.name.as_bytes()),
            errno_name(call.errno),
            call.comm.escaped()
        ),
        Kind::Container(change) => {
            let action = serde_json::to_string(&change.action).unwrap_or_default();
            crate::event::escape(action.as_bytes()).to_string()
        }
        Kind::ExecRefused(refused) => {
            format!("{} {}", refused.path.escaped(), errno_name(refused.errno))
        }
        Kind::Client(client) => {
            let words: Vec<String> = client
                .argv
                .iter()
                .map(|a| a.escaped().to_string())
                .collect();
            let entered = client.entered.map(|pid| format!(" entered as pid {pid}"));
            format!(
                "{} by {}{}",
                words.join(" "),
                client.user.escaped(),
                entered.unwrap_or_default()
            )
        }
        Kind::Tick(_) => String::new(),
        Kind::Baseline(change) => {
            let what = match (&change.refused, &change.content) {
                (Some(why), _) => format!("baseline refused: {why}"),
                (None, Some(_)) => "baseline loaded".to_owned(),
                (None, None) => "baseline removed".to_owned(),
            };
            format!("{}: {what}", change.file)
        }
        Kind::Policy(change) => match &change.refused {
            Some(why) => format!("refused: {}: {why}", change.file),
            None => format!("in force: {}", change.file),
        },
        Kind::Response(response) => response.sentence(),
        Kind::Lost(lost) => format!("{} {}", lost.count, lost.detail),
    }
}
