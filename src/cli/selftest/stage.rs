//! What the stages of the test container share: its paths, system calls, and the next stage.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::thread::UnshareFlags;

/// How long comparisons may take to arrive, and events after the container ended.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Path of the program in the container's image.
pub(super) const PROGRAM: &str = "/bin/selftest";

/// Programs of the image that an action copies up unchanged, and changed.
pub(super) const TOUCHED: &str = "/bin/touched";
pub(super) const CHANGED: &str = "/bin/changed";

/// The command that runs the next stage.
pub(super) fn stage(program: impl AsRef<OsStr>, words: &[&OsStr]) -> Command {
    let mut command = Command::new(program);
    command.arg("inside").args(words);
    command
}

pub(super) fn context(what: &str) -> impl Fn(io::Error) -> io::Error + '_ {
    move |e| io::Error::new(e.kind(), format!("{what}: {e}"))
}

// The unsafe variant exists for CLONE_FILES, which is not among these flags.
#[expect(deprecated, reason = "safe for these flags")]
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}

pub(super) fn mount(source: &str, target: &Path, kind: &str, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount(source, target, kind, MountFlags::empty(), Some(&*options))
        .map_err(|e| context(&format!("mounting {kind}"))(e.into()))
}
