//! A separate containerd: containers in two namespaces, with names, images, layers, exec
//! sessions and ends.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{Watch, hullwatch, kernel_is_ready};
use crate::containerd_engine::{Containerd, IMAGE, unique};

/// The line, if it is about this container.
pub fn of<'a>(line: &'a Value, id: &str) -> Option<&'a Value> {
    (line.get("container")?.as_str()? == id).then_some(line)
}

#[test]
fn containers_of_every_namespace_of_a_real_containerd() {
    if !kernel_is_ready() {
        return;
    }
    let mut containerd = Containerd::start();
    let (web, late) = (unique("web"), unique("late"));
    containerd.run("default", &web);
    containerd.run("team", &web);
    let socket = containerd.socket();
    let watch = Watch::start(&[
        "--events",
        "container,exec,client",
        "--runtime-endpoint",
        &socket,
    ]);
    for namespace in ["default", "team"] {
        let id = format!("{namespace}/{web}");
        let line = watch.expect("facts of the engine", |line| {
            of(line, &id).is_some_and(|line| line["info"]["image_digest"] != "")
        });
        let info = &line["info"];
        assert_eq!(info["name"], web.as_str());
        assert_eq!(info["image"], IMAGE);
        assert_eq!(info["engine_namespace"], namespace);
        assert_eq!(info["exposed"], json!(["80/tcp"]));
        assert_eq!(info["labels"]["kept"], "yes");
        assert_eq!(info["storage"]["lower"].as_array().unwrap().len(), 1);
    }
    let id = format!("team/{late}");
    containerd.run("team", &late);
    watch.expect("a container that begins", |line| {
        of(line, &id).is_some_and(|line| line["info"]["image"] == IMAGE)
    });
    containerd.ctr(&[
        "-n",
        "team",
        "tasks",
        "exec",
        "--exec-id",
        "e1",
        &late,
        "/bin/busybox",
        "sleep",
        "1",
    ]);
    watch.expect("its exec session's client", |line| {
        of(line, &id).is_some_and(|line| {
            line["type"] == "client"
                && line["argv"]
                    .as_array()
                    .is_some_and(|a| a.contains(&json!("exec")))
        })
    });
    containerd.ctr(&["-n", "team", "tasks", "kill", "-s", "KILL", &late]);
    watch.expect("its end with its code, before it is removed", |line| {
        of(line, &id).is_some_and(|line| line["action"] == json!({"died": 137}))
    });
    let lines = watch.stop();
    let ends = lines
        .iter()
        .filter(|line| of(line, &id).is_some_and(|line| line["action"]["died"].is_i64()));
    assert_eq!(ends.count(), 1, "an end is reported once");

    // Two of one name: the namespace distinguishes them.
    let config = tempfile::tempdir().unwrap();
    let args = [
        "drift",
        &format!("team/{web}"),
        "--runtime-endpoint",
        &socket,
    ];
    let drift = hullwatch(&args, &config).output().unwrap();
    assert!(drift.status.success(), "{drift:?}");
    let doctor = hullwatch(
        &["doctor", "--json", "--runtime-endpoint", &socket],
        &config,
    );
    let doctor = { doctor }.output().unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(doctor["containerd"][0]["namespaces"]["team"], 1);
}

