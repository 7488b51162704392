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

/// How long a condition may take to hold before the test is taken to hang. No test waits that long
/// on a machine that works, however loaded.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// True where the kernel can be watched. Elsewhere the test fails when everything was promised to
/// be there (by `CI=true` or by `tests/run`), and else says that it did not run.
pub fn kernel_is_ready() -> bool {
    decide(&missing_of_kernel())
}

/// As [`kernel_is_ready`], with the engine and its images besides.
pub fn engine_is_ready() -> bool {
    images_are_ready(&[BUSYBOX, DEBIAN])
}

/// As [`kernel_is_ready`], with the engine and these images besides.
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
    // Past the test harness, which hides what a test that passes prints.
    let line = format!("DID NOT RUN: {test} needs {missing}; sudo tests/run runs it\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    false
}
