//! Files that were changed before watching began, graded by the kind of file.

use std::collections::BTreeMap;

use super::drift_grade::{self, Grade, Installations};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::finding::FindingIndex;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{
    Bytes, Difference, Differing, DriftScan, DriftScanCause, DriftScanSource, FileEffect, FileOp,
    Origin, Timestamp,
};

/// Maximum number of sensitive files of one scan that are a finding each; the others share one.
const MAX_APART: usize = 12;
/// Maximum number of other files named in the common finding.
const MAX_LINES: usize = 30;

/// Maximum number of installed packages named in the common finding.
const MAX_PACKAGES: usize = 12;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "drift.snapshot",
        title: "Files were changed before watching began",
        label: "files differ",
        severity: Severity::High,
        attack: &["T1554", "T1525", "T1505"],
        needs: &[Requirement::Compare],
        explain: "The container's files were compared with its image by content, and no event shows which process changed them: they were changed before watching began, or from outside the container. Programs, scripts in program directories or of a web server, libraries, \
                  scheduled jobs, accounts, SSH keys, setuid files and shell start-up files are \
                  one finding each, and high. Files from packages or start-up, and plain \
                  settings, are one finding of severity info. Logs, caches and data do not \
                  count.",
        check: "Run hullwatch drift CONTAINER --diff to see all differences. Who had access \
                before watching began?",
    },
    handlers: &[Handler::DriftScan(|ctx, memory, scan| {
        examine(ctx, memory.of(), scan)
    })],
};

/// Rules with findings about the same files, from executions, loads and changes.
const OTHER_RULES: [&str; 6] = [
    "drift.exec-new",
    "drift.exec-modified",
    "drift.exec-relocated",
    "drift.exec-volume",
    "drift.script",
    "drift.library",
];

/// Differences that were reported already.
#[derive(Debug, Clone, Default)]
struct Reported(SeenSet);

impl RuleMemory for Reported {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 32
    }
}

fn examine(ctx: &RuleContext<'_>, reported: &mut Reported, scan: &DriftScan) -> Alerts {
    let installed = Installations::of(scan);
    let mut alerts = Alerts::none();
    let parts = parts(ctx);
    let mut apart: Vec<(Grade, &Differing)> = Vec::new();
    let mut common: Vec<(Grade, &Differing)> = Vec::new();
    for entry in &scan.entries {
        let Some(grade) = drift_grade::of(ctx, scan, &installed, entry) else {
            continue;
        };
        // Changes with events are covered by the rules on events.
        if seen_changing(ctx, entry) {
            continue;
        }
        if let Some(index) = OTHER_RULES
            .iter()
            .find_map(|rule| ctx.findings.find(rule, Some(ctx.owner), &entry.path))
            .or_else(|| parts.get(&entry.path).copied())
        {
            let line = format!("compared: {}", describe(entry));
            alerts.push(Alert::addition(index).reason(line));
            continue;
        }
        // A repeated scan reports only new differences.
        if reported
            .0
            .insert((&entry.path, entry.ctime, entry.difference))
        {
            let weighty = grade.severity >= Severity::High;
            let list = if weighty { &mut apart } else { &mut common };
            list.push((grade, entry));
        }
    }
    apart.sort_by_key(|(grade, _)| std::cmp::Reverse(grade.severity));
    for (grade, entry) in apart.iter().take(MAX_APART) {
        alerts.push(apart_alert(ctx, scan, *grade, entry));
    }
    let more = apart.get(MAX_APART..).unwrap_or_default();
    if !more.is_empty() {
        let what = format!("{} more sensitive files were changed", more.len());
        alerts.push(common_alert(ctx, scan, b"more", &what, more));
    }
    if !common.is_empty() {
        let what = match (&common[..], scan.unlisted) {
            ([(_, only)], 0) => format!("{} was changed", only.path.escaped()),
            (all, 0) => format!("{} files were changed", all.len()),
            (all, _) => format!("{} files or more were changed", all.len()),
        };
        common.sort_by_key(|(grade, _)| std::cmp::Reverse(grade.severity));
        alerts.push(common_alert(ctx, scan, b"image", &what, &common));
    }
    alerts
}

/// Files that are reported as a part of a finding about another program.
fn parts(ctx: &RuleContext<'_>) -> BTreeMap<Bytes, FindingIndex> {
    let all = ctx.findings.all().iter().enumerate();
    let own = all.filter(|(_, f)| f.container.as_ref() == Some(ctx.owner));
    let links = own.flat_map(|(at, f)| f.chain.iter().map(move |link| (at, link)));
    links
        .filter(|(_, link)| OTHER_RULES.contains(&link.rule.as_str()))
        .map(|(at, link)| (link.subject.clone(), FindingIndex::new(at)))
        .collect()
}

/// The scan was made after the engine copied files in: no process of the container does that.
const COPIED: &str = "from outside the container (docker cp)";

