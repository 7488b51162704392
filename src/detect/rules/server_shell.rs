//! Shells behind a server.

use bstr::ByteSlice as _;

use super::shells::shell;
use crate::detect::case::Case;
use crate::detect::{Fact, Look, Rule, RuleInfo, Severity, programs, who};
use crate::event::{Endpoint, Exec};
use crate::state::{Connection, ConnectionKey, Direction, ProcessEntry};

/// Shell under a server.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-spawned",
        title: "A server started a shell",
        severity: Severity::High,
        attack: &["T1059.004", "T1190", "T1505.003"],
        needs: &[Fact::Exec, Fact::Listen],
        explain: "A program that listens for connections started a shell and had not done so \
                  while starting: the usual trace of a remote command. A program that starts \
                  shells from the beginning, as schedulers do, is not flagged.",
        check: "The command line of the shell, and the request that led to it.",
    },
    looks: &[Look::Exec(spawned)],
};

fn spawned(case: &mut Case<'_>, exec: &Exec) {
    // A server that runs a script of the image by its `#!` line does its work; a script that is
    // not the image's has a rule of its own.
    if shell(exec).is_none() || exec.script.is_some() {
        return;
    }
    let Some(parent) = case.ancestors().nth(1) else {
        return;
    };
    // A fork of a server that becomes the shell still carries the server's program.
    if programs::is_shell(programs::of(parent))
        || programs::is_packager(parent)
        || who::lets_people_in(parent)
    {
        return;
    }
    let parent_exe = parent.exe.clone();
    let starting = case.starting_up();
    let first = case.own().shell_parents.insert(parent_exe.as_bytes());
    if starting || !first || case.session().is_some() || parent.existing && !serves(case, parent) {
        return;
    }
    if !serves(case, parent) {
        return;
    }
    let subject = parent_exe.clone();
    let parent_line = programs::command_line(&parent.argv, &parent.exe, 120);
    case.own().shell_parents.forget(parent_exe.as_bytes());
    case.raise(Severity::High, &subject, |_, told| {
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        told.title = format!("{} started a shell: {command}", subject.escaped());
        told.why
            .push(format!("its parent listens for connections: {parent_line}"));
        told.why.push(format!("ran: {command}"));
    });
}

/// The process, or another of the same program in this container, listens for connections.
fn serves(case: &Case<'_>, process: &ProcessEntry) -> bool {
    case.state
        .connections
        .iter()
        .filter(|(key, row)| {
            key.owner.as_ref() == Some(case.owner)
                && matches!(key.direction, Direction::Listening | Direction::Inbound)
                && row.pid != 0
                && !inward(key, row)
        })
        .any(|(_, row)| {
            row.pid == process.pid
                || case
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

    fn server() -> (World, u32) {
        let mut w = World::starting();
        let init = w.init();
        let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
        w.listen(web, "0.0.0.0:80");
        w.ticks(60);
        (w, web)
    }

    #[test]
    fn a_server_that_starts_a_shell() {
        let (mut w, web) = server();
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
        let (mut w, web) = server();
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
}
