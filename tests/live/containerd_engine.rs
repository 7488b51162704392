//! A containerd of the tests' own, controlled with `ctr`.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::common::PATIENCE;

/// The image that each namespace has: busybox alone, which sleeps.
pub const IMAGE: &str = "docker.io/library/hullwatch-test:1";

/// One without Kubernetes' interface.
const CONFIG: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";

/// A running containerd. Dropping it ends it and its containers.
pub struct Containerd {
    dir: TempDir,
    child: Child,
    /// Namespaces and names of the containers made.
    made: Vec<(String, String)>,
}

/// A name that no other containerd's container has: the runtime stores the state of all in one
/// directory.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

impl Containerd {
    /// Starts one and loads the image into three namespaces.
    pub fn start() -> Self {
        Self::start_with(CONFIG)
    }

    /// The same with this configuration.
    pub fn start_with(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("config.toml"), config).unwrap();
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

    /// A path in its own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its address.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.path("c.sock").display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("-a").arg(self.path("c.sock")).args(args);
        ctr.stdout(Stdio::null());
        ctr
    }

    /// Whether `ctr` succeeds with these arguments.
    pub fn try_ctr(&self, args: &[&str]) -> bool {
        let mut command = self.command(args);
        command.stderr(Stdio::null()).status().unwrap().success()
    }

    /// Runs `ctr` with these arguments.
    pub fn ctr(&self, args: &[&str]) {
        assert!(self.command(args).status().unwrap().success(), "{args:?}");
    }

    /// Starts a container that waits.
    pub fn run(&mut self, namespace: &str, name: &str) {
        self.run_with(namespace, name, &[]);
    }

    /// The same with options of `ctr run`.
    pub fn run_with(&mut self, namespace: &str, name: &str, options: &[&str]) {
        self.made.push((namespace.to_owned(), name.to_owned()));
        let run = ["-n", namespace, "run", "-d"];
        self.ctr(&[&run, options, &[IMAGE, name]].concat());
    }

    /// Runs `echo hi` in an exec session.
    pub fn exec(&self, namespace: &str, name: &str) {
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
