//! Copies of the image's shells and interpreters under another name, judged as their original.

use std::borrow::Cow;

use super::bare_shells::{bare, shell};
use super::command_peers::{closed, fresh, held, recent, relays};
use super::found_shell::own_peer;
use super::reverse_alert::{is_fetch, reverse_alert};
use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::drifted_files::DriftedFiles;
use crate::detect::memory::Outbound;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::{attribution, program_roles};
use crate::event::{Bytes, Compare, CompareClass, Exec, Origin, Process};
use crate::state::{Lineage, ProcessEntry};

/// Maximum number of connected programs remembered of one container.
const MAX_FOUND: usize = 64;

/// Programs, not of the image, that had a peer as their input or output when watching began: by process.
#[derive(Debug, Clone, Default)]
pub(super) struct FoundConnected(Vec<(u32, Outbound)>);

impl RuleMemory for FoundConnected {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<(u32, Outbound)>()
    }
}

/// Remembers a process that watching found, until its program is compared.
pub(super) fn remember(ctx: &RuleContext<'_>, memory: &mut FoundConnected, process: &Process) {
    if process.file.origin().is_or_may_be_the_images() || memory.0.len() >= MAX_FOUND {
        return;
    }
    let Some(to) = own_peer(process) else { return };
    if !ctx.ancestors().any(attribution::lets_people_in) {
        let out = Outbound {
            to,
            started: process.started,
            ts: ctx.now(),
            seq: ctx.event.seq,
        };
        memory.0.push((ctx.event.pid, out));
    }
}

/// The execution under the name of the program whose content the file is known to have.
pub(super) fn under_its_original<'a>(memories: &RuleMemories<'_>, exec: &'a Exec) -> Cow<'a, Exec> {
    if !matches!(exec.file.origin(), Origin::Upper | Origin::CopiedUp) {
        return Cow::Borrowed(exec);
    }
    let drifted = memories.get::<DriftedFiles>();
    match drifted.and_then(|files| files.verdict(&exec.exe, &exec.file)) {
        Some(CompareClass::Relocated(from)) => Cow::Owned(Exec {
            exe: from.clone(),
            argv: arguments(from, &exec.argv),
            ..exec.clone()
        }),
        _ => Cow::Borrowed(exec),
    }
}

/// The arguments as the original would have them. A multi-call binary goes by the name it is given,
/// unless that begins with its own.
fn arguments(from: &Bytes, argv: &[Bytes]) -> Vec<Bytes> {
    let mut argv = argv.to_vec();
    let original = program_roles::leaf(from);
    if let Some(first) = argv.first_mut()
        && catalog::programs::MULTI_CALL.contains(&original)
        && program_roles::leaf(first).starts_with(original)
    {
        *first = original.into();
    }
    argv
}

/// The comparison shows what the running copies are: they may have taken their commands from a peer
/// all along.
pub(super) fn compared(
    ctx: &RuleContext<'_>,
    memories: &RuleMemories<'_>,
    compare: &Compare,
) -> Alerts {
    let mut alerts = Alerts::none();
    let CompareClass::Relocated(from) = &compare.class else {
        return alerts;
    };
    let copies = ctx.state.processes.values().filter(|p| {
        p.owner.as_ref() == Some(ctx.owner)
            && p.exe == compare.path
            && (p.file.ino == compare.ino || compare.ino == 0)
    });
    for copy in copies {
        let exec = Exec {
            exe: from.clone(),
            argv: arguments(from, &copy.argv),
            script: copy.script.clone(),
            ..Exec::default()
        };
        // By pid and start: a later process with the pid is another one.
        let is_it = |(pid, out): &&(u32, Outbound)| (*pid, out.started) == (copy.pid, copy.started);
        let found = memories.get::<FoundConnected>();
        let found = found.and_then(|found| found.0.iter().find(is_it));
        let found = found.filter(|_| bare(ctx.names(), &exec));
        let Some(out) = found
            .map(|(_, out)| *out)
            .or_else(|| peer(ctx, copy, &exec))
        else {
            continue;
        };
        let command = program_roles::command_line(&copy.argv, &copy.exe, 160);
        let mut alert = reverse_alert(ctx, &out, &command).follows(copy.pid);
        if found.is_some() {
            alert = alert.already_since(out.started);
        }
        let path = from.escaped();
        alerts.push(alert.reason(format!("compared: same content as the image's {path}")));
    }
    alerts
}

