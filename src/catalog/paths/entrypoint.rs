//! Scripts that an image runs first at each start.

/// Whether a path, without its first slash, is such a script or is in a directory of them.
pub(super) fn is_entrypoint(rest: &[u8]) -> bool {
    let directories: &[&[u8]] = &[
        b"docker-entrypoint.d/",
        b"docker-entrypoint-initdb.d/",
        b"container-entrypoint.d/",
        b"entrypoint.d/",
    ];
    let script = rest.ends_with(b".sh") || rest.ends_with(b".envsh");
    let names: &[&[u8]] = &[
        b"docker-entrypoint.sh",
        b"entrypoint.sh",
        b"entrypoint",
        b"docker-entrypoint",
        b"container-entrypoint.sh",
    ];
    script && directories.iter().any(|dir| rest.starts_with(dir)) || names.contains(&rest)
}
