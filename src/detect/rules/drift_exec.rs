//! Execution of what the image does not bring: by content, not by name.

use crate::detect::alert::Alert;
use bstr::ByteSlice as _;

use crate::detect::drifted_files::{PATIENCE, PendingComparison};
use crate::detect::file_origin::{OrdinaryOrigin, attach_history, history, made};
use crate::detect::finding::FindingIndex;
use crate::detect::finding_store::Explanation;
use crate::detect::rule_context::RuleContext;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, build_artifacts, program_roles,
};
use crate::event::{
    Bytes, Compare, CompareClass, Connect, Exec, File, FileOp, Origin, Outcome, Tick, Timestamp,
    escape,
};

/// Nothing at that path in the image.
pub(super) const NEW: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-new",
        title: "Ran a program that is not in the image",
        severity: Severity::High,
        attack: &["T1105", "T1059"],
        needs: &[Requirement::Exec],
        explain: "A program ran whose file was created in the container after it was made: \
                  nothing lies at that path in the image. Programs that start-up itself creates, \
                  that a package manager of the image installed or that its compiler built are \
                  told apart and not flagged here.",
        check: "Where the file came from (the lines on who wrote it), its hash, and what it did \
                next. If the image should bring it, rebuild the image.",
    },
    handlers: &[
        Handler::OldExec(exec),
        Handler::OldCompare(compare),
        Handler::OldTick(tick),
        Handler::OldConnect(connect),
        Handler::OldFile(effect),
    ],
};

/// Other content than the image's.
pub(super) const MODIFIED: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-modified",
        title: "Ran a program whose content differs from the image's",
        severity: Severity::High,
        attack: &["T1554", "T1036.005"],
        needs: &[Requirement::Exec, Requirement::Compare],
        explain: "The image has this file with other content. Size and hash are compared, so a \
                  file that was only touched, linked or given the same mode again stays silent.",
        check: "Compare the file with the image's copy; who wrote it and when stands above.",
    },
    handlers: &[],
};

/// The same content as another file of the image.
pub(super) const RELOCATED: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-relocated",
        title: "Ran a copy of an image program from another place",
        severity: Severity::Medium,
        attack: &["T1036.003", "T1036.005"],
        needs: &[Requirement::Exec, Requirement::Compare],
        explain: "The file has the content of an image file but lies elsewhere: copied, moved or \
                  linked. Severity is high when it runs under another system program's name.",
        check: "Why a second copy was made; attackers do it to slip past rules on names.",
    },
    handlers: &[],
};

/// Run from memory-backed directories.
pub(super) const TMPFS: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-tmpfs",
        title: "Ran a program from a tmpfs",
        severity: Severity::High,
        attack: &["T1105", "T1564"],
        needs: &[Requirement::Exec],
        explain: "The program's file lies on a tmpfs, which is empty when a container starts: it \
                  was put there since and leaves no trace on disk.",
        check: "Who wrote it, and what it did next.",
    },
    handlers: &[],
};

/// Run from a volume.
pub(super) const VOLUME: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-volume",
        title: "Ran a program from a volume",
        severity: Severity::High,
        attack: &["T1105"],
        needs: &[Requirement::Exec],
        explain: "The program's file lies on a volume or bind mount. High when it was made or \
                  changed after the container started; information when it was there before.",
        check: "Who wrote it; other containers and the host may share the volume.",
    },
    handlers: &[],
};

/// Start-up's own drift, folded.
pub(super) const STARTUP: Rule = Rule {
    info: RuleInfo {
        id: "drift.startup",
        title: "Start-up made files of its own",
        severity: Severity::Info,
        attack: &[],
        needs: &[Requirement::Exec],
        explain: "During the start-up grace the container's own init tree created programs, \
                  scripts or configuration and used them. One line a container; the same done by \
                  a command from outside is never folded here.",
        check: "Nothing, unless the list names something the image's entrypoint would not do.",
    },
    handlers: &[],
};

/// Built inside.
pub(super) const BUILT: Rule = Rule {
    info: RuleInfo {
        id: "drift.exec-built",
        title: "Ran programs built inside the container",
        severity: Severity::Info,
        attack: &["T1027.004"],
        needs: &[Requirement::Exec],
        explain: "A compiler, linker or build tool of the image made the programs that ran. \
                  Ordinary in a development or build container; a service should not compile.",
        check: "Whether this container is meant to build things.",
    },
    handlers: &[Handler::OldFile(build_artifacts::carried)],
};

