//! Rendered advice in the programs that load it: nftables filters as learned, and AppArmor's parser
//! accepts the profile.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::{self, hullwatch};

/// A container at 10.9.9.2 behind a router, and a server with two addresses and two ports each.
/// Tries them before and after the rules in the file `$2` are loaded.
const ROUTED: &str = r#"
set -e
ip link set lo up
mkdir -p /run/netns
mount -t tmpfs none /run/netns
for n in container server; do ip netns add $n; ip -n $n link set lo up; done
ip link add v0 type veth peer name eth0 netns container
ip link add v1 type veth peer name eth0 netns server
ip addr add 10.9.9.1/24 dev v0; ip link set v0 up
ip addr add 10.9.8.1/24 dev v1; ip link set v1 up
ip -n container addr add 10.9.9.2/24 dev eth0; ip -n container link set eth0 up
ip -n container route add default via 10.9.9.1
for a in 10.9.8.7 10.9.8.8; do ip -n server addr add $a/24 dev eth0; done
ip -n server link set eth0 up; ip -n server route add default via 10.9.8.1
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns exec server python3 -c '
import socket
all = [socket.create_server((a, p)) for a in ("10.9.8.7", "10.9.8.8") for p in (8443, 9999)]
print("ready", flush=True); input()' <"$1" >"$1.ready" &
exec 3>"$1"
until grep -q ready "$1.ready"; do sleep 0.1; done
try() {
	for to in 10.9.8.7:8443 10.9.8.7:9999 10.9.8.8:8443; do ip netns exec container python3 -c '
import socket, sys
host, port = sys.argv[2].split(":")
try:
    socket.create_connection((host, int(port)), 20); print(*sys.argv[1:], "connected")
except ConnectionRefusedError:
    print(*sys.argv[1:], "refused")' $1 $to; done
}
try before
nft -f "$2"
try after
echo >&3; wait
"#;

const BASELINE: &str = r#"baseline = 1
image = "app"
command = "app"
state = "learning"
sources = [
  { id = "aaaaaaaaaaaa", from = "2026-01-01T00:00:00Z", until = "2026-01-01T01:00:00Z", starts = 2, stops = 2, windows = 4, observed = 100, lost = 0, start-incidences = 10, steady-incidences = 100, compared = true, under = { "network" = "bridge", "seccomp" = "default", "user" = "0" } },
]

[facets]
exec = [
  { exe = "/usr/bin/app", by = "init", uid = [0], start = ["aaaaaaaaaaaa/1", "aaaaaaaaaaaa/2"] },
]
write = [
  { path = "/var/log/{app} [1].log", by = "/usr/bin/app", how = "cw", steady = ["aaaaaaaaaaaa/1"] },
]
connect = [
  { to = "10.9.8.7", port = 8443, proto = "tcp", by = "/usr/bin/app", steady = ["aaaaaaaaaaaa/1"] },
]
capability = [
  { name = "NET_BIND_SERVICE", by = "/usr/bin/app", start = ["aaaaaaaaaaaa/1"] },
]
"#;

/// The advice in a format, in a file of `dir`.
fn rendered(dir: &tempfile::TempDir, format: &str) -> PathBuf {
    let baseline = dir.path().join("app.baseline.toml");
    std::fs::write(&baseline, BASELINE).unwrap();
    let args = ["harden", baseline.to_str().unwrap(), "--format", format];
    let out = hullwatch(&args, dir).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let path = dir.path().join(format);
    std::fs::write(&path, out.stdout).unwrap();
    path
}

fn output(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{out:?}");
    text
}

#[test]
fn nftables_lets_learned_peers_through_and_no_others() {
    if !common::engine_is_ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rules = rendered(&dir, "nftables");
    let text = std::fs::read_to_string(&rules).unwrap();
    // The address is the user's to fill in.
    let filled = text.replace(
        "define container = 192.0.2.1",
        "define container = 10.9.9.2",
    );
    assert_ne!(filled, text);
    std::fs::write(&rules, filled).unwrap();
    let fifo = dir.path().join("fifo");
    output(Command::new("mkfifo").arg(&fifo));
    let script = ["--net", "--mount", "--", "sh", "-c", ROUTED, "sh"];
    let mut routed = Command::new("unshare");
    let tried = output(routed.args(script).args([&fifo, &rules]));
    let lines: Vec<&str> = tried.lines().collect();
    assert_eq!(
        lines,
        [
            "before 10.9.8.7:8443 connected",
            "before 10.9.8.7:9999 connected",
            "before 10.9.8.8:8443 connected",
            "after 10.9.8.7:8443 connected",
            "after 10.9.8.7:9999 refused",
            "after 10.9.8.8:8443 refused",
        ]
    );
}

/// Compiles it as for the kernel, without loading it: hosts need not have AppArmor.
#[test]
fn the_apparmor_parser_accepts_the_profile() {
    if !common::engine_is_ready() {
        return;
    }
    let root = std::env::var("HULLWATCH_TEST_APPARMOR").expect("set by tests/run");
    let root = Path::new(&root);
    let dir = tempfile::tempdir().unwrap();
    let profile = rendered(&dir, "apparmor");
    let parser = ["sbin", "usr/sbin"].map(|sbin| root.join(sbin).join("apparmor_parser"));
    let parser = parser.iter().find(|path| path.exists()).unwrap();
    let rules = root.join("etc/apparmor.d");
    let parse = |profile: &Path| {
        let mut parse = Command::new(parser);
        parse.args(["--skip-kernel-load", "--skip-cache", "--debug"]);
        parse.arg("--base").arg(&rules).arg(profile);
        parse
    };
    let parsed = output(&mut parse(&profile));
    assert!(parsed.contains("hullwatch-app"), "{parsed}");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace(" ix,", " iq,")).unwrap();
    assert!(!parse(&profile).output().unwrap().status.success());
}
