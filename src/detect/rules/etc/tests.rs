//! The rules on configuration and start-up files.

use crate::detect::Severity;
use crate::detect::testkit::World;
use crate::event::FileOp;

#[test]
fn a_directory_renamed_to_a_sensitive_path_brings_its_files() {
    for (op, from, to) in [
        (FileOp::Symlink, "/home/app/.ssh", "/tmp/k"),
        (FileOp::Symlink, "/home/app/.ssh", "../../tmp/k"),
        (FileOp::Rename, "/tmp/k", "/home/app/.ssh"),
    ] {
        for (name, found) in [("authorized_keys", true), ("notes", false)] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, &format!("/tmp/k/{name}"));
            w.link(init, op, from, to);
            assert_eq!(!w.all("file.ssh-access").is_empty(), found, "{op:?} {name}");
        }
    }
}

#[test]
fn special_files_are_known_by_every_way() {
    for (path, rule, severity) in [
        ("/etc/passwd", "file.accounts", Severity::High),
        ("/etc/shadow", "file.accounts", Severity::High),
        ("/etc/sudoers.d/x", "file.sudoers", Severity::High),
        ("/etc/pam.d/common-auth", "file.pam", Severity::High),
        ("/etc/ld.so.preload", "file.ld-preload", Severity::Critical),
        ("/etc/crontab", "file.cron", Severity::High),
        ("/var/spool/cron/crontabs/root", "file.cron", Severity::High),
        ("/etc/init.d/x", "file.service", Severity::Medium),
        (
            "/etc/profile.d/x.sh",
            "file.shell-startup",
            Severity::Medium,
        ),
        (
            "/root/.ssh/authorized_keys",
            "file.ssh-access",
            Severity::High,
        ),
        (
            "/etc/apt/sources.list",
            "file.package-sources",
            Severity::Medium,
        ),
        ("/etc/nsswitch.conf", "file.etc-changed", Severity::Medium),
    ] {
        let ways: [fn(&mut World, u32, &str); 4] = [
            |w, p, path| w.create(p, path),
            |w, p, path| w.file(p, FileOp::Write, path),
            |w, p, path| w.rename(p, "/tmp/evil", path),
            |w, p, path| w.link(p, FileOp::Symlink, path, "/tmp/evil"),
        ];
        for way in ways {
            let mut w = World::steady();
            let init = w.init();
            way(&mut w, init, path);
            w.only(&[rule]);
            assert_eq!(w.highest(), severity, "{path}");
        }
    }
}

#[test]
fn the_loaders_cache_is_ldconfigs() {
    for (program, found) in [("/sbin/ldconfig", false), ("/usr/bin/python3", true)] {
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, program, &[program]);
        w.create(p, "/etc/ld.so.cache~");
        w.rename(p, "/etc/ld.so.cache~", "/etc/ld.so.cache");
        assert_eq!(!w.all("file.loader-path").is_empty(), found, "{program}");
    }
}

#[test]
fn names_are_the_runtimes_and_the_services_to_write() {
    let mut w = World::steady();
    let init = w.init();
    w.exec_as(init, 1, "/bin/sh", &["sh", "/start.sh"], |_| {});
    w.file(init, FileOp::Write, "/etc/hosts");
    let vpn = w.exec(init, "/usr/sbin/openvpn", &["openvpn"]);
    w.file(vpn, FileOp::Write, "/etc/resolv.conf");
    w.only(&[]);
    let shell = w.exec(vpn, "/bin/sh", &["sh", "-c", "x"]);
    w.file(shell, FileOp::Write, "/etc/hosts");
    assert_eq!(w.finding("file.etc-changed").severity, Severity::Medium);
    let mut w = World::steady();
    let s = w.session(&["sh", "-c", "x"]);
    w.file(s, FileOp::Write, "/etc/resolv.conf");
    assert_eq!(w.finding("file.etc-changed").severity, Severity::Medium);
}

#[test]
fn a_file_that_a_service_adds_to_etc_is_low() {
    let added = |by: &str, path: &str| {
        let mut w = World::steady();
        let init = w.init();
        let web = w.exec(init, "/usr/bin/node", &["node", "/srv/a.js"]);
        let by = match by {
            "service" => web,
            "shell" => w.exec(web, "/bin/sh", &["sh", "-c", "x"]),
            _ => w.session(&["sh", "-c", "x"]),
        };
        w.create(by, path);
        w.finding("file.etc-changed").severity
    };
    assert_eq!(added("service", "/etc/app.settings"), Severity::Low);
    assert_eq!(added("shell", "/etc/app.settings"), Severity::Medium);
    assert_eq!(added("session", "/etc/app.settings"), Severity::Medium);
    assert_eq!(added("service", "/etc/nsswitch.conf"), Severity::Medium);
}

