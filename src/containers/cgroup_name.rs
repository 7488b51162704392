//! Recognises a container from the name or path of its cgroup.
//!
//! The kernel programs include every cgroup whose name may be one of these (`ebpf/probes`,
//! cgroup.rs), and the collector includes every cgroup that is recognised here, so that every
//! container shown is also watched.

use super::build_step;
use crate::event::{ContainerId, Runtime};

/// Words before an id, in scopes (`docker-ID.scope`), directories (`crio-ID`) and systemd names
/// that a runtime used as cgroupfs names (`…slice:cri-containerd:ID`), and the runtime of each.
const PREFIXES: &[(&str, Runtime)] = &[
    ("cri-containerd", Runtime::Containerd),
    ("nerdctl", Runtime::Containerd),
    ("docker", Runtime::Docker),
    ("libpod-payload", Runtime::Podman),
    ("libpod", Runtime::Podman),
    ("crio", Runtime::Crio),
];

/// Where containerd puts containers of its default namespace (`ctr run`, nerdctl): people name
/// them, with no fixed form.
const CONTAINERD: &str = "/default";

/// Hexadecimal digits of a container's id.
const ID_DIGITS: usize = 64;

/// The container whose cgroup, or a descendant of whose cgroup, `path` names: the innermost one
/// when containers are nested. A bare leaf works too, but the runtime of a leaf that is only an id
/// stays unknown. Monitors of a container (conmon) do not count.
#[must_use]
pub fn recognise(path: &[u8]) -> Option<(Runtime, ContainerId)> {
    let path = std::str::from_utf8(path).ok()?.trim_end_matches('/');
    let mut rest = path;
    loop {
        let (parent, leaf) = rest.rsplit_once('/').unwrap_or(("", rest));
        if let Some(found) = recognise_leaf(parent, leaf) {
            return Some(found);
        }
        if parent.is_empty() {
            return None;
        }
        rest = parent;
    }
}

/// The container whose own cgroup is `leaf` inside the cgroup `parent` (empty if unknown).
#[must_use]
pub(super) fn recognise_leaf(parent: &str, leaf: &str) -> Option<(Runtime, ContainerId)> {
    let above = parent.rsplit('/').next().unwrap_or_default();
    if let Some(found) = by_digits(parent, leaf) {
        return Some(found);
    }
    let named = |runtime, id: String| Some((runtime, ContainerId::new(&id)));
    if parent == CONTAINERD && is_name(leaf) {
        return named(Runtime::Containerd, format!("default/{leaf}"));
    }
    if let Some(name) = leaf.strip_prefix("lxc.payload.").filter(|n| is_name(n)) {
        return named(Runtime::Lxc, format!("lxc/{name}"));
    }
    if let Some(name) = leaf
        .strip_prefix("runc-")
        .and_then(|l| l.strip_suffix(".scope"))
        .filter(|n| is_name(n))
    {
        return named(Runtime::Runc, format!("runc/{name}"));
    }
    if leaf == "payload" {
        let machine = above
            .strip_prefix("machine-")
            .and_then(|l| l.strip_suffix(".scope"))
            .or_else(|| {
                above
                    .strip_prefix("systemd-nspawn@")?
                    .strip_suffix(".service")
            })?;
        return named(
            Runtime::Nspawn,
            format!("nspawn/{}", unescape_unit(machine)),
        );
    }
    if build_step::is_buildkit(parent, leaf) {
        let id = leaf.strip_suffix(".scope").unwrap_or(leaf);
        return named(
            Runtime::Unknown,
            id.strip_prefix("docker-").unwrap_or(id).to_owned(),
        );
    }
    let pod_container = above.starts_with("pod") && parent.contains("/kubepods") && is_guid(leaf);
    let task = parent.split('/').any(|part| part == "ecs") && is_fargate(leaf);
    let garden = above == "garden" && is_guid(leaf);
    (pod_container || task || garden).then(|| (Runtime::Unknown, ContainerId::new(leaf)))
}

