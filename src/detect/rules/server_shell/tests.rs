//! Servers' shells that intrude, and their honest twins.

use crate::detect::Severity;
use crate::detect::testkit::{World, upper};
use crate::event::{ContainerAction, Endpoint, FileOp, Kind, Outcome, Process, Protocol};

#[test]
fn a_server_that_starts_a_shell() {
    let (mut w, web) = World::server();
    let worker = w.fork(web);
    let sh = w.exec(worker, "/bin/sh", &["sh", "-c", "id"]);
    w.exec(sh, "/usr/bin/id", &["id"]);
    w.exec(worker, "/bin/sh", &["sh", "-c", "id"]);
    let f = w.finding("exec.shell-spawned");
    assert_eq!((f.severity, f.count), (Severity::High, 2));
    assert!(
        f.title.contains("explored the system: sh -c id"),
        "{}",
        f.title
    );
    w.only(&["exec.shell-spawned"]);
}

/// The server of [`World::server`] has shells run commands; the finding's severity.
fn runs(texts: &[&str]) -> Option<Severity> {
    let (mut w, web) = World::server();
    for text in texts {
        let worker = w.fork(web);
        w.exec_as(worker, web, "/bin/sh", &["sh", "-c", text], |_| {});
        w.exit(worker);
        w.ticks(3);
    }
    w.all("exec.shell-spawned").first().map(|f| f.severity)
}

#[test]
fn a_servers_own_commands_are_one_low_line() {
    let (mut w, web) = World::server();
    for n in 0..20 {
        let text = format!("convert /srv/{n}.png /srv/{n}.jpg && date | tr a-z A-Z");
        let sh = w.exec(web, "/bin/sh", &["sh", "-c", &text]);
        let date = w.exec(sh, "/bin/date", &["date"]);
        w.create(sh, "/srv/out.jpg");
        w.exit(date);
        w.exit(sh);
    }
    let f = w.finding("exec.shell-spawned");
    assert_eq!((f.severity, f.count), (Severity::Low, 20));
    w.only(&["exec.shell-spawned"]);
    assert_eq!(w.all("exec.shell-spawned").len(), 1);
    for texts in [
        &[
            "ps aux | grep nginx | wc -l",
            "df -h",
            "uptime",
            "who | wc -l",
        ][..],
        &["git rev-parse HEAD", "test $(id -u) = 0"],
    ] {
        assert_eq!(runs(texts), Some(Severity::Low), "{texts:?}");
    }
}

#[test]
fn a_script_that_a_servers_shell_writes_is_part_of_the_incident() {
    let (mut w, web) = World::server();
    let sh = w.exec(
        web,
        "/bin/sh",
        &["sh", "-c", "uname -a; cat /etc/passwd; id"],
    );
    w.create(sh, "/var/www/html/x.php");
    w.create(sh, "/srv/y.png");
    let incidents = w.incidents.ranked(&w.state, &w.detector);
    assert_eq!(incidents[0].sentence(">"), "server shell > web script");
    assert_eq!(incidents[0].files, ["/var/www/html/x.php"]);
}

