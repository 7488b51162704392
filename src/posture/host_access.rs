//! Checks of what of the host a container can reach: directories, engine sockets, devices, ports.

use super::checks::{CheckedContainer, list};
use super::result::CheckResult;
use crate::baseline::{Facet, ItemField};
use crate::event::{Bytes, Mount, Severity, escape};

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
/// Devices by which a container reads or changes the host's disks and memory.
const DANGEROUS_DEVICES: &[&[u8]] = &[
    b"/dev/dm-",
    b"/dev/kmem",
    b"/dev/loop",
    b"/dev/mapper/",
    b"/dev/md",
    b"/dev/mem",
    b"/dev/nvme",
    b"/dev/port",
    b"/dev/sd",
    b"/dev/vd",
    b"/dev/xvd",
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
    // Volumes lie below the engine's directory and are the container's own.
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
    let when_watched = |what: String| {
        s.watched()
            .map_or(String::new(), |w| format!("{what} in {w}"))
    };
    let written = s.used.map_or(0, |used| {
        let mounts = s.info.mounts.iter().filter(|m| is_sensitive(m));
        let below: Vec<&Mount> = mounts.collect();
        used.facet(Facet::Write)
            .filter(|(item, _)| {
                let path = item.get(ItemField::Path);
                below.iter().any(|m| path.starts_with(&m.destination))
            })
            .count()
    });
    let escaped = |paths: &[Bytes]| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.escaped().to_string())
            .collect()
    };
    let devices = escaped(&security.devices);
    let dangerous = security.devices.iter().any(|device| {
        let starts = |start: &&[u8]| device.starts_with(start);
        DANGEROUS_DEVICES.iter().any(starts)
    });
    let shared = escaped(&security.shared_mounts);
    let unused = unused_ports(s);
    vec![
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
            if sensitive.is_empty() {
                String::new()
            } else {
                when_watched(format!("{written} files or patterns in them changed"))
            },
        ),
        s.result(
            ("engine-socket", "5.32", Severity::Critical),
            !sockets.is_empty(),
            list(&sockets),
            when_watched(format!("connected to: {}", list(&used_sockets))),
        ),
        s.result(
            (
                "devices",
                "5.18",
                if dangerous {
                    Severity::High
                } else {
                    Severity::Low
                },
            ),
            !devices.is_empty(),
            list(&devices),
            "",
        ),
        s.result(
            ("propagation", "5.20", Severity::Medium),
            !shared.is_empty(),
            list(&shared),
            "",
        ),
        s.result(
            ("unmasked", "", Severity::High),
            security.unmasked,
            if security.unmasked {
                "all of /proc and /sys"
            } else {
                "masked"
            },
            "",
        ),
        s.result(
            ("published-any", "5.14", Severity::Low),
            !any.is_empty(),
            list(&any),
            "",
        ),
        s.result(
            ("port-unused", "5.9", Severity::Info),
            !unused.is_empty(),
            list(&unused),
            when_watched("nothing listened on them".to_owned()),
        ),
    ]
}

/// Published ports on which nothing listened while the container was watched; none without a watch.
fn unused_ports(s: &CheckedContainer<'_>) -> Vec<String> {
    if s.watched().is_none() {
        return Vec::new();
    }
    let listens = s.seen(Facet::Listen, ItemField::Port);
    let mut ports: Vec<String> = s.info.ports.iter().map(|p| p.container.clone()).collect();
    ports.retain(|port| {
        let number = port.split('/').next().unwrap_or_default();
        !listens.iter().any(|listens| listens == number)
    });
    ports.sort();
    ports.dedup();
    ports
        .iter()
        .map(|port| escape(port.as_bytes()).to_string())
        .collect()
}
