//! Scans of layers as overlay leaves them, and of what an attacker would leave there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::*;
use crate::event::{
    Bytes, ContainerInfo, Difference, Differing, DriftScan, FileClass, Mount, NodeKind, Storage,
};

/// Two image layers and a writable one, all plain directories.
struct TestRoot(tempfile::TempDir);

impl TestRoot {
    fn new() -> Self {
        // Not on a tmpfs, which refuses the attributes.
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        for dir in ["upper", "top", "base"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        Self(root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dir(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn info(&self) -> ContainerInfo {
        let bytes = |p: &str| Bytes::from(self.at(p).as_os_str().as_bytes());
        ContainerInfo {
            storage: Storage {
                driver: "overlay2".to_owned(),
                lower: vec![bytes("top"), bytes("base")],
                upper: bytes("upper"),
                merged: Bytes::default(),
            },
            ..ContainerInfo::default()
        }
    }

    fn scan(&self) -> (DriftScan, BTreeMap<String, Differing>) {
        self.scan_of(&self.info())
    }

    fn scan_of(&self, info: &ContainerInfo) -> (DriftScan, BTreeMap<String, Differing>) {
        let mut found = BTreeMap::new();
        let scan = DriftScanner::default()
            .scan(info, &ScanProgress::default(), &mut |d| {
                let twice = found.insert(d.path.escaped().to_string(), d);
                assert!(twice.is_none(), "{twice:?} listed twice");
            })
            .unwrap();
        (scan, found)
    }
}

fn whiteout(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

fn attribute(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(
        path,
        format!("trusted.overlay.{name}"),
        value,
        XattrFlags::empty(),
    )
    .unwrap();
}

/// Whiteouts and overlay's attributes are root's to make.
fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "needs root");
    root
}

fn listed(found: &BTreeMap<String, Differing>) -> Vec<(&str, Difference)> {
    found
        .iter()
        .map(|(p, d)| (p.as_str(), d.difference))
        .collect()
}

#[test]
fn content_decides_what_changed() {
    let w = TestRoot::new();
    for (name, content) in [
        ("same", "1234"),
        ("other", "1234"),
        ("longer", "1234"),
        ("mode", "12"),
    ] {
        w.write(&format!("base/usr/bin/{name}"), content);
    }
    w.write("base/usr/bin/hidden", "base");
    w.write("top/usr/bin/hidden", "top!");
    w.write("upper/usr/bin/same", "1234");
    w.write("upper/usr/bin/other", "1243");
    w.write("upper/usr/bin/longer", "12345");
    w.write("upper/usr/bin/hidden", "top!");
    let mode = w.write("upper/usr/bin/mode", "12");
    fs::set_permissions(mode, fs::Permissions::from_mode(0o4755)).unwrap();
    w.write("upper/usr/bin/new", b"\x7fELF....");
    let (scan, found) = w.scan();
    use Difference::{Added, Changed};
    assert_eq!(
        listed(&found),
        [
            ("/usr/bin/longer", Changed),
            ("/usr/bin/mode", Changed),
            ("/usr/bin/new", Added),
            ("/usr/bin/other", Changed),
        ]
    );
    assert_eq!((scan.unchanged, scan.unreadable), (2, 0));
    let new = &found["/usr/bin/new"];
    assert_eq!((new.class, new.size), (FileClass::Binary, 8));
    assert_eq!(new.sha256.as_ref().unwrap().len(), 64);
    let mode = &found["/usr/bin/mode"];
    assert!(mode.metadata_only && mode.is_setuid());
    assert_eq!(mode.mode_before.unwrap() & 0o7777, 0o644);
    let longer = &found["/usr/bin/longer"];
    assert_eq!((longer.size_before, longer.size), (Some(4), 5));
}

#[test]
fn removals_and_replaced_directories() {
    if !root() {
        return;
    }
    let w = TestRoot::new();
    w.write("base/etc/gone.conf", "x");
    w.write("base/opt/a/1", "x");
    w.write("top/opt/a/2", "x");
    w.write("base/srv/keep", "same");
    w.write("base/srv/lost", "x");
    w.write("base/srv/sub/deep", "x");
    w.write("base/srv/sub/same", "x");
    w.write("base/was/dir/file", "x");
    w.write("base/removed-in-image", "x");
    whiteout(&w.at("top/removed-in-image"));
    whiteout(&w.at("upper/etc/gone.conf"));
    whiteout(&w.at("upper/opt/a"));
    whiteout(&w.at("upper/etc/never-there"));
    // A file that was removed and created again with the same content is no change.
    attribute(&w.dir("upper/srv"), "opaque", b"y");
    w.write("upper/srv/keep", "same");
    w.write("upper/srv/sub/same", "x");
    w.write("upper/was", "now a file");
    w.write("upper/removed-in-image", "x");
    let (_, found) = w.scan();
    use Difference::{Added, Changed, Deleted};
    assert_eq!(
        listed(&found),
        [
            ("/etc/gone.conf", Deleted),
            ("/opt/a", Deleted),
            ("/removed-in-image", Added),
            ("/srv/lost", Deleted),
            ("/srv/sub/deep", Deleted),
            ("/was", Changed),
        ]
    );
    assert_eq!(found["/opt/a"].below, Some(2));
    assert_eq!(found["/was"].below, Some(1));
}

#[test]
fn copies_of_metadata_and_moved_directories() {
    if !root() {
        return;
    }
    let w = TestRoot::new();
    w.write("base/bin/tool", "content");
    w.write("base/old/dir/a", "a");
    w.write("base/old/dir/b", "b");
    // The kernel makes such a copy sparse, of the same size.
    let copy = w.write("upper/bin/tool", [0_u8; 7]);
    attribute(&copy, "metacopy", b"");
    attribute(&w.dir("upper/new"), "redirect", b"/old/dir");
    w.write("upper/new/a", "changed");
    let (scan, found) = w.scan();
    assert_eq!(
        listed(&found),
        [("/new", Difference::Added), ("/new/a", Difference::Changed)]
    );
    assert_eq!(found["/new"].below, Some(2));
    assert!(found["/new"].note.as_ref().unwrap().contains("/old/dir"));
    assert_eq!(scan.unchanged, 1);
}

#[test]
fn nothing_hostile_is_followed_opened_or_believed() {
    let w = TestRoot::new();
    w.write("base/etc/passwd", "root:x");
    w.dir("base/data");
    let secret = w.write("secret", "must not be read");
    // Links where files and directories were.
    fs::create_dir_all(w.at("upper/etc")).unwrap();
    symlink(&secret, w.at("upper/etc/passwd")).unwrap();
    symlink("/", w.at("upper/data")).unwrap();
    symlink("../../..", w.at("upper/out")).unwrap();
    // Fifos, which would block forever, and a huge file without content.
    let fifo = w.at("upper/etc/fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    w.write("base/fifo", "was a file");
    mknodat(
        CWD,
        w.at("upper/fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    File::create(w.at("base/huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    File::create(w.at("upper/huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    File::create(w.at("upper/vast.so"))
        .unwrap()
        .set_len(1 << 42)
        .unwrap();
    // Names that steer terminals, or are no text.
    let name = std::ffi::OsStr::from_bytes(b"a\n\x1b[2J\xff");
    fs::write(w.at("upper").join(name), "x").unwrap();
    let (scan, found) = w.scan();
    assert_eq!(found["/etc/passwd"].kind, NodeKind::Symlink);
    assert_eq!(found["/etc/passwd"].class, FileClass::Credentials);
    assert_eq!(found["/data"].kind, NodeKind::Symlink);
    assert_eq!(found["/out"].target.as_ref().unwrap(), &"../../..");
    assert_eq!(found["/etc/fifo"].kind, NodeKind::Fifo);
    assert_eq!(found["/fifo"].difference, Difference::Changed);
    assert_eq!(found["/huge"].difference, Difference::Unread);
    assert_eq!(found["/vast.so"].sha256, None);
    assert!(found.contains_key(r"/a\n\x1b[2J\xff"));
    assert_eq!(found.len(), 8);
    assert_eq!(scan.unreadable, 0);
    assert!(diff(&w.info(), b"/etc/passwd").is_err());
}

#[test]
fn a_directory_too_deep_to_name_is_noted_and_the_rest_reported() {
    let w = TestRoot::new();
    let mut at = rustix::fs::open(w.at("upper"), rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    let name = "d".repeat(200);
    for _ in 0..30 {
        rustix::fs::mkdirat(&at, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
        at = rustix::fs::openat(&at, name.as_str(), rustix::fs::OFlags::PATH, Mode::empty())
            .unwrap();
    }
    w.write("upper/zz", "x");
    let (scan, found) = w.scan();
    assert_eq!(listed(&found), [("/zz", Difference::Added)]);
    assert_eq!(scan.unreadable, 1);
    assert!(
        scan.problems[0].contains("File name too long"),
        "{:?}",
        scan.problems
    );
    // Too deep for tempfile's own removal as well.
    drop(at);
    let removed = std::process::Command::new("rm")
        .arg("-rf")
        .arg(w.at("upper"))
        .status();
    assert!(removed.unwrap().success());
}

#[test]
fn a_file_that_shrinks_and_grows_while_it_is_read_differs() {
    let w = TestRoot::new();
    w.write("base/f", vec![7_u8; 8 << 20]);
    let path = w.write("upper/f", vec![7_u8; 8 << 20]);
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let (ended, writing) = (std::sync::Arc::clone(&stop), path.clone());
    let (started, begun) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let mut size = 8 << 20;
        while !ended.load(Ordering::Relaxed) {
            size = if size == 8 << 20 { 4096 } else { 8 << 20 };
            let file = File::options().write(true).open(&writing).unwrap();
            file.set_len(size).unwrap();
            let _ = started.send(());
        }
    });
    begun.recv().unwrap();
    for _ in 0..20 {
        let (scan, found) = w.scan();
        assert_eq!((scan.unchanged, found.len()), (0, 1), "{found:?}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

#[test]
fn equal_files_are_remembered_until_they_change() {
    let w = TestRoot::new();
    w.write("base/f", "1234");
    let path = w.write("upper/f", "1234");
    std::thread::sleep(std::time::Duration::from_millis(250));
    let mut scanner = DriftScanner::default();
    let count = |scanner: &mut DriftScanner| {
        let mut count = 0;
        let scanned = scanner.scan(&w.info(), &ScanProgress::default(), &mut |_| count += 1);
        scanned.unwrap();
        count
    };
    assert_eq!(count(&mut scanner), 0);
    assert_eq!(scanner.contents.remembered(), 1);
    // Same size, and the modification time set back: the ctime shows the change.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "4321").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(before)
        .unwrap();
    assert_eq!(count(&mut scanner), 1);
}

#[test]
fn packages_are_reported_by_name_and_their_files_with_them() {
    let w = TestRoot::new();
    let status = |list: &[(&str, &str)]| -> String {
        list.iter()
            .map(|(n, v)| format!("Package: {n}\nStatus: install ok installed\nVersion: {v}\n\n"))
            .collect()
    };
    w.write(
        "base/var/lib/dpkg/status",
        status(&[("libc", "1"), ("old", "1")]),
    );
    w.write(
        "upper/var/lib/dpkg/status",
        status(&[("libc", "2"), ("curl", "8")]),
    );
    w.write(
        "upper/var/lib/dpkg/info/curl.list",
        "/.\n/usr\n/usr/bin/curl\n",
    );
    w.write("upper/usr/bin/curl", b"\x7fELF");
    w.write("upper/usr/bin/evil", b"\x7fELF");
    w.write("base/var/lib/rpm/rpmdb.sqlite", "1");
    w.write("upper/var/lib/rpm/rpmdb.sqlite", "2");
    let (scan, found) = w.scan();
    let lines: Vec<_> = scan.packages.iter().map(package_line).collect();
    assert_eq!(lines, ["+ curl 8", "~ libc 1 → 2", "- old 1"]);
    assert_eq!(found["/usr/bin/curl"].package, Some("curl".into()));
    assert_eq!(found["/usr/bin/evil"].package, None);
    assert!(scan.problems[0].contains("rpm database changed"));
}

#[test]
fn mount_points_are_the_runtimes() {
    let w = TestRoot::new();
    w.write("upper/etc/app.conf", "");
    w.write("upper/etc/own.conf", "");
    let mut info = w.info();
    info.mounts.push(Mount {
        destination: "/etc/app.conf".into(),
        ..Mount::default()
    });
    let (_, found) = w.scan_of(&info);
    assert_eq!(listed(&found), [("/etc/own.conf", Difference::Added)]);
}

#[test]
fn text_that_differs_is_shown_and_secrets_are_not() {
    let w = TestRoot::new();
    w.write("base/etc/app.conf", "a\nb\nc\n");
    w.write("upper/etc/app.conf", "a\nB\nc\n");
    w.write("upper/etc/shadow", "root:hash");
    w.write("upper/x", b"\0\0");
    let lines = diff(&w.info(), b"/etc/app.conf").unwrap().lines;
    assert_eq!(lines, ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]);
    assert!(
        diff(&w.info(), b"/etc/shadow")
            .unwrap_err()
            .contains("secrets")
    );
    assert!(diff(&w.info(), b"/x").unwrap_err().contains("not text"));
}

#[test]
fn a_cancelled_scan_and_missing_layers_are_reported() {
    let w = TestRoot::new();
    w.write("upper/x", "x");
    let progress = ScanProgress::default();
    progress.cancel();
    let scan = DriftScanner::default().scan(&w.info(), &progress, &mut |_| {});
    assert!(scan.unwrap().failed.is_some());
    let none = DriftScanner::default().scan(&ContainerInfo::default(), &progress, &mut |_| {});
    assert!(none.unwrap_err().contains("does not report its layers"));
    let mut info = w.info();
    info.storage.lower.push("/no/such/layer".into());
    let gone = DriftScanner::default().scan(&info, &progress, &mut |_| {});
    assert!(gone.unwrap_err().contains("/no/such/layer"));
}
