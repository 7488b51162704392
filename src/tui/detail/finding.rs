//! The page of a finding: why, what to check, what to do next, processes, image, evidence.

use super::line::{DetailLine, fact, heading, steps};
use super::related;
use crate::core::Core;
use crate::detect::{Ancestor, Finding};
use crate::event::Bytes;
use crate::tui::action::Action;
use crate::tui::rows::{self, ImageKey, Query};
use crate::tui::text::things;

pub(super) fn facts(core: &Core, query: &Query<'_>, finding: &Finding) -> Vec<DetailLine> {
    let time = |t: crate::event::Timestamp| query.zone.exact(t);
    let mut facts = vec![
        fact("target", target(finding)),
        fact("rule", rule(finding)),
        fact("silenced", finding.silenced.clone().unwrap_or_default()),
        fact("count", finding.count.to_string()),
        fact("first seen", time(finding.first)),
        fact("last seen", time(finding.last)),
        heading("Why"),
    ];
    facts.retain(|line| !line.blank());
    facts.extend(why(finding));
    if let Some(check) = check(finding) {
        facts.push(heading("Check"));
        facts.push(fact("", check.text.unwrap_or_default()));
    }
    facts.push(heading("Next"));
    facts.push(next(query));
    facts.extend(related::facts(core, query, finding));
    if !finding.ancestry.is_empty() {
        facts.push(heading("Process tree (host pid, origin)"));
        // The outermost process first, as in the tree.
        let below = finding.ancestry.iter().rev().enumerate();
        facts.extend(below.map(|(depth, a)| ancestor(core, a, depth)));
    }
    facts.extend(image(core, finding));
    let evidence = things(finding.evidence.len() as u64, "event");
    let rest = match finding.evidence_not_kept() {
        0 => String::new(),
        more => format!(", first and latest; {more} more not kept"),
    };
    facts.push(heading(format!("Evidence: {evidence}{rest} (host pid)")));
    facts.extend(finding.evidence.iter().map(|seq| event(core, query, *seq)));
    facts
}

/// The reasons, numbered, and how many were left out.
pub(super) fn why(finding: &Finding) -> impl Iterator<Item = DetailLine> {
    let why = (1..).zip(&finding.why);
    let lines = why.map(|(n, why)| fact(&n.to_string(), why.clone()));
    let more = (finding.more_why > 0).then(|| fact("", format!("+{} more", finding.more_why)));
    lines.chain(more)
}

/// The next steps; `None` for a rule that this version does not know.
pub(super) fn check(finding: &Finding) -> Option<DetailLine> {
    let rule = crate::detect::rules::info(&finding.rule)?;
    Some(fact("check", rule.check))
}

/// The rule, the severity as a word, and the technique.
fn rule(finding: &Finding) -> String {
    let mut parts = vec![finding.rule.clone(), finding.severity.to_string()];
    if !finding.attack.is_empty() {
        parts.push(format!("ATT&CK {}", finding.attack.join(" ")));
    }
    parts.join(", ")
}

/// The keys for further steps.
fn next(query: &Query<'_>) -> DetailLine {
    let actions = [
        (Action::Respond, "respond: commands, undo"),
        (Action::Why, "next related finding"),
        (Action::Owner, "its container"),
        (Action::Moment, "go to its moment"),
        (Action::Bundle, "save evidence"),
        (Action::Silence, "silence"),
        (Action::Acknowledge, "accept for 30 days"),
    ];
    steps(query, &actions)
}

/// Its letter, container and title: the line that stays while the page scrolls.
pub(super) fn headline(core: &Core, finding: &Finding) -> String {
    let name = rows::name(core, &finding.container);
    let silenced = match finding.silenced {
        Some(_) => "silenced: ",
        None => "",
    };
    let letter = finding.severity.letter();
    format!("{letter} {name}  {silenced}{}", finding.title)
}

/// Its subjects: paths, destinations, programs; as many as are kept.
fn target(finding: &Finding) -> String {
    let more = if finding.more_parts { " and more" } else { "" };
    words(finding.things()) + more
}

fn words(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|w| w.escaped().to_string()).collect();
    words.join(" ")
}

fn ancestor(core: &Core, ancestor: &Ancestor, depth: usize) -> DetailLine {
    let indent = match depth {
        0 => String::new(),
        depth => "  ".repeat(depth.min(12) - 1) + "└ ",
    };
    let command = words(&ancestor.argv[..ancestor.argv.len().min(32)]);
    let command = if command.is_empty() {
        ancestor.exe.escaped().to_string()
    } else {
        command
    };
    let process = core.state.processes.get(&ancestor.pid);
    // The pid may belong to another process now.
    let process = process.filter(|process| process.argv == ancestor.argv);
    let state = match process {
        None => "",
        Some(process) if process.exited.is_some() => "  ended",
        Some(_) => "  running",
    };
    let origin = rows::source(ancestor.origin);
    fact(
        &format!("{} {origin}", ancestor.pid),
        format!("{indent}{command}{state}"),
    )
}

/// The image, and its other containers with a finding of the same rule.
fn image(core: &Core, finding: &Finding) -> Vec<DetailLine> {
    let Some(container) = core.state.container(&finding.container) else {
        return Vec::new();
    };
    let info = &container.info;
    let mut facts = vec![heading("Image")];
    facts.push(fact("image", info.image.escaped().to_string()));
    facts.push(fact("digest", info.image_digest.clone()));
    facts.push(fact("layers", info.storage.lower.len().to_string()));
    facts.push(fact("command", words(&info.command)));
    facts.push(fact("user", info.user.escaped().to_string()));
    facts.push(fact("ports", info.exposed.join(" ")));
    if let Some(image) = ImageKey::of(info) {
        let others: Vec<_> = core
            .state
            .containers
            .values()
            .filter(|other| other.id != container.id && image.holds(&other.info))
            .collect();
        let findings = core.detector.findings().iter();
        let findings = findings.filter(|f| f.part_of.is_none());
        let alike = findings.filter(|f| f.rule == finding.rule && f.container != finding.container);
        let elsewhere = alike
            .filter(|f| {
                others
                    .iter()
                    .any(|other| f.container.as_ref() == Some(&other.id))
            })
            .count();
        facts.push(fact(
            "seen in",
            format!(
                "this container ({}) and {elsewhere} of {} others of this image",
                things(finding.count, "time"),
                others.len()
            ),
        ));
    }
    // Facts from the engine may come from the image.
    for line in &mut facts {
        if let Some(text) = &mut line.text {
            *text = crate::event::escape(text.as_bytes()).to_string();
        }
    }
    facts.retain(|line| !line.blank());
    facts
}

fn event(core: &Core, query: &Query<'_>, seq: u64) -> DetailLine {
    match core.event(seq) {
        None => fact(&seq.to_string(), "no longer in memory; recordings keep it"),
        Some(event) => fact(
            &query.zone.write(event.ts, "%H:%M:%S%.3f"),
            format!(
                "{} {}  pid {}",
                event.kind.type_name(),
                rows::what(event),
                event.pid
            ),
        ),
    }
}
