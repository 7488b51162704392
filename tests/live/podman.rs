//! A separate Podman: of root and of a user, with and without cgroups. No service of it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::builds;
use crate::common::{Watch, hullwatch, kernel_is_ready};

const IMAGE: &str = "localhost/hullwatch-test:1";
/// The user nobody.
const NOBODY: u32 = 65_534;
/// From the host's configuration only the program paths. Lower limits than a test may have.
const CONFIG: &str = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n\
    events_logger = \"file\"\n[containers]\nnetns = \"none\"\n\
    default_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\n";
/// crun refuses to run where both versions of cgroups are mounted.
const CRUN: &str = "#!/bin/sh\nexec unshare --mount sh -c 'umount -R -l /sys/fs/cgroup && \
    mount -t cgroup2 none /sys/fs/cgroup && exec crun \"$@\"' crun \"$@\"\n";

struct Podman {
    dir: TempDir,
    user: u32,
    driver: &'static str,
    made: Vec<String>,
}

/// fuse-overlayfs as storage: a driver of this name here.
const FUSE: &str = "fuse-overlayfs";

impl Podman {
    fn of(user: u32, driver: &'static str) -> Self {
        // Below /var/tmp: a layer of an overlay cannot be on another overlay.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let podman = Self {
            dir,
            user,
            driver,
            made: Vec::new(),
        };
        fs::create_dir(podman.path("run")).unwrap();
        fs::write(podman.path("containers.conf"), CONFIG).unwrap();
        fs::write(podman.path("root.tar"), root()).unwrap();
        fs::write(podman.path("crun"), CRUN).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(podman.path("crun"), executable).unwrap();
        for path in [podman.dir.path().to_owned(), podman.path("run")] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
        if driver == FUSE {
            // Not every host lets its users open the device.
            let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o666));
            mknodat(CWD, podman.path("fuse"), kind, mode, makedev(10, 229)).unwrap();
            fs::set_permissions(podman.path("fuse"), fs::Permissions::from_mode(0o666)).unwrap();
        }
        podman.podman(&["import", "root.tar", IMAGE]);
        podman
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut podman = if self.driver == FUSE {
            self.with_a_fuse_device()
        } else {
            Command::new("podman")
        };
        podman
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        if self.driver == FUSE {
            podman.args(["--storage-driver", "overlay"]);
            podman.args([
                "--storage-opt",
                "overlay.mount_program=/usr/bin/fuse-overlayfs",
            ]);
            // The user has no other ids.
            podman.args(["--storage-opt", "overlay.ignore_chown_errors=true"]);
        } else {
            podman.args(["--storage-driver", self.driver]);
        }
        if self.user == 0 {
            podman.arg("--root").arg(self.path("storage"));
            podman.arg("--runroot").arg(self.path("run/storage"));
            podman.arg("--tmpdir").arg(self.path("run/libpod"));
        } else if self.driver != FUSE {
            podman.uid(self.user).gid(self.user);
        }
        podman.args(words);
        podman
    }

    /// Podman of the user in a mount namespace of its own, with a device that the user may open.
    fn with_a_fuse_device(&self) -> Command {
        const SCRIPT: &str = "mount --bind \"$1\" /dev/fuse && shift && exec \"$@\"";
        let user = format!("{0}:{0}", self.user);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT, "sh"]);
        command.arg(self.path("fuse"));
        command.args(["chroot", "--userspec", &user, "/", "env", "-C"]);
        command.arg(self.dir.path()).arg("podman");
        command
    }

    fn podman(&self, words: &[&str]) {
        let output = self.command(words).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {printed}");
    }

    /// Starts a container that waits; `options` are those of `podman run`.
    fn run(&mut self, name: &str, global: &[&str], options: &[&str]) {
        self.made.push(name.to_owned());
        let script = "sleep 1000; exit 3";
        let run = ["run", "-d", "--name", name];
        let program = [IMAGE, "/bin/sh", "-c", script];
        self.podman(&[global, &run, options, &program].concat());
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for name in &self.made {
            let _ = self.command(&["rm", "-f", "-t", "0", name]).output();
        }
        let _ = self.command(&["rmi", "-f", IMAGE]).output();
        // Podman leaves its storage mounted.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.dir.path().display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&own) {
                let _ = Command::new("umount").args(["-l", mount]).status();
            }
        }
    }
}

