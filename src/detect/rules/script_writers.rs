//! The processes that write scripts and run them: whose finding a script belongs to, and whether its
//! writer does so again and again.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::session_scripts;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::serving::serves_somebody;
use crate::detect::{Severity, command_shape, program_roles};
use crate::event::{Bytes, Endpoint, FileOp, Origin, Timestamp};
use crate::state::{Direction, FileActivity, ProcessEntry};

/// Maximum number of writers remembered of one container.
const MAX_WRITERS: usize = 64;
/// Number of scripts that a writer ran and removed, one after the other, from which on it has the habit.
const HABIT: u32 = 3;

/// Processes that wrote scripts and ran them.
#[derive(Debug, Clone, Default)]
pub(super) struct ScriptWriters(VecDeque<Scripts>);

/// The scripts of a writer.
#[derive(Debug, Clone)]
struct Scripts {
    writer: ScriptWriter,
    /// The script that their finding is about.
    subject: Bytes,
    latest: Bytes,
    /// How often the latest had been removed when it ran.
    removals: u64,
    /// How many before the latest, one after the other, were removed before the next ran.
    removed: u32,
}

/// A script that runs, by its writer.
#[derive(Debug)]
pub(super) struct WrittenScript {
    /// The subject of the finding about it.
    pub(super) subject: Bytes,
    /// A program of the image writes scripts, runs and removes them again and again.
    pub(super) by_habit: bool,
}

/// The processes that write scripts and run them.
#[derive(Debug, Clone, PartialEq)]
enum ScriptWriter {
    /// A process, by its pid and start.
    Process(u32, Timestamp),
    /// Processes with one command line, as jobs and test runs that are repeated have.
    Command(Vec<Bytes>),
    /// Exec sessions of commands that differ only in numbers, as those of deployment tools do.
    Sessions(Vec<Bytes>),
    /// Exec sessions that put scripts there for others to run.
    Deployment,
}

impl ScriptWriter {
    fn of(ctx: &RuleContext<'_>, writer: &ProcessEntry) -> Self {
        match ctx
            .session()
            .and_then(|root| ctx.state.processes.get(&root))
        {
            Some(root) if root.argv.len() > 1 => Self::Sessions(command_shape::of(&root.argv)),
            None if writer.argv.len() > 1 => Self::Command(writer.argv.clone()),
            _ => Self::Process(writer.pid, writer.started),
        }
    }
}

impl RuleMemory for ScriptWriters {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 320
    }
}

impl ScriptWriters {
    /// A script runs. Scripts that one process writes, itself or through a program it starts, and then
    /// runs, as jobs do, are one finding, about the first of them. So are those of a repeated exec
    /// command.
    pub(super) fn note_run(&mut self, ctx: &RuleContext<'_>, path: &[u8]) -> WrittenScript {
        let single = WrittenScript {
            subject: Bytes::new(path),
            by_habit: false,
        };
        let Some(activity) = ctx.activity(path) else {
            return single;
        };
        if session_scripts::deployed(ctx, path) {
            let subject = self
                .note(ctx, ScriptWriter::Deployment, path)
                .subject
                .clone();
            return WrittenScript { subject, ..single };
        }
        // By pid and start: a later process with the pid wrote nothing.
        let mut writers: SmallVec<[(u32, Timestamp); 4]> = SmallVec::new();
        for (pid, at) in [
            (activity.writer, activity.written),
            (activity.pid, activity.last),
        ] {
            let writer = ctx.state.process_at(pid, at);
            let parent = writer.and_then(|writer| ctx.state.parent_of(writer));
            writers.extend({ [writer, parent].into_iter().flatten() }.map(|p| (p.pid, p.started)));
        }
        let mut runs = ctx.ancestors().skip(1);
        let Some(writer) = runs.find(|p| writers.contains(&(p.pid, p.started))) else {
            return single;
        };
        let scripts = self.note(ctx, ScriptWriter::of(ctx, writer), path);
        WrittenScript {
            subject: scripts.subject.clone(),
            by_habit: scripts.removed >= HABIT
                && of_its_own(ctx, writer, activity)
                && harmless(ctx, &scripts.subject),
        }
    }

    /// Notes the script of a writer.
    fn note(&mut self, ctx: &RuleContext<'_>, writer: ScriptWriter, path: &[u8]) -> &Scripts {
        let removals = |path: &[u8]| ctx.activity(path).map_or(0, removals);
        let place = self.0.iter().position(|known| known.writer == writer);
        if let Some(known) = place.and_then(|place| self.0.get_mut(place)) {
            let removed = removals(&known.latest) > known.removals;
            known.removed = if removed {
                known.removed.saturating_add(1)
            } else {
                0
            };
            known.latest = Bytes::new(path);
            known.removals = removals(path);
        } else {
            if self.0.len() >= MAX_WRITERS {
                self.0.pop_front();
            }
            self.0.push_back(Scripts {
                writer,
                subject: Bytes::new(path),
                latest: Bytes::new(path),
                removals: removals(path),
                removed: 0,
            });
        }
        let last = self.0.len().saturating_sub(1);
        &self.0[place.unwrap_or(last)]
    }
}