/// An alert about drift of the container's start-up, which is one finding.
pub(crate) fn startup_drift(ctx: &RuleContext<'_>, line: String) -> Alert {
    let alert = ctx.alert_as(&STARTUP.info, Severity::Info, b"start-up", |_| {});
    alert
        .reason(line)
        .title_by_count(|count| format!("Start-up drift, {count} in all"))
}

/// An alert about a result of a build inside the container, which is one finding.
pub(crate) fn built_alert(ctx: &RuleContext<'_>, line: String) -> Alert {
    let alert = ctx.alert_as(
        &BUILT.info,
        Severity::Info,
        build_artifacts::SUBJECT,
        |_| {},
    );
    alert.reason(line)
}

/// Folds something start-up did into the container's one line.
pub(crate) fn record_startup_drift(ctx: &mut RuleContext<'_>, what: String) {
    if let Some(index) = ctx.raise_as(&STARTUP.info, Severity::Info, b"start-up", |_, _| {}) {
        ctx.findings.add_reason(index, what);
        ctx.findings.edit(index, |f| {
            f.title = format!("Start-up drift, {} in all", f.count);
        });
    }
}

fn exec(ctx: &mut RuleContext<'_>, exec: &Exec) {
    // What a drifted program starts belongs to its story.
    if let Some(&index) = ctx.memory.marks.get(&ctx.event.pid) {
        let line = format!(
            "then ran: {}",
            program_roles::command_line(&exec.argv, &exec.exe, 160)
        );
        add(ctx, index, line);
        build_artifacts::compiles(ctx, &BUILT.info, exec, index);
    }
    match exec.file.origin() {
        Origin::Upper | Origin::CopiedUp => judge_upper(ctx, exec),
        Origin::Tmpfs => judge(ctx, exec, &TMPFS.info, Severity::High),
        Origin::Volume => judge_volume(ctx, exec),
        Origin::Image | Origin::Memfd | Origin::Deleted | Origin::Unknown => {}
    }
}

fn judge_upper(ctx: &mut RuleContext<'_>, exec: &Exec) {
    let verdict = ctx
        .memory
        .get(ctx.owner)
        .and_then(|own| own.drifts.verdict(&exec.exe, &exec.file))
        .cloned();
    match verdict {
        Some(CompareClass::CopiedUp) => {}
        Some(CompareClass::Relocated(from)) => {
            let severity = relocated_severity(&exec.exe, &from);
            judge(ctx, exec, &RELOCATED.info, severity);
        }
        Some(CompareClass::New) => judge(ctx, exec, &NEW.info, Severity::High),
        Some(CompareClass::Modified) => judge(ctx, exec, &MODIFIED.info, Severity::High),
        Some(CompareClass::Unknown(_)) if exec.file.origin() == Origin::CopiedUp => {
            if changed_since_start(ctx, exec.file.mtime) {
                judge(ctx, exec, &MODIFIED.info, Severity::Medium);
            }
        }
        Some(CompareClass::Unknown(_)) => judge(ctx, exec, &NEW.info, Severity::High),
        None => {
            if exec.file.origin() == Origin::Upper {
                judge(ctx, exec, &NEW.info, Severity::High);
            }
            // Whether it is a copy of an image file, or the image's own content, is known
            // only once it is compared.
            let pending = PendingComparison {
                path: exec.exe.clone(),
                file: exec.file,
                first: ctx.occurrence(),
                pid: ctx.event.pid,
                command: program_roles::command_line(&exec.argv, &exec.exe, 160),
                again: (0, ctx.event.ts, ctx.event.seq),
                starting_up: ctx.starting_up(),
            };
            ctx.own().drifts.wait(pending);
        }
    }
}

fn judge_volume(ctx: &mut RuleContext<'_>, exec: &Exec) {
    let mounted = ctx.container.is_some_and(|c| {
        c.info.mounts.iter().any(|m| {
            let at = m.destination.as_bytes();
            exec.exe
                .strip_prefix(at)
                .is_some_and(|rest| rest.starts_with(b"/") || at.ends_with(b"/"))
        })
    });
    if changed_since_start(ctx, exec.file.ctime) {
        // Outside any mount the storage driver is no overlay: only the time speaks.
        let severity = if mounted {
            Severity::High
        } else {
            Severity::Medium
        };
        judge(ctx, exec, &VOLUME.info, severity);
    } else if mounted && !ctx.starting_up() {
        judge(ctx, exec, &VOLUME.info, Severity::Info);
    }
}

