//! The rule on exec sessions.

use crate::detect::Severity;
use crate::detect::testkit::World;

#[test]
fn work_that_outlives_its_session_stays_the_sessions() {
    let mut w = World::steady();
    let shell = w.session(&["sh", "-c", "nohup sh -c x &"]);
    let child = w.fork(shell);
    w.exit(shell);
    // Before its exec it became init's child.
    let init = w.init();
    w.exec_as(child, init, "/bin/sh", &["sh", "-c", "x"], |_| {});
    w.ticks(20);
    w.create(child, "/etc/cron.d/z");
    let f = w.finding("file.cron");
    let pids: Vec<u32> = f.ancestry.iter().map(|a| a.pid).collect();
    assert_eq!(pids, [child, shell]);
    assert!(
        w.finding("exec.session")
            .why
            .join(" ")
            .contains("/etc/cron.d/z")
    );
}

#[test]
fn a_session_that_was_open_already_is_what_it_would_have_been() {
    let mut w = World::found();
    w.found_process(0, "/bin/bash", &["bash"], |p| p.tty = true);
    let f = w.finding("exec.session");
    assert_eq!(f.severity, Severity::Medium);
    assert!(f.already_since.is_some());
    let mut w = World::found();
    w.found_process(0, "/usr/bin/top", &["top"], |_| {});
    assert_eq!(w.finding("exec.session").severity, Severity::Info);
}

