//! A finding in full: why, who, from which image, where else, and on what evidence.

use super::{Fact, fact, heading};
use crate::core::Core;
use crate::detect::{Ancestor, Finding};
use crate::event::Bytes;
use crate::tui::app::Ui;
use crate::tui::rows::{self, ImageKey};

pub(super) fn facts(core: &Core, ui: &Ui, finding: &Finding) -> Vec<Fact> {
    let time = |t: crate::event::Timestamp| ui.zone.exact(t);
    let mut facts = vec![
        heading(finding.title.clone()),
        fact("severity", finding.severity.to_string()),
        fact("container", rows::name(core, &finding.container)),
        fact("about", about(finding)),
        fact("seen", format!("{} times", finding.count)),
        fact("first", time(finding.first)),
        fact("last", time(finding.last)),
        fact("ATT&CK", finding.attack.join(", ")),
        heading("Why"),
    ];
    let why = (1..).zip(&finding.why);
    facts.extend(why.map(|(n, why)| fact(&n.to_string(), why.clone())));
    if !finding.ancestry.is_empty() {
        facts.push(heading(
            "Process ancestry, with where each program comes from",
        ));
        // The outermost first, as the tree shows it.
        let below = finding.ancestry.iter().rev().enumerate();
        facts.extend(below.map(|(depth, a)| ancestor(core, a, depth)));
    }
    facts.extend(image(core, finding));
    let evidence = finding.evidence.len();
    let heard = match finding.evidence_not_kept() {
        0 => format!("Evidence, {evidence} events"),
        more => format!(
            "Evidence, {evidence} events: the first and the latest; {more} more are not kept"
        ),
    };
    facts.push(heading(heard));
    facts.extend(finding.evidence.iter().map(|seq| event(core, ui, *seq)));
    facts
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
    let origin = rows::word(&ancestor.origin);
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
                "this container {}x; other containers of the image: {elsewhere} of {}",
                finding.count,
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

fn event(core: &Core, ui: &Ui, seq: u64) -> Fact {
    match core.event(seq) {
        None => fact(
            &seq.to_string(),
            "no longer in memory; it is in the recording",
        ),
        Some(event) => fact(
            &ui.zone.write(event.ts, "%H:%M:%S%.3f"),
            format!(
                "{} {}  pid {}",
                event.kind.type_name(),
                rows::what(event),
                event.pid
            ),
        ),
    }
}
