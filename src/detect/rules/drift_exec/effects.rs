//! Later actions of drifted programs and their children, added to the finding about them.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::event::{Connect, File, FileOp, Outcome};

pub(super) fn connect(ctx: &RuleContext<'_>, connect: &Connect) -> Alerts {
    let Some(index) = ctx.mark(ctx.event.pid) else {
        return Alerts::none();
    };
    let how = match connect.outcome {
        Outcome::Failed(_) => "then tried to connect to",
        _ => "then connected to",
    };
    let line = ReasonLine::of(how, connect.remote.text());
    Alert::addition(index).effect(line).into()
}

/// Only changes of sensitive files count.
pub(super) fn file(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(index) = ctx.mark(ctx.event.pid) else {
        return Alerts::none();
    };
    let path = match (file.op, &file.target) {
        (FileOp::Rename | FileOp::Link, Some(target)) => target,
        _ => &file.path,
    };
    if matches!(file.op, FileOp::MapExec | FileOp::Load) || ctx.path_class(path).is_none() {
        return Alerts::none();
    }
    let how = match (file.op, file.errno) {
        (FileOp::Read, _) => "then read",
        (_, 0) => "then changed",
        _ => "then tried to change",
    };
    let line = ReasonLine::of(how, path.escaped()).weighty(file.op != FileOp::Read);
    Alert::addition(index).effect(line).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::{FileOp, Severity};
    use crate::incident::{Incident, timeline};

    /// The likeliest break-in.
    fn incident(w: &World) -> Incident {
        w.incidents.ranked(&w.state, &w.detector).remove(0)
    }

    /// A program that was dropped, scans the network and plants a job.
    fn intruder() -> (World, u32) {
        let mut w = World::steady();
        let init = w.init();
        let program = w.exec_new(init, "/tmp/x");
        for host in 1..=12 {
            for port in [22, 80, 443, 2222, 3306, 5432, 6379, 8080, 9200] {
                w.connect_failed(program, &format!("10.0.0.{host}:{port}"), 111);
            }
        }
        (w, program)
    }

    #[test]
    fn a_scan_does_not_push_out_what_comes_later() {
        let (mut w, program) = intruder();
        for n in 0..100 {
            w.exec(
                program,
                "/usr/bin/nc",
                &["nc", "-w1", "10.0.0.1", &n.to_string()],
            );
        }
        w.create(program, "/etc/cron.d/upd");
        let planted = w.seq();
        for n in 0..100 {
            w.connect_failed(program, &format!("10.9.0.{n}:80"), 111);
            w.file(program, FileOp::Create, &format!("/tmp/f{n}"));
        }
        let f = w.finding("drift.exec-new");
        let why = f.why.join("\n");
        for part in [
            "then changed /etc/cron.d/upd",
            "then: Cron job planted or changed: /etc/cron.d/upd",
            "then ran: nc",
            "then: Scanned ",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert_eq!(why.matches("then: Scanned").count(), 1, "{why}");
        assert!(f.more_why > 150, "{}", f.more_why);
        assert!(f.evidence.contains(&planted), "{:?}", f.evidence);
    }

    #[test]
    fn what_a_dropped_program_did_later_is_part_of_its_incident() {
        let (mut w, program) = intruder();
        w.ticks(5);
        w.create(program, "/etc/cron.d/upd");
        let found = incident(&w);
        assert_eq!(
            found.sentence(">"),
            "dropped program > port scan > cron job"
        );
        assert_eq!(found.severity, Severity::Critical);
        assert!(found.files.iter().any(|file| *file == "/etc/cron.d/upd"));
        let (lines, _) = timeline(&w.detector, &found);
        let scan = "Scanned 108 ports of 12 hosts, none answered";
        assert!(lines.iter().any(|line| line.text == scan), "{lines:?}");
        assert_eq!(lines.len(), 3, "{lines:?}");
        // A service of the image that does the same work without the program is no chain.
        let mut w = World::steady();
        let init = w.init();
        w.exec_new(init, "/tmp/x");
        let job = w.exec(init, "/usr/bin/job", &["job"]);
        for n in 0..8 {
            w.connect(job, &format!("10.0.0.{n}:80"));
        }
        let found = incident(&w);
        assert_eq!(found.sentence(">"), "dropped program");
        assert_eq!(found.severity, Severity::High);
    }
}