#[test]
fn actions_of_an_intruder_raise_the_same_finding() {
    for texts in [
        &["id"][..],
        &["date", "date", "date", "date", "date; id"],
        &["uname -a", "ls -la /", "ps"],
        &["date", "uname -a; cat /etc/passwd"],
    ] {
        assert_eq!(runs(texts), Some(Severity::High), "{texts:?}");
    }
    let action = |act: &dyn Fn(&mut World, u32)| {
        let (mut w, web) = World::server();
        let sh = w.exec(web, "/bin/sh", &["sh", "-c", "convert x"]);
        let first = w.finding("exec.shell-spawned").first;
        assert_eq!(w.highest(), Severity::Low);
        w.exit(sh);
        w.ticks(30);
        let sh = w.exec(web, "/bin/sh", &["sh", "-c", "convert y"]);
        act(&mut w, sh);
        let all = w.all("exec.shell-spawned");
        assert_eq!((all.len(), all[0].first), (1, first));
        assert_eq!(all[0].ancestry.last().unwrap().pid, w.init());
        all[0].severity
    };
    let connects = |w: &mut World, sh: u32| {
        let curl = w.exec(sh, "/usr/bin/curl", &["curl", "x"]);
        w.connect(curl, "203.0.113.9:80");
    };
    let plants = |w: &mut World, sh: u32| w.create(sh, "/var/www/html/x.php");
    let marks = |w: &mut World, sh: u32| {
        w.file_as(sh, FileOp::Chmod, "/tmp/x", |f| {
            f.mode = Some(0o755);
            f.file = Some(upper(9));
        });
    };
    let marks_by_path = |w: &mut World, sh: u32| {
        w.create(sh, "/tmp/y");
        let chmod = w.exec(sh, "/bin/chmod", &["chmod", "+x", "/tmp/y"]);
        w.file_as(chmod, FileOp::Chmod, "/tmp/y", |f| f.mode = Some(0o755));
    };
    let reads = |w: &mut World, sh: u32| {
        let cat = w.exec(sh, "/bin/cat", &["cat", "/root/.ssh/id_rsa"]);
        w.file(cat, FileOp::Read, "/root/.ssh/id_rsa");
    };
    let upgrades = |w: &mut World, sh: u32| {
        let p = w.fork(sh);
        w.exec_as(p, sh, "/bin/bash", &["bash"], |e| e.tty = true);
    };
    for act in [
        &connects as &dyn Fn(&mut World, u32),
        &plants,
        &marks,
        &marks_by_path,
        &reads,
        &upgrades,
    ] {
        assert_eq!(action(act), Severity::High);
    }
    let writes = |w: &mut World, sh: u32| {
        w.create(sh, "/srv/y.png");
        w.connect(sh, "127.0.0.1:6379");
    };
    assert_eq!(action(&writes), Severity::Low);
    // A mail system marks what is complete in its queue.
    let sends = |w: &mut World, sh: u32| {
        let drop = w.exec(sh, "/usr/sbin/postdrop", &["postdrop", "-r"]);
        w.file_as(drop, FileOp::Chmod, "/var/spool/postfix/maildrop/1", |f| {
            f.mode = Some(0o744);
            f.file = Some(upper(9));
        });
    };
    assert_eq!(action(&sends), Severity::Low);
    // A shell without a command waits for some.
    let (mut w, web) = World::server();
    w.exec(web, "/bin/sh", &["sh"]);
    assert_eq!(w.highest(), Severity::High);
}

#[test]
fn a_usual_command_and_one_of_the_arguments_may_connect() {
    let (mut w, web) = World::server();
    for n in 0..5 {
        let sh = w.exec(web, "/bin/sh", &["sh", "-c", &format!("rsync /a/{n} b:")]);
        if n == 4 {
            let rsync = w.exec(sh, "/usr/bin/rsync", &["rsync"]);
            w.connect(rsync, "203.0.113.9:873");
        }
    }
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::Low);
    let mut w = World::starting();
    let init = w.init();
    let argv = ["postgres", "-c", "archive_command=rsync %p b:/a/%f"];
    let db = w.exec(init, "/usr/bin/postgres", &argv);
    w.listen(db, "0.0.0.0:5432");
    w.ticks(60);
    let sh = w.exec(db, "/bin/sh", &["sh", "-c", "rsync pg_wal/00A b:/a/00A"]);
    let rsync = w.exec(sh, "/usr/bin/rsync", &["rsync"]);
    w.connect(rsync, "203.0.113.9:873");
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::Info);
}

#[test]
fn the_parent_is_the_program_that_started_the_shell() {
    let mut w = World::starting();
    let init = w.init();
    let master = w.exec(init, "/usr/lib/postfix/master", &["master"]);
    w.listen(master, "0.0.0.0:25");
    w.ticks(60);
    let local = w.exec(master, "/usr/lib/postfix/local", &["local"]);
    let procmail = w.exec(local, "/usr/bin/procmail", &["procmail", "-a", "x"]);
    w.exec(procmail, "/bin/sh", &["sh", "-c", "formail x"]);
    let f = w.finding("exec.shell-spawned");
    assert!(
        f.title.starts_with("/usr/bin/procmail started"),
        "{}",
        f.title
    );
    // A service below a supervisor is not part of a request.
    let mut w = World::starting();
    let init = w.init();
    let supervisor = w.exec(init, "/usr/bin/supervisord", &["supervisord"]);
    w.listen(supervisor, "0.0.0.0:9001");
    let worker = w.exec(supervisor, "/usr/bin/worker", &["worker"]);
    w.ticks(60);
    w.exec(worker, "/bin/sh", &["sh", "-c", "id"]);
    w.only(&[]);
}