/// A name of which the last 64 characters, before `.scope`, are an id: alone, or after `-` or `:`.
fn by_digits(parent: &str, leaf: &str) -> Option<(Runtime, ContainerId)> {
    let name = leaf.strip_suffix(".scope").unwrap_or(leaf);
    let at = name.len().checked_sub(ID_DIGITS)?;
    let (front, id) = name.split_at_checked(at).filter(|(_, id)| is_id(id))?;
    if front.is_empty() {
        // Without a prefix no runtime makes a scope.
        return (name == leaf).then(|| (runtime_of_parent(parent), ContainerId::new(id)));
    }
    let front = front.strip_suffix(['-', ':'])?;
    // The container's monitor.
    if front.ends_with("conmon") {
        return None;
    }
    let word = front.rsplit(':').next().unwrap_or(front);
    let runtime = PREFIXES.iter().find(|(prefix, _)| *prefix == word);
    let runtime = runtime.map_or(Runtime::Unknown, |(_, runtime)| *runtime);
    Some((runtime, ContainerId::new(id)))
}

/// The runtime of a leaf that is only an id, by the cgroup above it.
fn runtime_of_parent(parent: &str) -> Runtime {
    match parent.rsplit('/').next() {
        Some("docker") => Runtime::Docker,
        Some("libpod_parent") => Runtime::Podman,
        _ if parent.contains("/kubepods") => Runtime::Containerd,
        _ => Runtime::Unknown,
    }
}

/// A name that containerd, runc and LXC accept for a container; units of systemd are none.
pub(super) fn is_name(text: &str) -> bool {
    const UNITS: &[&str] = &[".slice", ".service", ".scope", ".mount", ".socket", ".swap"];
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    text.len() <= 76
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !UNITS.iter().any(|unit| text.ends_with(unit))
}

/// 64 lower-case hexadecimal digits, which every engine uses as a container's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