#[test]
fn services_of_supervisors_count_and_what_they_note_does_not() {
    for (path, severity) in [
        ("/etc/supervisor/conf.d/x.conf", Severity::Medium),
        ("/etc/service/x/run", Severity::Medium),
        ("/etc/services.d/x/finish", Severity::Medium),
        ("/etc/cont-init.d/99-x", Severity::Medium),
        ("/etc/modprobe.d/x.conf", Severity::Medium),
        ("/etc/service/x/supervise/status.new", Severity::Info),
        ("/etc/service/x/supervise/status", Severity::Info),
        ("/etc/services.d/x/data/check", Severity::Info),
    ] {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, path);
        assert_eq!(w.highest(), severity, "{path}");
    }
}

#[test]
fn a_file_renamed_into_place_continues_its_finding() {
    let mut w = World::steady();
    let init = w.init();
    w.create(init, "/var/spool/cron/crontabs/temp-8.rdb");
    w.rename(
        init,
        "/var/spool/cron/crontabs/temp-8.rdb",
        "/var/spool/cron/crontabs/root",
    );
    w.file(init, FileOp::Write, "/var/spool/cron/crontabs/root");
    let all = w.all("file.cron");
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].title.ends_with("crontabs/root"), "{}", all[0].title);
    // Another table is another finding.
    w.create(init, "/etc/cron.d/x");
    assert_eq!(w.all("file.cron").len(), 2);
}

#[test]
fn a_temporary_name_belongs_to_the_finding_about_its_final_name() {
    let mut w = World::steady();
    let s = w.session(&["ln", "-f", "/tmp/p", "/etc/passwd"]);
    w.link(s, FileOp::Link, "/tmp/p", "/etc/CuJawA6Q");
    w.rename(s, "/etc/CuJawA6Q", "/etc/passwd");
    w.only(&["exec.session", "file.accounts"]);
    assert_eq!(w.finding("file.accounts").severity, Severity::High);
}

#[test]
fn a_directory_moved_there_counts_as_its_files() {
    let mut w = World::steady();
    let init = w.init();
    w.rename(init, "/tmp/jobs", "/etc/cron.d");
    assert_eq!(w.finding("file.cron").severity, Severity::High);
    w.only(&["file.cron"]);
}

#[test]
fn refused_attempts_count_lower() {
    let mut w = World::steady();
    let init = w.init();
    w.refused(init, FileOp::Write, "/etc/shadow", 13);
    let f = w.finding("file.accounts");
    assert_eq!(f.severity, Severity::Medium);
    assert!(f.why.iter().any(|l| l.contains("EACCES")));
}

#[test]
fn a_service_may_change_its_own_configuration() {
    let mut w = World::steady();
    let init = w.init();
    // A symlink swap, as configuration reloaders do it.
    w.link(init, FileOp::Symlink, "/etc/app/..data_tmp", "..2026");
    w.rename(init, "/etc/app/..data_tmp", "/etc/app/..data");
    w.file(init, FileOp::Write, "/etc/resolv.conf");
    let ldconfig = w.exec(init, "/sbin/ldconfig", &["ldconfig"]);
    w.file(ldconfig, FileOp::Write, "/etc/ld.so.cache");
    assert_eq!(w.highest(), Severity::Info);
    w.create(init, "/etc/ssl/certs/x.pem");
    w.only(&["file.etc-changed"]);
    assert_eq!(w.all("file.etc-changed").len(), 1);
    // The same from outside is low.
    let s = w.session(&["sh"]);
    w.file(s, FileOp::Write, "/etc/app/x.conf");
    let all = w.all("file.etc-changed");
    assert_eq!((all.len(), all[1].severity), (2, Severity::Medium));
}

#[test]
fn an_entrypoint_that_edits_its_configuration_is_one_line() {
    let mut w = World::starting();
    let init = w.init();
    let sed = w.exec(
        init,
        "/bin/sed",
        &["sed", "-i", "s/a/b/", "/etc/nginx/conf.d/default.conf"],
    );
    w.create(sed, "/etc/nginx/conf.d/sedAbCdEf");
    w.rename(
        sed,
        "/etc/nginx/conf.d/sedAbCdEf",
        "/etc/nginx/conf.d/default.conf",
    );
    w.file(init, FileOp::Write, "/etc/passwd");
    w.only(&["drift.startup"]);
    assert_eq!(w.highest(), Severity::Info);
}

