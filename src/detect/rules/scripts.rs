//! Scripts that are not the image's.

use std::collections::VecDeque;

use bstr::ByteSlice as _;
use smallvec::SmallVec;

use super::found_script;
use super::script_paths::{locate, scripts};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::file_origin::{OrdinaryOrigin, history, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, build_artifacts, program_roles,
};
use crate::event::{Bytes, CompareClass, Exec, FileOp, Origin, Timestamp};

/// Scripts.
pub(super) const SCRIPT: Rule = Rule {
    info: RuleInfo {
        id: "drift.script",
        title: "Ran a script that is not in the image",
        label: "script",
        severity: Severity::Medium,
        attack: &["T1059", "T1105"],
        needs: &[Requirement::Exec, Requirement::File],
        explain: "A shell or another interpreter of the image ran a script, by its `#!` line or \
                  as an argument, that was written since the container started or is on a tmpfs. \
                  Modules and files named by options (`-m`, `-r`, `awk -f`) count, too.",
        check: "Read the script. Which process wrote it?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| script(ctx, memory.of(), exec)),
        Handler::DriftScan(|ctx, _, scan| found_script::examine(ctx, scan)),
    ],
};

/// Writers remembered of one container.
const MAX_WRITERS: usize = 64;

/// Processes that wrote scripts and had them run, and the script that their finding is about.
#[derive(Debug, Clone, Default)]
struct ScriptWriters(VecDeque<(u32, Timestamp, Bytes)>);

impl RuleMemory for ScriptWriters {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 128
    }
}

impl ScriptWriters {
    /// What the finding about a script is about. The scripts that one process writes, itself or
    /// by a program it starts, and then has run, as jobs do, are one finding: about the first.
    fn subject(&mut self, ctx: &RuleContext<'_>, path: &[u8]) -> Bytes {
        let Some(activity) = ctx.activity(path) else {
            return Bytes::new(path);
        };
        let parent = |pid| ctx.state.processes.get(&pid).map(|writer| writer.ppid);
        let mut writers: SmallVec<[u32; 4]> = SmallVec::new();
        writers.extend([activity.writer, activity.pid]);
        writers.extend(parent(activity.writer));
        writers.extend(parent(activity.pid));
        let mut runs = ctx.ancestors().skip(1);
        let Some(writer) = runs.find(|p| writers.contains(&p.pid)) else {
            return Bytes::new(path);
        };
        let known = |(pid, started, _): &&(u32, Timestamp, Bytes)| {
            (*pid, *started) == (writer.pid, writer.started)
        };
        if let Some((.., subject)) = self.0.iter().find(known) {
            return subject.clone();
        }
        if self.0.len() >= MAX_WRITERS {
            self.0.pop_front();
        }
        self.0
            .push_back((writer.pid, writer.started, Bytes::new(path)));
        Bytes::new(path)
    }
}

fn script(ctx: &RuleContext<'_>, memory: &mut ScriptWriters, exec: &Exec) -> Alerts {
    // A drifted interpreter is its own finding.
    if !matches!(
        exec.file.origin(),
        Origin::Image | Origin::CopiedUp | Origin::Unknown
    ) {
        return Alerts::none();
    }
    for path in scripts(ctx.names(), exec) {
        if let Some(path) = locate(ctx, exec, &path)
            && is_drift(ctx, &path)
        {
            let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
            let subject = memory.subject(ctx, &path);
            return judge_as(ctx, &path, &subject, &command);
        }
    }
    Alerts::none()
}

/// The file is on a tmpfs.
fn in_memory(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    path.starts_with(b"/dev/shm/")
        || ctx.container.is_some_and(|c| {
            c.info.mounts.iter().any(|m| {
                let at = m.destination.as_bytes();
                m.kind == "tmpfs"
                    && path
                        .strip_prefix(at)
                        .is_some_and(|rest| rest.starts_with(b"/"))
            })
        })
}

/// Written since the container started, or on a tmpfs; a module that is not there is none.
fn is_drift(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let content = [
        FileOp::Create,
        FileOp::Write,
        FileOp::Truncate,
        FileOp::Rename,
        FileOp::Link,
    ];
    let written = ctx.activity(path).is_some_and(|a| {
        let landed = a.refused < a.ops.values().sum::<u64>();
        landed
            && content.iter().any(|op| a.ops.contains_key(op))
            && !matches!(a.class, Some(CompareClass::CopiedUp))
    });
    written || in_memory(ctx, path)
}

/// Judges a script that an interpreter of the image runs and that is not the image's.
pub(super) fn judge(ctx: &RuleContext<'_>, path: &[u8], command: &str) -> Alerts {
    judge_as(ctx, path, path, command)
}

