//! Shells behind a server.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::event::ProgramAdditions;
use bstr::ByteSlice as _;

use super::bare_shells::{bare, shell};
use crate::detect::finding::FindingIndex;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Endpoint, Exec};
use crate::state::{Connection, ConnectionKey, Direction, ProcessEntry};

/// Shell under a server.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-spawned",
        title: "A server started a shell",
        severity: Severity::High,
        attack: &["T1059.004", "T1190", "T1505.003"],
        needs: &[Requirement::Exec, Requirement::Listen],
        explain: "A program that listens for connections started a shell and had not done so \
                  while starting: the usual trace of a remote command. A program that starts \
                  shells from the beginning, as schedulers do, is not flagged.",
        check: "The command line of the shell, and the request that led to it.",
    },
    handlers: &[Handler::Exec(|ctx, memory, exec| {
        spawned(ctx, memory.of(), exec)
    })],
};

/// Programs that have started a shell, by executable and arguments.
#[derive(Debug, Clone, Default)]
struct ShellParents(SeenSet);

impl RuleMemory for ShellParents {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 32
    }
}

fn spawned(ctx: &RuleContext<'_>, memory: &mut ShellParents, exec: &Exec) -> Alerts {
    // A server that runs a script of the image by its `#!` line does its work; a script that is
    // not the image's has a rule of its own.
    if exec.script.is_some() {
        return Alerts::none();
    }
    let Some(parent) = ctx.ancestors().nth(1) else {
        return Alerts::none();
    };
    // Another interpreter that is handed a program is as good; one that starts its like is at work.
    if shell(ctx.names(), exec).is_none()
        && (!handed_text(ctx.names(), exec) || parent.exe == exec.exe)
    {
        return Alerts::none();
    }
    // A fork of a server that becomes the shell still carries the server's program.
    if ctx.names().is_shell(program_roles::of(parent))
        || program_roles::is_packager(ctx.names(), parent)
        || attribution::lets_people_in(parent)
    {
        return Alerts::none();
    }
    let parent_exe = parent.exe.clone();
    let parent_pid = parent.pid;
    let starting = ctx.starting_up();
    // The same program run for another purpose, as to set up a data base, is not the server.
    let key = (parent_exe.as_bytes(), parent.argv.as_slice());
    let first = memory.0.insert(key);
    if starting || !first || ctx.session().is_some() || parent.existing && !serves(ctx, parent) {
        return Alerts::none();
    }
    if !serves(ctx, parent) {
        return Alerts::none();
    }
    let subject = parent_exe.clone();
    let parent_line = program_roles::command_line(&parent.argv, &parent.exe, 120);
    memory.0.forget(key);
    // A listener that was a finding is the same back door.
    if let Some(index) = listener(ctx, parent_pid) {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        return Alert::occurrence(index, Severity::High)
            .reason(format!("then started a shell: {command}"))
            .into();
    }
    let alert = ctx.alert(Severity::High, &subject, |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        explanation.title = format!("{} started a shell: {command}", subject.escaped());
        explanation
            .why
            .push(format!("its parent listens for connections: {parent_line}"));
        explanation.why.push(format!("ran: {command}"));
    });
    alert.into()
}

/// An interpreter that got its program's text as an argument, or waits for it.
fn handed_text(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    names.is_interpreter(name)
        && !name.ends_with(b"awk")
        && (bare(names, exec) || program_roles::takes_text(&exec.argv))
}

/// The finding that tells of a port on which this process listens.
fn listener(ctx: &RuleContext<'_>, pid: u32) -> Option<FindingIndex> {
    let connections = ctx.state.connections.iter();
    let ports = connections.filter_map(|(key, row)| match &key.endpoint {
        Endpoint::Inet(at) if key.direction == Direction::Listening && row.pid == pid => {
            Some(at.port())
        }
        _ => None,
    });
    let mut found = ports.filter_map(|port| {
        let port = port.to_string();
        ctx.findings
            .find("net.listen-new", Some(ctx.owner), port.as_bytes())
    });
    found.find(|index| {
        let story = ctx.findings.get(*index);
        story.is_some_and(|f| f.silenced.is_none() && f.severity >= Severity::Medium)
    })
}

/// The process, or another of the same program in this container, listens for connections.
fn serves(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    ctx.state
        .connections
        .iter()
        .filter(|(key, row)| {
            key.owner.as_ref() == Some(ctx.owner)
                && matches!(key.direction, Direction::Listening | Direction::Inbound)
                && row.pid != 0
                && !inward(key, row)
        })
        .any(|(_, row)| {
            row.pid == process.pid
                || ctx
                    .state
                    .processes
                    .get(&row.pid)
                    .is_some_and(|p| p.exe == process.exe && p.owner == process.owner)
        })
}

/// A socket for the program's own use: on loopback, at a port that the kernel chose. Nobody else
/// knows of it.
fn inward(key: &ConnectionKey, row: &Connection) -> bool {
    let Endpoint::Inet(at) = &key.endpoint else {
        return false;
    };
    let own = |ip: std::net::IpAddr| ip.to_canonical().is_loopback();
    own(at.ip())
        && super::listen::CHOSEN.contains(&at.port())
        && row.peer.is_none_or(|peer| own(peer.ip()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn a_server_that_starts_a_shell() {
        let (mut w, web) = World::server();
        let worker = w.fork(web);
        let sh = w.exec(worker, "/bin/sh", &["sh", "-c", "id"]);
        w.exec(sh, "/usr/bin/id", &["id"]);
        w.exec(worker, "/bin/sh", &["sh", "-c", "id"]);
        let f = w.finding("exec.shell-spawned");
        assert_eq!((f.severity, f.count), (Severity::High, 2));
        w.only(&["exec.shell-spawned"]);
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
        assert_eq!(w.finding("exec.shell-spawned").subject, "/usr/bin/php");
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
        assert_eq!(w.finding("exec.shell-spawned").severity, Severity::High);
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
