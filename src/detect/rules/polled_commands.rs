//! Commands that typed code asks a peer for again and again, each over a new connection.

use std::collections::VecDeque;

use super::command_peers::fresh;
use super::fetched_commands;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Severity, attribution, discovery, program_roles};
use crate::event::{Exec, Timestamp};
use crate::state::ProcessEntry;

/// Connections, each followed by a command.
const TIMES: u32 = 3;
/// Maximum number of processes that are followed in one container.
const MAX_POLLS: usize = 32;

/// Processes that connect and then start shells.
#[derive(Debug, Clone, Default)]
pub(super) struct Polls(VecDeque<Poll>);

#[derive(Debug, Clone)]
struct Poll {
    pid: u32,
    began: Timestamp,
    /// The connection that was counted last.
    connected: Timestamp,
    times: u32,
    /// One of the commands queries the system.
    explores: bool,
}

impl RuleMemory for Polls {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<Poll>()
    }
}

impl Polls {
    fn of(&mut self, process: &ProcessEntry) -> &mut Poll {
        let known = |poll: &Poll| (poll.pid, poll.began) == (process.pid, process.started);
        let at = self.0.iter().position(known).unwrap_or_else(|| {
            if self.0.len() >= MAX_POLLS {
                self.0.pop_front();
            }
            self.0.push_back(Poll {
                pid: process.pid,
                began: process.started,
                connected: Timestamp(0),
                times: 0,
                explores: false,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

/// The program that typed code started comes from a peer: the code's text does not name it. Where
/// the text is not known, since it came by a pipe, a command must have queried the system.
pub(super) fn examine(ctx: &RuleContext<'_>, polls: &mut Polls, exec: &Exec) -> Option<Alerts> {
    let text = program_roles::shell_text(&exec.argv)?;
    let parent = ctx.ancestors().nth(1)?;
    if !attribution::inline(ctx.names(), parent)
        || ctx.starting_up()
        || ctx.in_grace(parent.started)
        || ctx.mark(parent.pid).is_some_and(|index| {
            let marked = ctx.findings.get(index);
            marked.is_some_and(|f| f.rule != ctx.rule.id && f.severity >= Severity::High)
        })
    {
        return None;
    }
    let known = program_roles::takes_text(&parent.argv);
    if known && !fetched_commands::is_foreign(ctx.names(), parent, exec) {
        return None;
    }
    let out = fresh(ctx, parent.pid).filter(|out| !out.to.ip().is_loopback())?;
    let poll = polls.of(parent);
    poll.explores |= !discovery::of_text(text).is_empty();
    if out.ts > poll.connected {
        poll.connected = out.ts;
        poll.times += 1;
    }
    if poll.times < TIMES || !known && !poll.explores {
        return None;
    }
    if let Some(index) = ctx.marked_by(parent.pid, ctx.rule.id) {
        return Some(Alert::occurrence(index, Severity::High).into());
    }
    let program = program_roles::command_line(&parent.argv, &parent.exe, 160);
    let alert = ctx.alert(Severity::High, program.as_bytes(), |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        explanation.title = format!("Runs commands that it asks {} for", out.to);
        explanation.why.push(format!("program: {program}"));
        explanation.why.push(format!(
            "it connected {TIMES} times and ran a command each time, for example: {command}"
        ));
    });
    Some(alert.follows(parent.pid).into())
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    /// A program that connects and then runs a command, several times.
    fn polls(argv: &[&str], command: &str, times: u32, each_connects: bool) -> Option<Severity> {
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, "/usr/bin/python3", argv);
        for n in 0..times {
            if n == 0 || each_connects {
                w.connect(p, "203.0.113.9:80");
            }
            w.exec(p, "/bin/sh", &["sh", "-c", command]);
            w.ticks(5);
        }
        let all = w.all("exec.pipe-to-shell");
        assert!(all.len() <= 1);
        all.first().map(|f| f.severity)
    }

    #[test]
    fn typed_code_that_polls_for_commands() {
        let high = Some(Severity::High);
        assert_eq!(polls(&["python3", "-"], "id", 5, true), high);
        assert_eq!(polls(&["python3"], "uname -a; ls /", 3, true), high);
        assert_eq!(
            polls(&["python3", "-c", "x(f())"], "make -j4", 4, true),
            high
        );
    }

    #[test]
    fn jobs_that_fetch_and_applications() {
        // A job that unpacks what it fetched.
        assert_eq!(polls(&["python3", "-"], "tar xf a.tgz", 5, true), None);
        let named = &["python3", "-c", "for u in a: get(u); os.system('tar xf a')"];
        assert_eq!(polls(named, "tar xf a", 5, true), None);
        assert_eq!(polls(&["python3", "/app/worker.py"], "id", 5, true), None);
        assert_eq!(polls(&["python3", "-m", "worker"], "id", 5, true), None);
        assert_eq!(polls(&["python3", "-"], "id", 2, true), None);
        // A connection that stays is a client's.
        assert_eq!(polls(&["python3", "-"], "id", 5, false), None);
    }
}
