//! The detail page of one row: every fact, one a line.

mod baseline;
mod build;
mod container;
mod finding;
mod harden;
mod incident;
mod line;
mod machine;
mod overview;
mod posture;
mod related;
mod since;

pub(super) use line::DetailLine;
pub(super) use related::next as next_related;

use std::borrow::Cow;

use line::{fact, flagged, heading};

use crate::core::Core;
use crate::detect::Severity;
use crate::event::{CompareClass, Timestamp, escape};
use crate::masking::mask_json;
use crate::state::{Connection, ConnectionKey, Direction, ProcessEntry};
use crate::tui::pane::Pane;
use crate::tui::rows::{self, Query, RowKey};
use crate::tui::text::{bytes, fit_middle};

/// The name of a page in the breadcrumbs.
pub(super) fn title(core: &Core, query: &Query<'_>, key: &RowKey) -> String {
    match (facts(core, query, key), key) {
        (None, _) => "gone".to_owned(),
        (Some((path, _)), RowKey::File(_)) => fit_middle(&path, PATH),
        (Some((title, _)), _) => title,
    }
}

/// Cells of a path in the breadcrumbs.
const PATH: usize = 48;

/// The severity of the page's subject.
pub(super) fn severity(core: &Core, key: &RowKey) -> Option<Severity> {
    match key {
        RowKey::Finding(id) => core.detector.finding(*id).map(|finding| finding.severity),
        RowKey::Incident(id) => core.incident(*id).map(|incident| incident.severity),
        _ => None,
    }
}

/// The first line of a page; the breadcrumbs above it are not repeated.
pub(super) fn headline(core: &Core, query: &Query<'_>, key: &RowKey) -> Option<String> {
    let state = &core.state;
    let of = |owner| rows::name(core, owner);
    let text = match key {
        RowKey::Incident(id) => incident::headline(core, &core.incident(*id)?),
        RowKey::Finding(id) => finding::headline(core, core.detector.finding(*id)?),
        RowKey::Container(id) => {
            let image = &state.containers.get(id)?.info.image;
            format!("{}  {}", of(&Some(id.clone())), image.escaped())
        }
        RowKey::Build(id) => build::title(core, id)?,
        RowKey::Process(pid) => {
            let process = state.processes.get(pid)?;
            format!("{}  {}", of(&process.owner), rows::command(process))
        }
        RowKey::Connection(key) => {
            let row = state.connections.get(key)?;
            format!("{}  by {}", of(&key.owner), row.comm.escaped())
        }
        RowKey::File(key) => format!("{}  {}", of(&key.owner), key.path.escaped()),
        RowKey::Event(seq) => {
            let event = core.event(*seq)?;
            let time = query.zone.exact(event.ts);
            format!(
                "{}  {}  {time}",
                of(&event.container),
                event.kind.type_name()
            )
        }
        RowKey::Image(image) => image.title(),
        RowKey::Machine => "The host".to_owned(),
        RowKey::FileTree => "Files by directory".to_owned(),
        RowKey::Since(then) => format!("What changed since {}", query.zone.exact(*then)),
    };
    Some(query.masked(&text).into_owned())
}

/// The most important facts of a row, for the preview below its table, without those that the table
/// shows. The title is a line of its own.
pub(super) fn brief(
    core: &Core,
    query: &Query<'_>,
    key: &RowKey,
) -> Option<(DetailLine, Vec<DetailLine>)> {
    if let RowKey::Finding(id) = key {
        let finding = core.detector.finding(*id)?;
        let mut facts: Vec<DetailLine> = finding::why(finding).collect();
        facts.extend(finding::check(finding));
        let title = format!("{id} {}: {}", finding.rule, finding.title);
        let title = flagged(finding.severity, &title, "");
        return Some((masked(query, title), mask_all(query, facts)));
    }
    if let RowKey::Incident(id) = key {
        let incident = core.incident(*id)?;
        let title = incident::headline(core, &incident);
        let title = flagged(incident.severity, title.get(2..).unwrap_or_default(), "");
        let lines = incident::history(core, query, &incident);
        return Some((masked(query, title), mask_all(query, lines)));
    }
    let (title, mut facts) = facts(core, query, key)?;
    facts.retain(|line| line.text.is_some() && !line.blank());
    Some((heading(title), facts))
}

