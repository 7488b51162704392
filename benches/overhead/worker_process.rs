//! The cgroup in which a workload runs, in a temporary container or on the host.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use crate::worker::{TRUE, Workload};

const PROGRAM: &str = "/bin/worker";

/// A running worker with its cgroup and its directory.
pub(crate) struct WorkerProcess {
    cgroup: PathBuf,
    scratch: PathBuf,
    worker: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl WorkerProcess {
    /// A container as an engine makes one: a cgroup named by its id, namespaces, an overlay root.
    pub(crate) fn container() -> io::Result<Self> {
        Self::start(
            &format!("{:064x}", 0xbe4c_0000 + std::process::id()),
            "join",
        )
    }

    /// A cgroup like any other on the host.
    pub(crate) fn host() -> io::Result<Self> {
        let name = format!("hullwatch-overhead-{}", std::process::id());
        Self::start(&name, "outside")
    }

    fn start(name: &str, stage: &str) -> io::Result<Self> {
        let cgroup = hierarchy()?.join(name);
        // In memory like the container's root, since the times of a disk vary.
        let scratch = Path::new("/dev/shm").join(format!("hullwatch-overhead-{name}"));
        fs::create_dir(&cgroup)?;
        fs::create_dir(&scratch)?;
        let mut worker = next(
            "/proc/self/exe",
            &[stage.as_ref(), cgroup.as_ref(), scratch.as_ref()],
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
        let pipes = worker.stdin.take().zip(worker.stdout.take());
        let (orders, answers) = pipes.ok_or_else(|| io::Error::other("no pipes"))?;
        let mut worker = Self {
            cgroup,
            scratch,
            worker,
            orders: Some(orders),
            answers: BufReader::new(answers),
        };
        worker.answer("ready")?;
        Ok(worker)
    }

    /// Makes the worker run a workload and waits for it. Returns the CPU time of all its processes.
    pub(crate) fn run(&mut self, workload: Workload, count: u32) -> io::Result<Duration> {
        let before = self.used()?;
        self.order(workload, count)?;
        self.answer("done")?;
        Ok(self.used()? - before)
    }

    /// Makes the worker run a workload, without waiting.
    pub(crate) fn order(&mut self, workload: Workload, count: u32) -> io::Result<()> {
        match &mut self.orders {
            Some(orders) => writeln!(orders, "{} {count}", workload.name()),
            None => Err(io::Error::other("the worker is gone")),
        }
    }

    /// Waits for a line from the worker.
    pub(crate) fn answer(&mut self, word: &str) -> io::Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.trim() == word {
            Ok(())
        } else {
            Err(io::Error::other(format!("the worker printed {line:?}")))
        }
    }

    /// CPU time of the cgroup. Every process of the workload is in it, also those that ended.
    fn used(&self) -> io::Result<Duration> {
        fs::read_to_string(self.cgroup.join("cpu.stat"))?
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
            .map(Duration::from_micros)
            .ok_or_else(|| io::Error::other("cpu.stat has no usage"))
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // The worker ends when its stdin is closed.
        self.orders = None;
        let _ = self.worker.wait();
        for _ in 0..500 {
            if fs::remove_dir(&self.cgroup).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Where the cgroup v2 hierarchy is mounted.
fn hierarchy() -> io::Result<PathBuf> {
    fs::read_to_string("/proc/self/mounts")?
        .lines()
        .find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        })
        .ok_or_else(|| io::Error::other("no cgroup v2 hierarchy is mounted"))
}

fn next(program: &str, words: &[&OsStr]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// First stage on the host: enters the cgroup and the directory, runs the worker.
pub(crate) fn outside(cgroup: &Path, scratch: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")?;
    std::env::set_current_dir(scratch)?;
    Err(next("/proc/self/exe", &["worker".as_ref()]).exec())
}

/// First stage of the container: enters the cgroup, leaves the host's namespaces.
// The unsafe variant of unshare exists for CLONE_FILES, which is not among these flags.
#[expect(deprecated, reason = "safe for these flags")]
pub(crate) fn join(cgroup: &Path, scratch: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")?;
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWPID)?;
    next("/proc/self/exe", &["init".as_ref(), scratch.as_ref()]).status()?;
    Ok(())
}

/// Second stage of the container: makes the root, enters it, runs the worker.
pub(crate) fn init(scratch: &Path) -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    mount("tmpfs", scratch, "mode=0755")?;
    let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|d| scratch.join(d));
    for dir in [&lower, &upper, &work, &root] {
        fs::create_dir(dir)?;
    }
    for dir in ["bin", "proc", "tmp", "dev", "usr", "lib", "lib64"] {
        match fs::read_link(Path::new("/").join(dir)) {
            Ok(to) if dir.starts_with("lib") => std::os::unix::fs::symlink(to, lower.join(dir))?,
            _ => fs::create_dir(lower.join(dir))?,
        }
    }
    fs::write(lower.join("dev/null"), "")?;
    for (from, to) in [("/proc/self/exe", PROGRAM), (TRUE, TRUE)] {
        let to = lower.join(to.trim_start_matches('/'));
        fs::copy(from, &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let (l, u, w) = (lower.display(), upper.display(), work.display());
    mount(
        "overlay",
        &root,
        &format!("lowerdir={l},upperdir={u},workdir={w}"),
    )?;
    // Shared libraries come from the host.
    for dir in ["usr", "lib", "lib64"] {
        let host = Path::new("/").join(dir);
        if host.is_dir() && !host.is_symlink() {
            rustix::mount::mount_bind(&host, root.join(dir))?;
        }
    }
    rustix::mount::mount_bind("/dev/null", root.join("dev/null"))?;
    std::env::set_current_dir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    mount("proc", Path::new("/proc"), "")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/tmp")?;
    Err(next(PROGRAM, &["worker".as_ref()]).env_clear().exec())
}

fn mount(kind: &str, target: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount(kind, target, kind, MountFlags::empty(), Some(&*options))?;
    Ok(())
}
