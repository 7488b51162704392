//! `hullwatch watch`, and `record` with the options that the other tests do not use.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cgroup::Container;
use crate::common::{self, BUSYBOX, Engine, PATIENCE, Watch, hullwatch, replays_alike};

/// A hullwatch that watches.
pub(crate) struct Hullwatch {
    child: Child,
    stderr: BufReader<ChildStderr>,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Hullwatch {
    /// Returns when it reports that it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let printed: Arc<Mutex<Vec<u8>>> = Arc::default();
        let all = Arc::clone(&printed);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            loop {
                let length = stdout.read(&mut part).unwrap();
                if length == 0 {
                    return;
                }
                all.lock().unwrap().extend(&part[..length]);
            }
        });
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("attached and ready") {
            assert!(stderr.read_line(&mut text).unwrap() > 0, "ended: {text}");
        }
        Self {
            child,
            stderr,
            printed,
            reader: Some(reader),
        }
    }

    /// Waits until it has printed this.
    fn until_printed(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.printed.lock().unwrap().contains_str(text) {
            assert!(Instant::now() < until, "not printed: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Interrupts it, as a person would.
    pub(crate) fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Its exit status, the printed lines, and the rest of stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<Value>, String) {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let lines = self.printed.lock().unwrap();
        let lines = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        (status, lines, stderr)
    }
}

/// A failing test leaves no process behind.
impl Drop for Hullwatch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Once attached, no thread can do more than watching needs.
#[test]
fn privileges_are_dropped_when_everything_is_attached() {
    if !common::kernel_is_ready() {
        return;
    }
    const GONE: [(&str, u32); 7] = [
        ("PERFMON", 38),
        ("NET_ADMIN", 12),
        ("NET_RAW", 13),
        ("SYS_MODULE", 16),
        ("SETUID", 7),
        ("SYS_RAWIO", 17),
        ("MKNOD", 27),
    ];
    let hullwatch = Hullwatch::start(&["watch", "--no-engine"]);
    let threads = std::fs::read_dir(format!("/proc/{}/task", hullwatch.child.id())).unwrap();
    let mut looked = 0;
    for thread in threads {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}"))
                .trim()
                .to_owned()
        };
        let name = field("Name:");
        let held = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
        for (capability, bit) in GONE {
            assert_eq!(held >> bit & 1, 0, "{name} holds {capability}");
        }
        assert_eq!(field("NoNewPrivs:"), "1", "{name}");
        // In every kernel that these tests run on.
        assert_eq!(field("Seccomp:"), "2", "{name}");
        looked += 1;
    }
    assert!(looked > 2);
    hullwatch.interrupt();
    assert!(hullwatch.end().0.success());
}

/// The limit of open files is raised as far as allowed; if that is too low, it is named.
#[test]
fn few_open_files_are_enough_or_refused() {
    if !common::kernel_is_ready() {
        return;
    }
    for (limit, enough) in [("--nofile=64:4096", true), ("--nofile=64:64", false)] {
        let output = Command::new("prlimit")
            .args([limit, env!("CARGO_BIN_EXE_hullwatch")])
            .args(["watch", "--no-engine", "--duration", "1s"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), enough, "{text}");
        assert_eq!(text.contains("may open 64 files"), !enough, "{text}");
    }
}

