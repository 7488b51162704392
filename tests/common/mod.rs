//! Code shared by the tests on a real kernel and a real engine.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test crate uses a part of it"
)]

mod engine;
mod recording;
mod watch;

pub use engine::{BUSYBOX, Container, DEBIAN, Engine, SERVERS};
pub use recording::{Recording, Session, replays_alike};
pub use watch::{Watch, hullwatch};

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Time after which a test that waits for a condition counts as hanging. No test waits that long on
/// a working machine, even under load.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// True where the kernel can be watched. Elsewhere the test fails if `CI=true` or `tests/run`
/// guarantees it, and otherwise prints that it did not run.
pub fn kernel_is_ready() -> bool {
    decide(&missing_of_kernel())
}

/// As [`kernel_is_ready`], also with the engine and its images.
pub fn engine_is_ready() -> bool {
    images_are_ready(&[BUSYBOX, DEBIAN])
}

/// As [`kernel_is_ready`], also with the engine and these images.
pub fn images_are_ready(images: &[&str]) -> bool {
    let mut missing = missing_of_kernel();
    missing.extend(Engine::tests().missing(images));
    decide(&missing)
}

fn missing_of_kernel() -> Vec<String> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        missing.push("a kernel with BTF".to_owned());
    }
    missing
}

fn decide(missing: &[String]) -> bool {
    if missing.is_empty() {
        return true;
    }
    let promised = std::env::var("CI").as_deref() == Ok("true")
        || std::env::var_os("HULLWATCH_TEST_DOCKER").is_some();
    let missing = missing.join(", ");
    assert!(!promised, "this test needs {missing}");
    let test = std::thread::current();
    let test = test.name().unwrap_or_default();
    // Bypasses the test harness, which hides the output of passing tests.
    let line = format!("DID NOT RUN: {test} needs {missing}; sudo tests/run runs it\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    false
}