/// The image's files as a tar stream: busybox with the required links.
fn root() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let busybox = ["/usr/bin/busybox", "/bin/busybox"];
    let busybox = busybox.iter().find_map(|path| fs::read(path).ok()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    (archive.append_data(&mut header, "bin/busybox", &*busybox)).unwrap();
    for link in ["sh", "sleep", "cp"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        let path = format!("bin/{link}");
        (archive.append_link(&mut header, path, "busybox")).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    (archive.append_data(&mut header, "tmp/", &[][..])).unwrap();
    archive.into_inner().unwrap()
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The reported start of the container of this name.
fn expect_birth(watch: &Watch, name: &str) -> Value {
    watch.expect("its birth, by its name", |line| {
        line["type"] == "container" && line["info"]["name"] == name
    })
}

/// A container from start to end, with the facts from its files.
fn whole_life(podman: &mut Podman, name: &str, global: &[&str], options: &[&str]) {
    let watch = Watch::start(&["--no-engine", "--events", "container,exec,client"]);
    podman.run(name, global, options);
    let born = expect_birth(&watch, name);
    assert_eq!(born["action"], "appeared");
    let info = &born["info"];
    assert_eq!(info["image"], IMAGE);
    assert_eq!(info["runtime"], "podman");
    assert_eq!(info["command"][0], "/bin/sh");
    let owner = match podman.user {
        0 => Value::Null,
        user => json!(user),
    };
    assert_eq!(info.get("owner").cloned().unwrap_or_default(), owner);
    let id = born["container"].as_str().unwrap().to_owned();
    let of = |line: &Value| line["container"] == id.as_str();
    watch.expect("its first program", |line| {
        of(line) && line["type"] == "exec" && line["nspid"] == 1
    });
    if podman.user != 0 {
        // The container's root is this user on the host.
        watch.expect("the ids of its user namespace", |line| {
            let ids = &line["info"]["confinement"]["ids"][0];
            of(line) && ids["inside"] == 0 && ids["outside"] == podman.user
        });
    }
    let script = "cp /bin/busybox /tmp/evil; exec /tmp/evil sh -c true";
    let exec = ["exec", name, "/bin/sh", "-c", script];
    let _ = podman.command(&[global, &exec].concat()).output();
    let dropped = watch.expect("a dropped program in an exec session", |line| {
        of(line) && line["type"] == "exec" && line["exe"] == "/tmp/evil"
    });
    // False fields are omitted.
    let (upper, lower) = (&dropped["file"]["upper"], &dropped["file"]["lower"]);
    assert!(*upper == true && *lower != true, "written since: {dropped}");
    // With vfs each layer is a whole copy, which is compared only on demand.
    if podman.driver == "overlay" {
        let config = tempfile::tempdir().unwrap();
        let drift = hullwatch(&["drift", name, "--no-engine"], &config);
        let drift = { drift }.output().unwrap();
        let printed = String::from_utf8_lossy(&drift.stdout);
        assert!(printed.contains("/tmp/evil"), "{drift:?}");
    }
    podman.podman(&[global, &["kill", "-s", "KILL", name]].concat());
    watch.expect("its end, with its code", |line| {
        of(line) && line["action"] == json!({"died": 137})
    });
    watch.expect("its removal", |line| of(line) && line["action"] == "gone");
    watch.stop();
}

#[test]
fn steps_of_its_builds_are_a_build_and_raise_nothing() {
    const STEPS: &str = "RUN cp /bin/busybox /tmp/busybox && /tmp/busybox true\n\
        RUN echo x >>/tmp/busybox && /tmp/busybox true\n\
        RUN cp /bin/busybox /bin/other; sleep 2\n";
    if !kernel_is_ready() {
        return;
    }
    let podman = Podman::of(0, "overlay");
    let steps = format!("FROM {IMAGE}\n{STEPS}");
    fs::write(podman.path("Containerfile"), steps).unwrap();
    let watch = Watch::start(&["--no-engine", "--events", "container,findings"]);
    let context = podman.dir.path().to_str().unwrap();
    podman.podman(&[
        "build",
        "--no-cache",
        "--network",
        "none",
        "-t",
        "built",
        context,
    ]);
    let lines = watch.stop();
    podman.podman(&["rmi", "-f", "built"]);
    let steps = builds::steps(&lines);
    assert!(steps.len() >= 3, "{steps:?}");
    let alarms = builds::alarms(&lines, |id| steps.contains(id));
    assert!(alarms.is_empty(), "{alarms:#?}");
}

#[test]
fn roots_podman_with_its_cgroups() {
    if kernel_is_ready() {
        let mut podman = Podman::of(0, "overlay");
        whole_life(&mut podman, &unique("pod-root"), &[], &[]);
    }
}

#[test]
fn roots_podman_without_cgroups() {
    if kernel_is_ready() {
        let mut podman = Podman::of(0, "overlay");
        let crun = podman.path("crun");
        let global = ["--runtime", crun.to_str().unwrap()];
        let name = unique("pod-bare");
        whole_life(&mut podman, &name, &global, &["--cgroups=disabled"]);
        // One that ends before it can be examined is identified by its supervisor. That one ends a
        // moment later, on a busy host before it is examined, too: one of several is enough.
        let watch = Watch::start(&["--no-engine", "--events", "container"]);
        for number in 0..10 {
            let name = unique(&format!("pod-brief-{number}"));
            podman.made.push(name.clone());
            let run = ["run", "--name", &name, "--cgroups=disabled"];
            let program = [IMAGE, "/bin/sh", "-c", "exit 5"];
            let _ = (podman.command(&[&global[..], &run, &program].concat())).output();
        }
        let born = watch.expect("the birth of one, by its name", |line| {
            let name = line["info"]["name"].as_str().unwrap_or_default();
            line["type"] == "container" && name.starts_with("pod-brief-")
        });
        let id = born["container"].clone();
        watch.expect("its end, with its code", |line| {
            line["container"] == id && line["action"] == json!({"died": 5})
        });
        watch.stop();
    }
}

#[test]
fn a_users_podman_on_a_file_system_of_the_user() {
    if kernel_is_ready() {
        let mut podman = Podman::of(NOBODY, FUSE);
        whole_life(&mut podman, &unique("pod-fuse"), &[], &[]);
    }
}

#[test]
fn a_users_podman() {
    if kernel_is_ready() {
        let mut podman = Podman::of(NOBODY, "vfs");
        whole_life(&mut podman, &unique("pod-user"), &[], &[]);
    }
}
