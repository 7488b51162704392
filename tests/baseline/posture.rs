//! Each check of the posture, on a container that fails it and on one that passes.

use serde_json::Value;

use super::common::{self, BUSYBOX, Engine, hullwatch};

/// Checks that the open container fails and the closed one passes.
const CHECKS: [&str; 19] = [
    "caps-added",
    "root",
    "no-new-privileges",
    "seccomp-off",
    "root-writable",
    "host-pid",
    "host-net",
    "host-ipc",
    "host-uts",
    "devices",
    "unmasked",
    "env-secret",
    "restart-always",
    "mount-sensitive",
    "engine-socket",
    "no-memory-limit",
    "no-pids-limit",
    "no-cpu-limit",
    "no-health-check",
];

#[test]
fn each_check_fails_where_it_should_and_passes_where_it_should() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let names = ["open", "closed"].map(|word| format!("posture-{word}-{}", std::process::id()));
    let [open, closed] = names.each_ref().map(String::as_str);
    let socket = engine.0.strip_prefix("unix://").unwrap();
    let socket = format!("{socket}:/var/run/docker.sock:ro");
    let idle = ["sh", "-c", "while :; do sleep 1; done"];
    let _open = engine.run(
        &[
            "--name",
            open,
            "--network",
            "host",
            "--pid",
            "host",
            "--ipc",
            "host",
            "--uts",
            "host",
            "--device",
            "/dev/null:/dev/nothing",
            "--security-opt",
            "systempaths=unconfined",
            "--env",
            "DB_PASSWORD=hunter2",
            "--restart",
            "always",
            "--cap-add",
            "SYS_ADMIN",
            "--security-opt",
            "seccomp=unconfined",
            "--volume",
            "/etc:/host/etc:ro",
            "--volume",
            &socket,
        ],
        BUSYBOX,
        &idle,
    );
    let _closed = engine.run(
        &[
            "--name",
            closed,
            "--user",
            "1000:1000",
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--read-only",
            "--memory",
            "64m",
            "--pids-limit",
            "32",
            "--cpus",
            "1",
            "--health-cmd",
            "true",
        ],
        BUSYBOX,
        &idle,
    );
    let config = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let args = [&["posture"], args, &["--for", "5s"]].concat();
        let out = hullwatch(&args, &config).output().unwrap();
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        let text = String::from_utf8(out.stdout).unwrap();
        (out.status.code(), text, error)
    };
    let (code, text, error) = run(&[open, closed, "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let check = |name: &str, id: &str| {
        let mut of = lines.iter().filter(|line| line["container"] == name);
        of.find(|line| line["id"] == id).cloned().unwrap()
    };
    for id in CHECKS {
        let (fails, passes) = (check(open, id), check(closed, id));
        assert_eq!(fails["outcome"], "fail", "{fails}");
        assert_eq!(passes["outcome"], "pass", "{passes}");
    }
    assert!(!text.contains("hunter2"), "a value of the environment");
    let added = check(open, "caps-added");
    let used = added["used"].as_str().unwrap();
    assert!(used.starts_with("never used: SYS_ADMIN in "), "{added}");

    let failed = |name| run(&[name, "--exit-code", "--fail-on", "high"]).0;
    assert_eq!((failed(open), failed(closed)), (Some(1), Some(0)));
    let (_, table, _) = run(&[open, "--csv"]);
    let row = table.lines().find(|line| line.contains(",engine-socket,"));
    assert!(
        row.is_some_and(|row| row.contains(",critical,fail,")),
        "{table}"
    );
}