/// The lines of a page as plain text, to search them.
pub(super) fn plain(core: &Core, page: Option<&RowKey>, query: &Query<'_>) -> Vec<String> {
    let found = page.and_then(|key| facts(core, query, key));
    let (_, facts) = found.unwrap_or_default();
    facts
        .into_iter()
        .map(|line| line.name + " " + &line.text.unwrap_or_default())
        .collect()
}

/// Title and facts of a row, with secrets masked unless they are shown; `None` when the row no
/// longer exists.
pub(super) fn facts(
    core: &Core,
    query: &Query<'_>,
    key: &RowKey,
) -> Option<(String, Vec<DetailLine>)> {
    let (title, facts) = unmasked(core, query, key)?;
    Some((mask(query, title), mask_all(query, facts)))
}

fn mask(query: &Query<'_>, text: String) -> String {
    match query.masked(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(masked) => masked,
    }
}

fn masked(query: &Query<'_>, line: DetailLine) -> DetailLine {
    DetailLine {
        name: mask(query, line.name),
        text: line.text.map(|text| mask(query, text)),
        ..line
    }
}

fn mask_all(query: &Query<'_>, lines: Vec<DetailLine>) -> Vec<DetailLine> {
    let lines = lines.into_iter();
    lines.map(|line| masked(query, line)).collect()
}

fn unmasked(core: &Core, query: &Query<'_>, key: &RowKey) -> Option<(String, Vec<DetailLine>)> {
    match key {
        RowKey::Incident(id) => {
            let incident = core.incident(*id)?;
            Some((id.to_string(), incident::facts(core, query, &incident)))
        }
        RowKey::Finding(id) => {
            let finding = core.detector.finding(*id)?;
            Some((
                format!("{id} {}", finding.rule),
                finding::facts(core, query, finding),
            ))
        }
        RowKey::Container(id) => {
            let inside = query.container == Some(id);
            let facts = match query.pane {
                Pane::Baseline if inside => baseline::facts(core, query, id)?,
                Pane::Harden if inside => harden::facts(core, query, id)?,
                Pane::Posture if inside => posture::facts(core, query, id)?,
                _ => {
                    let mut facts = overview::facts(core, id);
                    facts.extend(container::facts(core, query, id)?);
                    facts
                }
            };
            Some((rows::name(core, &Some(id.clone())), facts))
        }
        RowKey::Build(id) => Some((build::title(core, id)?, build::facts(core, query, id)?)),
        RowKey::Process(pid) => {
            let process = core.state.processes.get(pid)?;
            Some((
                format!("process {pid} (host pid)"),
                process_facts(core, query, process),
            ))
        }
        RowKey::Connection(key) => {
            let row = core.state.connections.get(key)?;
            Some((
                rows::endpoint(&key.endpoint),
                vec![
                    fact("container", rows::name(core, &key.owner)),
                    fact("protocol", rows::word(&key.protocol)),
                    fact(
                        "name",
                        row.name
                            .as_ref()
                            .map_or_else(String::new, |n| n.escaped().to_string()),
                    ),
                    fact(
                        "local",
                        row.local.map_or_else(String::new, |a| a.to_string()),
                    ),
                    fact(
                        "latest peer",
                        row.peer.map_or_else(String::new, |a| a.to_string()),
                    ),
                    fact("process", by(&row.comm, row.pid)),
                    fact(
                        "count",
                        format!("{} ({} failed, {} open)", row.count, row.failed, row.open),
                    ),
                    fact("sent", amount(key, row, row.tx_bytes)),
                    fact("received", amount(key, row, row.rx_bytes)),
                    fact("first seen", began(query, row.first, row.existing)),
                    fact("last seen", query.zone.exact(row.last)),
                ],
            ))
        }
        RowKey::File(key) => {
            let row = core.state.files.get(key)?;
            let mut facts = vec![
                fact("container", rows::name(core, &key.owner)),
                fact("path", key.path.escaped().to_string()),
                fact("last changed by", by(&row.comm, row.pid)),
                fact("refused operations", row.refused.to_string()),
                fact("first seen", query.zone.exact(row.first)),
                fact("last seen", query.zone.exact(row.last)),
            ];
            facts.extend(
                row.ops
                    .iter()
                    .map(|(op, n)| fact(&rows::word(op), n.to_string())),
            );
            if let Some(file) = row.file {
                facts.push(fact("origin", rows::source_explained(file.origin())));
                facts.push(fact("mode", format!("{:o}", file.mode)));
                facts.push(fact("size", bytes(file.size)));
                facts.push(fact("inode", format!("{} on {:x}", file.ino, file.dev)));
            }
            if let Some(class) = &row.class {
                facts.push(fact("compared with image", compared(class)));
            }
            Some((key.path.escaped().to_string(), facts))
        }
        RowKey::Image(image) => Some((image.title(), Vec::new())),
        RowKey::FileTree => Some(("by directory".to_owned(), Vec::new())),
        RowKey::Machine => Some(("Host".to_owned(), machine::facts(core, query.machine))),
        RowKey::Since(then) => Some((
            format!("since {}", query.zone.clock(*then)),
            since::facts(core, query, *then),
        )),
        RowKey::Event(seq) => {
            let event = core.event(*seq)?;
            let mut json = Vec::new();
            event.write_json(&mut json).ok()?;
            let mut value: serde_json::Value = serde_json::from_slice(&json).ok()?;
            if !query.reveal {
                mask_json(&mut value);
            }
            let text = serde_json::to_string_pretty(&value).ok()?;
            let facts = text
                .lines()
                .map(|line| fact("", escape(line.as_bytes()).to_string()))
                .collect();
            Some((format!("event {seq}"), facts))
        }
    }
}

