//! Scenarios: actions of a container as data, and the findings that hullwatch must raise.
//!
//! `tests/attacks` and `tests/honest` share this: a TOML file for each family of scenarios, and one
//! hullwatch that watches all of them at the same time with its defaults.

#[path = "../common/mod.rs"]
pub(crate) mod common;

pub(crate) mod batch;
pub(crate) mod peer;
pub(crate) mod report;
pub(crate) mod watch;

use std::path::Path;

use common::{BUSYBOX, DEBIAN, Engine, SERVERS};
use hullwatch::detect::{Finding, Severity};
use serde::Deserialize;

/// A container and the actions in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Name of the scenario and of its container.
    pub(crate) name: String,
    /// The image `hullwatch-test:IMAGE`.
    #[serde(default = "busybox")]
    pub(crate) image: String,
    /// Options of `docker run`, `{engine}` being the directory of the engine's socket.
    #[serde(default)]
    pub(crate) docker: Vec<String>,
    /// It shares the network of the [`peer`].
    #[serde(default)]
    pub(crate) peer: bool,
    /// A shell script that the container's init runs at once.
    #[serde(default)]
    pub(crate) run: String,
    /// A shell script that the container's init runs after start-up.
    #[serde(default)]
    pub(crate) service: String,
    /// Exec sessions after start-up, in this order.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// Watching begins after its steps are done, while its init's scripts still run.
    #[serde(default)]
    pub(crate) late: bool,
    /// It runs a second time, as `late-NAME`, with watching begun while its init's scripts run.
    #[serde(default)]
    twice: bool,
    /// The findings it must raise.
    #[serde(default)]
    pub(crate) expect: Vec<Expected>,
}

impl Scenario {
    /// The same with watching begun a few seconds after its start.
    fn begun_before(&self) -> Self {
        Self {
            name: format!("late-{}", self.name),
            steps: vec![Step::Sh("sleep 4".to_owned())],
            late: true,
            ..self.clone()
        }
    }
}

fn busybox() -> String {
    "busybox".to_owned()
}

/// An action from outside.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// `docker exec` of a shell script.
    Sh(String),
    /// The same with a terminal.
    Tty(String),
    /// `docker exec` with these arguments, `{}` being the container's name.
    Exec(Vec<String>),
    /// Another command of the engine.
    Docker(Vec<String>),
    /// A command of the host, `{}` being the host pid of the container's init.
    Host(Vec<String>),
}

/// A finding.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Its rule.
    pub(crate) rule: String,
    /// How severe it is.
    pub(crate) severity: Severity,
    /// Required parts of its explanation.
    #[serde(default)]
    pub(crate) why: Vec<String>,
}

impl Expected {
    /// Facts that the finding should contain and does not.
    pub(crate) fn missing_facts(&self, finding: &Finding) -> Vec<&str> {
        let why = finding.why.join("\n");
        let words = self.why.iter().map(String::as_str);
        words.filter(|w| !why.contains(w)).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

/// Reads every TOML file of a directory of `tests`. Only scenarios whose name contains
/// `HULLWATCH_TEST_SCENARIO` are kept when that is set.
pub(crate) fn load(directory: &str) -> Vec<Scenario> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(directory);
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read: File =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for scenario in read.scenario {
            all.extend(scenario.twice.then(|| scenario.begun_before()));
            all.push(scenario);
        }
    }
    let mut names: Vec<_> = all.iter().map(|s| s.name.clone()).collect();
    names.sort();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two scenarios of one name");
    }
    if let Ok(wanted) = std::env::var("HULLWATCH_TEST_SCENARIO") {
        all.retain(|s| wanted.split(',').any(|w| s.name.contains(w)));
    }
    all
}

/// Runs the engine's client; its output.
pub(crate) fn docker(args: &[&str]) -> Result<String, String> {
    let out = Engine::tests().output(args);
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned());
    }
    let error = String::from_utf8_lossy(&out.stderr);
    Err(format!("docker {args:?}: {} {error}", out.status))
}

/// The directory of the socket on which the engine under test listens.
pub(crate) fn engine_directory() -> String {
    let given = Engine::tests().0;
    let socket = Path::new(given.strip_prefix("unix://").unwrap());
    socket.parent().unwrap().to_str().unwrap().to_owned()
}

/// True when this host has what the scenarios need.
pub(crate) fn ready() -> bool {
    common::images_are_ready(&[BUSYBOX, DEBIAN, SERVERS])
}
