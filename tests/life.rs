//! Reports of the engine and the host about a container's life: a moved image tag, and the command
//! that started an exec session. Also how containers share hullwatch's capacity: an event storm
//! hides no attack, neither in other containers nor in its own.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Mutex, PoisonError};

use common::{BUSYBOX, DEBIAN, Engine, Watch};

/// An image tag that is removed when the test ends, also when it fails.
struct Tag(String);

impl Drop for Tag {
    fn drop(&mut self) {
        Engine::tests().output(&["rmi", "-f", &self.0]);
    }
}

#[test]
fn a_moved_tag_and_the_client_of_an_exec_session_are_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("hullwatch-life-{}", std::process::id());
    let tag = Tag(format!("hullwatch-life:{}", std::process::id()));
    engine.docker(&["tag", BUSYBOX, &tag.0]);
    let container = engine.run(&["--name", &name], &tag.0, &["sleep", "1000"]);
    let id = &container.id;
    let watch = Watch::start(&["--events", "findings,container", "--container", &name]);
    watch.expect_facts(id);
    // The client runs for a while, several times: on a busy host the engine may report a session
    // too late for its client to be identified reliably. Ends with the container.
    let exec = ["exec", &name, "sh", "-c", "id; sleep 8; :"].map(str::to_owned);
    let other_engine = engine.clone();
    std::thread::spawn(move || {
        for _ in 0..20 {
            other_engine.output(&exec.each_ref().map(String::as_str));
        }
    });
    let client = format!("probably started by docker exec {name} sh");
    watch.expect_finding(id, "exec.session", |finding| {
        let why = finding["why"].as_array().unwrap();
        why.iter().any(|l| l.as_str().unwrap().starts_with(&client))
    });
    // Another image with the same name.
    let other = engine.docker(&["commit", "-m", "other", &name]);
    engine.docker(&["tag", &other, &tag.0]);
    watch.expect_finding(id, "life.image-moved", |f| f["subject"] == other.as_str());
    watch.stop();
}

/// More than fits in the kernel's buffer.
const FORKS: &str = "for (1..40000) { $p = fork; exit if !$p; waitpid $p, 0; \
    open F, '>', \"/tmp/f$_\"; close F; unlink \"/tmp/f$_\" }";

/// One storm at a time, since each test checks which container has losses.
static STORM: Mutex<()> = Mutex::new(());

/// One container causes more events than the kernel's buffer and every queue can hold while
/// hullwatch is stopped; then other containers are attacked, one of which is new.
#[test]
fn a_noisy_container_hides_no_attack_from_a_stopped_watcher() {
    const ATTACKS: usize = 8;
    const ATTACK: &str = "mkdir -p /etc/cron.d; for n in 1 2 3 4 5 6 7 8; do \
        cp /bin/busybox /tmp/drop$n; /tmp/drop$n true; echo x >/etc/cron.d/job$n; done";
    if !common::engine_is_ready() {
        return;
    }
    let _alone = STORM.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Engine::tests();
    let sleep = ["sleep", "1000"];
    let noisy = engine.run(&[], DEBIAN, &sleep);
    let victim = engine.run(&[], BUSYBOX, &sleep);
    let watch = Watch::start(&["--events", "findings,container,lost"]);
    watch.expect_facts(&noisy.id);
    watch.expect_facts(&victim.id);
    watch.hold();
    noisy.exec(&["perl", "-e", FORKS]);
    let born = engine.run(&[], BUSYBOX, &sleep);
    for attacked in [&victim, &born] {
        attacked.sh(ATTACK);
    }
    watch.resume();
    let lost = watch.expect("a loss", |line| line["type"] == "lost");
    assert_eq!(lost["container"], noisy.id.as_str(), "{lost}");
    for attacked in [&victim, &born] {
        for (rule, name) in [
            ("drift.exec-new", "/tmp/drop"),
            ("file.cron", "/etc/cron.d/job"),
        ] {
            watch.expect_subjects(&attacked.id, rule, name, ATTACKS);
        }
    }
    watch.stop();
}

/// Three processes fork and create files as fast as they can in the attacked container.
#[test]
fn a_storm_of_forks_and_files_hides_no_attack_in_its_own_container() {
    const PROGRAM: &str = "for (;;) { $p = fork; if (!$p) { open F, '>', \"/tmp/f$$\"; close F; \
        unlink \"/tmp/f$$\"; exit } waitpid $p, 0 }";
    const STORMS: usize = 3;
    const ATTACKS: usize = 16;
    /// The kernel's buffer may be full at the moment of an action: one of each kind may be lost.
    const FOUND: usize = ATTACKS - 1;
    if !common::engine_is_ready() {
        return;
    }
    let _alone = STORM.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Engine::tests();
    let container = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    let watch = Watch::start(&["--events", "findings,container,lost"]);
    watch.expect_facts(&container.id);
    for _ in 0..STORMS {
        engine.docker(&["exec", "-d", container.id.as_str(), "perl", "-e", PROGRAM]);
    }
    container.sh("mkdir -p /etc/cron.d; until ls /tmp/f* 2>/dev/null; do :; done");
    for n in 1..=ATTACKS {
        container.sh(&format!(
            "cp /bin/true /tmp/drop{n}; /tmp/drop{n}; echo x >/etc/cron.d/job{n}"
        ));
    }
    for (rule, name) in [
        ("drift.exec-new", "/tmp/drop"),
        ("file.cron", "/etc/cron.d/job"),
    ] {
        watch.expect_subjects(&container.id, rule, name, FOUND);
    }
    for line in watch.stop() {
        // Only the storm's own container has losses.
        if line["type"] == "lost" && !line["container"].is_null() {
            assert_eq!(line["container"], container.id.as_str(), "{line}");
        }
    }
}

#[test]
fn losses_of_an_ended_container_are_attributed_to_it() {
    if !common::engine_is_ready() {
        return;
    }
    let _alone = STORM.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Engine::tests();
    let container = engine.run(&[], DEBIAN, &["sleep", "1000"]);
    let id = container.id.clone();
    let watch = Watch::start(&["--events", "container,lost"]);
    watch.expect_facts(&id);
    watch.hold();
    container.exec(&["perl", "-e", FORKS]);
    drop(container);
    watch.resume();
    // Other containers of the host may lose events as well.
    watch.expect("a loss of it", |line| {
        line["type"] == "lost" && line["container"] == id.as_str()
    });
    watch.expect("its end", |line| {
        line["container"] == id.as_str() && line["type"] == "container" && line["action"] == "gone"
    });
    watch.stop();
}