fn removals(activity: &FileActivity) -> u64 {
    activity.ops.get(&FileOp::Unlink).copied().unwrap_or(0)
}

/// Whether a program of the image wrote the script out of itself: it is neither a server's shell nor fetched
/// the script, as far as connections tell. A service that began with its container has connections for its
/// work.
fn of_its_own(ctx: &RuleContext<'_>, writer: &ProcessEntry, activity: &FileActivity) -> bool {
    let Some(wrote) = ctx.writer(activity) else {
        return false;
    };
    let own = |p: &ProcessEntry| p.file.origin() == Origin::Image && !p.entered;
    let hand = |p: &ProcessEntry| ctx.names().is_shell(program_roles::of(p));
    let service = (ctx.in_grace(writer.started) || writer.existing) && !hand(writer);
    let mut connections = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    let fetched = connections.any(|(key, row)| {
        matches!(key.endpoint, Endpoint::Inet(_))
            && (row.pid == wrote.pid && !(service && wrote.pid == writer.pid)
                || row.pid == writer.pid && !service)
    });
    let above = ctx.state.parent_of(writer);
    let of_server = hand(writer) && above.is_some_and(|above| serves_somebody(ctx, above));
    let marked = { ctx.ancestors() }
        .any(|p| ctx.marked_by(p.pid, ctx.rule.id).is_none() && ctx.memory.is_marked(p.pid));
    own(writer) && own(wrote) && !fetched && !of_server && !marked
}

/// Whether nothing that the scripts did is reported above low.
fn harmless(ctx: &RuleContext<'_>, subject: &[u8]) -> bool {
    let Some(index) = ctx.findings.find(ctx.rule.id, Some(ctx.owner), subject) else {
        return false;
    };
    let grave = |severity: Option<Severity>| severity.is_none_or(|s| s > Severity::Low);
    let risen = ctx
        .findings
        .get(index)
        .is_none_or(|f| f.severity > Severity::Medium);
    let did = ctx.memory.chained.get(&index);
    let acts = ctx.memory.get(ctx.owner).map(|own| &own.acts);
    // What is worse than the scripts is a finding of its own.
    let apart = acts.into_iter().flatten().any(|act| {
        let mut under = act.under.iter();
        act.finding != index
            && under.any(|head| ctx.findings.resolve(*head) == index)
            && grave(ctx.findings.own_severity(act.finding))
    });
    !risen && !apart && did.is_none_or(|severity| *severity <= Severity::Low)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    /// Runs `times` scripts of a writer, and removes them.
    fn jobs(w: &mut World, writer: u32, times: u32, act: impl Fn(&mut World, u32)) -> Severity {
        for n in 0..times {
            let job = format!("/tmp/jenkins{n}.sh");
            w.create(writer, &job);
            let shell = w.exec(writer, "/bin/sh", &["sh", "-xe", &job]);
            act(w, shell);
            w.exit(shell);
            w.file(writer, FileOp::Unlink, &job);
        }
        w.finding("drift.script").severity
    }

    fn server() -> (World, u32) {
        let mut w = World::starting();
        let init = w.init();
        let server = w.exec(init, "/usr/bin/node", &["node", "/srv/ci.js"]);
        w.listen(server, "0.0.0.0:8080");
        w.ticks(60);
        (w, server)
    }

    #[test]
    fn a_build_server_that_runs_scripts_again_and_again_is_low() {
        let (mut w, ci) = server();
        assert_eq!(jobs(&mut w, ci, 3, |_, _| ()), Severity::Medium);
        assert_eq!(jobs(&mut w, ci, 4, |_, _| ()), Severity::Low);
        let all = w.all("drift.script");
        assert_eq!((all.len(), all[0].count), (1, 7), "{all:#?}");
        // The loop of a command from outside.
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "for n in 1 2 3 4 5; do ...; done"]);
        assert_eq!(jobs(&mut w, s, 5, |_, _| ()), Severity::Low);
    }

    #[test]
    fn scripts_that_do_harm_stay_or_are_left_there_are_no_habit() {
        let (mut w, ci) = server();
        let plants = |w: &mut World, shell: u32| w.create(shell, "/etc/cron.d/x");
        assert!(jobs(&mut w, ci, 6, plants) >= Severity::Medium);
        // Harm comes after the habit.
        let (mut w, ci) = server();
        assert_eq!(jobs(&mut w, ci, 5, |_, _| ()), Severity::Low);
        jobs(&mut w, ci, 1, plants);
        assert!(w.highest() >= Severity::High);
        // Left there.
        let (mut w, ci) = server();
        for n in 0..6 {
            let job = format!("/tmp/{n}.sh");
            w.create(ci, &job);
            w.exec(ci, "/bin/sh", &["sh", &job]);
        }
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
    }

    #[test]
    fn scripts_of_a_servers_shell_or_fetched_ones_are_no_habit() {
        let (mut w, ci) = server();
        let shell = w.exec(ci, "/bin/sh", &["sh", "-c", "x"]);
        assert_eq!(jobs(&mut w, shell, 6, |_, _| ()), Severity::Medium);
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "loop"]);
        w.connect(s, "203.0.113.9:80");
        assert_eq!(jobs(&mut w, s, 6, |_, _| ()), Severity::Medium);
    }
}
