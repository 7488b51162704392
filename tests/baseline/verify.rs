//! Advice tested on copies of different servers, and the messages where it fails.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::common::{self, Container, DEBIAN, Engine, PATIENCE, SERVERS, hullwatch};
use super::{Learning, until};

/// A running service that was learned over a start, a reload, a stop and another start.
struct Learned {
    learning: Learning,
    name: String,
    container: Container,
}

fn learned(
    what: &str,
    options: &[&str],
    image: &str,
    command: &[&str],
    works: &str,
    reload: Option<&str>,
) -> Learned {
    let name = format!("verify-{what}-{}", std::process::id());
    let mut learning = Learning::start_with(&name, &["--syscalls"]);
    let options = [&["--name", &name], options].concat();
    let container = Engine::tests().run(&options, image, command);
    until(&container, works);
    if let Some(signal) = reload {
        container.sh(&format!("kill -{signal} 1"));
        until(&container, works);
    }
    learning.until_stderr_has("one start was seen");
    container.control("restart");
    until(&container, works);
    learning.until_stderr_has("watched for 0 min");
    learning.stop(&name);
    Learned {
        learning,
        name,
        container,
    }
}

impl Learned {
    fn file(&self) -> PathBuf {
        self.learning.path("live.toml")
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let verify = format!("--verify={}", self.name);
        let file = self.file();
        let words = ["harden", file.to_str().unwrap(), &verify];
        let time: &[&str] = if args.contains(&"--for") {
            &[]
        } else {
            &["--for", "2s"]
        };
        hullwatch(&[&words, time, args].concat(), &self.learning.dir)
    }

    /// Exit code, stdout and stderr of a verification.
    fn verify(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.command(args);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = piped.spawn().unwrap();
        let copies = copies_of(child.id());
        let out: Output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // The original keeps running unchanged.
        assert_eq!(self.container.inspect("{{.State.Running}}"), "true");
        assert_eq!(left(&copies), "");
        let code = out.status.code().unwrap();
        (code, text(&out.stdout), text(&out.stderr))
    }

    fn works(&self, args: &[&str]) {
        let (code, printed, reported) = self.verify(&[&["--seccomp"], args].concat());
        assert_eq!(code, 0, "{printed}{reported}{}", self.container.logs());
        assert!(
            printed.contains("works with all tested settings"),
            "{printed}"
        );
        for option in [
            "--cap-drop=ALL",
            "no-new-privileges",
            "--read-only",
            "custom seccomp profile",
        ] {
            let line = printed.lines().find(|line| line.contains(option));
            assert!(
                line.is_some_and(|line| line.starts_with("works ")),
                "{printed}"
            );
        }
    }

    /// The file of the advised seccomp profile.
    fn profile(&self) -> PathBuf {
        let baseline = self.file();
        let args = ["harden", baseline.to_str().unwrap(), "--seccomp"];
        let text = self
            .learning
            .tool(&[&args[..], &["--format", "seccomp"]].concat());
        let file = self.learning.path("seccomp.json");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Removes lines that contain this from the baseline.
    fn forget(&self, part: &str) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains(part)).collect();
        assert_ne!(kept.len(), text.lines().count(), "no {part} in {text}");
        std::fs::write(self.file(), kept.join("\n") + "\n").unwrap();
    }
}

/// The filter for copies and volumes that a process created.
fn copies_of(pid: u32) -> String {
    format!("label=hullwatch.verify={pid}")
}

/// Those that still exist.
fn left(copies: &str) -> String {
    let engine = Engine::tests();
    let containers = engine.docker(&["ps", "-aq", "--filter", copies]);
    let volumes = engine.docker(&["volume", "ls", "-q", "--filter", copies]);
    format!("{containers}{volumes}")
}

const NGINX: [&str; 3] = ["nginx", "-g", "daemon off;"];
const SERVES: &str = "curl -sf http://127.0.0.1/ >/dev/null";

#[test]
fn nginx_works_with_its_advice_and_without_a_directory_it_says_which() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let nginx = learned("nginx", &[], SERVERS, &NGINX, SERVES, Some("HUP"));
    nginx.works(&["--reload", "HUP", "--probe", "curl -sf http://127.0.0.1/"]);

    nginx.forget("/var/log/nginx");
    let (code, printed, _) = nginx.verify(&["--reload", "HUP"]);
    assert_eq!(code, 1, "{printed}");
    let last = printed.lines().last().unwrap();
    assert!(
        last.starts_with("works without read-only: nginx could not "),
        "{printed}"
    );
    assert!(printed.contains("/var/log/nginx/"), "{printed}");
    assert!(printed.contains("Read-only file system"), "{printed}");
    let kept = printed.lines().find(|line| line.contains("--cap-drop=ALL"));
    assert!(
        kept.is_some_and(|line| line.starts_with("works ")),
        "{printed}"
    );
}

#[test]
fn a_capability_that_is_missing_is_named() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let nginx = learned("nginx-caps", &[], SERVERS, &NGINX, SERVES, None);
    nginx.forget("\"SETGID\"");
    let (code, printed, _) = nginx.verify(&["--only", "capabilities,no-new-privileges"]);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("works without capabilities: "),
        "{printed}"
    );
    assert!(printed.contains("could not use SETGID"), "{printed}");
}