/// The peer that gives the copy its commands: its own, or that of the program that started it.
fn peer(ctx: &RuleContext<'_>, copy: &ProcessEntry, exec: &Exec) -> Option<Outbound> {
    // The programs whose name says what they are were judged at their start.
    if program_roles::of(copy) == program_roles::name(&exec.exe, &exec.argv) {
        return None;
    }
    let waits = bare(ctx.names(), exec);
    if !waits && shell(ctx.names(), exec).is_none() {
        return None;
    }
    // One that ended before the comparison has closed its connection.
    let open = |out: &Outbound| !closed(ctx, out) || waits && copy.exited.is_some();
    let own = fresh(ctx, copy.pid).or_else(|| recent(ctx, copy.pid).filter(|_| waits));
    if let Some(out) = own.filter(open) {
        return Some(out);
    }
    let typed = copy.tty && matches!(copy.lineage, Lineage::ExecSession(_));
    if !waits || typed {
        return None;
    }
    let parent = ctx.state.processes.get(&copy.ppid)?;
    if parent.owner.as_ref() != Some(ctx.owner) || is_fetch(ctx, parent.pid) {
        return None;
    }
    let passed = relays(ctx, parent).then(|| held(ctx, parent)).flatten();
    passed.or_else(|| fresh(ctx, parent.pid).filter(open))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, upper};
    use crate::event::{CompareClass, Stream};

    /// The severity found of a copy that runs with these arguments, before and after its comparison.
    fn judged(from: &str, argv: &[&str], connected: bool) -> [Option<Severity>; 2] {
        let mut w = World::steady();
        let init = w.init();
        let mut found = [None; 2];
        for (at, known) in [false, true].into_iter().enumerate() {
            let p = w.fork(init);
            if connected {
                w.connect(p, ["10.9.8.7:4444", "10.9.8.7:4445"][at]);
            }
            w.exec_as(p, init, argv[0], argv, |e| e.file = upper(60));
            if !known {
                w.compare(argv[0], 60, CompareClass::Relocated(from.into()));
            }
            let all = w.all("net.reverse-shell");
            found[at] = all.get(at).map(|f| f.severity);
        }
        found
    }

    #[test]
    fn a_copied_shell_is_a_shell_under_any_name() {
        let critical = [Some(Severity::Critical); 2];
        assert_eq!(judged("/usr/bin/bash", &["/tmp/x", "-i"], true), critical);
        assert_eq!(judged("/usr/bin/python3.13", &["/tmp/x"], true), critical);
        let applet = ["/tmp/busybox7", "sh"];
        assert_eq!(judged("/bin/busybox", &applet, true), critical);
    }

    #[test]
    fn a_copy_without_a_peer_or_with_its_own_program_is_none() {
        let silent = [None; 2];
        assert_eq!(judged("/usr/bin/bash", &["/tmp/x", "-i"], false), silent);
        let script = ["/opt/worker", "/opt/job.py"];
        assert_eq!(judged("/usr/bin/python3.13", &script, true), silent);
        assert_eq!(judged("/usr/bin/sleep", &["/tmp/x"], true), silent);
        let applet = ["/tmp/busybox7", "wget"];
        assert_eq!(judged("/bin/busybox", &applet, true), silent);
    }

    #[test]
    fn a_copied_shell_that_was_connected_when_watching_began() {
        for (argv, count) in [(&["/mem/x", "-i"][..], 1), (&["/mem/x", "/opt/job.sh"], 0)] {
            let mut w = World::found();
            let init = w.init();
            w.found_process(init, argv[0], argv, |process| {
                process.file = upper(60);
                process.streams = vec![Stream::Peer("10.9.8.7:4444".parse().unwrap()); 3];
            });
            w.none("net.reverse-shell");
            w.compare(argv[0], 60, CompareClass::Relocated("/usr/bin/bash".into()));
            let all = w.all("net.reverse-shell");
            assert_eq!(all.len(), count, "{argv:?}");
            assert!(all.iter().all(|f| f.already_since.is_some()));
            // So it is in a recording that begins now.
            let mut core = crate::core::Core::default();
            for event in crate::state::snapshot(&w.state, 1) {
                core.apply(&std::sync::Arc::new(event));
            }
            let found = core.detector.findings().iter();
            let again = found.filter(|f| f.rule == "net.reverse-shell");
            assert_eq!(again.count(), count, "{argv:?}");
        }
    }

    #[test]
    fn a_copied_shell_below_a_connected_program() {
        for connected in [true, false] {
            let mut w = World::steady();
            let init = w.init();
            let text = ["python3", "-c", "x"];
            let parent = w.exec(init, "/usr/bin/python3", &text);
            if connected {
                w.connect(parent, "10.9.8.7:4444");
            }
            w.exec_file(parent, "/tmp/x", &["/tmp/x"], upper(60));
            w.none("net.reverse-shell");
            w.compare("/tmp/x", 60, CompareClass::Relocated("/bin/dash".into()));
            assert_eq!(w.all("net.reverse-shell").len(), usize::from(connected));
        }
    }
}
