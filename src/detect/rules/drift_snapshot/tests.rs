//! Differences from the image, graded by kind of file.

use super::*;
use crate::detect::testkit::{World, added as entry};
use crate::event::{FileClass, FileOp, Kind, NodeKind};

const LATER: i64 = 1_700_050_000_000_000_000;

fn scanned(w: &mut World, entries: Vec<Differing>) {
    let mut scan = DriftScan::default();
    for entry in entries {
        scan.counts
            .entry(entry.class)
            .or_default()
            .add(entry.difference);
        scan.entries.push(entry);
    }
    w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
}

#[test]
fn sensitive_files_are_a_finding_each_and_reported_once() {
    let mut w = World::steady();
    let all = || {
        vec![
            entry("/usr/bin/evil", FileClass::Binary),
            entry("/etc/cron.d/x", FileClass::Autostart),
            entry("/var/www/html/up/s.php", FileClass::Script),
            entry("/var/x", FileClass::Data),
        ]
    };
    scanned(&mut w, all());
    w.only(&["drift.snapshot"]);
    let findings = w.all("drift.snapshot");
    assert_eq!(findings.len(), 3);
    for f in &findings {
        assert_eq!((f.severity, f.count), (Severity::High, 1), "{}", f.title);
    }
    let titles: Vec<&str> = findings.iter().map(|f| f.title.as_str()).collect();
    assert!(titles[0].starts_with("A program was added"), "{titles:?}");
    assert!(titles[1].contains("A scheduled job"), "{titles:?}");
    assert!(titles[2].contains("A web script"), "{titles:?}");
    scanned(&mut w, all());
    assert_eq!(w.all("drift.snapshot")[0].count, 1, "reported once");
}

