//! The actions of the test container on files, and the events that they must cause.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::fact_check::{FactCheck, check};
use crate::event::{Event, FileOp, Kind};

/// The facts of these actions, in their order.
pub(super) const CHECKS: &[FactCheck] = &[
    check("file created", "files", |e| {
        file(e, FileOp::Create, "/tmp/made")
    }),
    check("file renamed", "files", |e| {
        file(e, FileOp::Rename, "/tmp/made")
    }),
    check("mode changed", "files", |e| {
        file(e, FileOp::Chmod, "/tmp/moved")
    }),
    check("hard link", "files", |e| {
        file(e, FileOp::Link, "/tmp/moved")
    }),
    check("symbolic link", "files", |e| {
        file(e, FileOp::Symlink, "/tmp/symlinked")
    }),
    check("directory made", "files", |e| {
        file(e, FileOp::Mkdir, "/tmp/dir")
    }),
    check("file removed", "files", |e| {
        file(e, FileOp::Unlink, "/tmp/moved")
    }),
    check("image file written", "files", |e| {
        file(e, FileOp::Write, "/etc/passwd")
    }),
    check("attribute set", "attributes", |e| {
        matches!(&e.kind, Kind::File(f) if f.op == FileOp::SetXattr && f.errno == 0
            && f.attribute.as_ref().is_some_and(|a| a.value == "cap_net_raw=p"))
    }),
    check("attribute removed", "attributes", |e| {
        file(e, FileOp::RemoveXattr, "/tmp/attributes")
    }),
    check("inode flag set", "attributes", |e| {
        matches!(&e.kind, Kind::File(f) if f.op == FileOp::Chattr && f.errno == 0
                && f.attribute.as_ref().is_some_and(|a| a.value.to_string().contains("no-dump")))
    }),
    check("time set back", "attributes", |e| {
        matches!(&e.kind, Kind::File(f) if f.op == FileOp::SetTimes && f.errno == 0
            && f.path == "/tmp/attributes"
            && f.attribute.as_ref().is_some_and(|a| a.value == "1970-01-12T13:46:40Z"))
    }),
];

fn file(event: &Event, op: FileOp, path: &str) -> bool {
    matches!(&event.kind, Kind::File(f) if f.op == op && f.path == path && f.errno == 0)
}

/// Makes, moves, links and removes files, and writes one of the image.
pub(super) fn files() -> io::Result<()> {
    fs::write("/tmp/made", "made")?;
    fs::rename("/tmp/made", "/tmp/moved")?;
    fs::set_permissions("/tmp/moved", fs::Permissions::from_mode(0o600))?;
    fs::hard_link("/tmp/moved", "/tmp/linked")?;
    std::os::unix::fs::symlink("/tmp/moved", "/tmp/symlinked")?;
    fs::create_dir("/tmp/dir")?;
    fs::remove_file("/tmp/moved")?;
    let mut passwd = fs::OpenOptions::new().append(true).open("/etc/passwd")?;
    passwd.write_all(b"intruder:x:0:0::/:/bin/sh\n")?;
    if Path::new("/tmp/moved").exists() {
        return Err(io::Error::other("a removed file is still there"));
    }
    Ok(())
}

/// Changes the metadata of a file.
pub(super) fn attributes() -> io::Result<()> {
    let file = fs::File::create("/tmp/attributes")?;
    // `cap_net_raw=p`: revision 2, one permitted capability.
    let mut value = [0; 20];
    value[3] = 2;
    value[5] = 0x20;
    rustix::fs::fsetxattr(
        &file,
        "security.capability",
        &value,
        rustix::fs::XattrFlags::empty(),
    )?;
    rustix::fs::removexattr("/tmp/attributes", "security.capability")?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000))?;
    let flags = rustix::fs::ioctl_getflags(&file)?;
    Ok(rustix::fs::ioctl_setflags(
        &file,
        flags | rustix::fs::IFlags::NODUMP,
    )?)
}