/// The time lies after the container's start; an unknown time counts as such.
fn changed_since_start(ctx: &RuleContext<'_>, at: Timestamp) -> bool {
    at == Timestamp(0)
        || ctx
            .container
            .and_then(crate::state::Container::started)
            .is_some_and(|started| at > started)
}

/// Raises the finding of one class, unless the file came about in an ordinary way.
fn judge(ctx: &mut RuleContext<'_>, exec: &Exec, rule: &'static RuleInfo, severity: Severity) {
    let path = &exec.exe;
    if ctx.starting_up() {
        record_startup_drift(ctx, format!("ran {}", path.escaped()));
        return;
    }
    if severity > Severity::Info {
        match made(ctx, path) {
            Some(OrdinaryOrigin::Package) => return,
            Some(OrdinaryOrigin::Built) => {
                built(ctx, format!("ran {}", path.escaped()));
                return;
            }
            Some(OrdinaryOrigin::StartUp) => {
                record_startup_drift(ctx, format!("ran {}", path.escaped()));
                return;
            }
            None => {}
        }
    }
    let origin = exec.file.origin();
    take_over(ctx, path, rule, severity);
    let index = ctx.raise_as(rule, severity, path, |ctx, explanation| {
        let command = program_roles::command_line(&exec.argv, path, 160);
        tell(ctx, explanation, rule, path, &command, origin);
    });
    if let Some(index) = index {
        attach_history(ctx, index, path);
        ctx.memory.mark(ctx.event.pid, index);
    }
}

/// A finding that told of this file's change alone becomes the story of its execution.
fn take_over(ctx: &mut RuleContext<'_>, path: &Bytes, rule: &'static RuleInfo, severity: Severity) {
    let planted = &ctx.own().planted;
    let Some(&index) = planted.get(path) else {
        return;
    };
    let alone = planted.values().filter(|p| **p == index).count() == 1;
    let told = ctx.findings.get(index);
    let lesser = told.is_some_and(|f| f.rule.starts_with("file.") && f.severity <= severity);
    let unknown = ctx.findings.find(rule.id, Some(ctx.owner), path).is_none();
    if alone && lesser && unknown {
        ctx.findings.continue_as(index, rule, severity, path);
        let title = format!("{}: {}", rule.title, path.escaped());
        ctx.findings.edit(index, |f| f.title = title);
    }
}

/// Folds what came of a build into the container's one line about that.
pub(super) fn built(ctx: &mut RuleContext<'_>, what: String) {
    if let Some(index) = ctx.raise_as(
        &BUILT.info,
        Severity::Info,
        build_artifacts::SUBJECT,
        |_, _| {},
    ) {
        ctx.findings.add_reason(index, what);
    }
}

fn tell(
    ctx: &RuleContext<'_>,
    explanation: &mut Explanation,
    rule: &RuleInfo,
    path: &Bytes,
    command: &str,
    origin: Origin,
) {
    explanation.title = format!("{}: {}", rule.title, path.escaped());
    explanation.why.push(format!("ran: {command}"));
    explanation.why.push(
        match origin {
            Origin::Upper => "the file lies in the writable layer, where the image has nothing",
            Origin::Tmpfs => "the file lies on a tmpfs, which was empty at the start",
            Origin::Volume => "the file lies on a volume or bind mount",
            _ => "the file lies in the writable layer, over a file of the image",
        }
        .to_owned(),
    );
    history(ctx, path, &mut explanation.why);
    if ctx.session().is_some() {
        explanation
            .why
            .push("run by a command from outside (exec session)".to_owned());
    }
}

fn relocated_severity(path: &[u8], from: &[u8]) -> Severity {
    let (name, original) = (program_roles::leaf(path), program_roles::leaf(from));
    let misnamed = name != original && program_roles::is_system_name(name);
    if misnamed || super::programs_run::disguise(path).is_some() {
        Severity::High
    } else {
        Severity::Medium
    }
}

fn compare(ctx: &mut RuleContext<'_>, compare: &Compare) {
    let mut settled = Vec::new();
    ctx.own().drifts.pending.retain(|p| {
        let same = p.path == compare.path && (p.file.ino == compare.ino || compare.ino == 0);
        if same {
            settled.push(p.clone());
        }
        !same
    });
    for pending in settled {
        settle(ctx, &pending, &compare.class, compare.sha256.as_deref());
    }
}

