//! A separate containerd: containers in two namespaces, with names, images, layers, exec
//! sessions and ends.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::common::{PATIENCE, Watch, hullwatch, kernel_is_ready};

const IMAGE: &str = "docker.io/library/hullwatch-test:1";
const CONFIG: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";

struct Containerd {
    dir: TempDir,
    child: Child,
    /// Namespaces and names of the containers made.
    made: Vec<(String, String)>,
}

/// A name that no other containerd's container has: the runtime stores the state of all in one
/// directory.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

impl Containerd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("config.toml"), CONFIG).unwrap();
        let child = Command::new("containerd")
            .args(["--config".into(), at("config.toml")])
            .args(["--root".into(), at("root"), "--state".into(), at("state")])
            .args(["--address".into(), at("c.sock")])
            .stderr(fs::File::create(at("log")).unwrap())
            .spawn()
            .unwrap();
        let started = Self {
            dir,
            child,
            made: Vec::new(),
        };
        let until = Instant::now() + PATIENCE;
        while !started.try_ctr(&["version"]) {
            assert!(Instant::now() < until, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        fs::write(started.path("image.tar"), image()).unwrap();
        for namespace in ["default", "team", "k8s.io"] {
            let file = started.path("image.tar");
            started.ctr(&["-n", namespace, "images", "import", file.to_str().unwrap()]);
        }
        started
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.path("c.sock").display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("-a").arg(self.path("c.sock")).args(args);
        ctr.stdout(Stdio::null());
        ctr
    }

    fn try_ctr(&self, args: &[&str]) -> bool {
        let mut command = self.command(args);
        command.stderr(Stdio::null()).status().unwrap().success()
    }

    fn ctr(&self, args: &[&str]) {
        assert!(self.command(args).status().unwrap().success(), "{args:?}");
    }

    /// Starts a container that waits.
    fn run(&mut self, namespace: &str, name: &str) {
        self.run_with(namespace, name, &[]);
    }

    fn run_with(&mut self, namespace: &str, name: &str, options: &[&str]) {
        self.made.push((namespace.to_owned(), name.to_owned()));
        let run = ["-n", namespace, "run", "-d"];
        self.ctr(&[&run, options, &[IMAGE, name]].concat());
    }

    fn exec(&self, namespace: &str, name: &str) {
        let exec = ["-n", namespace, "tasks", "exec", "--exec-id", "e1", name];
        self.ctr(&[&exec[..], &["/bin/busybox", "echo", "hi"]].concat());
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for (namespace, name) in &self.made {
            self.try_ctr(&["-n", namespace, "tasks", "rm", "-f", name]);
            self.try_ctr(&["-n", namespace, "containers", "rm", name]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image in Docker's archive format: busybox alone.
fn image() -> Vec<u8> {
    let add = |archive: &mut tar::Builder<Vec<u8>>, name: &str, mode, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, name, content).unwrap();
    };
    let busybox = ["/usr/bin/busybox", "/bin/busybox"];
    let busybox = busybox.iter().find_map(|path| fs::read(path).ok()).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "bin/busybox", 0o755, &busybox);
    let layer = layer.into_inner().unwrap();
    let digest = |bytes: &[u8]| -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let config = json!({"architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "sleep", "1000"], "ExposedPorts": {"80/tcp": {}},
            "Labels": {"kept": "yes"}},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]}});
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", digest(&config));
    let manifest = json!([{"Config": name, "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    let mut image = tar::Builder::new(Vec::new());
    add(&mut image, &name, 0o644, &config);
    add(&mut image, "layer.tar", 0o644, &layer);
    add(
        &mut image,
        "manifest.json",
        0o644,
        manifest.to_string().as_bytes(),
    );
    image.into_inner().unwrap()
}

fn of<'a>(line: &'a Value, id: &str) -> Option<&'a Value> {
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
