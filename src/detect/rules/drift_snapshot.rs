//! What differs from the image although nobody was seen changing it.

use crate::catalog::paths;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{Difference, Differing, DriftScan, DriftScanSource, FileClass, Timestamp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "drift.snapshot",
        title: "Files differ from the image and nobody was seen changing them",
        severity: Severity::Medium,
        attack: &["T1554", "T1525", "T1505"],
        needs: &[Requirement::Compare],
        explain: "The container's files were compared with its image by content. Programs, \
                  libraries, scripts, credentials, cron tables and other settings differ, and no \
                  event tells who did it: it happened before watching began, or from outside the \
                  container. What was made while the container started, and what the container's \
                  package database says a package brought, is information only; so are settings. \
                  Logs, caches and data do not count.",
        check: "hullwatch drift CONTAINER --diff shows all of it; who had access before watching \
                began.",
    },
    handlers: &[Handler::OldDriftScan(scan)],
};

/// Findings on executions, which are about the same files.
const EXECUTED: [&str; 3] = [
    "drift.exec-new",
    "drift.exec-modified",
    "drift.exec-relocated",
];

fn scan(ctx: &mut RuleContext<'_>, scan: &DriftScan) {
    let mut things = Vec::new();
    let mut lines = Vec::new();
    let mut highest = Severity::Info;
    for entry in &scan.entries {
        let Some(severity) = weigh(ctx, entry) else {
            continue;
        };
        // Whoever was seen doing it has been judged by the rules on events.
        if ctx.activity(&entry.path).is_some() {
            continue;
        }
        let line = describe(entry);
        let executed = EXECUTED
            .iter()
            .find_map(|rule| ctx.findings.find(rule, Some(ctx.owner), &entry.path));
        if let Some(index) = executed {
            ctx.findings.add_reason(index, format!("compared: {line}"));
            continue;
        }
        // A scan made again tells only what is new.
        if ctx
            .own()
            .scanned
            .insert((&entry.path, entry.ctime, entry.difference))
        {
            highest = highest.max(severity);
            lines.push((severity, line));
            things.push(entry.path.clone());
        }
    }
    if lines.is_empty() {
        return;
    }
    lines.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let index = ctx.raise(highest, b"image", |_, explanation| {
        if scan.source == DriftScanSource::Engine {
            let line = "as the engine tells; contents were not compared";
            explanation.why.push(line.to_owned());
        }
    });
    let Some(index) = index else { return };
    for thing in &things {
        ctx.findings.add_part(index, thing);
    }
    for (_, line) in lines.into_iter().take(30) {
        ctx.findings.add_reason(index, line);
    }
    let what = match (&things[..], scan.unlisted) {
        ([only], 0) => format!("{} differs", only.escaped()),
        (all, 0) => format!("{} files differ", all.len()),
        (all, _) => format!("{} files or more differ", all.len()),
    };
    ctx.findings.edit(index, |finding| {
        finding.title = format!("{what} from the image; nobody was seen changing that");
    });
}

/// How bad an entry is; `None`: not at all.
fn weigh(ctx: &RuleContext<'_>, entry: &Differing) -> Option<Severity> {
    if entry.class.is_ordinary() || entry.class == FileClass::Packages {
        return entry.is_setuid().then_some(Severity::Medium);
    }
    if entry.package.is_some() || made_at_start(ctx, entry.ctime) {
        return Some(Severity::Info);
    }
    Some(match entry.class {
        _ if entry.is_setuid() => Severity::Medium,
        FileClass::Config => Severity::Info,
        FileClass::Binary | FileClass::Library if entry.difference == Difference::Deleted => {
            Severity::Info
        }
        FileClass::Script if !weighty_script(entry) => Severity::Low,
        // Of what could not be compared nothing bad is known.
        _ if entry.difference == Difference::Unread => Severity::Low,
        _ if entry.metadata_only => Severity::Low,
        _ => Severity::Medium,
    })
}

/// It can be run as it is, or lies where programs do.
fn weighty_script(entry: &Differing) -> bool {
    entry.mode & 0o111 != 0 || paths::of(&entry.path) == Some(paths::PathClass::Program)
}