fn tick(ctx: &mut RuleContext<'_>, _tick: &Tick) {
    let now = ctx.now();
    let late = |p: &PendingComparison| now.since(p.first.ts).as_secs() >= PATIENCE;
    if !ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.drifts.pending.iter().any(late))
    {
        return;
    }
    let (overdue, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut ctx.own().drifts.pending)
        .into_iter()
        .partition(late);
    ctx.own().drifts.pending = waiting;
    let class = CompareClass::Unknown("no comparison came".to_owned());
    for pending in overdue {
        settle(ctx, &pending, &class, None);
    }
}

/// What an execution was, now that it is known.
fn settle(
    ctx: &mut RuleContext<'_>,
    pending: &PendingComparison,
    class: &CompareClass,
    sha256: Option<&str>,
) {
    let path = &pending.path;
    ctx.own().drifts.decide(path, &pending.file, class.clone());
    let existing = ctx.findings.find(NEW.info.id, Some(ctx.owner), path);
    // What the program did before it was compared weighs as much as ever.
    let did = existing
        .and_then(|index| ctx.memory.chained.get(&index).copied())
        .unwrap_or(Severity::Info);
    let (rule, severity, fact) = match class {
        CompareClass::CopiedUp => {
            if let Some(index) = existing {
                ctx.findings.edit(index, |f| f.severity = did);
                ctx.findings
                    .add_reason(index, "compared: its content is the image's".to_owned());
            }
            return;
        }
        CompareClass::New => (
            &NEW.info,
            Severity::High,
            "compared: the image has nothing at this path".to_owned(),
        ),
        CompareClass::Modified => (
            &MODIFIED.info,
            Severity::High,
            "compared: the image's file has other content".to_owned(),
        ),
        CompareClass::Relocated(from) => (
            &RELOCATED.info,
            relocated_severity(path, from),
            format!("compared: same content as the image's {}", from.escaped()),
        ),
        CompareClass::Unknown(reason) => {
            if existing.is_some() || !changed_since_start(ctx, pending.file.mtime) {
                return;
            }
            let reason = escape(reason.as_bytes());
            (
                &MODIFIED.info,
                Severity::Medium,
                format!("changed after the container started; not compared: {reason}"),
            )
        }
    };
    let Some(severity) = ctx.settings.policy.grade(rule.id, severity.max(did)) else {
        return;
    };
    let index = match existing {
        Some(index) => {
            if rule.id != NEW.info.id {
                ctx.findings.reclassify(index, rule, severity);
                let title = format!("{}: {}", rule.title, path.escaped());
                ctx.findings.edit(index, |f| f.title = title);
            }
            Some(index)
        }
        None => raise_settled(ctx, pending, rule, severity),
    };
    let Some(index) = index else { return };
    ctx.findings.add_reason(index, fact);
    if let Some(hash) = sha256 {
        ctx.findings
            .add_reason(index, format!("SHA-256 {}", escape(hash.as_bytes())));
    }
    if ctx.event.pid != 0 || sha256.is_some() {
        ctx.findings
            .add_evidence(index, ctx.event.ts, ctx.event.seq);
    }
}

/// Raises what had to wait for its comparison, as of its first execution.
fn raise_settled(
    ctx: &mut RuleContext<'_>,
    pending: &PendingComparison,
    rule: &'static RuleInfo,
    severity: Severity,
) -> Option<FindingIndex> {
    let path = &pending.path;
    if pending.file.origin() == Origin::Upper {
        return None; // It was judged at once, and found to be ordinary.
    }
    if pending.starting_up {
        record_startup_drift(ctx, format!("ran {}", path.escaped()));
        return None;
    }
    match made(ctx, path) {
        Some(OrdinaryOrigin::Package) => return None,
        Some(OrdinaryOrigin::Built) => {
            built(ctx, format!("ran {}", path.escaped()));
            return None;
        }
        Some(OrdinaryOrigin::StartUp) => {
            record_startup_drift(ctx, format!("ran {}", path.escaped()));
            return None;
        }
        None => {}
    }
    take_over(ctx, path, rule, severity);
    let mut explanation = Explanation::default();
    tell(
        ctx,
        &mut explanation,
        rule,
        path,
        &pending.command,
        pending.file.origin(),
    );
    let first = pending.first.clone();
    let at = (pending.first.ts, pending.first.seq);
    let (index, _) = ctx
        .findings
        .raise(rule, severity, Some(ctx.owner), path, at, || {
            (first, explanation)
        })?;
    let alive = ctx
        .state
        .processes
        .get(&pending.pid)
        .is_some_and(|p| p.exited.is_none() && p.exe == pending.path);
    if alive {
        ctx.memory.mark(pending.pid, index);
    }
    if pending.again.0 > 0 {
        ctx.findings.edit(index, |f| f.count += pending.again.0);
        ctx.findings
            .add_evidence(index, pending.again.1, pending.again.2);
    }
    Some(index)
}