#[test]
fn a_session_is_one_finding_with_all_it_did() {
    let mut w = World::steady();
    let shell = w.session_tty(&["sh"]);
    w.exec(shell, "/bin/ls", &["ls", "/srv"]);
    let wget = w.exec(shell, "/usr/bin/wget", &["wget", "http://x/"]);
    w.connect(wget, "203.0.113.9:80");
    w.create(wget, "/srv/x");
    let f = w.finding("exec.session");
    assert_eq!((f.severity, f.count), (Severity::Medium, 1));
    let why = f.why.join("\n");
    for part in [
        "ran: ls /srv",
        "connected to 203.0.113.9:80",
        "created /srv/x",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(w.all("exec.session").len(), 1);
}

#[test]
fn single_commands_are_low_or_less() {
    let mut w = World::steady();
    w.session(&["redis-cli", "ping"]);
    assert_eq!(w.finding("exec.session").severity, Severity::Info);
    w.session(&["sh", "-c", "id"]);
    assert_eq!(w.highest(), Severity::Low);
}

#[test]
fn a_session_that_bypasses_the_engine_is_a_separate_finding() {
    let mut w = World::steady();
    w.session(&["ls", "/srv"]);
    let ls = w.entered(&["ls", "/srv"], false);
    let all = w.all("exec.session");
    assert_eq!(all.len(), 2, "{all:#?}");
    assert_eq!(all[1].severity, Severity::Info);
    assert!(
        all[1]
            .title
            .contains("in its namespaces from the host: ls /srv"),
        "{}",
        all[1].title
    );
    w.exit(ls);
    let shell = w.entered(&["sh"], true);
    w.create(shell, "/etc/cron.d/z");
    let shell = w.all("exec.session")[2];
    assert_eq!(shell.severity, Severity::Medium);
    let why = shell.why.join("\n");
    assert!(why.contains("bypassing its engine"), "{why}");
    assert!(why.contains("/etc/cron.d/z"), "{why}");
    w.finding("file.cron");
}

#[test]
fn a_fake_health_check_that_bypassed_the_engine_is_reported() {
    let mut w = World::steady();
    let check = ["/bin/sh", "-c", "curl -f localhost"];
    w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
    w.entered(&check, false);
    assert_eq!(w.finding("exec.session").severity, Severity::Low);
}

#[test]
fn plain_commands_share_a_finding_and_shells_do_not() {
    let mut w = World::steady();
    for argv in [&["ls", "/srv"][..], &["redis-cli", "info"], &["ls", "/srv"]] {
        let s = w.session(argv);
        w.exit(s);
        w.ticks(7);
    }
    let f = w.finding("exec.session");
    assert_eq!((f.severity, f.count, f.why.len()), (Severity::Info, 3, 2));
    assert!(
        f.title
            .contains("2 different commands run by exec from the host; latest: ls /srv"),
        "{}",
        f.title
    );
    w.session(&["sh", "-c", "id"]);
    w.session_tty(&["sh"]);
    let all = w.all("exec.session");
    let severities: Vec<_> = all.iter().map(|f| f.severity).collect();
    assert_eq!(
        severities,
        [Severity::Info, Severity::Low, Severity::Medium]
    );
}

#[test]
fn commands_of_one_shape_are_one_line_with_a_count() {
    let mut w = World::steady();
    for n in 1..7 {
        let s = w.session(&["sh", "-c", &format!("echo h{n} >>/srv/hosts")]);
        w.exit(s);
        w.ticks(n * n);
    }
    w.session(&["sh", "-c", "echo h1 >>/srv/hosts; id"]);
    let all = w.all("exec.session");
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((all[0].severity, all[0].count), (Severity::Low, 6));
    assert!(
        all[0].title.contains("6 times; latest: sh -c 'echo h6"),
        "{}",
        all[0].title
    );
}

#[test]
fn many_different_commands_of_shells_share_a_line() {
    let mut w = World::steady();
    for command in [
        "ls /srv | wc",
        "df -h | tail",
        "env | sort",
        "id; ps",
        "w; w",
        "ls /srv | wc",
    ] {
        let s = w.session(&["sh", "-c", command]);
        w.create(s, &format!("/srv/{}", command.len()));
        w.exit(s);
        w.ticks(7);
    }
    let all = w.all("exec.session");
    assert_eq!(all.len(), 3, "{all:#?}");
    assert_eq!(
        (all[0].severity, all[0].count, all[0].parts.len()),
        (Severity::Low, 4, 3)
    );
    assert!(
        all[0].title.starts_with("3 different shell commands"),
        "{}",
        all[0].title
    );
    let why = all[0].why.join("\n");
    assert!(
        why.contains("w; w") && why.contains("created /srv/6"),
        "{why}"
    );
    // A terminal and a session that bypasses the engine stay findings of their own.
    w.session_tty(&["sh"]);
    w.entered(&["sh", "-c", "w; ps"], false);
    assert_eq!(w.all("exec.session").len(), 5);
}

#[test]
fn health_checks_are_silent_and_probes_fold() {
    let mut w = World::steady();
    let check = ["/bin/sh", "-c", "curl -f localhost"];
    w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
    for _ in 0..30 {
        let s = w.session(&check);
        let curl = w.exec(s, "/usr/bin/curl", &["curl", "-f", "localhost"]);
        w.exit(curl);
        w.exit(s);
        w.ticks(10);
    }
    w.only(&[]);
    // A probe that is not in the engine's configuration, as with Kubernetes.
    for _ in 0..30 {
        let s = w.session(&["sh", "-c", "pg_isready"]);
        w.exit(s);
        w.ticks(10);
    }
    let f = w.finding("exec.session");
    assert_eq!((f.severity, f.count), (Severity::Info, 30));
}

#[test]
fn a_health_check_before_its_facts_is_withdrawn() {
    let mut w = World::starting();
    let check = ["/bin/sh", "-c", "curl -f localhost"];
    let other = ["/bin/sh", "-c", "id"];
    w.session(&check);
    w.session(&other);
    w.info(|i| i.healthcheck = check.iter().map(|s| (*s).into()).collect());
    let all = w.all("exec.session");
    assert_eq!(
        (all[0].severity, all[1].severity),
        (Severity::Info, Severity::Low)
    );
}

#[test]
fn processes_of_the_init_tree_are_no_session() {
    let mut w = World::steady();
    let init = w.init();
    let cron = w.exec(init, "/usr/sbin/crond", &["crond"]);
    let job = w.exec(cron, "/bin/sh", &["sh", "-c", "run-parts /etc/cron.hourly"]);
    w.exec(job, "/bin/run-parts", &["run-parts"]);
    w.only(&[]);
}