#[test]
fn redis_works_with_its_advice() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let command = ["redis-server", "--dir", "/var/lib/redis", "--save", "1 1"];
    let redis = learned("redis", &[], SERVERS, &command, "redis-cli set a b", None);
    let probe = ["--probe", "redis-cli set a b"];
    redis.works(&probe);

    // A call that is missing in its profile is named.
    let profile = redis.profile();
    let errno = |call: i64| {
        let file = profile.to_str().unwrap();
        let option = format!("seccomp={file}");
        let script = format!("syscall({call}, 0, 0, 0, 0, 0); print $! + 0");
        let options = ["--security-opt", &option];
        let made = Engine::tests().run_to_end(&options, SERVERS, &["perl", "-e", &script]);
        made.logs()
    };
    let [removed, unlike, refused] = [libc::SYS_timer_create, libc::SYS_clone3, libc::SYS_mount];
    let none = libc::ENOSYS.to_string();
    assert_eq!((errno(removed), errno(unlike)), (none.clone(), none));
    assert_eq!(errno(refused), libc::EPERM.to_string());

    redis.forget("\"setitimer\"");
    let (code, printed, _) =
        redis.verify(&[&["--seccomp", "--only", "seccomp"], &probe[..]].concat());
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("works without seccomp: "), "{printed}");
    assert!(printed.contains("refused setitimer (redis-"), "{printed}");
}

#[test]
fn a_service_of_another_user_keeps_no_capability_and_its_pod_is_restricted() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let command = ["redis-server", "--dir", "/tmp", "--save", ""];
    let options = ["--user", "redis"];
    let redis = learned(
        "redis-user",
        &options,
        SERVERS,
        &command,
        "redis-cli set a b",
        None,
    );
    let file = redis.file();
    let harden = |format| {
        let args = ["harden", file.to_str().unwrap(), "--format", format];
        redis.learning.tool(&args)
    };
    let run = harden("run");
    assert!(run.contains("--cap-drop=ALL"), "{run}");
    assert!(!run.contains("--cap-add"), "{run}");
    // The requirements of the strictest Pod Security Standard.
    let pod = harden("kubernetes");
    for part in [
        "drop: [ALL]",
        "allowPrivilegeEscalation: false",
        "runAsNonRoot: true",
        "seccompProfile: {type: RuntimeDefault}",
    ] {
        assert!(pod.contains(part), "no {part} in {pod}");
    }
    assert!(!pod.contains("add:"), "{pod}");
    redis.works(&["--probe", "redis-cli set a b"]);
}

#[test]
fn postgres_works_with_its_advice_on_volumes_of_its_own() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let script = "cd /; exec $(ls -d /usr/lib/postgresql/*/bin)/postgres \
                  -D $(ls -d /etc/postgresql/*/main) -c listen_addresses=127.0.0.1";
    let works = "psql -h /var/run/postgresql -c 'create table if not exists t(a int)' postgres";
    let postgres = learned(
        "postgres",
        &["--user", "postgres", "--shm-size", "64m"],
        SERVERS,
        &["sh", "-c", script],
        works,
        Some("HUP"),
    );
    postgres.works(&["--reload", "HUP", "--probe", works]);
}

const PYTHON: &str = "
import http.server, os, tempfile, threading
os.makedirs('/tmp/app', exist_ok=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with tempfile.NamedTemporaryFile(dir='/tmp/app') as f: f.write(b'x')
        self.send_response(200); self.end_headers(); self.wfile.write(b'fine')
    def log_message(self, *a): pass
http.server.HTTPServer(('127.0.0.1', 8000), Handler).serve_forever()
";

#[test]
fn a_python_service_of_another_user_works_with_its_advice() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let python = learned(
        "python",
        &["--user", "1000:1000", "--init"],
        SERVERS,
        &["python3", "-c", PYTHON],
        "curl -sf http://127.0.0.1:8000/",
        None,
    );
    python.works(&["--probe", "curl -sf http://127.0.0.1:8000/"]);
}

/// A service that starts helpers, which write, and ends on a signal.
const HELPERS: &str = "trap 'exit 0' TERM; mkdir -p /var/spool/app; \
    while :; do (date > /var/spool/app/now) & (sleep 0.1) & wait; sleep 0.3 & wait $!; done";

#[test]
fn a_service_that_starts_helpers_works_with_its_advice() {
    if !common::engine_is_ready() {
        return;
    }
    let command = ["bash", "-c", HELPERS];
    let helpers = learned(
        "helpers",
        &[],
        DEBIAN,
        &command,
        "test -s /var/spool/app/now",
        None,
    );
    let probe = ["--probe", "test -s /var/spool/app/now"];
    let only = "capabilities,no-new-privileges,read-only,memory,pids,egress,seccomp";
    helpers.works(&[&probe[..], &["--only", only]].concat());

    // Not as another user, since the directory belongs to root. The other advice stays.
    let (code, printed, _) = helpers.verify(&probe);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("works without user: "), "{printed}");
    assert!(
        printed.contains("/var/spool/app: Permission denied"),
        "{printed}"
    );
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let options = ["--volume", "/var/cache/kept"];
    let nginx = learned("stopped", &options, SERVERS, &NGINX, SERVES, None);
    let mut child = nginx
        .command(&["--for", "10m"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.as_mut().unwrap();
    let mine = copies_of(child.id());
    let until = Instant::now() + PATIENCE;
    while Engine::tests()
        .docker(&["ps", "-q", "--filter", &mine])
        .is_empty()
    {
        assert!(Instant::now() < until, "no copy was started");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(2));
    assert_eq!(left(&mine), "");
}