/// A connection by a drifted program or its children belongs to its story.
fn connect(ctx: &mut RuleContext<'_>, connect: &Connect) {
    let Some(&index) = ctx.memory.marks.get(&ctx.event.pid) else {
        return;
    };
    let how = match connect.outcome {
        Outcome::Failed(_) => "then tried to connect to",
        _ => "then connected to",
    };
    add(ctx, index, format!("{how} {}", connect.remote.text()));
}

/// So do its changes to files of consequence.
fn effect(ctx: &mut RuleContext<'_>, file: &File) {
    let Some(&index) = ctx.memory.marks.get(&ctx.event.pid) else {
        return;
    };
    let path = match (file.op, &file.target) {
        (FileOp::Rename | FileOp::Link, Some(target)) => target,
        _ => &file.path,
    };
    if file.op == FileOp::MapExec || ctx.path_class(path).is_none() {
        return;
    }
    let how = match (file.op, file.errno) {
        (FileOp::Read, _) => "then read",
        (_, 0) => "then changed",
        _ => "then tried to change",
    };
    add(ctx, index, format!("{how} {}", path.escaped()));
}

/// Adds a line to a story, and the event to its evidence when the line is new.
fn add(ctx: &mut RuleContext<'_>, index: FindingIndex, line: String) {
    let told = |ctx: &RuleContext<'_>| ctx.findings.get(index).map_or(0, |f| f.why.len());
    let before = told(ctx);
    ctx.findings.add_reason(index, line);
    if told(ctx) > before {
        ctx.findings
            .add_evidence(index, ctx.event.ts, ctx.event.seq);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, copied_up, tmpfs, upper, volume};
    use crate::event::{CompareClass, FileOp};

    #[test]
    fn a_dropped_program_is_one_story_with_its_effects() {
        let mut w = World::steady();
        let init = w.init();
        let shell = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        w.create(shell, "/tmp/p");
        w.file(shell, FileOp::Chmod, "/tmp/p");
        let p = w.exec_new(shell, "/tmp/p");
        w.connect(p, "203.0.113.9:4444");
        let child = w.exec(p, "/bin/cat", &["cat", "/etc/hostname"]);
        w.connect(child, "203.0.113.9:4445");
        w.exec_new(shell, "/tmp/p");
        let f = w.finding("drift.exec-new");
        assert_eq!((f.severity, f.count), (Severity::High, 2));
        assert_eq!(f.subject, "/tmp/p");
        let why = f.why.join("\n");
        for part in [
            "written, made executable",
            "connected to 203.0.113.9:4444",
            "cat /etc/hostname",
            "203.0.113.9:4445",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(f.evidence.len() >= 4);
        assert_eq!(f.ancestry[0].exe, "/tmp/p");
        assert_eq!(f.ancestry[1].exe, "/bin/sh");
    }

    #[test]
    fn a_chain_of_effects_is_one_story() {
        // Written over the image's program, then run.
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/bin/cat");
        let changed = w.changed_now(copied_up(51));
        w.exec_file(init, "/bin/cat", &["cat"], changed);
        w.compare("/bin/cat", 51, CompareClass::Modified);
        w.only(&["drift.exec-modified"]);
        // Put beside the image's programs, then run; what it does adds to its story.
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/usr/bin/helper");
        let p = w.exec_new(init, "/usr/bin/helper");
        w.create(p, "/etc/cron.d/x");
        w.exec_new(p, "/tmp/second");
        w.only(&["drift.exec-new"]);
        assert_eq!(w.all("drift.exec-new").len(), 1);
        let why = w.finding("drift.exec-new").why.join("\n");
        for part in ["/etc/cron.d/x", "/tmp/second"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        // What is worse stands for itself, and so does what another process does.
        w.create(p, "/etc/ld.so.preload");
        w.create(init, "/etc/cron.d/y");
        w.only(&["drift.exec-new", "file.cron", "file.ld-preload"]);
        // Two programs changed: the change is a story of its own.
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/usr/bin/a");
        w.create(init, "/usr/bin/b");
        w.exec_new(init, "/usr/bin/a");
        w.only(&["drift.exec-new", "file.program-changed"]);
    }

    #[test]
    fn touched_image_programs_stay_silent_and_modified_ones_do_not() {
        let mut w = World::steady();
        let init = w.init();
        let a = w.exec_file(init, "/bin/ls", &["ls"], copied_up(50));
        w.compare("/bin/ls", 50, CompareClass::CopiedUp);
        w.exec_file(a, "/bin/ls", &["ls"], copied_up(50));
        w.ticks(20);
        w.only(&[]);
        w.exec_file(init, "/bin/cat", &["cat"], copied_up(51));
        w.exec_file(init, "/bin/cat", &["cat"], copied_up(51));
        w.only(&[]);
        w.compare("/bin/cat", 51, CompareClass::Modified);
        w.exec_file(init, "/bin/cat", &["cat"], copied_up(51));
        let f = w.finding("drift.exec-modified");
        assert_eq!((f.severity, f.count), (Severity::High, 3));
    }

    #[test]
    fn without_a_comparison_a_later_change_is_medium() {
        let mut w = World::steady();
        let init = w.init();
        let changed = w.changed_now(copied_up(51));
        w.exec_file(init, "/bin/cat", &["cat"], changed);
        w.ticks(4);
        w.only(&[]);
        w.ticks(3);
        assert_eq!(w.finding("drift.exec-modified").severity, Severity::Medium);
        // Its content is older than the container: only its mode or owner changed.
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/bin/cat", &["cat"], copied_up(51));
        w.ticks(10);
        w.only(&[]);
    }

    #[test]
    fn a_copy_firms_up_to_relocated() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/tmp/x", &["x"], upper(60));
        assert_eq!(w.finding("drift.exec-new").severity, Severity::High);
        w.compare("/tmp/x", 60, CompareClass::Relocated("/bin/busybox".into()));
        w.exec_file(init, "/tmp/x", &["x"], upper(60));
        let f = w.finding("drift.exec-relocated");
        assert_eq!((f.severity, f.count), (Severity::Medium, 2));
        w.only(&["drift.exec-relocated"]);
        // Under the name of a system program it is worse.
        w.exec_file(init, "/tmp/sshd", &["sshd"], upper(61));
        w.compare("/tmp/sshd", 61, CompareClass::Relocated("/bin/nc".into()));
        assert_eq!(w.all("drift.exec-relocated")[1].severity, Severity::High);
    }

    #[test]
    fn start_up_is_folded_and_a_session_is_not() {
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/run-app");
        w.exec_new(init, "/run-app");
        w.exec_new(init, "/run-other");
        let f = w.finding("drift.startup");
        assert_eq!((f.severity, f.count), (Severity::Info, 2));
        let session = w.session(&["sh"]);
        w.create(session, "/x");
        w.exec_new(session, "/x");
        assert_eq!(w.finding("drift.exec-new").severity, Severity::High);
        // What start-up wrote may run later.
        w.ticks(60);
        w.exec_new(init, "/run-app");
        assert_eq!(w.all("drift.exec-new").len(), 1);
    }

    #[test]
    fn tmpfs_and_new_volume_files_count_and_old_ones_hardly() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/dev/shm/p", &["p"], tmpfs(5));
        assert_eq!(w.finding("drift.exec-tmpfs").severity, Severity::High);
        w.mount("/data");
        w.exec_file(init, "/data/old", &["old"], volume(6));
        assert_eq!(w.finding("drift.exec-volume").severity, Severity::Info);
        let new = w.changed_now(volume(7));
        w.exec_file(init, "/data/new", &["new"], new);
        assert_eq!(w.all("drift.exec-volume")[1].severity, Severity::High);
    }

    #[test]
    fn what_the_images_compiler_built_is_information() {
        let mut w = World::steady();
        let init = w.init();
        let make = w.exec(init, "/usr/bin/make", &["make"]);
        let ld = w.exec(make, "/usr/bin/x86_64-linux-gnu-ld.bfd", &["ld"]);
        w.create(ld, "/tmp/a.out");
        w.exec_new(make, "/tmp/a.out");
        w.exec_new(init, "/tmp/a.out");
        w.only(&["drift.exec-built"]);
        assert_eq!(w.highest(), Severity::Info);
    }
}
