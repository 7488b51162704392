//! Checks of resources shared with the host: namespaces, directories, engine sockets, ports.

use super::checks::{CheckedContainer, list};
use super::result::CheckResult;
use crate::baseline::{Facet, ItemField};
use crate::event::{Mount, Severity, escape};

/// Directories of the host in which a container can change the host or read its secrets.
const SENSITIVE: &[&[u8]] = &[
    b"/boot",
    b"/dev",
    b"/etc",
    b"/lib",
    b"/proc",
    b"/root",
    b"/run",
    b"/sys",
    b"/usr",
    b"/var/run",
    b"/var/lib/docker",
    b"/var/lib/containerd",
    b"/var/lib/kubelet",
];
/// Sockets of engines.
const SOCKETS: &[&[u8]] = &[
    b"docker.sock",
    b"containerd.sock",
    b"podman.sock",
    b"crio.sock",
];

fn is_sensitive(mount: &Mount) -> bool {
    let source = &**mount.source as &[u8];
    let bind = mount.kind == "bind";
    let at_or_below = |dir: &&[u8]| {
        source == *dir
            || source
                .strip_prefix(*dir)
                .is_some_and(|rest| rest.starts_with(b"/"))
    };
    // Volumes are below the engine's directory and belong to the container.
    bind && !is_socket(mount) && (source == b"/" || SENSITIVE.iter().any(at_or_below))
}

fn is_socket(mount: &Mount) -> bool {
    SOCKETS.iter().any(|name| mount.source.ends_with(name))
}

pub(super) fn check(s: &CheckedContainer<'_>) -> Vec<CheckResult> {
    let security = &s.info.security;
    let names = |test: fn(&Mount) -> bool| -> Vec<String> {
        let found = s.info.mounts.iter().filter(|m| test(m));
        found
            .map(|m| {
                let how = if m.writable { "" } else { " (read-only)" };
                format!("{}{how}", escape(&m.source))
            })
            .collect()
    };
    let sensitive = names(is_sensitive);
    let writable = s.info.mounts.iter().any(|m| is_sensitive(m) && m.writable);
    let sockets = names(is_socket);
    let connects = s.seen(Facet::Connect, ItemField::To);
    let used_sockets: Vec<String> = connects
        .into_iter()
        .filter(|to| SOCKETS.iter().any(|name| to.as_bytes().ends_with(name)))
        .collect();
    let any: Vec<String> = s
        .info
        .ports
        .iter()
        .filter(|p| {
            p.host.starts_with("0.0.0.0:") || p.host.starts_with("::") || p.host.starts_with("[::]")
        })
        .map(|p| escape(format!("{} on {}", p.container, p.host).as_bytes()).to_string())
        .collect();
    let mode = |mode: &str| {
        let mode = if mode.is_empty() { "private" } else { mode };
        escape(mode.as_bytes()).to_string()
    };
    let when_watched = |what: String| {
        s.watched()
            .map_or(String::new(), |w| format!("{what} in {w}"))
    };
    vec![
        s.result(
            ("host-pid", "5.16", Severity::High),
            security.pid_mode == "host",
            mode(&security.pid_mode),
            "",
        ),
        s.result(
            ("host-net", "5.10", Severity::High),
            security.network_mode == "host",
            mode(&security.network_mode),
            "",
        ),
        s.result(
            (
                "mount-sensitive",
                "5.6",
                if writable {
                    Severity::High
                } else {
                    Severity::Medium
                },
            ),
            !sensitive.is_empty(),
            list(&sensitive),
            "",
        ),
        s.result(
            ("engine-socket", "5.32", Severity::Critical),
            !sockets.is_empty(),
            list(&sockets),
            when_watched(format!("connected to: {}", list(&used_sockets))),
        ),
        s.result(
            ("published-any", "5.14", Severity::Low),
            !any.is_empty(),
            list(&any),
            "",
        ),
    ]
}