/// The inode was last changed while the container was made or started.
fn made_at_start(ctx: &RuleContext<'_>, at: Timestamp) -> bool {
    let Some(info) = ctx.container.map(|c| &c.info) else {
        return false;
    };
    let grace = ctx.settings.startup_grace;
    at != Timestamp(0)
        && [info.created, info.started]
            .into_iter()
            .flatten()
            .any(|from| {
                at <= from.plus(grace) && from <= at.plus(std::time::Duration::from_secs(1))
            })
}

fn describe(entry: &Differing) -> String {
    let mut line = format!(
        "{} {}",
        match entry.difference {
            Difference::Added => "added",
            Difference::Changed if entry.metadata_only => "mode or owner changed:",
            Difference::Changed => "changed",
            Difference::Deleted => "deleted",
            Difference::Unread => "not compared:",
        },
        entry.path.escaped()
    );
    if let Some(target) = &entry.target {
        line.push_str(&format!(" → {}", target.escaped()));
    }
    if entry.is_setuid() {
        line.push_str(" (setuid or setgid)");
    }
    if entry.ctime != Timestamp(0) && entry.difference != Difference::Deleted {
        let at = entry.ctime.to_jiff();
        line.push_str(&format!(", {}", at.strftime("%Y-%m-%d %H:%M:%SZ")));
    }
    if let Some(package) = &entry.package {
        line.push_str(&format!(", of package {}", package.escaped()));
    }
    if let Some(hash) = &entry.sha256 {
        line.push_str(&format!(", sha256 {hash}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testkit::World;
    use crate::event::{FileOp, Kind, NodeKind};

    const LATER: i64 = 1_700_000_050_000_000_000;

    fn entry(path: &str, class: FileClass) -> Differing {
        Differing {
            path: path.into(),
            difference: Difference::Added,
            class,
            kind: NodeKind::File,
            metadata_only: false,
            size: 1,
            size_before: None,
            mode: 0o100_755,
            mode_before: None,
            uid: 0,
            gid: 0,
            mtime: Timestamp(LATER),
            ctime: Timestamp(LATER),
            target: None,
            sha256: None,
            package: None,
            below: None,
            note: None,
        }
    }

    fn scanned(w: &mut World, entries: Vec<Differing>) {
        let mut scan = DriftScan::default();
        for entry in entries {
            scan.counts
                .entry(entry.class)
                .or_default()
                .add(entry.difference);
            scan.entries.push(entry);
        }
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
    }

    #[test]
    fn what_nobody_was_seen_doing_is_one_finding() {
        let mut w = World::steady();
        let all = || {
            vec![
                entry("/usr/bin/evil", FileClass::Binary),
                entry("/etc/cron.d/x", FileClass::Autostart),
                entry("/var/x", FileClass::Data),
            ]
        };
        scanned(&mut w, all());
        w.only(&["drift.snapshot"]);
        let f = w.finding("drift.snapshot");
        assert_eq!((f.severity, f.why.len(), f.count), (Severity::Medium, 2, 1));
        scanned(&mut w, all());
        assert_eq!(w.finding("drift.snapshot").count, 1, "told once");
        scanned(&mut w, vec![entry("/usr/bin/more", FileClass::Binary)]);
        assert_eq!(w.finding("drift.snapshot").count, 2);
    }

    #[test]
    fn start_up_settings_and_packages_are_information() {
        let mut w = World::steady();
        let mut config = entry("/etc/nginx/nginx.conf", FileClass::Config);
        config.difference = Difference::Changed;
        let mut started = entry("/usr/local/bin/made", FileClass::Binary);
        started.ctime = Timestamp(1_700_000_002_000_000_000);
        let mut packaged = entry("/usr/bin/curl", FileClass::Binary);
        packaged.package = Some("curl".into());
        scanned(&mut w, vec![config, started, packaged]);
        assert_eq!(w.finding("drift.snapshot").severity, Severity::Info);
        let mut w = World::steady();
        scanned(&mut w, vec![entry("/var/log/x", FileClass::Log)]);
        w.none("drift.snapshot");
    }

    #[test]
    fn what_was_seen_is_left_to_the_rules_on_events() {
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/srv/app/run.sh");
        scanned(&mut w, vec![entry("/srv/app/run.sh", FileClass::Script)]);
        w.none("drift.snapshot");
    }
}