/// A reader that stops reading keeps neither the watch nor its recording from ending.
#[test]
fn it_ends_although_its_output_is_not_read() {
    if !common::kernel_is_ready() {
        return;
    }
    let container = Container::new("6f");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.jsonl");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["watch", "--no-engine", "--events", "all", "--record"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let unread = child.stdout.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("attached and ready") {
        assert!(stderr.read_line(&mut text).unwrap() > 0, "ended: {text}");
    }
    container.run("i=0; while [ $i -lt 3000 ]; do (:); i=$((i+1)); done");
    let until = Instant::now() + PATIENCE;
    while rustix::io::ioctl_fionread(&unread).unwrap() < 40_000 {
        assert!(Instant::now() < until, "the pipe was never full");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= until {
            child.kill().unwrap();
            panic!("it waits for its reader");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(unread);
    stderr.read_to_string(&mut text).unwrap();
    assert!(status.success(), "{text}");
    assert!(text.contains("lines were dropped"), "{text}");
    replays_alike(&file);
}

/// A runtime may be setting up a container when watching begins: that is not attributed to the
/// container.
#[test]
fn set_up_in_progress_is_not_attributed_to_the_container() {
    if !common::kernel_is_ready() {
        return;
    }
    let container = crate::cgroup::Container::new("5e");
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "read go; echo x > early; exec sh -c 'echo x > late'"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(container.path.join("cgroup.procs"), child.id().to_string()).unwrap();
    let hullwatch = Hullwatch::start(&["watch", "--no-engine", "--events", "file"]);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
    assert!(child.wait().unwrap().success());
    hullwatch.interrupt();
    let (status, lines, stderr) = hullwatch.end();
    assert!(status.success(), "{stderr}");
    let wrote = |name: &str| {
        let path = dir.path().join(name);
        lines
            .iter()
            .any(|line| line["path"] == path.to_str().unwrap())
    };
    assert!(wrote("late") && !wrote("early"), "{lines:#?}");
}

/// Without an engine, and with one that does not answer, watching continues and reports it.
/// The self-test's container is not reported; one with a similar name is.
#[test]
fn the_self_test_is_not_reported() {
    if !common::kernel_is_ready() {
        return;
    }
    let watch = Watch::start(&["--events", "all"]);
    let config = tempfile::tempdir().unwrap();
    let selftest = hullwatch(&["selftest"], &config).output().unwrap();
    // The result of the self-test does not matter here.
    let stderr = String::from_utf8_lossy(&selftest.stdout).into_owned();
    assert!(
        stderr.contains("arrived  container appears"),
        "{selftest:?}"
    );
    let beside = Container::new("d7");
    beside.run("exec true");
    // When this one is reported, any event of the self-test would have been reported before.
    let id = "d7".repeat(32);
    watch.expect("the container beside it", |line| {
        line["container"] == id.as_str()
    });
    let lines = watch.stop();
    let of_selftest = |line: &&Value| line.to_string().contains("/bin/selftest");
    assert_eq!(lines.iter().find(of_selftest), None);
}

/// In a cgroup namespace of its own, as in a container, it cannot see containers that already run,
/// unless it may return to the host's namespace, which it sees in the host's pid namespace.
#[test]
fn a_cgroup_namespace_of_its_own_is_reported() {
    if !common::kernel_is_ready() {
        return;
    }
    let watch = |front: &[&str]| {
        let program = env!("CARGO_BIN_EXE_hullwatch");
        let words = [
            front,
            &[program, "watch", "--no-engine", "--duration", "1s"],
        ]
        .concat();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let stderr = "in a cgroup namespace of its own";
    let inside = watch(&["unshare", "--cgroup", "--pid", "--fork", "--mount-proc"]);
    assert!(inside.contains(stderr), "{inside}");
    let back = watch(&["unshare", "--cgroup"]);
    assert!(!back.contains(stderr), "{back}");
    let outside = watch(&["env"]);
    assert!(!outside.contains(stderr), "{outside}");
}

#[test]
fn an_unavailable_engine_is_reported() {
    if !common::kernel_is_ready() {
        return;
    }
    for (host, words) in [
        ("unix:///nowhere/docker.sock", "there is no Docker engine"),
        ("tcp://127.0.0.1:1", "does not answer: tcp://127.0.0.1:1"),
    ] {
        let args = [
            "watch",
            "--docker-host",
            host,
            "--runtime",
            "docker",
            "--duration",
            "2s",
        ];
        let (status, _, stderr) = Hullwatch::start(&args).end();
        assert!(status.success() && stderr.contains(words), "{stderr}");
    }
}

/// Runs a file that no layer of its image contains.
const DRIFTS: &str = "cp /bin/busybox /tmp/true; echo more >>/tmp/true; /tmp/true; sleep 1";

#[test]
fn prints_the_findings_of_one_container_and_exits_by_them() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("hullwatch-test-watch-{}", std::process::id());
    let common = ["watch", "--docker-host", &engine.0];
    let select = |container| {
        let more = ["--exit-code", "--min-severity", "medium", "--container"];
        Hullwatch::start(&[&common[..], &more, &[container]].concat())
    };
    let (one, none) = (select(&name), select("hullwatch-test-no-such-container"));
    let wanted = engine.run(&["--name", &name], BUSYBOX, &["sleep", "60"]);
    let other = engine.run(&[], BUSYBOX, &["sleep", "60"]);
    wanted.sh(DRIFTS);
    other.sh(DRIFTS);
    one.until_printed("drift.exec-new");
    for watch in [&one, &none] {
        watch.interrupt();
    }
    let (status, lines, stderr) = one.end();
    assert_eq!(status.code(), Some(1));
    let waits = format!("hullwatch: there is no container {name:?}");
    assert!(
        stderr.starts_with(&waits) && stderr.ends_with("; waiting for it\n"),
        "{stderr}"
    );
    assert!(!lines.is_empty());
    for line in &lines {
        assert_eq!(line["container"], wanted.id.as_str());
        assert_eq!(line["type"], "finding");
        assert!(["medium", "high", "critical"].contains(&line["severity"].as_str().unwrap()));
    }
    assert!(lines.iter().any(|line| line["rule"] == "drift.exec-new"));
    let (status, lines, _) = none.end();
    assert_eq!((status.code(), lines.len()), (Some(0), 0));
}

#[test]
fn an_exec_is_reported_without_an_engine() {
    if !common::engine_is_ready() {
        return;
    }
    let watch = Hullwatch::start(&["watch", "--no-engine", "--events", "all"]);
    let container = Engine::tests().run_to_end(&[], BUSYBOX, &["sleep", "0.05"]);
    watch.interrupt();
    let (status, lines, _) = watch.end();
    assert!(status.success());
    let mut execs = lines.iter().filter(|line| {
        line["container"] == container.id.as_str()
            && line["type"] == "exec"
            && line["runtime"] != true
    });
    assert_eq!(execs.next().unwrap()["argv"][0], "sleep");
}

#[test]
fn a_compressed_recording_replays_to_its_findings() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("session.jsonl.zst");
    let name = file.to_str().unwrap();
    let record = Hullwatch::start(&["record", "--docker-host", &engine.0, name]);
    let container = engine.run(&[], BUSYBOX, &["sleep", "60"]);
    container.sh(DRIFTS);
    record.interrupt();
    let (status, _, stderr) = record.end();
    assert!(status.success() && stderr.contains("recorded"), "{stderr}");
    replays_alike(&file);
    let findings = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["replay", name, "--findings"])
        .output()
        .unwrap();
    let findings = String::from_utf8_lossy(&findings.stdout).into_owned();
    for rule in ["drift.exec-new", "exec.session"] {
        assert!(findings.contains(rule), "{findings}");
    }
    // A recording never replaces another file.
    let again = Command::new(env!("CARGO_BIN_EXE_hullwatch"))
        .args(["record", name])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2));
}
