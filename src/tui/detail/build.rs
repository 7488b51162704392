//! The page of an image build: its steps and their findings.

use super::line::{DetailLine, fact, flagged, heading};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::ContainerId;
use crate::state::{Build, Container};
use crate::tui::rows::{self, Query};
use crate::tui::text::{span, times};

/// Lines of each part.
const MOST: usize = 100;

/// The title of the page; `None` when its steps were evicted.
pub(super) fn title(core: &Core, id: &ContainerId) -> Option<String> {
    let builds = core.state.builds();
    let build = builds.iter().find(|build| build.id() == Some(id))?;
    let image = build.steps.first()?.info.image.escaped().to_string();
    let builds = if build.several {
        "image build(s)"
    } else {
        "image build"
    };
    // Some builders report no image.
    Some(match image.is_empty() {
        true => builds.to_owned(),
        false => format!("{builds} on {image}"),
    })
}

pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let builds = core.state.builds();
    let build = builds.iter().find(|build| build.id() == Some(id))?;
    let first = build.steps.first()?;
    let mut facts = vec![
        fact("builder", builder(first)),
        fact("began", query.zone.exact(first.first_seen)),
        match build.running() {
            true => fact("state", "builds"),
            false => fact("took", span(build.last.since(first.first_seen))),
        },
        fact(
            "one by one",
            "the filter role=build lists the steps as containers",
        ),
    ];
    if build.several {
        let why = "one or more at the same time: their builder does not tell their steps apart";
        facts.push(fact("builds", why));
    }
    findings(core, build, &mut facts);
    facts.push(heading(format!("Steps: {}", build.steps.len())));
    let steps = build.steps.iter().take(MOST);
    facts.extend(steps.map(|step| {
        let name = query.zone.clock(step.first_seen);
        fact(&name, format!("{}{}", command(step), ended(step)))
    }));
    more(&mut facts, build.steps.len());
    Some(facts)
}

fn builder(step: &Container) -> String {
    format!("{} ({})", step.info.runtime.word(), step.id.short())
}

fn findings(core: &Core, build: &Build<'_>, facts: &mut Vec<DetailLine>) {
    let mut found: Vec<&Finding> = rows::open_findings(core, build).collect();
    found.sort_by_key(|f| std::cmp::Reverse((f.severity, f.last)));
    facts.push(heading(format!("Findings: {}", found.len())));
    let lines = found.iter().take(MOST).map(|f| {
        let name = rows::name(core, &f.container);
        let text = format!("{name}  {}{}", times(f.count), f.title);
        flagged(f.severity, &f.id.to_string(), text)
    });
    facts.extend(lines);
    more(facts, found.len());
}

fn more(facts: &mut Vec<DetailLine>, all: usize) {
    if all > MOST {
        facts.push(fact("", format!("{} more", all - MOST)));
    }
}

fn command(step: &Container) -> String {
    let words = step.info.command.iter();
    let words: Vec<String> = words.map(|word| word.escaped().to_string()).collect();
    match words.is_empty() {
        true => step.display_name(),
        false => words.join(" "),
    }
}

fn ended(step: &Container) -> String {
    match step.exit_code {
        Some(0) => String::new(),
        Some(code) => format!("  (exit code {code})"),
        None if step.running => "  (runs)".to_owned(),
        None => String::new(),
    }
}
