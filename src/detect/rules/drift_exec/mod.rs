//! Execution of files that are not in the image: by content, not by name.

mod comparison;
mod effects;
mod found;
mod judgement;
mod kinds;

use crate::detect::alert::{Alert, Alerts};
use crate::detect::drifted_files::{DriftedFiles, PendingComparison};
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemories;
use crate::detect::{Handler, Rule, Severity, build_artifacts, program_roles};
use crate::event::{CompareClass, Exec, Origin};

use judgement::{judge, judge_volume, judge_without_layers};

use super::startup_drift::BUILT;

/// The image has nothing at that path. Handles the other kinds, too.
pub(super) const NEW: Rule = Rule {
    info: kinds::NEW,
    handlers: &[
        Handler::Exec(exec),
        Handler::Compare(comparison::compare),
        Handler::Tick(comparison::tick),
        Handler::Found(found::process),
        Handler::Compare(|ctx, memory, compare| found::compare(ctx, memory.of(), compare)),
        Handler::DriftScan(|ctx, memory, scan| found::scan(ctx, memory.of(), scan)),
        Handler::Tick(found::tick),
        Handler::Connect(|ctx, _, connect| effects::connect(ctx, connect)),
        Handler::File(|ctx, _, file| effects::file(ctx, file)),
    ],
};

/// The content differs from the image's.
pub(super) const MODIFIED: Rule = Rule {
    info: kinds::MODIFIED,
    handlers: &[],
};

/// The content of another file of the image.
pub(super) const RELOCATED: Rule = Rule {
    info: kinds::RELOCATED,
    handlers: &[],
};

/// Run from memory-backed directories.
pub(super) const TMPFS: Rule = Rule {
    info: kinds::TMPFS,
    handlers: &[],
};

/// Run from a volume.
pub(super) const VOLUME: Rule = Rule {
    info: kinds::VOLUME,
    handlers: &[],
};

fn exec(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, exec: &Exec) -> Alerts {
    let mut alerts = Alerts::none();
    // Programs that a drifted program starts belong to its finding.
    if let Some(index) = ctx.mark(ctx.event.pid) {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        alerts.push(Alert::addition(index).effect(ReasonLine::command("then ran:", &command)));
        alerts.extend(build_artifacts::compiles(ctx, &BUILT.info, exec, index));
    }
    alerts.extend(match exec.file.origin() {
        Origin::Upper | Origin::CopiedUp => judge_upper(ctx, memories.of(), exec),
        Origin::Tmpfs => judge(ctx, exec, &kinds::TMPFS, Severity::High),
        Origin::Volume => judge_volume(ctx, exec),
        Origin::Unknown => judge_without_layers(ctx, exec),
        Origin::Image | Origin::Memfd | Origin::Deleted => None,
    });
    alerts
}

