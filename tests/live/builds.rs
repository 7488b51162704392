//! Image builds by BuildKit while watching: each step belongs to a build, and raises no alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::common::{self, DEBIAN, Engine, Watch};

/// Steps that write programs, accounts and settings, as those of images do.
const STEPS: &str = "FROM hullwatch-test:debian\n\
    RUN cp /bin/ls /usr/local/bin/tool && echo x >>/usr/local/bin/tool && tool /\n\
    RUN useradd -m builder && echo x >/etc/app.conf && chmod 600 /etc/app.conf\n\
    RUN printf '#!/bin/sh\\ndate\\n' >/usr/local/bin/job && chmod +x /usr/local/bin/job && job\n\
    RUN rm -rf /var/log/* && echo '* * * * * root job' >/etc/crontab\n\
    RUN true\nRUN true\nRUN true\nRUN true\nRUN true\nRUN true\n";

/// Builds with the first Docker client of this host that has BuildKit built in or as a plugin; false if none
/// has.
fn builds(context: &str, engine: &Engine) -> bool {
    ["docker", "/usr/bin/docker"].iter().any(|client| {
        let mut docker = Command::new(client);
        docker
            .env("DOCKER_BUILDKIT", "1")
            .env("DOCKER_HOST", &engine.0);
        let words = [
            "build",
            "--no-cache",
            "--network",
            "none",
            "-t",
            "hullwatch-test-buildkit",
        ];
        let built = docker.args(words).arg(context).output();
        built.is_ok_and(|built| {
            let stderr = String::from_utf8_lossy(&built.stderr);
            let is_missing = stderr.contains("buildx");
            assert!(built.status.success() || is_missing, "{stderr}");
            built.status.success()
        })
    })
}

/// Findings of medium severity or above about these containers.
pub(crate) fn alarms(lines: &[Value], of: impl Fn(&str) -> bool) -> Vec<&Value> {
    let all = lines.iter().filter(|line| line["type"] == "finding");
    let severe = all.filter(|line| {
        ["medium", "high", "critical"]
            .iter()
            .any(|s| line["severity"] == *s)
    });
    severe
        .filter(|line| of(line["container"].as_str().unwrap_or_default()))
        .collect()
}

/// The containers that are steps of a build.
pub(crate) fn steps(lines: &[Value]) -> BTreeSet<&str> {
    let facts = lines.iter().filter(|line| line["type"] == "container");
    let of_build = facts.filter(|line| line["info"]["role"] == "build");
    of_build
        .filter_map(|line| line["container"].as_str())
        .collect()
}

/// The layers of the steps: what each wrote, and those below.
fn layers<'a>(lines: &'a [Value], steps: &BTreeSet<&str>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut layers = BTreeMap::new();
    let of_step = |line: &&Value| {
        let id = line["container"].as_str();
        id.is_some_and(|id| steps.contains(id))
    };
    for line in lines.iter().filter(of_step) {
        let storage = &line["info"]["storage"];
        let lower = storage["lower"].as_array().into_iter().flatten();
        if let Some(upper) = storage["upper"].as_str().filter(|upper| !upper.is_empty()) {
            layers.insert(upper, lower.filter_map(Value::as_str).collect());
        }
    }
    layers
}

#[test]
fn steps_of_buildkit_are_a_build_and_raise_nothing() {
    if !common::images_are_ready(&[DEBIAN]) {
        return;
    }
    let engine = Engine::tests();
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), STEPS).unwrap();
    let watch = Watch::start(&["--events", "container,findings"]);
    let built = builds(context.path().to_str().unwrap(), &engine);
    assert!(built, "no Docker client of this host has BuildKit");
    let lines = watch.stop();
    engine.output(&["rmi", "-f", "hullwatch-test-buildkit"]);
    let steps = steps(&lines);
    // On a busy host a step that does nothing may be gone before anything of it is read.
    assert!(steps.len() >= 7, "{steps:?}");
    let layers = layers(&lines, &steps);
    let first = layers.values().filter(|below| {
        let mut below = below.iter();
        !below.any(|layer| layers.contains_key(layer))
    });
    // All others are on the layer of another step, which tells that they are of one build. The layers of a
    // step that does nothing may be gone before they are read.
    assert_eq!(first.count(), 1, "{layers:#?}");
    assert!(layers.len() * 2 >= steps.len(), "{layers:#?}");
    let alarms = alarms(&lines, |id| steps.contains(id));
    assert!(alarms.is_empty(), "{alarms:#?}");
}