#[test]
fn an_application_behind_a_unix_socket_is_a_server() {
    let path = || Endpoint::Unix("/run/app.sock".into());
    let mut w = World::starting();
    let init = w.init();
    let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
    w.listen(web, "0.0.0.0:80");
    let app = w.exec(init, "/usr/sbin/php-fpm", &["php-fpm"]);
    let cron = w.exec(init, "/usr/sbin/cron", &["cron"]);
    w.ticks(60);
    w.connect_as(web, Protocol::Unix, path(), Outcome::Established);
    w.exec(cron, "/bin/sh", &["sh", "-c", "id"]);
    w.only(&[]);
    w.exec(app, "/bin/sh", &["sh", "-c", "date"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::Low);
    w.exec(app, "/bin/sh", &["sh", "-c", "id"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
    let mut w = World::starting();
    let init = w.init();
    let argv = ["gunicorn", "--bind", "unix:/run/app.sock", "app"];
    let app = w.exec(init, "/usr/bin/gunicorn", &argv);
    w.ticks(60);
    w.exec(app, "/bin/sh", &["sh", "-c", "id"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
}

#[test]
fn a_server_known_for_shells_is_reported_by_what_they_do() {
    let mut w = World::starting();
    let init = w.init();
    let web = w.exec(init, "/usr/bin/node", &["node", "app.js"]);
    w.listen(web, "0.0.0.0:80");
    w.exec(web, "/bin/sh", &["sh", "-c", "git rev-parse HEAD"]);
    w.ticks(60);
    w.exec(web, "/bin/sh", &["sh", "-c", "git fetch"]);
    w.only(&[]);
    w.exec(web, "/bin/sh", &["sh", "-c", "git fetch; whoami"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
}

#[test]
fn a_server_may_run_its_scripts() {
    let (mut w, web) = World::server();
    let p = w.fork(web);
    w.exec_as(p, web, "/bin/sh", &["/bin/sh", "x"], |e| {
        e.script = Some("x".into())
    });
    w.only(&[]);
}

#[test]
fn schedulers_and_servers_that_always_did_are_silent() {
    let mut w = World::starting();
    let init = w.init();
    let web = w.exec(init, "/usr/bin/node", &["node", "app.js"]);
    w.listen(web, "0.0.0.0:80");
    w.exec(web, "/bin/sh", &["sh", "-c", "git rev-parse HEAD"]);
    let cron = w.exec(init, "/usr/sbin/crond", &["crond"]);
    w.ticks(60);
    for _ in 0..5 {
        w.exec(web, "/bin/sh", &["sh", "-c", "git rev-parse HEAD"]);
        let job = w.fork(cron);
        w.exec(
            job,
            "/bin/sh",
            &["sh", "-c", "run-parts /etc/periodic/15min"],
        );
        w.ticks(60);
    }
    w.only(&[]);
}

#[test]
fn a_login_server_and_a_socket_for_oneself_are_silent() {
    let mut w = World::steady();
    let init = w.init();
    let sshd = w.exec(init, "/usr/sbin/sshd", &["sshd", "-D"]);
    w.listen(sshd, "0.0.0.0:22");
    let login = w.fork(sshd);
    let p = w.fork(login);
    w.exec_as(p, login, "/bin/bash", &["-bash"], |e| e.tty = true);
    w.none("exec.shell-spawned");
    w.none("exec.shell-terminal");
    let mut w = World::steady();
    let init = w.init();
    let test = w.exec(init, "/usr/bin/python3", &["python3", "-m", "unittest"]);
    w.listen(test, "127.0.0.1:40123");
    w.exec(test, "/bin/sh", &["sh", "-c", "uname"]);
    w.none("exec.shell-spawned");
    // A listener that another container's proxy may know is a server.
    w.listen(test, "127.0.0.1:9000");
    w.exec(test, "/bin/sh", &["sh", "-c", "uname"]);
    // It has started one before: only another program shows an intruder.
    let other = w.exec(init, "/usr/bin/php", &["php", "-S", "x"]);
    w.listen(other, "127.0.0.1:9001");
    w.exec(other, "/bin/sh", &["sh", "-c", "uname"]);
    let f = w.finding("exec.shell-spawned");
    assert!(f.title.starts_with("/usr/bin/php "), "{}", f.title);
}

#[test]
fn an_interpreter_with_a_text_is_a_shell() {
    let (mut w, web) = World::server();
    w.exec(web, "/usr/bin/perl", &["perl", "-e", "print 1"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
    // One that runs its input, and a filter.
    let (mut w, web) = World::server();
    w.exec(web, "/usr/bin/perl", &["perl", "-ne", "system($_)"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
    let (mut w, web) = World::server();
    w.exec(web, "/usr/bin/perl", &["perl", "-ne", "print if /a/"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::Low);
    let (mut w, web) = World::server();
    w.exec(web, "/usr/bin/python3", &["python3", "/app/job.py", "-c"]);
    w.exec(web, "/usr/bin/mawk", &["awk", "-e", "1"]);
    w.exec(web, "/usr/sbin/nginx", &["nginx", "-c", "/x"]);
    w.only(&[]);
    // A pool of workers.
    let mut w = World::starting();
    let init = w.init();
    let app = w.exec(init, "/usr/bin/python3", &["python3", "/app.py"]);
    w.listen(app, "0.0.0.0:80");
    w.ticks(60);
    w.exec(app, "/usr/bin/python3", &["python3", "-c", "spawn_main()"]);
    w.only(&[]);
}

#[test]
fn a_server_that_began_before_watching_is_learned_from_and_stays_low() {
    let mut w = World::starting();
    w.container(ContainerAction::Existing);
    let web = 5000;
    let running = Process {
        ppid: w.init(),
        exe: "/usr/bin/python3".into(),
        argv: vec!["python3".into(), "/app.py".into()],
        ..Process::default()
    };
    w.emit(web, web - 999, Kind::Process(Box::new(running)));
    w.listen(web, "0.0.0.0:80");
    w.ticks(30);
    w.exec(web, "/bin/sh", &["sh", "-c", "curl a"]);
    w.only(&[]);
    w.ticks(40);
    let other = Process {
        ppid: w.init(),
        exe: "/usr/bin/ruby".into(),
        argv: vec!["ruby".into(), "/app.rb".into()],
        ..Process::default()
    };
    let web = 5001;
    w.emit(web, web - 999, Kind::Process(Box::new(other)));
    w.listen(web, "0.0.0.0:81");
    let sh = w.exec(web, "/bin/sh", &["sh", "-c", "curl b"]);
    let curl = w.exec(sh, "/usr/bin/curl", &["curl", "b"]);
    w.connect(curl, "203.0.113.9:80");
    let f = w.finding("exec.shell-spawned");
    assert_eq!(f.severity, Severity::Low);
    assert!(
        f.why.join("\n").contains("not watched from its start"),
        "{f:?}"
    );
    w.exec(web, "/bin/sh", &["sh", "-c", "id"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
}

#[test]
fn setting_up_a_data_base_gives_its_server_no_licence() {
    let mut w = World::starting();
    let init = w.init();
    let exe = "/usr/lib/postgresql/17/bin/postgres";
    let set_up = w.exec(init, exe, &["postgres", "--boot"]);
    w.exec(set_up, "/bin/sh", &["sh", "-c", "locale -a"]);
    w.exit(set_up);
    let db = w.exec(init, exe, &["postgres", "-D", "/data"]);
    w.listen(db, "0.0.0.0:5432");
    w.ticks(60);
    w.exec(db, "/bin/sh", &["sh", "-c", "curl x"]);
    assert_eq!(w.finding("exec.shell-spawned").severity, Severity::Low);
}

#[test]
fn a_back_door_is_one_finding() {
    let mut w = World::steady();
    let init = w.init();
    let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
    let python = w.exec(sh, "/usr/bin/python3", &["python3", "-c", "x"]);
    w.listen(python, "0.0.0.0:31337");
    w.exec(python, "/bin/sh", &["/bin/sh"]);
    w.only(&["net.listen-new"]);
    let why = w.finding("net.listen-new").why.join("\n");
    assert!(why.contains("then started a shell"), "{why}");
}

/// The engine's process that starts a command has the pid that a worker of the server had.
#[test]
fn an_ended_process_starts_nothing_by_its_pid() {
    let command = ["sh", "-c", "pg_isready -q"];
    for forked in [false, true] {
        let (mut w, web) = World::server();
        let worker = w.fork(web);
        w.exit(worker);
        let check = if forked { w.fork(worker) } else { worker + 100 };
        w.exec_as(check, worker, "/bin/sh", &command, |_| {});
        w.only(&["exec.session"]);
        // A worker that ended after it had started a shell did start it.
        let worker = w.fork(web);
        let sh = w.fork(worker);
        w.exit(worker);
        w.exec_as(sh, web, "/bin/sh", &["sh", "-i"], |_| {});
        w.only(&["exec.session", "exec.shell-spawned"]);
    }
}
