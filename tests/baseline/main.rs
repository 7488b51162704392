//! Baselines of real containers: learning, deviations, and the advice derived from them.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod databases;
mod facts;
mod formats;
mod posture;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use common::{
    BUSYBOX, Container, DEBIAN, Engine, PATIENCE, SERVERS, Watch, hullwatch, replays_alike,
};
use hullwatch::baseline::{Baseline, Facet, ItemField, parse, readiness};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A running `hullwatch learn` that also records.
struct Learning {
    child: Child,
    dir: TempDir,
}

impl Learning {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    fn start_with(name: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |file: &str| dir.path().join(file).to_str().unwrap().to_owned();
        let stderr = std::fs::File::create(at("stderr")).unwrap();
        let args = [
            "learn",
            name,
            "--record",
            &at("recording.jsonl"),
            "--output",
            &at("live.toml"),
        ];
        let child = hullwatch(&[&args, options].concat(), &dir)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let learning = Self { child, dir };
        learning.until_stderr_has("attached and ready");
        learning
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Waits until stderr has this.
    fn until_stderr_has(&self, part: &str) {
        self.until_in("stderr", |printed| printed.contains(part));
    }

    /// Waits until an exec of this program is recorded, which means that it was learned.
    fn until_recorded(&self, exe: &str) {
        let exe = format!("\"exe\":\"{exe}\"");
        let is_exec = |line: &str| line.contains("\"type\":\"exec\"") && line.contains(&exe);
        self.until_in("recording.jsonl", |text| text.lines().any(is_exec));
    }

    fn until_in(&self, file: &str, has: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.path(file)).unwrap();
            if has(&text) {
                return;
            }
            assert!(Instant::now() < until, "not in {file}: {text}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    /// Ends it, and learns again from its recording, which must result in the same bytes.
    fn stop(&mut self, name: &str) -> Baseline {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        let printed = std::fs::read_to_string(self.path("stderr")).unwrap();
        assert!(status.success(), "{printed}");
        let live = std::fs::read_to_string(self.path("live.toml")).unwrap();
        for _ in 0..2 {
            let again = self.tool(&[
                "learn",
                name,
                "--recording",
                self.path("recording.jsonl").to_str().unwrap(),
                "--output",
                "-",
            ]);
            assert_eq!(again, live);
        }
        replays_alike(&self.path("recording.jsonl"));
        parse(&live).unwrap()
    }

    /// Runs another command, which must succeed; returns its output.
    fn tool(&self, args: &[&str]) -> String {
        let out = hullwatch(args, &self.dir).output().unwrap();
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{args:?}: {error}");
        String::from_utf8(out.stdout).unwrap()
    }
}

/// A failing test leaves no process behind.
impl Drop for Learning {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn names(baseline: &Baseline, facet: Facet, field: ItemField) -> Vec<String> {
    let mut names: Vec<String> = baseline
        .facet(facet)
        .map(|(item, _)| String::from_utf8_lossy(item.get(field)).into_owned())
        .collect();
    names.dedup();
    names
}

/// Waits until a command in a container succeeds.
fn until(container: &Container, script: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let done = Engine::tests().output(&["exec", container.id.as_str(), "sh", "-c", script]);
        if done.status.success() {
            return;
        }
        assert!(
            Instant::now() < until,
            "{script}: {} {}",
            String::from_utf8_lossy(&done.stderr),
            container.logs()
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

const SERVES: &str = "curl -sf http://127.0.0.1/ >/dev/null";

/// The advice as options of `docker run`.
fn hardened(advice: &Value) -> Vec<String> {
    let setting = |name: &str| {
        let list = advice["advice"].as_array().unwrap();
        list.iter().find(|a| a["advice"] == name).unwrap()["setting"].clone()
    };
    let mut options = vec![
        "--cap-drop=ALL".to_owned(),
        "--security-opt=no-new-privileges".to_owned(),
        "--read-only".to_owned(),
    ];
    for name in setting("capabilities")["add"].as_array().unwrap() {
        options.push(format!("--cap-add={}", name.as_str().unwrap()));
    }
    for directory in setting("read-only")["writable"].as_array().unwrap() {
        let path = directory["path"].as_str().unwrap();
        options.push(format!("--tmpfs={path}:size={}m", directory["size_mib"]));
    }
    options
}

#[test]
fn nginx_learned_live_and_recorded_is_the_same_and_runs_with_the_advice() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let name = format!("baseline-nginx-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let engine = Engine::tests();
    let command = ["nginx", "-g", "daemon off;"];
    let nginx = engine.run(&["--name", &name], SERVERS, &command);
    until(&nginx, SERVES);
    nginx.sh("kill -HUP 1");
    until(&nginx, SERVES);
    learning.until_stderr_has("one start was seen");
    nginx.control("restart");
    until(&nginx, SERVES);
    learning.until_stderr_has("watched for 0 min");
    nginx.control("stop");
    let baseline = learning.stop(&name);

    let used = names(&baseline, Facet::Capability, ItemField::Name);
    assert_eq!(used, ["CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"]);
    let programs = names(&baseline, Facet::Exec, ItemField::Exe);
    assert_eq!(
        programs,
        ["/usr/sbin/nginx"],
        "what came from outside is learned"
    );
    assert_eq!(names(&baseline, Facet::Listen, ItemField::Port), ["80"]);
    assert!(baseline.held.is_empty(), "{:?}", baseline.held);
    let source = baseline.sources.values().next().unwrap();
    assert_eq!((source.starts, source.stops, source.lost), (2, 2, 0));

    // The same version has no difference to itself.
    let file = learning.path("live.toml").to_str().unwrap().to_owned();
    let same = learning.tool(&["diff", &file, &file, "--exit-code"]);
    assert_eq!(same, "0 new, 0 gone\n");

    // Runtimes other than Docker need a capability for its port.
    let pod = learning.tool(&["harden", &file, "--format", "kubernetes"]);
    assert!(pod.contains("needs NET_BIND_SERVICE"), "{pod}");

    let advice = learning.tool(&["harden", &file, "--format", "json"]);
    let advice: Value = serde_json::from_str(&advice).unwrap();
    let options = hardened(&advice);
    let paths: Vec<_> = options
        .iter()
        .filter_map(|o| o.strip_prefix("--tmpfs="))
        .collect();
    let expected = ["/run:", "/var/lib/nginx:", "/var/log/nginx:"];
    assert_eq!(paths.len(), expected.len(), "{paths:?}");
    for (path, expected) in paths.iter().zip(expected) {
        assert!(path.starts_with(expected), "{paths:?}");
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let hard = engine.run(&options, SERVERS, &command);
    until(&hard, SERVES);
    hard.sh("kill -HUP 1");
    until(&hard, SERVES);
    hard.control("stop");
    assert_eq!(hard.inspect("{{.State.ExitCode}}"), "0", "{}", hard.logs());
    // With one capability less it does not start.
    let fewer: Vec<&str> = options
        .iter()
        .copied()
        .filter(|o| *o != "--cap-add=SETGID")
        .collect();
    let broken = engine.run(&fewer, SERVERS, &command);
    until(&broken, "grep -q setgid /var/log/nginx/error.log");
}

/// Waits for a file, then runs another program.
const SERVICE: &str =
    "while ! [ -e /tmp/go ]; do sleep 0.2; done; id; id; while :; do sleep 1; done";

fn freeze(learning: &Learning, file: &Path) {
    learning.tool(&["baseline", "freeze", file.to_str().unwrap()]);
}

#[test]
fn deviations_of_the_service_are_found_and_exec_sessions_are_not_judged() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let command = ["sh", "-c", SERVICE];
    let name = format!("baseline-service-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let service = engine.run(&["--name", &name], DEBIAN, &command);
    learning.until_stderr_has("one start was seen");
    let learned = learning.stop(&name);
    let programs = names(&learned, Facet::Exec, ItemField::Exe);
    assert_eq!(programs, ["/usr/bin/dash", "/usr/bin/sleep"]);
    drop(service);
    let file = learning.path("live.toml");
    freeze(&learning, &file);

    let recording = learning.path("judged.jsonl");
    let watch = Watch::start(&[
        "--events",
        "findings,baseline,container",
        "--baseline",
        file.to_str().unwrap(),
        "--record",
        recording.to_str().unwrap(),
    ]);
    watch.expect("the baseline", |line| {
        line["type"] == "baseline" && line["content"].is_string()
    });
    let service = engine.run(&[], DEBIAN, &command);
    watch.expect_facts(&service.id);
    service.sh("ls / >/dev/null; touch /tmp/other; touch /tmp/go");
    let found = watch.expect_finding(&service.id, "base.exec", |f| f["count"] == 2);
    assert_eq!(found["severity"], "medium");
    assert!(found["title"].as_str().unwrap().contains("id"), "{found}");
    assert_eq!(watch.finding(&service.id, "base.write"), None);

    // A broken file is refused with its line, and the old one stays in force.
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("[facets]", "[facet]")).unwrap();
    watch.until_reported("the previous content stays in force");
    std::fs::write(&file, &good).unwrap();
    watch.stop();
    replays_alike(&recording);
}

#[test]
fn a_dropped_program_is_held_and_a_container_found_running_is_partial() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("baseline-held-{}", std::process::id());
    let script = "while ! [ -e /tmp/go ]; do sleep 0.2; done; cp /bin/busybox /tmp/true; \
                  echo x >> /tmp/true; /tmp/true; sleep 1000";
    let service = engine.run(&["--name", &name], BUSYBOX, &["sh", "-c", script]);
    let mut learning = Learning::start(&name);
    learning.until_stderr_has("no start was seen");
    service.sh("touch /tmp/go");
    learning.until_stderr_has(&format!("{name}: "));
    learning.until_recorded("/tmp/true");
    let learned = learning.stop(&name);
    let is_dropped = |exe: &[u8]| exe == b"/tmp/true";
    let of_dropped = |item: &hullwatch::baseline::BaselineItem| {
        is_dropped(item.get(ItemField::Exe)) || is_dropped(item.get(ItemField::By))
    };
    assert!(learned.held.keys().any(of_dropped), "{:?}", learned.held);
    assert!(!learned.items.keys().any(of_dropped), "{:?}", learned.items);
    let ready = readiness(&learned);
    assert_eq!(ready.percent, 0);
    assert!(
        ready.unmet.iter().any(|why| why.contains("restart it")),
        "{ready:?}"
    );
}

#[test]
fn learning_restarts_a_container_and_running_ones_are_compared_and_checked() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("baseline-restarted-{}", std::process::id());
    let open = ["--name", &name, "--security-opt", "seccomp=unconfined"];
    // It ends on a signal.
    let script = "trap 'exit 0' TERM; while :; do sleep 0.2; done";
    let service = engine.run(&open, BUSYBOX, &["sh", "-c", script]);
    let mut learning = Learning::start_with(&name, &["--restart"]);
    learning.until_stderr_has("watched for 0 min");
    let learned = learning.stop(&name);
    let source = learned.sources.values().next().unwrap();
    assert_eq!((source.starts, source.stops), (2, 2));

    let same = learning.tool(&["diff", &name, &name, "--for", "2s", "--exit-code"]);
    assert!(same.ends_with("0 new, 0 gone\n"), "{same}");

    let checked = learning.tool(&["posture", &name, "--for", "5s", "--json"]);
    let check = |id: &str| -> Value {
        let lines = checked.lines().map(|l| serde_json::from_str(l).unwrap());
        lines.into_iter().find(|c: &Value| c["id"] == id).unwrap()
    };
    let seccomp = check("seccomp-off");
    assert_eq!(
        (&seccomp["outcome"], &seccomp["effective"]),
        (&"fail".into(), &"none".into())
    );
    assert_eq!(check("caps-added")["effective"], "none");
    assert_eq!(check("root")["effective"], "user 0 of the host");
    assert_eq!(service.inspect("{{.RestartCount}}"), "0");
}

#[test]
fn a_version_that_does_more_differs_in_just_that() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    // Both have the same command line; only their actions differ.
    let script = "if [ -n \"$MORE\" ]; then date; fi; while :; do sleep 1; done";
    let versions = [("", "one"), ("1", "two")];
    let learned = versions.map(|(more, version)| {
        let name = format!("baseline-{version}-{}", std::process::id());
        let mut learning = Learning::start(&name);
        let setting = format!("MORE={more}");
        let options = ["--name", &name, "--env", &setting];
        let service = engine.run(&options, DEBIAN, &["sh", "-c", script]);
        learning.until_stderr_has("one start was seen");
        learning.stop(&name);
        drop(service);
        learning
    });
    let files = learned
        .each_ref()
        .map(|learning| learning.path("live.toml"));
    let [first, second] = files.each_ref().map(|file| file.to_str().unwrap());
    // Without the note on how long each side was watched.
    let compare = |args: &[&str]| {
        let args = [&["diff"], args, &["--exit-code"]].concat();
        let out = hullwatch(&args, &learned[0].dir).output().unwrap();
        let printed = String::from_utf8(out.stdout).unwrap();
        let lines = printed.lines().filter(|line| !line.starts_with("note: "));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        (out.status.code(), lines)
    };
    let actions = [
        "exec       /usr/bin/date  by /usr/bin/dash",
        "user       0  by /usr/bin/date",
    ];
    let (code, printed) = compare(&[first, second]);
    let new = actions.map(|action| format!("+ {action} (start)"));
    assert_eq!(
        printed[..],
        [&new[..], &["2 new, 0 gone".to_owned()]].concat()
    );
    assert_eq!(code, Some(1));
    let (code, printed) = compare(&[second, first]);
    let gone = actions.map(|action| format!("- {action}"));
    assert_eq!(
        printed[..],
        [&gone[..], &["0 new, 2 gone".to_owned()]].concat()
    );
    assert_eq!(code, Some(0));
    let (code, printed) = compare(&[first, second, "--only", "connect"]);
    assert_eq!(
        (code, printed.join("")),
        (Some(0), "0 new, 0 gone".to_owned())
    );
}

#[test]
fn a_service_of_which_events_were_lost_is_not_ready() {
    if !common::images_are_ready(&[DEBIAN]) {
        return;
    }
    let engine = Engine::tests();
    let name = format!("baseline-lost-{}", std::process::id());
    let mut learning = Learning::start(&name);
    // More processes than fit in the kernel's buffer.
    let script = "select(undef, undef, undef, 0.2) until -e '/tmp/go'; \
                  for (1 .. 60000) { fork || exit; wait } \
                  open my $f, '>', '/tmp/done'; sleep 1000";
    let service = engine.run(&["--name", &name], DEBIAN, &["perl", "-e", script]);
    learning.until_stderr_has("one start was seen");
    let pid = Pid::from_raw(i32::try_from(learning.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    service.sh("touch /tmp/go");
    until(&service, "test -e /tmp/done");
    kill_process(pid, Signal::CONT).unwrap();
    learning.until_stderr_has("events were lost");
    let learned = learning.stop(&name);
    let ready = readiness(&learned);
    assert!(ready.percent <= 50, "{ready:?}");
    assert!(
        ready.unmet[0].ends_with("events were lost: learn again"),
        "{ready:?}"
    );
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.baseline.toml");
    std::fs::write(&file, "baseline = 1\nimage = \"x\"\nstate = \"fine\"\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [
        &["baseline", "check", file][..],
        &["harden", file],
        &["diff", file, file],
    ] {
        let out = hullwatch(args, &dir).output().unwrap();
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{error}");
        assert!(error.contains("x.baseline.toml:3: "), "{error}");
    }
}
