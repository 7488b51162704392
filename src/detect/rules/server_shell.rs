//! Shells behind a server: first a line, and an alarm once they do what only an intruder does.

use bstr::ByteSlice as _;

use super::bare_shells::{bare, shell};
use super::server_shells::{Known, ServerShell, ServerShells, Shape, given_as_argument};
use super::shell_deeds::{self, Deed, SUBJECT};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::serving::{listener, serves_somebody};
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Exec, ProgramAdditions};
use crate::state::ProcessEntry;

/// Commands told of shells that did nothing special.
const MAX_COMMANDS: usize = 12;

/// Shell under a server.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-spawned",
        title: "Server started a shell",
        severity: Severity::High,
        attack: &["T1059.004", "T1190", "T1505.003"],
        needs: &[Requirement::Exec, Requirement::Listen],
        explain: "A program that serves connections, or one that it started for a request, ran a \
                  shell and had not done so while starting. One low line for the container, \
                  information when the command stands in the service's own arguments. High when \
                  a shell does what only an intruder does: it waits for commands or gets a \
                  terminal, explores the system (`id`, or several questions such as `uname -a` \
                  and `cat /etc/passwd`), writes a program or a start-up file, reads a secret, \
                  connects to an address that is new to the container, or is an interpreter that \
                  was handed a program. A command that came during start-up or three times \
                  before may connect.",
        check: "What did the shell run, and which request led to it?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| executed(ctx, memory.of(), exec)),
        Handler::Connect(shell_deeds::connected),
        Handler::File(shell_deeds::changed),
        Handler::Found(|ctx, _, process| super::found_server_shell::found(ctx, &process.as_exec())),
    ],
};

fn executed(ctx: &RuleContext<'_>, memory: &mut ServerShells, exec: &Exec) -> Alerts {
    if ctx.session().is_some() {
        return Alerts::none();
    }
    if let Some(shell) = memory.shell_of(ctx) {
        return shell_deeds::ran(ctx, memory, &shell, exec);
    }
    // A server that runs a script of the image by its `#!` line does its work; a script that is
    // not the image's has a rule of its own.
    if exec.script.is_some() {
        return Alerts::none();
    }
    let wrapper = |p: &&ProcessEntry| ctx.names().is_wrapper(program_roles::of(p));
    let Some(parent) = ctx.ancestors().skip(1).find(|p| !wrapper(p)) else {
        return Alerts::none();
    };
    // Another interpreter that is handed a program is as good; one that starts its like is at work.
    let is_shell = shell(ctx.names(), exec).is_some();
    if !is_shell && (!handed_text(ctx.names(), exec) || parent.exe == exec.exe) {
        return Alerts::none();
    }
    // A fork of a server that becomes the shell still carries the server's program.
    if ctx.names().is_shell(program_roles::of(parent))
        || program_roles::is_packager(ctx.names(), parent)
        || ctx.ancestors().any(attribution::lets_people_in)
    {
        return Alerts::none();
    }
    // The same program run for another purpose, as to set up a data base, is not the server.
    let program = (parent.exe.as_bytes(), parent.argv.as_slice());
    let shape = Shape::of(&exec.argv);
    if ctx.learning() {
        memory.note_habit(program);
        memory.note_usual(&shape);
        return Alerts::none();
    }
    if !serves_somebody(ctx, parent) {
        if !parent.existing {
            memory.note_habit(program);
        }
        return Alerts::none();
    }
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    // A listener that was a finding is the same back door.
    if let Some(index) = listener(ctx, parent.pid) {
        return Alert::occurrence(index, Severity::High)
            .reason(format!("then started a shell: {command}"))
            .into();
    }
    let habit = memory.has_habit(program);
    let known = if memory.runs_again(&shape) {
        Known::Usual
    } else if is_shell && given_as_argument(ctx, exec) {
        Known::Argument
    } else {
        Known::New
    };
    let started = ServerShell::new(ctx, shape, parent, habit, known);
    memory.watch(started.clone());
    let deed = begins_with(ctx, memory, &started, exec, is_shell);
    if deed.is_none() && (habit || known == Known::Usual) {
        // Nothing to tell of a first one; a finding counts them.
        let index = ctx.findings.find(RULE.info.id, Some(ctx.owner), SUBJECT);
        return index
            .map(|index| Alert::occurrence(index, Severity::Info))
            .into();
    }
    let severity = match (deed, known) {
        (Some(_), _) => Severity::High,
        (None, Known::Argument) => Severity::Info,
        (None, _) => Severity::Low,
    };
    let mut alert = ctx.alert(severity, SUBJECT, |explanation| {
        explanation.title = format!("{} started a shell: {command}", parent.exe.escaped());
    });
    let parent_line = program_roles::command_line(&parent.argv, &parent.exe, 120);
    alert = alert.part(parent.exe.clone());
    let told = ctx.findings.find(RULE.info.id, Some(ctx.owner), SUBJECT);
    let told = told.and_then(|index| ctx.findings.get(index));
    let ran = |line: &&String| line.starts_with("ran: ");
    let commands = told.map_or(0, |f| f.why.iter().filter(ran).count());
    if commands < MAX_COMMANDS || deed.is_some() {
        alert = alert
            .reason(format!("its parent serves connections: {parent_line}"))
            .reason(format!("ran: {command}"));
    }
    if parent.existing {
        alert = alert
            .reason("the server was not watched from its start: what it ran before is not known");
    }
    match deed {
        Some(deed) => shell_deeds::rise(memory, alert, &parent.exe, deed, &command).into(),
        None => alert.into(),
    }
}