fn judge_upper(ctx: &RuleContext<'_>, memory: &mut DriftedFiles, exec: &Exec) -> Option<Alert> {
    let copied_up = exec.file.origin() == Origin::CopiedUp;
    let (kind, severity) = match memory.verdict(&exec.exe, &exec.file) {
        Some(CompareClass::CopiedUp) => return None,
        Some(CompareClass::Relocated(from)) => (
            &kinds::RELOCATED,
            kinds::relocated_severity(&exec.exe, from),
        ),
        Some(CompareClass::Modified) => (&kinds::MODIFIED, Severity::High),
        Some(CompareClass::Unknown(_)) if copied_up => {
            if !kinds::changed_since_start(ctx, exec.file.mtime) {
                return None;
            }
            (&kinds::MODIFIED, Severity::Medium)
        }
        Some(CompareClass::New | CompareClass::Unknown(_)) => (&kinds::NEW, Severity::High),
        None => {
            // Only the comparison shows whether it is a copy of an image file, or the image's own
            // content.
            memory.wait(PendingComparison {
                path: exec.exe.clone(),
                file: exec.file,
                first: ctx.occurrence(),
                pid: ctx.event.pid,
                command: program_roles::command_line(&exec.argv, &exec.exe, 160),
                executions: (0, ctx.event.ts, ctx.event.seq),
                starting_up: ctx.starting_up(),
            });
            if copied_up {
                return None;
            }
            (&kinds::NEW, Severity::High)
        }
    };
    judge(ctx, exec, kind, severity)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, added, copied_up, tmpfs, upper, volume};
    use crate::event::{
        CompareClass, DriftScan, FileClass, FileFacts, FileOp, Filesystem, Kind, Timestamp,
    };

    #[test]
    fn without_layers_the_time_decides() {
        let unlayered = FileFacts {
            fs: Filesystem::Unknown,
            ..upper(77)
        };
        let mut w = World::steady();
        let init = w.init();
        let old = FileFacts {
            mtime: Timestamp(1),
            ctime: Timestamp(1),
            ..unlayered
        };
        w.exec_file(init, "/usr/bin/ls", &["ls"], old);
        // Neither a new mode, nor a time that could not be read, is new content.
        let young = w.changed_now(unlayered);
        let owned = FileFacts {
            mtime: Timestamp(1),
            ..young
        };
        w.exec_file(init, "/usr/bin/ping", &["ping"], owned);
        let unread = FileFacts {
            mtime: Timestamp(0),
            ctime: Timestamp(0),
            ..unlayered
        };
        w.exec_file(init, "/usr/bin/id", &["id"], unread);
        w.only(&[]);
        w.exec_file(init, "/opt/unseen", &["/opt/unseen"], young);
        assert_eq!(w.finding("drift.exec-new").severity, Severity::Medium);
        let shell = w.exec_file(init, "/usr/bin/sh", &["sh", "x"], old);
        w.create(shell, "/tmp/p");
        w.exec_file(shell, "/tmp/p", &["/tmp/p"], young);
        let all = w.all("drift.exec-new");
        assert_eq!(all.last().unwrap().severity, Severity::High);
        let why = all.last().unwrap().why.join("\n");
        assert!(why.contains("younger than the container"), "{why}");
    }

    #[test]
    fn a_dropped_program_is_one_finding_with_its_effects() {
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
    fn a_program_from_before_watching_is_ranked_by_the_comparison() {
        let at = |seconds: i64| Timestamp((1_700_000_000 + seconds) * 1_000_000_000);
        // A program of a package, one made at start-up, one of unknown origin, and a package's that
        // was written after watching began.
        for (package, ctime, written, severity) in [
            (Some("curl"), at(2000), false, None),
            (None, at(5), false, Some(Severity::Info)),
            (None, at(2000), false, Some(Severity::High)),
            (Some("curl"), at(2000), true, Some(Severity::High)),
        ] {
            let mut w = World::found();
            let mut entry = added("/usr/local/bin/x", FileClass::Binary);
            (entry.package, entry.ctime) = (package.map(Into::into), ctime);
            let scan = DriftScan {
                entries: vec![entry],
                ..DriftScan::default()
            };
            w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
            w.ticks(100);
            let init = w.init();
            if written {
                w.file(init, FileOp::Write, "/usr/local/bin/x");
            }
            w.exec_new(init, "/usr/local/bin/x");
            let found = ["drift.exec-new", "drift.startup"].map(|rule| {
                let all = w.all(rule);
                all.first().map(|f| f.severity)
            });
            assert_eq!(
                found.into_iter().flatten().max(),
                severity,
                "{package:?} {ctime:?}"
            );
        }
    }

    #[test]
    fn a_chain_of_effects_is_one_finding() {
        // Written over the image's program, then run.
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/bin/cat");
        let changed = w.changed_now(copied_up(51));
        w.exec_file(init, "/bin/cat", &["cat"], changed);
        w.compare("/bin/cat", 51, CompareClass::Modified);
        w.only(&["drift.exec-modified"]);
        // Put next to the image's programs, then run; its actions are added to its finding.
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
        // A worse action is a finding of its own, and so is an action of another process.
        w.create(p, "/etc/ld.so.preload");
        w.create(init, "/etc/cron.d/y");
        w.only(&["drift.exec-new", "file.cron", "file.ld-preload"]);
        // Two programs changed: the change is a finding of its own.
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
        // Files written at start-up may run later.
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
    fn programs_of_the_images_compiler_are_info() {
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
