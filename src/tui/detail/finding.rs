//! A finding in full: why, who, from which image, where else, and on what evidence.

use super::{Fact, fact, heading, related};
use crate::core::Core;
use crate::detect::{Ancestor, Finding};
use crate::event::Bytes;
use crate::tui::rows::{self, ImageKey, Query};
use crate::tui::text::things;

pub(super) fn facts(core: &Core, query: &Query<'_>, finding: &Finding) -> Vec<Fact> {
    let time = |t: crate::event::Timestamp| query.zone.exact(t);
    let mut facts = vec![
        fact("severity", finding.severity.to_string()),
        fact("container", rows::name(core, &finding.container)),
        fact("rule", finding.rule.clone()),
        fact("about", about(finding)),
        fact("silenced", finding.silenced.clone().unwrap_or_default()),
        fact("seen", things(finding.count, "time")),
        fact("first", time(finding.first)),
        fact("last", time(finding.last)),
        fact("ATT&CK", finding.attack.join(", ")),
        heading("Why"),
    ];
    facts.retain(|(_, text)| text.as_ref().is_none_or(|text| !text.is_empty()));
    facts.extend(why(finding));
    facts.extend(related::facts(core, query, finding));
    if !finding.ancestry.is_empty() {
        facts.push(heading(
            "Process ancestry: pids on the host, and where each program comes from",
        ));
        // The outermost first, as the tree shows it.
        let below = finding.ancestry.iter().rev().enumerate();
        facts.extend(below.map(|(depth, a)| ancestor(core, a, depth)));
    }
    facts.extend(image(core, finding));
    let evidence = things(finding.evidence.len() as u64, "event");
    let rest = match finding.evidence_not_kept() {
        0 => String::new(),
        more => format!(", the first and the latest; {more} more are not kept"),
    };
    facts.push(heading(format!(
        "Evidence, {evidence}{rest}: pids on the host"
    )));
    facts.extend(finding.evidence.iter().map(|seq| event(core, query, *seq)));
    facts
}

/// The numbered facts that explain it.
pub(super) fn why(finding: &Finding) -> impl Iterator<Item = Fact> {
    let why = (1..).zip(&finding.why);
    why.map(|(n, why)| fact(&n.to_string(), why.clone()))
}

/// Its letter, its container and its title: what the page is about, whatever is scrolled.
pub(super) fn headline(core: &Core, finding: &Finding) -> String {
    let name = rows::name(core, &finding.container);
    let silenced = match finding.silenced {
        Some(_) => "silenced: ",
        None => "",
    };
    let letter = finding.severity.letter();
    format!("{letter} {name}  {silenced}{}", finding.title)
}

/// What it is about, as much of it as is kept.
fn about(finding: &Finding) -> String {
    let more = if finding.more_parts { " and more" } else { "" };
    words(finding.things()) + more
}

fn words(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|w| w.escaped().to_string()).collect();
    words.join(" ")
}

fn ancestor(core: &Core, ancestor: &Ancestor, depth: usize) -> Fact {
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
    // A pid may be another's by now.
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

/// The image, and where else the rule spoke.
fn image(core: &Core, finding: &Finding) -> Vec<Fact> {
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
        let told = core.detector.findings().iter();
        let alike = told.filter(|f| f.rule == finding.rule && f.container != finding.container);
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
                "this container: {}; other containers of the image: {elsewhere} of {}",
                things(finding.count, "time"),
                others.len()
            ),
        ));
    }
    // What an engine passes on may come from the image.
    for (_, text) in &mut facts {
        if let Some(text) = text {
            *text = crate::event::escape(text.as_bytes()).to_string();
        }
    }
    facts.retain(|(_, text)| text.as_ref().is_none_or(|text| !text.is_empty()));
    facts
}

fn event(core: &Core, query: &Query<'_>, seq: u64) -> Fact {
    match core.event(seq) {
        None => fact(
            &seq.to_string(),
            "no longer in memory; it is in the recording",
        ),
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
