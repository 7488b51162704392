//! The sockets of containerd on this host: at the usual paths, as configured by the user, and as in
//! the command lines of its shims.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::json_file;
use super::supervisor;

/// Usual places: containerd, k3s, k0s, MicroK8s, Bottlerocket, and the one that Docker starts.
const CONTAINERD: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/host-containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
];
/// The user's configuration of the tools' socket.
const VARIABLES: &[&str] = &["CONTAINERD_ADDRESS", "CONTAINER_RUNTIME_ENDPOINT"];
const CRICTL: &str = "/etc/crictl.yaml";
/// Maximum number of sockets.
const MAX_SOCKETS: usize = 16;

/// The sockets of containerd that exist, each once.
pub(super) fn containerd() -> Vec<PathBuf> {
    let configured = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    let crictl = json_file::read_text(Path::new(CRICTL), 64 << 10);
    let configured: Vec<String> = configured
        .chain(crictl.as_deref().and_then(crictl_endpoint))
        .collect();
    let configured = configured.iter().filter_map(|url| path_of(url));
    // CRI-O reports nothing beyond its files.
    let configured = configured.filter(|path| !path.ends_with("crio.sock"));
    let shims = supervisor::shims().filter_map(|shim| Some(path_of(&shim.address?)?.to_owned()));
    let usual = CONTAINERD.iter().map(Path::new);
    let all: Vec<PathBuf> = configured
        .chain(usual)
        .map(Path::to_owned)
        .chain(shims)
        .collect();
    let mut known = BTreeSet::new();
    all.into_iter()
        .filter(|path| {
            let meta = fs::metadata(path);
            meta.is_ok_and(|meta| known.insert((meta.dev(), meta.ino())))
        })
        .take(MAX_SOCKETS)
        .collect()
}

/// The socket in `unix:///PATH`, or a bare path.
pub(super) fn path_of(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("unix://").unwrap_or(url);
    path.starts_with('/').then(|| Path::new(path))
}

/// The configured endpoint of `crictl`.
fn crictl_endpoint(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("runtime-endpoint:"))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_crictl_reads_them() {
        let text = "timeout: 2\nruntime-endpoint: \"unix:///run/k3s/containerd/containerd.sock\"\n";
        let endpoint = crictl_endpoint(text).unwrap();
        assert_eq!(
            path_of(&endpoint),
            Some(Path::new("/run/k3s/containerd/containerd.sock"))
        );
        assert_eq!(path_of("/run/a.sock"), Some(Path::new("/run/a.sock")));
        assert_eq!(path_of("tcp://10.0.0.1:99"), None);
        assert_eq!(crictl_endpoint("debug: true"), None);
    }
}
