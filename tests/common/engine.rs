//! A Docker engine and its containers, through the engine's own client.

use std::process::{Command, Output};

use hullwatch::event::ContainerId;

/// The images that `tests/roots` makes.
pub const BUSYBOX: &str = "hullwatch-test:busybox";
pub const DEBIAN: &str = "hullwatch-test:debian";
pub const SERVERS: &str = "hullwatch-test:servers";

/// The address of an engine.
#[derive(Debug, Clone)]
pub struct Engine(pub String);

impl Engine {
    /// The engine under test.
    pub fn tests() -> Self {
        let given = ["HULLWATCH_TEST_DOCKER", "DOCKER_HOST"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|host| !host.is_empty()));
        Self(given.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()))
    }

    pub(super) fn missing(&self, images: &[&str]) -> Vec<String> {
        if !self.answers() {
            return vec![format!("a Docker engine at {}", self.0)];
        }
        images
            .iter()
            .filter(|image| !self.output(&["image", "inspect", image]).status.success())
            .map(|image| format!("the image {image}"))
            .collect()
    }

    /// Whether an engine answers at that address.
    pub fn answers(&self) -> bool {
        let out = self.client(&["version", "--format", "{{.Server.Version}}"]);
        out.is_ok_and(|out| out.status.success())
    }

    fn client(&self, args: &[&str]) -> std::io::Result<Output> {
        let mut docker = Command::new("docker");
        // Classic builds run their steps in containers, which are watched.
        let docker = docker.env("DOCKER_BUILDKIT", "0");
        docker.env("DOCKER_HOST", &self.0).args(args).output()
    }

    /// The client's output, whatever its exit code.
    pub fn output(&self, args: &[&str]) -> Output {
        self.client(args).unwrap()
    }

    /// The client's output; it must succeed.
    pub fn docker(&self, args: &[&str]) -> String {
        let out = self.output(args);
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "docker {args:?}: {error}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Starts a container. It has only its own loopback interface, since an engine may have no
    /// network.
    pub fn run(&self, options: &[&str], image: &str, command: &[&str]) -> Container {
        let network: &[&str] = if options.contains(&"--network") {
            &[]
        } else {
            &["--network", "none"]
        };
        let args = [&["run", "-d"], network, options, &[image], command].concat();
        Container {
            id: ContainerId::new(&self.docker(&args)),
            engine: self.clone(),
        }
    }

    /// Runs a container until it ends, which must succeed.
    pub fn run_to_end(&self, options: &[&str], image: &str, command: &[&str]) -> Container {
        let container = self.run(options, image, command);
        let code = container.wait();
        assert_eq!(code, 0, "{command:?}: {}", container.logs());
        container
    }
}

/// A container that is removed when dropped.
#[derive(Debug)]
pub struct Container {
    pub id: ContainerId,
    engine: Engine,
}

impl Container {
    fn with(&self, before: &[&str], after: &[&str]) -> String {
        self.engine
            .docker(&[before, &[self.id.as_str()], after].concat())
    }

    /// Runs `docker VERB` on it.
    pub fn control(&self, verb: &str) {
        self.with(&[verb], &[]);
    }

    /// Runs a command inside; returns what it printed.
    pub fn exec(&self, command: &[&str]) -> String {
        self.with(&["exec"], command)
    }

    /// Runs a shell script inside; returns what it printed.
    pub fn sh(&self, script: &str) -> String {
        self.exec(&["sh", "-c", script])
    }

    /// Waits for its end; returns its exit code.
    pub fn wait(&self) -> i64 {
        self.with(&["wait"], &[]).parse().unwrap()
    }

    /// The output of its processes.
    pub fn logs(&self) -> String {
        let out = self.engine.output(&["logs", self.id.as_str()]);
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }

    /// A value of its description, as `docker inspect -f` prints it.
    pub fn inspect(&self, template: &str) -> String {
        self.with(&["inspect", "-f", template], &[])
    }

    /// Host pid of its first process.
    pub fn init(&self) -> u32 {
        self.inspect("{{.State.Pid}}").parse().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.engine.output(&["rm", "-f", self.id.as_str()]);
    }
}
