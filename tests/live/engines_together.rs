//! A Docker engine and the containerd beneath it, both asked: each container is listed once.

use serde_json::Value;

use crate::common::{self, BUSYBOX, Engine, hullwatch};
use crate::dockerd::Dockerd;

/// The answer of hullwatch, a JSON value a line or one in all.
fn answers(args: &[&str]) -> Vec<Value> {
    let config = tempfile::tempdir().unwrap();
    let done = hullwatch(args, &config).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let values = serde_json::Deserializer::from_slice(&done.stdout).into_iter();
    values.map(Result::unwrap).collect()
}

#[test]
fn a_container_known_to_two_engines_is_listed_once() {
    if !common::engine_is_ready() {
        return;
    }
    let mut daemon = Dockerd::new(&[]);
    daemon.start();
    daemon.load(&Engine::tests(), BUSYBOX);
    let container = daemon.engine.run(&[], BUSYBOX, &["sleep", "1000"]);
    let name = container.inspect("{{.Name}}");
    let name = name.trim_start_matches('/');
    let (docker, containerd) = (daemon.engine.0.clone(), daemon.containerd());
    let docker = ["--runtime-endpoint", &docker];
    let containerd = ["--runtime-endpoint", &containerd];
    let both = [docker, containerd].concat();
    for engines in [&both[..], &docker, &containerd, &["--no-engine"]] {
        let rows = answers(&[&["list", "containers", "--json"], engines].concat());
        let own: Vec<&Value> = rows
            .iter()
            .filter(|row| row["container_id"] == container.id.as_str())
            .collect();
        assert_eq!(own.len(), 1, "{engines:?}: {own:?}");
        assert_eq!(own[0]["name"], name, "{engines:?}");
        assert_eq!(own[0]["runtime"], "docker", "{engines:?}");
        assert_eq!(own[0]["image"], BUSYBOX, "{engines:?}");
    }
    let doctor = answers(&[&["doctor", "--json"], &both[..]].concat());
    let known = serde_json::to_string(&doctor).unwrap();
    for address in [docker[1], containerd[1]] {
        let path = address.trim_start_matches("unix://");
        assert!(known.contains(path), "{path}: {known}");
    }
}
