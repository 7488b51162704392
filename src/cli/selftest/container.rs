//! The test container from inside: creates its namespaces and root, then runs the actions.
//!
//! Each stage is a new run of this program, because what a stage sets up (a pid namespace, a
//! root) takes effect in the next one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::actions;
use super::stage::{CHANGED, PROGRAM, TOUCHED, context, mount, stage, unshare};
use crate::cli::CliError;

/// A stage of the test container
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    stage: SelftestStage,
}

#[derive(Debug, clap::Subcommand)]
enum SelftestStage {
    /// Join the cgroup, leave the host's namespaces
    Join {
        /// Directory of the cgroup
        cgroup: PathBuf,
        /// Empty directory for the root
        scratch: PathBuf,
    },
    /// Make the root and enter it
    Init {
        /// Empty directory for the root
        scratch: PathBuf,
    },
    /// Run every action
    Actions,
    /// Give up privileges, and try what is refused then
    Deny,
    /// Wait until stdin is closed: a program is compared while it runs
    Linger {
        /// Seconds at most
        seconds: u32,
    },
    /// End with this code
    Exit {
        /// The code
        code: u8,
    },
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let done = match &args.stage {
        SelftestStage::Join { cgroup, scratch } => join(cgroup, scratch),
        SelftestStage::Init { scratch } => init(scratch).map(|()| ExitCode::SUCCESS),
        SelftestStage::Actions => Ok(actions::all()),
        SelftestStage::Deny => Ok(actions::deny()),
        SelftestStage::Linger { seconds } => linger(*seconds),
        SelftestStage::Exit { code } => Ok(ExitCode::from(*code)),
    };
    done.map_err(|e| CliError::expected(format!("the test container: {e}")))
}

fn linger(seconds: u32) -> io::Result<ExitCode> {
    let stdin = io::stdin();
    let most = Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&most))?;
    Ok(ExitCode::SUCCESS)
}

fn join(cgroup: &Path, scratch: &Path) -> io::Result<ExitCode> {
    fs::write(cgroup.join("cgroup.procs"), "0").map_err(context("joining its cgroup"))?;
    let namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    unshare(namespaces).map_err(context("leaving the host's namespaces"))?;
    let status = stage("/proc/self/exe", &["init".as_ref(), scratch.as_os_str()]).status()?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(255)).unwrap_or(255),
    ))
}

fn init(scratch: &Path) -> io::Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)?;
    let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|d| scratch.join(d));
    for dir in [&lower, &upper, &work, &root] {
        fs::create_dir(dir)?;
    }
    image(&lower).map_err(context("making its image"))?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    mount("overlay", &root, "overlay", &options)?;
    // The program may need shared libraries: they come from the host, read-only.
    for dir in ["usr", "lib", "lib64"] {
        let host = Path::new("/").join(dir);
        if host.is_dir() && !host.is_symlink() {
            rustix::mount::mount_bind(&host, root.join(dir))?;
        }
    }
    rustix::mount::mount_bind("/dev/null", root.join("dev/null"))?;
    std::env::set_current_dir(&root)?;
    rustix::process::pivot_root(".", ".").map_err(|e| context("entering its root")(e.into()))?;
    mount("proc", Path::new("/proc"), "proc", "")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    rustix::system::sethostname(b"selftest")?;
    Err(stage(PROGRAM, &["actions".as_ref()]).env_clear().exec())
}

/// Creates the image: the files of the lower layer.
fn image(lower: &Path) -> io::Result<()> {
    for dir in ["bin", "etc", "proc", "tmp", "dev", "usr", "lib", "lib64"] {
        let host = Path::new("/").join(dir);
        match fs::read_link(&host) {
            Ok(to) if dir.starts_with("lib") => std::os::unix::fs::symlink(to, lower.join(dir))?,
            _ => fs::create_dir(lower.join(dir))?,
        }
    }
    fs::write(lower.join("dev/null"), "")?;
    fs::write(lower.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
    let program = lower.join(PROGRAM.trim_start_matches('/'));
    fs::copy("/proc/self/exe", &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    for more in [TOUCHED, CHANGED] {
        fs::hard_link(&program, lower.join(more.trim_start_matches('/')))?;
    }
    Ok(())
}