#[test]
fn files_that_the_engine_copied_in_are_ranked_by_their_kind() {
    for (path, class, severity) in [
        ("/etc/cron.d/x", FileClass::Autostart, Severity::High),
        ("/usr/bin/evil", FileClass::Binary, Severity::High),
        ("/etc/app.conf", FileClass::Config, Severity::Info),
    ] {
        let mut w = World::steady();
        let scan = DriftScan {
            cause: DriftScanCause::CopiedIn,
            entries: vec![entry(path, class)],
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
        let f = w.finding("drift.snapshot");
        assert_eq!(f.severity, severity, "{path}");
        assert!(
            f.title.contains("from outside the container (docker cp)"),
            "{}",
            f.title
        );
    }
}

#[test]
fn states_from_before_watching_have_their_time() {
    let mut w = World::steady();
    let mut old = entry("/usr/local/bin/old", FileClass::Binary);
    let began = w.state.began;
    old.ctime = Timestamp(began.0 - 3_600_000_000_000);
    scanned(&mut w, vec![old.clone()]);
    let f = w.finding("drift.snapshot");
    assert_eq!(f.already_since, Some(old.ctime));
    assert!(f.title.contains("before watching began"), "{}", f.title);
    assert!(f.why[0].starts_with("already so when watching began, since 20"));
    let mut w = World::steady();
    scanned(&mut w, vec![entry("/usr/local/bin/new", FileClass::Binary)]);
    let f = w.finding("drift.snapshot");
    assert_eq!(f.already_since, None);
    assert!(f.title.contains("by an unknown process"), "{}", f.title);
}

#[test]
fn beyond_the_maximum_sensitive_files_are_counted() {
    let mut w = World::steady();
    let many = (0..40).map(|n| entry(&format!("/usr/bin/p{n:02}"), FileClass::Binary));
    scanned(&mut w, many.collect());
    let findings = w.all("drift.snapshot");
    assert_eq!(findings.len(), MAX_APART + 1);
    let rest = findings[MAX_APART];
    assert!(
        rest.title.starts_with("28 more sensitive files"),
        "{}",
        rest.title
    );
    assert_eq!((rest.severity, rest.parts.len()), (Severity::High, 28));
}

#[test]
fn each_file_has_its_severity() {
    let of = |path: &str, class, change: fn(&mut Differing)| {
        let mut w = World::steady();
        let mut entry = entry(path, class);
        change(&mut entry);
        scanned(&mut w, vec![entry]);
        w.all("drift.snapshot").first().map(|f| f.severity)
    };
    let plain = |_: &mut Differing| {};
    use crate::detect::Severity as S;
    use crate::event::FileClass as C;
    for (path, class, severity) in [
        ("/tmp/.x/miner", C::Binary, Some(S::High)),
        ("/usr/local/bin/tool.sh", C::Script, Some(S::High)),
        ("/srv/job.sh", C::Script, Some(S::Low)),
        (
            "/usr/lib/x86_64-linux-gnu/libz.so.1",
            C::Library,
            Some(S::High),
        ),
        ("/tmp/libnetty123.so", C::Library, Some(S::Low)),
        ("/app/node_modules/x/b.node", C::Binary, Some(S::Low)),
        ("/etc/shadow", C::Credentials, Some(S::High)),
        ("/root/.ssh/authorized_keys", C::Credentials, Some(S::High)),
        ("/etc/ld.so.preload", C::Credentials, Some(S::Critical)),
        ("/root/.bashrc", C::Autostart, Some(S::High)),
        ("/app/tls/server.key", C::Credentials, Some(S::Low)),
        ("/etc/app.conf", C::Config, Some(S::Info)),
        ("/var/lib/app/data", C::Data, None),
    ] {
        assert_eq!(of(path, class, plain), severity, "{path}");
    }
    let touched = |e: &mut Differing| {
        e.difference = Difference::Changed;
        e.metadata_only = true;
    };
    assert_eq!(of("/usr/bin/find", C::Binary, touched), Some(S::Low));
    let setuid = |e: &mut Differing| {
        e.difference = Difference::Changed;
        e.metadata_only = true;
        e.mode_before = Some(e.mode);
        e.mode |= 0o4000;
    };
    assert_eq!(of("/usr/bin/find", C::Binary, setuid), Some(S::High));
    let mount_point = |e: &mut Differing| e.size = 0;
    assert_eq!(of("/usr/sbin/docker-init", C::Binary, mount_point), None);
    let link = |e: &mut Differing| e.kind = NodeKind::Symlink;
    assert_eq!(of("/usr/bin/awk", C::Binary, link), Some(S::Low));
}

#[test]
fn files_of_an_installation_stay_low() {
    let mut w = World::steady();
    let mut owned = entry("/usr/sbin/nginx", FileClass::Binary);
    owned.package = Some("nginx".into());
    let accounts = entry("/etc/passwd", FileClass::Credentials);
    let mut unit = entry(
        "/etc/systemd/system/a.wants/nginx.service",
        FileClass::Autostart,
    );
    unit.kind = NodeKind::Symlink;
    let library = entry(
        "/usr/local/lib/python3.13/site-packages/x/x.py",
        FileClass::Script,
    );
    let console = entry("/usr/local/bin/x", FileClass::Script);
    scanned(&mut w, vec![owned, accounts, unit, library, console]);
    let findings = w.all("drift.snapshot");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Low);
    // The same account file long after the installation, and a program long after the library.
    let later = |path: &str, class| {
        let mut entry = entry(path, class);
        entry.ctime = Timestamp(LATER + 600_000_000_000);
        entry
    };
    let accounts = later("/etc/passwd", FileClass::Credentials);
    let program = later("/usr/local/bin/y", FileClass::Binary);
    scanned(&mut w, vec![accounts, program]);
    assert_eq!(w.all("drift.snapshot").len(), 3);
}

#[test]
fn start_up_settings_and_packages_are_information() {
    let mut w = World::steady();
    let mut config = entry("/etc/nginx/nginx.conf", FileClass::Config);
    config.difference = Difference::Changed;
    let mut started = entry("/usr/local/bin/made", FileClass::Binary);
    started.ctime = Timestamp(1_700_000_002_000_000_000);
    let mut packaged = entry("/usr/bin/curl", FileClass::Binary);
    packaged.package = Some("curl".into());
    scanned(&mut w, vec![config, started, packaged]);
    assert_eq!(w.finding("drift.snapshot").severity, Severity::Info);
    let mut w = World::steady();
    scanned(&mut w, vec![entry("/var/log/x", FileClass::Log)]);
    w.none("drift.snapshot");
}

#[test]
fn before_the_engines_facts_the_init_reports_what_start_up_made() {
    for (after, severity) in [(2, Severity::Low), (2_000, Severity::High)] {
        let mut w = World::found();
        w.info(|info| (info.created, info.started) = (None, None));
        let mut job = entry("/etc/cron.d/job", FileClass::Autostart);
        job.ctime = Timestamp((1_700_000_000 + after) * 1_000_000_000);
        scanned(&mut w, vec![job]);
        assert_eq!(w.finding("drift.snapshot").severity, severity);
    }
}

#[test]
fn changes_with_events_are_left_to_the_rules_on_events() {
    let mut w = World::steady();
    let init = w.init();
    w.file(init, FileOp::Write, "/srv/app/run.sh");
    scanned(&mut w, vec![entry("/srv/app/run.sh", FileClass::Script)]);
    w.none("drift.snapshot");
}