/// A time, marked if it is from before hullwatch started.
fn began(query: &Query<'_>, at: Timestamp, existing: bool) -> String {
    let existing = if existing {
        " (existed when hullwatch started)"
    } else {
        ""
    };
    query.zone.exact(at) + existing
}

/// Bytes that a connection sent or received.
fn amount(key: &ConnectionKey, row: &Connection, count: u64) -> String {
    match (row.is_uncounted(), key.direction) {
        (false, _) => bytes(count),
        (true, Direction::Listening) => "-".to_owned(),
        (true, _) => "known when it closes".to_owned(),
    }
}

/// The comparison of a file with the image, in words.
fn compared(class: &CompareClass) -> String {
    match class {
        CompareClass::New => "not in the image".to_owned(),
        CompareClass::Modified => "the image has other content at this path".to_owned(),
        CompareClass::Relocated(from) => format!("same content as {} there", from.escaped()),
        CompareClass::CopiedUp => "same content".to_owned(),
        CompareClass::Unknown(why) => format!("unknown: {}", escape(why.as_bytes())),
    }
}

/// A process as other pages name it.
fn by(comm: &crate::event::Bytes, pid: u32) -> String {
    format!("{} (host pid {pid})", comm.escaped())
}

/// The value in the container, followed by the host's where they differ.
fn user_id(core: &Core, process: &ProcessEntry) -> String {
    let inside = rows::inside_uid(core, process);
    if inside == process.uid {
        return inside.to_string();
    }
    format!("{inside} ({} on the host)", process.uid)
}

fn process_facts(core: &Core, query: &Query<'_>, process: &ProcessEntry) -> Vec<DetailLine> {
    vec![
        fact("container", rows::name(core, &process.owner)),
        fact("executable", process.exe.escaped().to_string()),
        fact("origin", rows::source_explained(process.file.origin())),
        fact("command", rows::command(process)),
        fact("directory", process.cwd.escaped().to_string()),
        fact("host pid", process.pid.to_string()),
        fact("pid in container", process.nspid.to_string()),
        fact("user id", user_id(core, process)),
        fact("started", began(query, process.started, process.existing)),
        fact(
            "usage",
            core.state
                .usage
                .get(&process.pid)
                .map_or_else(String::new, |usage| {
                    let cpu = usage.cpu_milli;
                    format!(
                        "CPU {}.{} %, memory {}",
                        cpu / 10,
                        cpu % 10,
                        bytes(usage.memory)
                    )
                }),
        ),
        fact("terminal", process.tty.to_string()),
    ]
}