#[test]
fn a_file_that_the_service_filled_in_at_start_it_may_fill_in_again() {
    let again = |path: &str, by: fn(&mut World) -> u32| {
        let mut w = World::starting();
        let init = w.init();
        w.file(init, FileOp::Write, "/etc/app.conf");
        w.ticks(60);
        let pid = by(&mut w);
        w.file(pid, FileOp::Write, path);
        w.all("file.etc-changed").first().map(|f| f.severity)
    };
    let service: fn(&mut World) -> u32 = |w| w.init();
    let session: fn(&mut World) -> u32 = |w| w.session(&["sh"]);
    assert_eq!(again("/etc/app.conf", service), Some(Severity::Info));
    assert!(again("/etc/other.conf", service) > Some(Severity::Info));
    assert!(again("/etc/app.conf", session) > Some(Severity::Info));
}

#[test]
fn accounts_changed_from_outside_with_the_images_tools() {
    let changed = |argv: &[&str]| {
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "x"]);
        let tool = w.exec(s, &format!("/usr/sbin/{}", argv[0]), argv);
        w.rename(tool, "/etc/shadow+", "/etc/shadow");
        w.finding("file.accounts").severity
    };
    assert_eq!(changed(&["passwd", "u"]), Severity::Low);
    assert_eq!(changed(&["passwd", "-l", "u"]), Severity::Low);
    assert_eq!(changed(&["usermod", "-aG", "www-data", "u"]), Severity::Low);
    assert_eq!(
        changed(&["useradd", "-m", "-u", "1000", "w"]),
        Severity::Low
    );
    assert_eq!(changed(&["passwd"]), Severity::Medium);
    assert_eq!(changed(&["passwd", "root"]), Severity::Medium);
    assert_eq!(changed(&["chpasswd"]), Severity::Low);
    assert_eq!(changed(&["newusers"]), Severity::Medium);
    assert_eq!(changed(&["usermod", "-aG", "sudo", "u"]), Severity::Medium);
    assert_eq!(
        changed(&["usermod", "-aG", "www-data", "sudo"]),
        Severity::Low
    );
    assert_eq!(changed(&["gpasswd", "-a", "u", "wheel"]), Severity::Medium);
    assert_eq!(
        changed(&["usermod", "-o", "-u", "0", "games"]),
        Severity::High
    );
    assert_eq!(changed(&["useradd", "-u0", "x"]), Severity::High);
    // Another program, and the service itself.
    assert_eq!(changed(&["tee", "-a", "/etc/shadow"]), Severity::High);
    let mut w = World::steady();
    let init = w.init();
    let tool = w.exec(init, "/usr/sbin/chpasswd", &["chpasswd"]);
    w.rename(tool, "/etc/shadow+", "/etc/shadow");
    assert_eq!(w.finding("file.accounts").severity, Severity::High);
}

#[test]
fn a_password_by_a_shells_text_and_by_a_slow_start_script() {
    let set = |text: &str, session: bool| {
        let mut w = World::steady();
        let init = w.init();
        let shell = if session {
            w.session(&["sh", "-c", text])
        } else {
            w.exec_as(init, 1, "/bin/sh", &["sh", "-c", text], |_| {});
            init
        };
        let tool = w.exec(shell, "/usr/sbin/chpasswd", &["chpasswd"]);
        w.rename(tool, "/etc/shadow+", "/etc/shadow");
        w.finding("file.accounts").severity
    };
    for session in [true, false] {
        assert_eq!(set("echo root:x | chpasswd", session), Severity::Medium);
        assert_eq!(set("echo app:x | chpasswd", session), Severity::Low);
        assert_eq!(
            set("echo \"app:$PASSWORD\" | chpasswd", session),
            Severity::Low
        );
    }
}

#[test]
fn sources_of_packages_of_one_user_and_of_all() {
    let changed = |path: &str, by: fn(&mut World) -> u32| {
        let mut w = World::steady();
        let pid = by(&mut w);
        w.create(pid, path);
        w.all("file.package-sources").first().map(|f| f.severity)
    };
    let session: fn(&mut World) -> u32 = |w| w.session(&["sh", "-c", "x"]);
    let service: fn(&mut World) -> u32 = |w| {
        let init = w.init();
        w.exec(init, "/bin/sh", &["sh", "-c", "x"])
    };
    let manager: fn(&mut World) -> u32 = |w| {
        let init = w.init();
        w.exec(
            init,
            "/usr/bin/node",
            &["node", "/usr/bin/npm", "config", "set", "a", "b"],
        )
    };
    assert_eq!(changed("/etc/pip.conf", session), Some(Severity::Medium));
    assert_eq!(
        changed("/root/.pip/pip.conf", service),
        Some(Severity::Medium)
    );
    assert_eq!(changed("/root/.pip/pip.conf", session), Some(Severity::Low));
    assert_eq!(changed("/root/.npmrc", service), Some(Severity::Low));
    assert_eq!(changed("/root/.npmrc", manager), None);
}
