//! Class of a file, by its first bytes, its mode and its path.

use crate::catalog::path::{contains, leaf};
use crate::catalog::paths::{self, PathClass};
use crate::catalog::secrets;
use crate::event::{FileClass, NodeKind};

/// Bytes of a file's beginning that [`class`] needs.
pub(super) const HEAD: usize = 64;

/// Suffixes of scripts that run without a `#!` line.
const SCRIPTS: &[&[u8]] = &[b".sh", b".bash", b".py", b".pl", b".rb", b".lua", b".ps1"];
/// Suffixes of settings.
const SETTINGS: &[&[u8]] = &[
    b".conf",
    b".cnf",
    b".cfg",
    b".ini",
    b".yaml",
    b".yml",
    b".toml",
    b".properties",
    b".env",
];
/// Directories that programs write to in ordinary operation.
const WRITTEN: &[&[u8]] = &[b"/tmp/", b"/var/tmp/", b"/var/lib/", b"/run/", b"/var/run/"];
/// Directories of logs and caches.
const CACHES: &[&[u8]] = &[b"/var/cache/", b"/var/log/", b"/var/lib/apt/lists/"];

/// Class of the file at `path` (absolute) with these first bytes, which are empty for a deleted
/// file.
pub(super) fn class(path: &[u8], kind: NodeKind, mode: u32, head: &[u8]) -> FileClass {
    if kind == NodeKind::Device {
        return FileClass::Device;
    }
    let place = paths::of(path);
    match place {
        Some(
            PathClass::Accounts
            | PathClass::Sudoers
            | PathClass::Pam
            | PathClass::SshAccess
            | PathClass::LdPreload,
        ) => return FileClass::Credentials,
        Some(PathClass::Cron | PathClass::Service | PathClass::ShellStartup) => {
            return FileClass::Autostart;
        }
        _ => {}
    }
    if (place == Some(PathClass::PackageDatabase) || is_apk_database(path)) && !is_cache(path) {
        return FileClass::Packages;
    }
    if is_sensitive(path) {
        return FileClass::Credentials;
    }
    if let Some(code) = code(path, head) {
        return code;
    }
    // A script must not escape by being named like a log.
    if head.starts_with(b"#!") {
        return FileClass::Script;
    }
    if is_cache(path) {
        return FileClass::Log;
    }
    match place {
        Some(
            PathClass::Managed
            | PathClass::Names
            | PathClass::LoaderCache
            | PathClass::Log
            | PathClass::ShellHistory,
        ) => FileClass::Log,
        Some(PathClass::Program) if kind == NodeKind::Symlink || head.is_empty() => {
            by_directory(path)
        }
        Some(
            PathClass::EtcTop | PathClass::EtcBelow | PathClass::LdConf | PathClass::PackageSources,
        ) => FileClass::Config,
        _ if is_script(path, mode, head) => FileClass::Script,
        _ if !WRITTEN.iter().any(|d| path.starts_with(d))
            && SETTINGS.iter().any(|s| path.ends_with(s)) =>
        {
            FileClass::Config
        }
        _ => FileClass::Data,
    }
}

fn is_apk_database(path: &[u8]) -> bool {
    path.starts_with(b"/lib/apk/db/") || path.starts_with(b"/usr/lib/apk/db/")
}

fn is_cache(path: &[u8]) -> bool {
    CACHES.iter().any(|d| path.starts_with(d))
        || path.ends_with(b".pyc")
        || path.ends_with(b".log")
        || contains(path, b"/__pycache__/")
        || contains(path, b"/.cache/")
        || contains(path, b"/.npm/")
}

/// Machine code, by its first bytes: ELF of type executable, or shared.
fn code(path: &[u8], head: &[u8]) -> Option<FileClass> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let name = leaf(path);
    // Executables are shared objects too, when position-independent: then the name decides.
    let library = name.ends_with(b".so") || contains(name, b".so.");
    Some(if library {
        FileClass::Library
    } else {
        FileClass::Binary
    })
}

fn is_script(path: &[u8], mode: u32, head: &[u8]) -> bool {
    SCRIPTS.iter().any(|s| path.ends_with(s))
        || paths::is_web_script(path)
        || (mode & 0o111 != 0 && !head.is_empty() && !head.contains(&0))
}

/// Class of a deleted file or of a link, by its path only.
fn by_directory(path: &[u8]) -> FileClass {
    let name = leaf(path);
    if contains(path, b"bin/") || contains(path, b"/libexec/") {
        FileClass::Binary
    } else if name.ends_with(b".so") || contains(name, b".so.") {
        FileClass::Library
    } else if SCRIPTS.iter().any(|s| path.ends_with(s)) || paths::is_web_script(path) {
        FileClass::Script
    } else {
        FileClass::Data
    }
}

/// Whether the file holds credentials or memory.
fn is_sensitive(path: &[u8]) -> bool {
    secrets::is_secret(path) || secrets::is_host_memory(path) || secrets::is_process_memory(path)
}

/// Whether the file holds secrets, so that its content is not shown.
pub(super) fn is_secret(path: &[u8]) -> bool {
    is_sensitive(path) && !path.ends_with(b"/authorized_keys") && path != b"/etc/sudoers"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_content_first_then_by_place() {
        const ELF: &[u8] = b"\x7fELF\x02\x01\x01";
        for (path, mode, head, expected) in [
            ("/tmp/x", 0o755, ELF, FileClass::Binary),
            ("/opt/a/libz.so.1", 0o644, ELF, FileClass::Library),
            ("/var/log/x", 0o755, ELF, FileClass::Binary),
            ("/var/log/y", 0o644, b"x", FileClass::Log),
            ("/var/cache/x", 0o755, ELF, FileClass::Binary),
            (
                "/tmp/x",
                0o644,
                b"#!/bin/sh\n".as_slice(),
                FileClass::Script,
            ),
            ("/srv/run", 0o755, b"echo", FileClass::Script),
            ("/srv/shell.php", 0o644, b"<?php", FileClass::Script),
            ("/etc/nginx/nginx.conf", 0o644, b"x", FileClass::Config),
            ("/app/settings.toml", 0o644, b"x", FileClass::Config),
            ("/var/lib/x/a.conf", 0o644, b"x", FileClass::Data),
            ("/etc/crontab", 0o644, b"x", FileClass::Autostart),
            ("/etc/shadow", 0o600, b"x", FileClass::Credentials),
            (
                "/root/.ssh/authorized_keys",
                0o600,
                b"x",
                FileClass::Credentials,
            ),
            (
                "/root/.aws/credentials",
                0o600,
                b"x",
                FileClass::Credentials,
            ),
            ("/var/lib/dpkg/status", 0o644, b"x", FileClass::Packages),
            ("/lib/apk/db/installed", 0o644, b"x", FileClass::Packages),
            ("/var/lib/apt/lists/x", 0o644, b"x", FileClass::Log),
            ("/etc/resolv.conf", 0o644, b"x", FileClass::Log),
            ("/usr/bin/gone", 0o755, b"", FileClass::Binary),
            ("/usr/lib/libc.so.6", 0o755, b"", FileClass::Library),
            ("/data/x", 0o644, b"\0\x01", FileClass::Data),
        ] {
            let found = class(path.as_bytes(), NodeKind::File, mode, head);
            assert_eq!(found, expected, "{path}");
        }
        let device = class(b"/tmp/x", NodeKind::Device, 0o600, b"");
        assert_eq!(device, FileClass::Device);
    }
}
