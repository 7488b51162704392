//! Recognises a container from the name or path of its cgroup.

use crate::event::{ContainerId, Runtime};

/// Scope and directory prefixes of runtimes, and which runtime each one means.
const PREFIXES: &[(&str, Runtime)] = &[
    ("docker-", Runtime::Docker),
    ("libpod-", Runtime::Podman),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::Crio),
];

/// Where containerd puts containers of its default namespace (`ctr run`, nerdctl): people name
/// them, with no fixed form.
const CONTAINERD: &str = "/default";

/// The container whose cgroup, or a descendant of whose cgroup, `path` names: the innermost
/// one when containers are nested. A bare leaf works too, but a leaf that is only an id does
/// not tell its runtime. Monitors that live beside a container (conmon) are none.
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
pub fn recognise_leaf(parent: &str, leaf: &str) -> Option<(Runtime, ContainerId)> {
    if is_id(leaf) {
        return Some((runtime_of_parent(parent), ContainerId::new(leaf)));
    }
    // containerd told to use systemd names while it does not: slice:cri-containerd:id.
    if let Some((front, id)) = leaf.rsplit_once(':')
        && is_id(id)
    {
        let runtime = match front.rsplit(':').next() {
            Some("cri-containerd" | "nerdctl") => Runtime::Containerd,
            Some("docker") => Runtime::Docker,
            Some("crio") => Runtime::Crio,
            Some("libpod") => Runtime::Podman,
            _ => Runtime::Unknown,
        };
        return Some((runtime, ContainerId::new(id)));
    }
    if parent == CONTAINERD && is_name(leaf) {
        return Some((Runtime::Containerd, ContainerId::new(leaf)));
    }
    let name = leaf.strip_suffix(".scope").unwrap_or(leaf);
    PREFIXES.iter().find_map(|(prefix, runtime)| {
        let id = name.strip_prefix(prefix)?;
        is_id(id).then(|| (*runtime, ContainerId::new(id)))
    })
}

/// The runtime of a leaf that is only an id, by the cgroup above it.
fn runtime_of_parent(parent: &str) -> Runtime {
    let mut parts = parent.rsplit('/');
    match parts.next() {
        Some("docker") => Runtime::Docker,
        Some("libpod_parent") => Runtime::Podman,
        _ if parent.contains("/kubepods") => Runtime::Containerd,
        _ => Runtime::Unknown,
    }
}

/// What containerd accepts as a container's id.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 76
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with(".slice")
}

/// 64 lower-case hexadecimal digits, which every engine uses as a container's id.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
            ("/default/redis-1", Runtime::Containerd, "redis-1"),
            ("/default/redis-1/below", Runtime::Containerd, "redis-1"),
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
            format!("/system.slice/mydocker-{A}.scope"),
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
