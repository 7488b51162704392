//! The screen of another host, over a real sshd.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{BUSYBOX, Engine, PATIENCE, engine_is_ready};
use crate::screen::{Screen, ScreenEnd};

/// The directory that openssh-server is unpacked in.
const SSHD: &str = "HULLWATCH_TEST_SSHD";
pub(crate) fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Another host: an sshd of its own, on a port of its own, with keys of its own.
struct Host {
    folder: tempfile::TempDir,
    sshd: Child,
}

impl Host {
    /// Starts it. Where there is an engine for the tests there is an sshd as well: it is not skipped.
    fn start() -> Self {
        let unpacked = std::env::var_os(SSHD).map(PathBuf::from);
        let unpacked = unpacked
            .filter(|path| path.join("usr/sbin/sshd").exists())
            .unwrap_or_else(|| {
                panic!("{SSHD} must be a directory with openssh-server unpacked: use tests/run")
            });
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(key));
            assert!(keygen.status().unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        // What the other host has in its PATH.
        let bin = dir.join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hullwatch"), bin.join("hullwatch")).unwrap();
        let at = dir.display();
        let mut config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\n\
             PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             PrintMotd no\n\
             SetEnv PATH={at}/bin:/usr/sbin:/usr/bin:/sbin:/bin XDG_CONFIG_HOME={at}/there\n"
        );
        // Newer releases consist of several programs.
        for (option, name) in [
            ("SshdSessionPath", "sshd-session"),
            ("SshdAuthPath", "sshd-auth"),
        ] {
            let path = unpacked.join("usr/lib/openssh").join(name);
            if path.exists() {
                config.push_str(&format!("{option} {}\n", path.display()));
            }
        }
        std::fs::write(dir.join("sshd_config"), config).unwrap();
        let key = std::fs::read_to_string(dir.join("host.pub")).unwrap();
        std::fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        let config = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {at}/user\n\
             \u{20}IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {at}/known\n\
             \u{20}GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n"
        );
        std::fs::write(dir.join("ssh_config"), config).unwrap();
        script(
            &dir.join("ssh"),
            &format!("exec ssh -F {at}/ssh_config \"$@\""),
        );
        // sshd insists on a user and on /run/sshd: both exist only in its mount namespace.
        let start = format!(
            "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && \
             sed 's#^root:.*#root:*:0:0::{at}:/bin/sh#; /^sshd:/d' /etc/passwd >{at}/passwd && \
             echo 'sshd:*:65533:65534::/run/sshd:/usr/sbin/nologin' >>{at}/passwd && \
             mount --bind {at}/passwd /etc/passwd && exec {sshd} -D -e -f {at}/sshd_config",
            sshd = unpacked.join("usr/sbin/sshd").display(),
        );
        let log = std::fs::File::create(dir.join("log")).unwrap();
        // By architecture.
        let libraries = std::fs::read_dir(unpacked.join("usr/lib"))
            .unwrap()
            .flatten();
        let libraries: Vec<_> = libraries.map(|entry| entry.path()).collect();
        let libraries = std::env::join_paths(libraries).unwrap();
        let sshd = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "sh",
                "-c",
                &start,
            ])
            .env("LD_LIBRARY_PATH", libraries)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let host = Self { folder, sshd };
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "{}", host.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        host
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let dir = self.folder.path();
        vec![
            ("HULLWATCH_SSH", dir.join("ssh").into()),
            ("XDG_CONFIG_HOME", dir.join("here").into()),
            ("XDG_STATE_HOME", dir.join("state").into()),
            ("TMPDIR", dir.into()),
        ]
    }

    fn show(&self, options: &[&str]) -> Screen {
        let program = env!("CARGO_BIN_EXE_hullwatch");
        let docker = Engine::tests().0;
        let words = [program, "--ssh", "box", "--docker-host", &docker];
        Screen::start(&[&words[..], options].concat(), &self.environment())
    }

    /// The processes that serve connections.
    fn sessions(&self) -> Vec<String> {
        let out = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &self.sshd.id().to_string()])
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn signal(&self, name: &str, pids: &[String]) {
        let done = Command::new("kill").arg(name).args(pids).status().unwrap();
        assert!(done.success());
    }

    /// Ends the connections, and answers no new ones.
    fn cut(&self) {
        self.signal("-STOP", &[self.sshd.id().to_string()]);
        self.signal("-KILL", &self.sessions());
    }

    fn mend(&self) {
        self.signal("-CONT", &[self.sshd.id().to_string()]);
    }

    /// The collectors that run here, by their session.
    fn collectors(&self) -> usize {
        let bin = self.folder.path().join("there");
        let of_this_host = |environ: Vec<u8>| {
            let text = String::from_utf8_lossy(&environ).into_owned();
            text.contains(&*bin.to_string_lossy())
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let serving = processes.filter(|process| {
            let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
            command.contains("--collector") && of_this_host(read("environ"))
        });
        serving.count()
    }

    /// The sockets of collectors, in the mount namespace of sshd.
    fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/root/run/hullwatch/link", self.sshd.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    fn temporary_files(&self) -> Vec<PathBuf> {
        recordings_in(self.folder.path())
    }
}

pub(crate) fn recordings_in(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().flatten();
    let all = all.map(|entry| entry.path());
    all.filter(|path| path.extension().is_some_and(|e| e == "zst"))
        .collect()
}

