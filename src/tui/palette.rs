//! The command line: every action by its name, with completion and, where natural, an argument.
//!
//! An action that takes an argument is one line in [`argument`]; an argument of kind `Text` is
//! passed with the action to the code that does it.

use crate::core::Core;

use super::action::{ACTIONS, Action, Entry};
use super::pane::Pane;
use super::prompt::Prompt;
use super::rows::{self, ImageKey, RowKey};
use super::time_travel::{self, Goal};
use super::ui::{ActionRequest, Ui};

/// Kinds of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// None.
    None,
    /// A filter.
    Filter,
    /// A column; `-` in front reverses the order.
    Sort,
    /// Columns to show or hide.
    Columns,
    /// A container's name or id.
    Container,
    /// An image's name.
    Image,
    /// A finding's number.
    Finding,
    /// A moment: `-5m`, `14:03`, `F-0132`.
    Since,
    /// Any text, handled by the action.
    Text,
}

fn argument(action: Action) -> Argument {
    match action {
        Action::Filter => Argument::Filter,
        Action::Sort => Argument::Sort,
        Action::Columns => Argument::Columns,
        Action::Owner => Argument::Container,
        Action::Image => Argument::Image,
        Action::Why => Argument::Finding,
        Action::Since => Argument::Since,
        Action::Export | Action::Moment | Action::Open | Action::Learn | Action::Diff => {
            Argument::Text
        }
        _ => Argument::None,
    }
}

/// Other names of actions.
const ALIASES: &[(&str, &str)] = &[
    ("container", "owner"),
    ("finding", "why"),
    ("q", "quit"),
    ("accept", "acknowledge"),
];

/// The action with this name, or the only one whose name begins so.
fn entry(name: &str) -> Result<&'static Entry, String> {
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, name)| name);
    let mut candidates: Vec<&'static Entry> = ACTIONS
        .iter()
        .filter(|entry| entry.name.starts_with(name))
        .collect();
    candidates.sort_by_key(|entry| entry.name.len());
    match &candidates[..] {
        [] => Err(format!("no command {name}; Tab completes")),
        [first, rest @ ..] => {
            // The whole name, or a name that is the beginning of the others.
            if first.name == name || rest.iter().all(|e| e.name.starts_with(first.name)) {
                return Ok(first);
            }
            let names: Vec<&str> = candidates.iter().map(|entry| entry.name).collect();
            Err(format!("{name} is ambiguous: {}", names.join(" ")))
        }
    }
}

/// Parses a command line.
pub(super) fn parse(ui: &mut Ui, core: &Core, line: &str) -> Result<ActionRequest, String> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let entry = entry(name)?;
    if !ui.works(entry.place) {
        return Err(format!("{}: {}", entry.name, entry.place.first()));
    }
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(ActionRequest {
            action: entry.action,
            argument: None,
            by_name: true,
        });
    }
    if argument(entry.action) == Argument::None {
        return Err(format!("{} takes no argument", entry.name));
    }
    // An error is reported while the line can still be corrected.
    let mut trial = ui.clone();
    apply(&mut trial, entry.action, rest, core)?;
    Ok(ActionRequest {
        action: entry.action,
        argument: Some(rest.to_owned()),
        by_name: true,
    })
}

/// Carries out an action with its argument.
pub(super) fn apply(ui: &mut Ui, action: Action, rest: &str, core: &Core) -> Result<(), String> {
    match argument(action) {
        Argument::None | Argument::Text => {}
        Argument::Filter => {
            let pane = ui.at.pane;
            ui.table_mut().set_filter(pane, rest)?;
        }
        Argument::Sort => {
            let (name, reverse) = match rest.strip_prefix('-') {
                Some(name) => (name, true),
                None => (rest, false),
            };
            let column = ui.column_named(name)?;
            let table = ui.table_mut();
            table.sort = Some(column.name);
            table.reverse = reverse;
        }
        Argument::Columns => {
            for name in rest.split([' ', ',']).filter(|name| !name.is_empty()) {
                ui.switch_named(name)?;
            }
        }
        Argument::Container => {
            let id = one(containers(core), rest, "container")?;
            ui.open(RowKey::Container(id));
        }
        Argument::Image => {
            let image = one(images(core), rest, "image")?;
            ui.show(Pane::Images);
            ui.open(RowKey::Image(image));
        }
        Argument::Finding => {
            let digits = rest.trim_start_matches(['F', 'f', '-']);
            let number: Option<u32> = digits.parse().ok();
            let finding =
                number.and_then(|number| core.detector.finding(crate::detect::FindingId(number)));
            let id = finding.ok_or_else(|| format!("no finding {rest}"))?.id;
            ui.show(Pane::Findings);
            ui.open(RowKey::Finding(id));
        }
        Argument::Since => {
            let now = core.state.now;
            let then = match time_travel::goal(rest, now, now, &ui.display.zone)? {
                Goal::Time(then) => then,
                Goal::Start => core.state.began,
                Goal::End => now,
                Goal::Finding(id) => {
                    let finding = core.detector.finding(id);
                    finding.ok_or_else(|| format!("no finding {id}"))?.first
                }
            };
            // Nothing is known from before the beginning.
            let then = then.max(core.state.began);
            ui.since = Some(then);
            ui.open(RowKey::Since(then));
        }
    }
    Ok(())
}

