//! Facts that a baseline must hold or must not hold, of services whose programs ask for them.

use hullwatch::baseline::{Facet, ItemField};

use super::common::{self, DEBIAN, Engine, SERVERS};
use super::{Learning, names};

/// A program whose file gives a capability, in an image of its own.
struct ImageWithCapability(String);

impl ImageWithCapability {
    fn new() -> Self {
        let engine = Engine::tests();
        let script = "cp /bin/sleep /usr/local/bin/patient && python3 -c \"import os, struct; \
                      os.setxattr('/usr/local/bin/patient', 'security.capability', \
                      struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0))\"";
        let maker = engine.run_to_end(&[], SERVERS, &["sh", "-c", script]);
        let name = format!("hullwatch-test:file-capability-{}", std::process::id());
        engine.docker(&["commit", maker.id.as_str(), &name]);
        Self(name)
    }
}

impl Drop for ImageWithCapability {
    fn drop(&mut self) {
        let _ = Engine::tests().output(&["rmi", &self.0]);
    }
}

#[test]
fn what_a_programs_file_gives_is_kept_though_it_is_not_used() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let image = ImageWithCapability::new();
    let engine = Engine::tests();
    let name = format!("baseline-file-caps-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let command = [
        "sh",
        "-c",
        "while :; do /usr/local/bin/patient 0.5 || exit 1; done",
    ];
    let user = ["--user", "1000:1000"];
    let service = engine.run(
        &[&["--name", &name], &user[..]].concat(),
        &image.0,
        &command,
    );
    learning.until_stderr_has("one start was seen");
    learning.until_recorded("/usr/local/bin/patient");
    let learned = learning.stop(&name);
    assert_eq!(
        names(&learned, Facet::Capability, ItemField::Name),
        ["NET_RAW"]
    );
    drop(service);

    let file = learning.path("live.toml").to_str().unwrap().to_owned();
    let advised = learning.tool(&["harden", &file]);
    assert!(
        advised.contains("NET_RAW used by patient (file capability"),
        "{advised}"
    );
    assert!(
        advised.contains("file capabilities: /usr/local/bin/patient"),
        "{advised}"
    );
    let run = learning.tool(&["harden", &file, "--format", "run"]);
    assert!(
        run.contains("--cap-drop=ALL") && run.contains("--cap-add=NET_RAW"),
        "{run}"
    );
    assert!(!run.contains("no-new-privileges"), "{run}");

    // The advice is right: with it the program runs, with one capability less the kernel refuses it.
    let hard = [&user[..], &["--cap-drop=ALL", "--cap-add=NET_RAW"]].concat();
    let once = ["/usr/local/bin/patient", "0"];
    engine.run_to_end(&hard, &image.0, &once);
    let refused = engine.run(
        &hard[..3],
        &image.0,
        &["sh", "-c", "/usr/local/bin/patient 0"],
    );
    assert_eq!(refused.wait(), 126, "{}", refused.logs());
}

#[test]
fn a_secret_in_an_argument_is_not_in_the_file() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("baseline-secret-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let script = "sh -c 'sleep 0.1; : --password=Tr0ub4dor-3 DB_TOKEN=s3cr3t-t0k3n'; sleep 1000";
    let _service = engine.run(&["--name", &name], DEBIAN, &["sh", "-c", script]);
    learning.until_stderr_has("one start was seen");
    learning.until_recorded("/usr/bin/sleep");
    learning.stop(&name);
    let file = std::fs::read_to_string(learning.path("live.toml")).unwrap();
    assert!(
        file.contains("--password="),
        "the argument is learned: {file}"
    );
    for secret in ["Tr0ub4dor", "s3cr3t"] {
        assert!(!file.contains(secret), "{file}");
    }
}