/// The same, for a finding about `subject`.
fn judge_as(ctx: &RuleContext<'_>, path: &[u8], subject: &[u8], command: &str) -> Alerts {
    let shown = crate::event::escape(path).to_string();
    if ctx.starting_up() {
        return super::startup_drift(ctx, format!("ran the script {shown}")).into();
    }
    let made = match made(ctx, path) {
        None | Some(OrdinaryOrigin::StartUp) if build_artifacts::goes_on(ctx) => {
            Some(OrdinaryOrigin::Built)
        }
        made => made,
    };
    match made {
        Some(OrdinaryOrigin::Package) => return Alerts::none(),
        Some(OrdinaryOrigin::Built) => {
            return super::built(ctx, format!("ran the script {shown}")).into();
        }
        Some(OrdinaryOrigin::StartUp) => {
            return super::startup_drift(ctx, format!("ran the script {shown}")).into();
        }
        None => {}
    }
    if let Some(index) = ctx.planted(path) {
        return Alert::addition(index)
            .reason(format!("then ran a script: {command}"))
            .evidence(ctx.event.ts, ctx.event.seq)
            .into();
    }
    let alert = ctx.alert_as(&SCRIPT.info, Severity::Medium, subject, |explanation| {
        explanation.title = format!("Ran a script that is not in the image: {shown}");
        explanation.why.push(format!("ran: {command}"));
        if in_memory(ctx, path) {
            explanation.why.push("the script is on a tmpfs".to_owned());
        }
        history(ctx, path, &mut explanation.why);
    });
    let mut alert = alert.history_of(&Bytes::new(path));
    if subject != path {
        alert = alert.part(path).reason(format!("also ran: {command}"));
    }
    // A process that already belongs to a finding continues that one.
    if ctx.memory.marks.contains_key(&ctx.event.pid) {
        alert.into()
    } else {
        alert.follows(ctx.event.pid).into()
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileOp, Mount};

    #[test]
    fn scripts_that_one_process_writes_and_runs_are_one_finding() {
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "for n in 1 2 3; do ...; done"]);
        for n in 0..5 {
            let job = format!("/root/job.{n}");
            w.create(s, &job);
            let python = w.exec(s, "/usr/bin/python3", &["python3", &job]);
            w.exit(python);
            w.file(s, FileOp::Unlink, &job);
        }
        let all = w.all("drift.script");
        assert_eq!((all.len(), all[0].count), (1, 5));
        assert_eq!(all[0].parts.len(), 4);
        // Scripts that somebody else wrote are findings of their own.
        let other = w.session(&["sh"]);
        w.create(other, "/srv/x.sh");
        w.exec(s, "/bin/sh", &["sh", "/srv/x.sh"]);
        assert_eq!(w.all("drift.script").len(), 2);
    }

    #[test]
    fn scripts_by_every_way() {
        // As an argument, by a relative path, by its own `#!`.
        for (argv, shebang) in [
            (&["sh", "/tmp/p"][..], None),
            (&["bash", "-x", "p"], None),
            (&["python3", "./p"], None),
            (&["sh", "/tmp/p"], Some("/tmp/p")),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, "/tmp/p");
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| {
                e.cwd = "/tmp".into();
                e.script = shebang.map(Into::into);
            });
            assert_eq!(w.finding("drift.script").severity, Severity::Medium);
            w.only(&["drift.script"]);
        }
        let mut w = World::steady();
        let init = w.init();
        w.exec(init, "/bin/sh", &["sh", "/dev/shm/p"]);
        w.only(&["drift.script"]);
    }

    #[test]
    fn the_images_own_scripts_are_silent() {
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/run/generated.sh");
        w.ticks(60);
        w.exec(init, "/bin/sh", &["sh", "/run/generated.sh"]);
        w.exec(init, "/bin/sh", &["sh", "/usr/local/bin/job.sh"]);
        w.exec(init, "/bin/sh", &["sh", "-c", "/tmp/x"]);
        w.refused(init, FileOp::Write, "/app.py", 30);
        w.exec(init, "/usr/bin/python3", &["python3", "/app.py"]);
        assert_eq!(w.highest(), Severity::Info);
        w.info(|i| {
            i.mounts.push(Mount {
                kind: "tmpfs".into(),
                destination: "/run".into(),
                ..Mount::default()
            });
        });
        w.exec(init, "/bin/sh", &["sh", "/run/other.sh"]);
        assert_eq!(w.highest(), Severity::Medium);
    }

    #[test]
    fn scripts_by_other_names_and_options() {
        for argv in [
            &["sh", "/srv/link"][..],
            &["sh", "/proc/1/root/tmp/p"],
            &["sh", "/proc/self/cwd/p"],
            &["gawk", "-f", "/tmp/p"],
            &["node", "-r", "/tmp/p", "/app.js"],
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, "/tmp/p");
            w.link(init, FileOp::Symlink, "/srv/link", "/tmp/p");
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| e.cwd = "/tmp".into());
            assert_eq!(w.finding("drift.script").subject, "/tmp/p", "{argv:?}");
        }
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/mod.py");
        w.create(init, "/tmp/data");
        for (argv, runs) in [
            (&["python3", "-m", "http.server"][..], false),
            (&["awk", "{print}", "/tmp/data"], false),
            (&["python3", "/app.py", "/tmp/data"], false),
            (&["python3", "-m", "mod"], true),
        ] {
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| e.cwd = "/tmp".into());
            assert_eq!(!w.all("drift.script").is_empty(), runs, "{argv:?}");
        }
    }
}