impl Drop for Host {
    fn drop(&mut self) {
        let all = [vec![self.sshd.id().to_string()], self.sessions()].concat();
        let _ = Command::new("kill").arg("-CONT").args(&all).status();
        let _ = Command::new("kill").args(&all).status();
        let _ = self.sshd.wait();
    }
}

pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_attack_on_another_host_is_shown_here_and_a_cut_link_continues() {
    if !engine_is_ready() {
        return;
    }
    let host = Host::start();
    let container = Engine::tests().run(&["--name", "hw-linked"], BUSYBOX, &["sleep", "600"]);
    let record = host.folder.path().join("kept.jsonl.zst");
    let mut screen = host.show(&["--record", record.to_str().unwrap()]);
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("LIVE") && text.contains("hw-linked")
    });
    assert_eq!(host.collectors(), 1);
    assert_eq!(host.sockets(), 1);
    container.sh("mkdir /tmp/first && cp /bin/busybox /tmp/first/true && /tmp/first/true");
    screen.type_in("3");
    screen.type_in("/hw-linked sev>=m\r");
    screen.shows(24, 80, |picture| picture.contents().contains("/tmp/first"));

    // The link is cut, while another attack is made.
    host.cut();
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("BEHIND") && text.contains("LINK LOST") && text.contains("trying again")
    });
    container
        .sh("mkdir /tmp/meanwhile && cp /bin/busybox /tmp/meanwhile/true && /tmp/meanwhile/true");
    // Keys are answered here.
    screen.type_in("2");
    screen.shows(24, 80, |picture| picture.contents().contains("[2 Cont"));
    screen.type_in("3");
    host.mend();
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("LIVE") && text.contains("/tmp/meanwhile") && text.contains("/tmp/first")
    });
    container.sh("echo hole:x:0:0::/:/bin/sh >> /etc/passwd");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("/etc/passwd") && text.contains(" 0 lost")
    });

    // Leaving ends the collector there.
    screen.type_in("q");
    assert!(screen.ended());
    screen.given_back();
    until("the collector runs on", || host.collectors() == 0);
    assert_eq!(host.sockets(), 0);
    assert_eq!(host.temporary_files(), std::slice::from_ref(&record));
    // Nothing is missing in what was recorded, and nothing is in it twice.
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let out = Command::new(program)
        .args(["replay", "--events", "all"])
        .arg(&record)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(
        !error.contains("missing") && !error.contains("damaged"),
        "{error}"
    );
    let text = String::from_utf8(out.stdout).unwrap();
    let numbers: Vec<u64> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["seq"].as_u64())
        .collect();
    assert!(numbers.len() > 20 && numbers.is_sorted_by(|a, b| a < b));
    let execs = |name: &str| {
        let execs = text
            .lines()
            .filter(|line| line.starts_with(r#"{"type":"exec""#));
        execs.filter(|line| line.contains(name)).count()
    };
    assert_eq!(
        (
            execs("[\"/tmp/first/true\"]"),
            execs("[\"/tmp/meanwhile/true\"]")
        ),
        (1, 1)
    );
}

#[test]
fn a_limit_that_no_link_can_live_with_is_refused() {
    let words = [
        env!("CARGO_BIN_EXE_hullwatch"),
        "--ssh",
        "box",
        "--bps",
        "20",
    ];
    let mut screen = Screen::start(&words, &[("HULLWATCH_SSH", "/bin/false")]);
    screen.wait_for("--bps 20: less than 300 bytes a second");
    assert!(screen.ended());
}

#[test]
fn a_limited_link_loses_what_a_noisy_container_does_and_says_so() {
    if !engine_is_ready() {
        return;
    }
    let host = Host::start();
    let engine = Engine::tests();
    let noisy = engine.run(&["--name", "hw-noisy"], BUSYBOX, &["sleep", "600"]);
    let quiet = engine.run(&["--name", "hw-quiet"], BUSYBOX, &["sleep", "600"]);
    let mut screen = host.show(&["--bps", "2400"]);
    screen.shows(24, 80, |picture| picture.contents().contains("LIVE"));
    noisy.sh("i=0; while [ $i -lt 6000 ]; do (:); i=$((i+1)); done");
    quiet.sh("mkdir /tmp/hidden && cp /bin/busybox /tmp/hidden/true && /tmp/hidden/true");
    screen.type_in("3");
    screen.type_in("/hw-quiet sev>=m\r");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("/tmp/hidden") && text.contains(" lost") && !text.contains(" 0 lost")
    });
    // What was received has no name, so that nothing is left however the screen ends.
    assert_eq!(host.temporary_files(), [] as [PathBuf; 0]);
    screen.type_in("q");
    assert!(screen.ended());
    until("the collector runs on", || host.collectors() == 0);
}

#[test]
fn the_collector_on_another_host_ends_with_the_screen_however_that_ends() {
    if !engine_is_ready() {
        return;
    }
    let host = Host::start();
    let ends: [ScreenEnd; 4] = [
        (Screen::hang_up, false),
        (|screen| screen.signal("-TERM"), false),
        (|screen| screen.signal("-HUP"), false),
        (|screen| screen.signal("-KILL"), true),
    ];
    for (end, killed) in ends {
        let mut screen = host.show(&[]);
        screen.shows(24, 80, |picture| picture.contents().contains("LIVE"));
        assert_eq!(host.collectors(), 1);
        end(&mut screen);
        assert!(screen.ended_as(killed));
        // Long before it would give up.
        until("the collector runs on", || host.collectors() == 0);
        assert_eq!(host.temporary_files(), [] as [PathBuf; 0]);
    }
    assert_eq!(host.sockets(), 0);
}