/// A process was seen changing the file, not only reading it.
fn seen_changing(ctx: &RuleContext<'_>, entry: &Differing) -> bool {
    let looks = |op: &FileOp| op.effect() == FileEffect::Use;
    ctx.activity(&entry.path)
        .is_some_and(|activity| activity.ops.keys().any(|op| !looks(op)))
}

/// The time of the change as text, by a timestamp that programs cannot set.
fn when(ctx: &RuleContext<'_>, scan: &DriftScan, entry: &Differing) -> &'static str {
    if ctx.before_watching(entry.ctime) {
        "before watching began"
    } else if scan.cause == DriftScanCause::CopiedIn {
        COPIED
    } else {
        "by an unknown process"
    }
}

fn apart_alert(ctx: &RuleContext<'_>, scan: &DriftScan, grade: Grade, entry: &Differing) -> Alert {
    let alert = ctx.alert(grade.severity, &entry.path, |explanation| {
        explanation.title = format!(
            "{} was {} {}: {}",
            grade.what,
            verb(entry),
            when(ctx, scan, entry),
            entry.path.escaped()
        );
        explanation.why.push(describe(entry));
        explanation.why.push(facts(entry));
        if let Some(line) = unsure(scan) {
            explanation.why.push(line);
        }
    });
    let alert = alert.plants(&entry.path);
    if ctx.before_watching(entry.ctime) {
        alert.already_since(entry.ctime)
    } else {
        alert
    }
}

fn common_alert(
    ctx: &RuleContext<'_>,
    scan: &DriftScan,
    subject: &[u8],
    what: &str,
    entries: &[(Grade, &Differing)],
) -> Alert {
    let severity = entries.iter().map(|(grade, _)| grade.severity).max();
    let all_before = entries
        .iter()
        .all(|(_, entry)| ctx.before_watching(entry.ctime));
    let copied = scan.cause == DriftScanCause::CopiedIn && !all_before;
    let when = if all_before {
        "before watching began"
    } else if copied {
        COPIED
    } else {
        "by an unknown process"
    };
    // Users copy settings and data into containers in this way.
    let severity = severity.filter(|s| !copied || *s >= Severity::High);
    let mut alert = ctx
        .alert(severity.unwrap_or(Severity::Info), subject, |explanation| {
            explanation.why.extend(unsure(scan));
            explanation.why.extend(packages(scan));
        })
        .title(format!("{what} {when}"));
    for (_, entry) in entries {
        alert = alert.part(entry.path.clone());
    }
    for (_, entry) in entries.iter().take(MAX_LINES) {
        alert = alert.reason(describe(entry));
    }
    if entries.len() > MAX_LINES {
        alert = alert.reason(format!("+{} more", entries.len() - MAX_LINES));
    }
    let earliest = entries.iter().map(|(_, entry)| entry.ctime).min();
    match earliest.filter(|_| all_before) {
        Some(earliest) => alert.already_since(earliest),
        None => alert,
    }
}

fn unsure(scan: &DriftScan) -> Option<String> {
    (scan.source == DriftScanSource::Engine)
        .then(|| "as the engine reports; contents were not compared".to_owned())
}

/// The packages that were added or upgraded, by name.
fn packages(scan: &DriftScan) -> Option<String> {
    let brought = scan.packages.iter().filter(|p| p.after.is_some());
    let names: Vec<String> = brought.map(|p| p.name.escaped().to_string()).collect();
    let more = names.len().saturating_sub(MAX_PACKAGES);
    let more = more as u64 + scan.packages_unlisted;
    let listed = names.iter().take(MAX_PACKAGES).cloned().collect::<Vec<_>>();
    (!listed.is_empty()).then(|| match more {
        0 => format!("packages installed: {}", listed.join(", ")),
        more => format!("packages installed: {}, +{more} more", listed.join(", ")),
    })
}

fn verb(entry: &Differing) -> &'static str {
    match entry.difference {
        Difference::Added => "added",
        Difference::Changed if entry.metadata_only => "changed in mode or owner",
        Difference::Changed => "changed",
        Difference::Deleted => "deleted",
        Difference::Unread => "not compared",
    }
}

/// Class, times and origin, in one line.
fn facts(entry: &Differing) -> String {
    let origin = match entry.difference {
        Difference::Added => Origin::Upper,
        _ => Origin::CopiedUp,
    };
    let layer = match origin {
        Origin::Upper => "in the writable layer, where the image has nothing",
        _ => "in the writable layer, over a file of the image",
    };
    let time = |at: Timestamp| match at {
        Timestamp(0) => "unknown".to_owned(),
        at => at.to_jiff().strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    };
    format!(
        "of class {}, {layer}; content of {}, inode of {}",
        entry.class.title(),
        time(entry.mtime),
        time(entry.ctime)
    )
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
#[allow(clippy::indexing_slicing)]
mod tests;