fn is_digit(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

/// ECS on Fargate: 32 hexadecimal digits and a number.
fn is_fargate(leaf: &str) -> bool {
    leaf.split_once('-').is_some_and(|(id, number)| {
        id.len() == 32
            && id.bytes().all(is_digit)
            && (1..=10).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_guid(leaf: &str) -> bool {
    let mut lengths = leaf.split('-').map(|part| part.len());
    leaf.bytes().all(|b| b == b'-' || is_digit(b))
        && [8, 4, 4, 4, 12].iter().all(|n| lengths.next() == Some(*n))
        && lengths.next().is_none()
}

/// A unit's name without systemd's `\xNN`.
fn unescape_unit(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some((front, back)) = rest.split_once("\\x") {
        out.push_str(front);
        let code = back.get(..2).and_then(|d| u8::from_str_radix(d, 16).ok());
        match code.filter(u8::is_ascii_graphic) {
            Some(code) => {
                out.push(char::from(code));
                rest = back.get(2..).unwrap_or_default();
            }
            None => {
                out.push_str("\\x");
                rest = back;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b3f4e8a9b";
    const B: &str = "00000000111111112222222233333333444444445555555566666666777777aa";

    #[test]
    fn names_containers_as_their_runtimes_do() {
        let table = [
            ("/docker/{A}", Runtime::Docker, A),
            ("{A}", Runtime::Unknown, A),
            ("/system.slice/docker-{A}.scope", Runtime::Docker, A),
            ("docker-{A}.scope", Runtime::Docker, A),
            (
                "/system.slice/docker-{A}.scope/init.scope",
                Runtime::Docker,
                A,
            ),
            ("/docker/{A}/docker/{B}", Runtime::Docker, B),
            (
                "/docker/{A}/kubelet/kubepods/besteffort/pod1/{B}",
                Runtime::Containerd,
                B,
            ),
            (
                "/machine.slice/libpod-{A}.scope/container",
                Runtime::Podman,
                A,
            ),
            ("/libpod_parent/libpod-{A}", Runtime::Podman, A),
            ("/libpod_parent/{A}", Runtime::Podman, A),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope",
                Runtime::Podman,
                A,
            ),
            ("/kubepods/burstable/pod4b0-1/{A}", Runtime::Containerd, A),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-{A}.scope",
                Runtime::Containerd,
                A,
            ),
            (
                "/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:{A}",
                Runtime::Containerd,
                A,
            ),
            (
                "/kubepods.slice/kubepods-pod1.slice/crio-{A}.scope",
                Runtime::Crio,
                A,
            ),
            ("/kubepods/besteffort/pod1/crio-{A}", Runtime::Crio, A),
            ("/mycgroup/{A}/", Runtime::Unknown, A),
            ("/default/redis-1", Runtime::Containerd, "default/redis-1"),
            (
                "/default/redis-1/below",
                Runtime::Containerd,
                "default/redis-1",
            ),
            ("/actions_job/{A}", Runtime::Unknown, A),
            ("/ecs/task/{A}", Runtime::Unknown, A),
            ("/nerdctl-{A}.scope", Runtime::Containerd, A),
            ("/libpod-payload-{A}", Runtime::Podman, A),
            (
                "/user.slice/app.service/libpod-payload-{A}.scope",
                Runtime::Podman,
                A,
            ),
            ("/system.slice/mydocker-{A}.scope", Runtime::Unknown, A),
            ("/lxc.payload.web", Runtime::Lxc, "lxc/web"),
            ("/lxc.payload.web/init.scope", Runtime::Lxc, "lxc/web"),
            (
                "/machine.slice/machine-my\\x2dbox.scope/payload/init.scope",
                Runtime::Nspawn,
                "nspawn/my-box",
            ),
            (
                "/machine.slice/systemd-nspawn@box.service/payload",
                Runtime::Nspawn,
                "nspawn/box",
            ),
            (
                "/system.slice/runc-plain.scope",
                Runtime::Runc,
                "runc/plain",
            ),
            (
                "/docker/buildkit/u9yuxczyqhcmlxlbmkm6sdpcl",
                Runtime::Unknown,
                "u9yuxczyqhcmlxlbmkm6sdpcl",
            ),
            (
                "/system.slice/docker-u9yuxczyqhcmlxlbmkm6sdpcl.scope",
                Runtime::Unknown,
                "u9yuxczyqhcmlxlbmkm6sdpcl",
            ),
            (
                "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-4026531836",
                Runtime::Unknown,
                "0123456789abcdef0123456789abcdef-4026531836",
            ),
            (
                "/garden/d2b3f0a1-0000-4f00-8000-0123456789ab",
                Runtime::Unknown,
                "d2b3f0a1-0000-4f00-8000-0123456789ab",
            ),
            (
                "/kubepods/burstable/pod1/d2b3f0a1-0000-4f00-8000-0123456789ab",
                Runtime::Unknown,
                "d2b3f0a1-0000-4f00-8000-0123456789ab",
            ),
        ];
        for (path, runtime, id) in table {
            let path = path.replace("{A}", A).replace("{B}", B);
            let found =
                recognise(path.as_bytes()).unwrap_or_else(|| panic!("{path} not recognised"));
            assert_eq!((found.0, found.1.as_str()), (runtime, id), "{path}");
        }
    }

    #[test]
    fn leaves_everything_else_alone() {
        let upper = A.to_uppercase();
        let table = [
            String::new(),
            "/".to_owned(),
            "/docker".to_owned(),
            "/system.slice/docker.service".to_owned(),
            "/docker/buildkit/executor".to_owned(),
            format!("/machine.slice/libpod-conmon-{A}.scope"),
            "/libpod_parent/conmon".to_owned(),
            format!("/kubepods.slice/crio-conmon-{A}.scope"),
            format!("/docker/{}", &A[..63]),
            format!("/docker/{A}0"),
            format!("/docker/{upper}"),
            format!("/system.slice/{A}.scope"),
            format!("/system.slice/docker{A}.scope"),
            format!("/docker-{A}.scope.d"),
            format!("/x:conmon:{A}"),
            "/machine.slice/machine-box.scope/supervisor".to_owned(),
            "/payload".to_owned(),
            "/lxc.monitor.web".to_owned(),
            "/ecs/0123456789abcdef0123456789abcdef".to_owned(),
            "/d2b3f0a1-0000-4f00-8000-0123456789ab".to_owned(),
            "/kubepods/podd2b3f0a1-0000-4f00-8000-0123456789ab".to_owned(),
            "/user.slice/user-1000.slice/session-2.scope".to_owned(),
            "/kubepods/besteffort/pod1".to_owned(),
            "/default".to_owned(),
            "/system.slice/default/redis".to_owned(),
            "/default/my.slice".to_owned(),
            "/default/a b".to_owned(),
        ];
        for path in table {
            assert_eq!(recognise(path.as_bytes()), None, "{path}");
        }
        assert_eq!(recognise(b"/docker/\xff\xfe"), None);
    }
}
