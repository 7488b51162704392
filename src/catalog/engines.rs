//! Programs and sockets of container engines.

/// Executables of container runtimes.
pub(crate) const RUNTIMES: &[&[u8]] = &[
    b"runc",
    b"crun",
    b"docker-runc",
    b"containerd-shim-runc-v2",
    b"conmon",
];

/// Executables of container engines and of builders of images, and of what these start beside a runtime.
pub(crate) const ENGINES: &[&[u8]] = &[
    b"dockerd",
    b"containerd",
    b"containerd-shim",
    b"docker-proxy",
    b"podman",
    b"buildah",
    b"skopeo",
    b"buildkitd",
    b"buildkit-runc",
    b"rootlesskit",
    b"kaniko",
    b"k3s",
    b"k3s-server",
];

/// Names of the sockets of container engines.
pub(crate) const SOCKETS: &[&[u8]] = &[
    b"docker.sock",
    b"containerd.sock",
    b"containerd.sock.ttrpc",
    b"crio.sock",
    b"podman.sock",
    b"dockershim.sock",
    b"cri-dockerd.sock",
    b"buildkitd.sock",
];