/// What a shell that was just started does by its command alone.
fn begins_with(
    ctx: &RuleContext<'_>,
    memory: &mut ServerShells,
    started: &ServerShell,
    exec: &Exec,
    is_shell: bool,
) -> Option<Deed> {
    if bare(ctx.names(), exec) {
        return Some(if shell_deeds::given_terminal(ctx, exec) {
            Deed::Terminal
        } else {
            Deed::Waits
        });
    }
    if !is_shell {
        let new = started.known == Known::New && !started.by_habit;
        return new.then_some(Deed::Program);
    }
    shell_deeds::explores(ctx, memory, started, exec).then_some(Deed::Explores)
}

/// An interpreter that got its program's text as an argument, or waits for it.
fn handed_text(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    names.is_interpreter(name)
        && !name.ends_with(b"awk")
        && (bare(names, exec) || program_roles::takes_text(&exec.argv))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{Endpoint, FileOp, Outcome, Protocol};

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
    fn what_only_an_intruder_does_raises_the_same_finding() {
        for texts in [
            &["id"][..],
            &["date", "date", "date", "date", "date; id"],
            &["uname -a", "ls -la /", "ps"],
            &["date", "uname -a; cat /etc/passwd"],
        ] {
            assert_eq!(runs(texts), Some(Severity::High), "{texts:?}");
        }
        let deed = |act: &dyn Fn(&mut World, u32)| {
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
            &reads,
            &upgrades,
        ] {
            assert_eq!(deed(act), Severity::High);
        }
        let writes = |w: &mut World, sh: u32| {
            w.create(sh, "/srv/y.png");
            w.connect(sh, "127.0.0.1:6379");
        };
        assert_eq!(deed(&writes), Severity::Low);
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
        // A service that another supervises is no part of a request.
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
    fn a_server_known_for_shells_is_told_by_what_they_do() {
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
        // Who listens where a proxy beside it may know is a server.
        w.listen(test, "127.0.0.1:9000");
        w.exec(test, "/bin/sh", &["sh", "-c", "uname"]);
        // It has started one before that: only another program tells.
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
    fn a_back_door_is_one_story() {
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
}
