//! Pods of a real containerd, started as a kubelet starts them: through CRI.

use std::collections::HashMap;

use serde_json::Value;

use crate::common::{Watch, hullwatch, kernel_is_ready};
use crate::containerd::of;
use crate::containerd_engine::{Containerd, IMAGE, unique};
use crate::cri_client::{Cri, LinuxPod, Namespaces, Pod, PodMetadata, PodSecurity, metadata};

/// With CRI, and no use of what a test host may lack: AppArmor, the right to lower the score of the
/// out-of-memory killer, a network for pods.
const CONFIG: &str = r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/hullwatch-test:1"
disable_apparmor = true
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
"#;

const BUSYBOX: &str = "/bin/busybox";

/// The node's own network.
const NODE: i32 = 2;
/// A namespace of the container's own.
const CONTAINER: i32 = 1;

/// A pod on the node's network, which needs no plugin.
fn pod(name: &str) -> Pod {
    let metadata = PodMetadata {
        name: unique(name),
        uid: unique("0f1e2d3c"),
        namespace: "shop".into(),
    };
    let labels = [
        ("app", name),
        ("io.kubernetes.pod.name", &metadata.name),
        ("io.kubernetes.pod.namespace", &metadata.namespace),
        ("io.kubernetes.pod.uid", &metadata.uid),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespaces = Some(Namespaces {
        network: NODE,
        pid: CONTAINER,
    });
    Pod {
        labels: HashMap::from(labels),
        metadata: Some(metadata),
        linux: Some(LinuxPod {
            security: Some(PodSecurity { namespaces }),
        }),
    }
}

/// containerd with its client for pods.
fn kubelet() -> (Containerd, Cri) {
    let containerd = Containerd::start_with(CONFIG);
    let cri = Cri(containerd.path("c.sock"));
    (containerd, cri)
}

/// Rows of `list containers`.
fn listed(args: &[&str]) -> Vec<Value> {
    let config = tempfile::tempdir().unwrap();
    let args = [&["list", "containers", "--json"], args].concat();
    let list = hullwatch(&args, &config).output().unwrap();
    assert!(list.status.success(), "{list:?}");
    let rows = String::from_utf8(list.stdout).unwrap();
    rows.lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

#[test]
fn a_pod_of_the_kubelets_interface_is_named_watched_and_judged() {
    if !kernel_is_ready() {
        return;
    }
    let (containerd, cri) = kubelet();
    let socket = containerd.socket();
    let (early, late) = (pod("early"), pod("late"));
    let sleep = [BUSYBOX, "sleep", "1000"];
    let early_sandbox = cri.run_pod(&early);
    let early_nginx = cri.run(&early_sandbox, &early, "nginx", IMAGE, &sleep);

    // With the engine, and with files alone: a pod that was there, and one that begins.
    for engine in [&["--runtime-endpoint", &socket][..], &["--no-engine"]] {
        let watch =
            Watch::start(&[&["--events", "container,exec,client,findings"], engine].concat());
        let sandbox = cri.run_pod(&late);
        let nginx = cri.run(&sandbox, &late, "nginx", IMAGE, &sleep);
        for (pod, sandbox, nginx) in [
            (&early, &early_sandbox, &early_nginx),
            (&late, &sandbox, &nginx),
        ] {
            for (id, name, role) in [(nginx, "nginx", "container"), (sandbox, "", "infra")] {
                let line = watch.expect("a container with its pod", |line| {
                    of(line, id).is_some_and(|line| {
                        line["info"]["pod"]["name"] == metadata(pod).name.as_str()
                    })
                });
                let info = &line["info"];
                assert_eq!(info["pod"]["namespace"], "shop", "{info}");
                assert_eq!(info["pod"]["uid"], metadata(pod).uid.as_str(), "{info}");
                assert_eq!(info["role"].as_str().unwrap_or("container"), role, "{info}");
                if !name.is_empty() {
                    assert_eq!(info["name"], name);
                    assert_eq!(info["image"], IMAGE, "{info}");
                }
            }
            cri.exec(nginx, &[BUSYBOX, "echo", "probe"]);
            watch.expect("its exec session", |line| {
                of(line, nginx)
                    .is_some_and(|line| line["type"] == "exec" && line["argv"][1] == "echo")
            });
        }
        // Its root is compared with the layers of its image at once.
        let copy = "/bin/busybox cp /bin/busybox /busybox.copy && /busybox.copy true";
        cri.exec(&nginx, &[BUSYBOX, "sh", "-c", copy]);
        watch.expect("the copied program, compared with the image", |line| {
            of(line, &nginx).is_some_and(|line| line["rule"] == "drift.exec-relocated")
        });
        cri.remove(&sandbox);
        watch.expect("its end", |line| {
            of(line, &nginx)
                .is_some_and(|line| line["action"] == "ended" || line["action"]["died"].is_i64())
        });
        watch.stop();
    }

    let rows = listed(&["--runtime-endpoint", &socket]);
    let of_pod = |row: &&Value| row["pod"].to_string().contains(&metadata(&early).name);
    let rows: Vec<&Value> = rows.iter().filter(of_pod).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");

    // One pod's containers, without its sandbox.
    let asked = format!("shop/{}", metadata(&early).name);
    let watch = Watch::start(&[
        "--runtime-endpoint",
        &socket,
        "--events",
        "exec",
        "--container",
        &asked,
    ]);
    let other = cri.run_pod(&late);
    cri.exec(&early_nginx, &[BUSYBOX, "echo", "asked"]);
    watch.expect("an exec of the pod", |line| {
        of(line, &early_nginx).is_some_and(|line| line["argv"][2] == "asked")
    });
    let lines = watch.stop();
    let others = lines
        .iter()
        .filter(|line| line["type"] == "exec" && of(line, &early_nginx).is_none());
    assert_eq!(others.count(), 0);
    for sandbox in [&other, &early_sandbox] {
        cri.remove(sandbox);
    }
}