/// `ctr run --cgroup`: known to containerd, and watched.
#[test]
fn a_container_in_a_cgroup_of_any_name_is_watched() {
    if !kernel_is_ready() {
        return;
    }
    let mut containerd = Containerd::start();
    let (there, odd) = (unique("there"), unique("odd"));
    let cgroup = |name: &str| format!("/hullwatch-ctr/{name}/x");
    containerd.run_with("team", &there, &["--cgroup", &cgroup(&there)]);
    let events = ["--events", "container,exec"];
    let socket = containerd.socket();
    for engine in [&["--no-engine"][..], &["--runtime-endpoint", &socket]] {
        let watch = Watch::start(&[&events, engine].concat());
        let id = format!("team/{there}");
        watch.expect("one that was there", |line| {
            of(line, &id).is_some_and(|line| line["action"] == "existing")
        });
        containerd.exec("team", &there);
        watch.expect("its exec session", |line| {
            of(line, &id).is_some_and(|line| line["type"] == "exec" && line["argv"][1] == "echo")
        });
        let id = format!("team/{odd}");
        containerd.run_with("team", &odd, &["--cgroup", &cgroup(&odd)]);
        watch.expect("its first program", |line| {
            of(line, &id).is_some_and(|line| line["type"] == "exec" && line["nspid"] == 1)
        });
        containerd.ctr(&["-n", "team", "tasks", "rm", "-f", &odd]);
        watch.expect("its end, with its code", |line| {
            of(line, &id).is_some_and(|line| line["action"] == json!({"died": 137}))
        });
        containerd.ctr(&["-n", "team", "containers", "rm", &odd]);
        watch.stop();
    }
    drop(containerd);
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        crate::cgroup::remove_all(&hierarchy.path().join("hullwatch-ctr"));
    }
    crate::cgroup::remove_all("/sys/fs/cgroup/hullwatch-ctr".as_ref());
}

/// As from the kubelet: annotations name the pod of a container, and its sandbox.
#[test]
fn a_pod_is_known_by_its_annotations() {
    if !kernel_is_ready() {
        return;
    }
    let mut containerd = Containerd::start();
    let watch = Watch::start(&["--no-engine", "--events", "container"]);
    let digits = |seed: &str| {
        let mut id: String = Sha256::digest(unique(seed))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        id.truncate(64);
        id
    };
    let (pod, sandbox, nginx) = (unique("front"), digits("sandbox"), digits("nginx"));
    let annotation = |key: &str, value: &str| format!("io.kubernetes.cri.{key}={value}");
    let of_pod = [
        annotation("sandbox-name", &pod),
        annotation("sandbox-namespace", "shop"),
        annotation("sandbox-uid", "u-1"),
        annotation("sandbox-id", &sandbox),
    ];
    let mut run = |id: &str, own: &[String]| {
        let all = of_pod.iter().chain(own);
        let options: Vec<&str> = all.flat_map(|a| ["--annotation", a.as_str()]).collect();
        let cgroup = format!("/kubepods/hullwatch-pod/{id}");
        let options = [&options[..], &["--cgroup", &cgroup]].concat();
        containerd.run_with("k8s.io", id, &options);
    };
    run(&sandbox, &[annotation("container-type", "sandbox")]);
    run(
        &nginx,
        &[
            annotation("container-type", "container"),
            annotation("container-name", "nginx"),
            annotation("image-name", "nginx:1"),
        ],
    );
    for (id, name, role) in [(&nginx, "nginx", "container"), (&sandbox, "", "infra")] {
        let born = watch.expect("its birth, with its pod", |line| {
            of(line, id).is_some_and(|line| line["info"]["pod"]["name"] == pod.as_str())
        });
        let info = &born["info"];
        assert_eq!(info["pod"]["namespace"], "shop");
        assert_eq!(info["pod"]["sandbox"], sandbox.as_str());
        assert_eq!(info["role"].as_str().unwrap_or("container"), role, "{info}");
        if !name.is_empty() {
            assert_eq!(info["name"], name);
            assert_eq!(info["image"], "nginx:1");
        }
    }
    watch.stop();
    let asked = format!("shop/{pod}/nginx");
    let watch = Watch::start(&["--no-engine", "--events", "exec", "--container", &asked]);
    containerd.exec("k8s.io", &sandbox);
    containerd.exec("k8s.io", &nginx);
    watch.expect("an exec in the pod's container", |line| {
        of(line, &nginx).is_some_and(|line| line["argv"][1] == "echo")
    });
    let others = watch.stop();
    let others = others.iter().filter(|line| of(line, &nginx).is_none());
    assert_eq!(others.count(), 0);
    drop(containerd);
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        crate::cgroup::remove_all(&hierarchy.path().join("kubepods/hullwatch-pod"));
    }
}