/// The one of a name, or of the only name that holds it.
fn one<T>(all: Vec<(String, T)>, name: &str, kind: &str) -> Result<T, String> {
    let mut holding = Vec::new();
    for (known, value) in all {
        if known == name {
            return Ok(value);
        }
        if known.contains(name) {
            holding.push((known, value));
        }
    }
    match holding.len() {
        0 => Err(format!("no {kind} {name}")),
        1 => Ok(holding.remove(0).1),
        count => Err(format!("{count} {kind}s match {name}")),
    }
}

fn containers(core: &Core) -> Vec<(String, crate::event::ContainerId)> {
    let mut all: Vec<_> = core
        .state
        .containers
        .values()
        .map(|container| (container.display_name(), container.id.clone()))
        .collect();
    // Where a name is used again, the running container is meant.
    all.sort_by_key(|(_, id)| {
        let container = core.state.containers.get(id);
        std::cmp::Reverse(container.is_some_and(|container| container.running))
    });
    all
}

fn images(core: &Core) -> Vec<(String, ImageKey)> {
    let images = rows::images(core).into_keys();
    images.map(|image| (image.title(), image)).collect()
}

/// Completions of the last word.
fn candidates(ui: &Ui, core: &Core, line: &str) -> (usize, Vec<String>) {
    let Some((name, _)) = line.split_once(' ') else {
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let mut names: Vec<&str> = ACTIONS
            .iter()
            .map(|entry| entry.name)
            .chain(aliases.filter(|alias| alias.len() > 1))
            .filter(|name| name.starts_with(line))
            .collect();
        names.sort_unstable();
        names.dedup();
        return (0, names.into_iter().map(str::to_owned).collect());
    };
    let start = line.rfind([' ', ',']).map_or(0, |at| at + 1);
    let typed = &line[start..];
    let kind = entry(name).map_or(Argument::None, |entry| argument(entry.action));
    let all: Vec<String> = match kind {
        Argument::None | Argument::Text | Argument::Since => Vec::new(),
        Argument::Filter | Argument::Sort | Argument::Columns => {
            let columns = rows::columns(ui.at.pane).iter();
            columns.map(|column| column.name.to_owned()).collect()
        }
        Argument::Container => containers(core).into_iter().map(|(name, _)| name).collect(),
        Argument::Image => images(core).into_iter().map(|(name, _)| name).collect(),
        Argument::Finding => {
            let findings = core.detector.findings().iter();
            let findings = findings.filter(|finding| finding.part_of.is_none());
            findings.map(|finding| finding.id.to_string()).collect()
        }
    };
    let sign = if typed.starts_with('-') { "-" } else { "" };
    let mut fitting: Vec<String> = all
        .into_iter()
        .map(|name| format!("{sign}{name}"))
        .filter(|name| name.starts_with(typed))
        .collect();
    fitting.sort_unstable();
    fitting.dedup();
    (start, fitting)
}

/// Tab: completes the common part; then cycles through the candidates.
pub(super) fn complete(ui: &Ui, core: &Core, prompt: &mut Prompt) {
    if let Some((start, all)) = &mut prompt.cycle {
        let line = prompt.text[..*start].to_owned();
        if let Some(next) = all.pop_front() {
            all.push_back(next.clone());
            let (start, all) = (*start, all.clone());
            prompt.set(&(line + &next));
            prompt.cycle = Some((start, all));
        }
        return;
    }
    let line = prompt.text().to_owned();
    let (start, all) = candidates(ui, core, &line);
    let Some(first) = all.first() else {
        prompt.error = Some("nothing to complete".to_owned());
        return;
    };
    let common = all.iter().fold(first.as_str(), |common, name| {
        let same = common.chars().zip(name.chars()).take_while(|(a, b)| a == b);
        &common[..same.map(|(c, _)| c.len_utf8()).sum()]
    });
    if all.len() == 1 {
        prompt.set(&format!("{}{common} ", &line[..start]));
    } else if common.len() > line.len() - start {
        prompt.set(&format!("{}{common}", &line[..start]));
        prompt.hint = all.join(" ");
    } else {
        let hint = all.join(" ");
        prompt.cycle = Some((start, all.into()));
        prompt.hint = hint;
    }
}
