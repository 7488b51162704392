//! Copies or exports the row, the view or the finding that is shown, and reports the result.

use std::io::{self, Write};
use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Map, Value};

use super::clipboard::{self, Between};
use super::new_file::{create, failed};
use super::progress::EvidenceProgress;
use super::view::{self, Cell, Format, Grid};
use super::{command, facts, harden, svg};
use crate::core::Core;
use crate::event::{Timestamp, escape};
use crate::masking::mask_json;
use crate::report;
use crate::tui::pane::Pane;
use crate::tui::rows::{self, RowKey};
use crate::tui::status::Status;
use crate::tui::text::fit_middle;
use crate::tui::theme::Theme;
use crate::tui::ui::{ActionRequest, Ui};
use crate::tui::{Action, detail};
use crate::user_files;

/// Size and colours of the screen, for SVG exports.
pub(in crate::tui) struct Appearance<'a> {
    pub(in crate::tui) status: &'a Status,
    pub(in crate::tui) theme: &'a Theme,
    pub(in crate::tui) area: Rect,
}

/// Whether this module handles an action.
pub(in crate::tui) fn takes(action: Action) -> bool {
    matches!(
        action,
        Action::CopyCell | Action::CopyRow | Action::CopyCommand | Action::Export
    )
}

/// Carries out an action of this module, into the working directory or the terminal; returns the
/// message. `None`: another module handles it.
pub(in crate::tui) fn act(
    requested: &ActionRequest,
    core: &Core,
    ui: &Ui,
    screen: &Appearance,
    terminal: &mut impl Write,
) -> Option<String> {
    let message = match requested.action {
        Action::CopyCell => {
            let text = cell(core, ui);
            let what = shortened(text.as_deref());
            copy(text, &what, terminal)
        }
        Action::CopyRow => {
            let what = format!("{} as JSON", shortened(cell(core, ui).as_deref()));
            copy(row(core, ui), &what, terminal)
        }
        Action::CopyCommand => {
            let found = ui
                .subject()
                .and_then(|key| command::engine_command(core, ui, key));
            let what = found.clone().unwrap_or_default();
            copy(found, &what, terminal)
        }
        Action::Export => {
            let format = requested.argument.as_deref().unwrap_or("json");
            match Format::named(format) {
                Some(format) => export(core, ui, screen, format, Path::new(".")),
                None => Err(format!("{format}: json, csv, txt or svg")),
            }
        }
        Action::Bundle if harden::is_shown(ui) => harden::write(core, ui, Path::new(".")),
        _ => return None,
    };
    Some(message.unwrap_or_else(|error| error))
}

/// Copies a line; `what` names it in the message.
pub(in crate::tui) fn copy_line(line: String, what: &str, terminal: &mut impl Write) -> String {
    copy(Some(line), what, terminal).unwrap_or_else(|error| error)
}

fn copy(text: Option<String>, what: &str, terminal: &mut impl Write) -> Result<String, String> {
    let text = text.ok_or("there is nothing to copy")?;
    let between = Between::found(|name| std::env::var(name).ok());
    let done = clipboard::copy(&text, between, terminal).map_err(|e| e.to_string())?;
    if !done {
        let (size, most) = (text.len(), clipboard::MOST);
        return Err(format!(
            "{size} bytes are more than terminals accept ({most}): export the view instead"
        ));
    }
    Ok(match between {
        Between::Nothing => format!("copied {what}, if this terminal supports OSC 52"),
        Between::Tmux => format!("copied {what} (tmux: needs allow-passthrough)"),
        Between::Screen => format!("copied {what}, if the terminal around screen supports OSC 52"),
    })
}

/// Cells of the copied text that the message repeats.
const SHOWN_TEXT: usize = 40;

/// The copied text, shortened for a line.
fn shortened(text: Option<&str>) -> String {
    let text = escape(text.unwrap_or_default().as_bytes()).to_string();
    fit_middle(&text, SHOWN_TEXT)
}

/// The name of the selected row.
fn cell(core: &Core, ui: &Ui) -> Option<String> {
    if harden::is_shown(ui) {
        return harden::lines(core, ui);
    }
    let key = ui.subject()?;
    if ui.listing() {
        let columns = rows::columns(ui.at.pane);
        let main = columns.iter().position(|column| column.main).unwrap_or(0);
        let rows = rows::rows(core, &ui.query());
        let row = rows.iter().find(|row| row.key == *key)?;
        return Some(ui.masked(row.cells.get(main)?.trim()).into_owned());
    }
    detail::facts(core, &ui.query(), key).map(|(title, _)| title)
}

/// A finding or an event as the recording holds it, anything else as its facts.
fn row(core: &Core, ui: &Ui) -> Option<String> {
    let key = ui.subject()?;
    let mut value = match key {
        RowKey::Finding(id) => serde_json::to_value(core.detector.finding(*id)?).ok()?,
        RowKey::Event(seq) => {
            let mut line = Vec::new();
            let event = core.event(*seq)?;
            event.write_json(&mut line).ok()?;
            serde_json::from_slice(&line).ok()?
        }
        key => {
            let (title, facts) = detail::facts(core, &ui.query(), key)?;
            let facts = facts
                .into_iter()
                .filter_map(|line| Some((line.name, Value::String(line.text?))));
            let mut object = Map::new();
            object.insert("title".to_owned(), Value::String(title));
            object.extend(facts);
            Value::Object(object)
        }
    };
    if !ui.display.reveal {
        mask_json(&mut value);
    }
    serde_json::to_string(&value).ok()
}

fn export(
    core: &Core,
    ui: &Ui,
    screen: &Appearance,
    format: Format,
    folder: &Path,
) -> Result<String, String> {
    let content = if format == Format::Svg {
        let mut ui = ui.clone();
        ui.dialog.prompt = None;
        ui.message = None;
        let mut buffer = Buffer::empty(screen.area);
        let _ = crate::tui::view::draw(
            core,
            &ui,
            screen.status,
            screen.area,
            screen.theme,
            &mut buffer,
        );
        svg(&buffer, &screen.theme.background()).into_bytes()
    } else {
        written(&grid(core, ui, format, None), format)?
    };
    let (mut file, path) = create(core.state.now, &content_name(ui), format.name(), folder)?;
    file.write_all(&content).map_err(|e| {
        // A part could be taken for the whole.
        let _ = user_files::remove(&path);
        failed(&path, &e)
    })?;
    Ok(written_to(&path, ""))
}

/// What is shown, as part of a file's name.
fn content_name(ui: &Ui) -> String {
    let name = match &ui.at.detail {
        None => ui.at.pane.name(),
        Some(RowKey::Incident(id)) => return id.to_string(),
        Some(RowKey::Finding(id)) => return id.to_string(),
        Some(RowKey::Process(pid)) => return format!("process-{pid}"),
        Some(RowKey::Event(seq)) => return format!("event-{seq}"),
        Some(RowKey::Connection(_)) => "connection",
        Some(RowKey::File(_)) => "file",
        Some(RowKey::FileTree) => "directories",
        Some(RowKey::Container(_)) => "container",
        Some(RowKey::Build(_)) => "build",
        Some(RowKey::Image(_)) => "image",
        Some(RowKey::Machine) => "host",
        Some(RowKey::Since(_)) => "since",
    };
    name.to_owned()
}

/// The message about a new file: its name, remarks, and last the directory, which the user may not
/// know but which may be long.
fn written_to(path: &Path, remarks: &str) -> String {
    let whole = std::path::absolute(path);
    let whole = whole.as_deref().unwrap_or(path);
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let folder = whole.parent().unwrap_or(whole).display();
    format!("written {name}{remarks} in {folder}")
}

/// The rows of the view, filtered and sorted, or the facts of the open page. Programs get times
/// where the screen shows ages.
fn grid(core: &Core, ui: &Ui, format: Format, since: Option<Timestamp>) -> Grid {
    if !ui.listing() {
        let key = ui.page_of();
        let title = key
            .as_ref()
            .and_then(|key| detail::headline(core, &ui.query(), key));
        let found = key.and_then(|key| detail::facts(core, &ui.query(), &key));
        let (_, facts) = found.unwrap_or_default();
        let title = title.map(|title| ("title".to_owned(), Some(title)));
        let facts = facts.into_iter().map(|line| (line.name, line.text));
        let rows = title
            .into_iter()
            .chain(facts)
            .map(|(name, text)| vec![name.into(), text.unwrap_or_default().into()]);
        return Grid {
            names: vec!["fact", "text"],
            rows: rows.collect(),
            more: Vec::new(),
        };
    }
    let columns = rows::columns(ui.at.pane);
    let times = matches!(format, Format::Json | Format::Csv);
    let time = |at: Option<Timestamp>| match at {
        Some(at) => Cell::from(at.to_string()),
        None => Cell {
            value: Value::Null,
            ..Cell::from(String::new())
        },
    };
    let mut rows = rows::rows(core, &ui.query());
    rows.retain(|row| match (since, row.seen) {
        (Some(since), Some((_, last))) => last >= since,
        _ => true,
    });
    let more = match format {
        Format::Json => {
            let rows = rows.iter();
            rows.map(|row| facts::facts(core, row, ui.display.reveal))
                .collect()
        }
        _ => Vec::new(),
    };
    let cells = |row: rows::Row| {
        let seen = [row.seen.map(|seen| seen.0), row.seen.map(|seen| seen.1)];
        let seen = seen.into_iter().filter(|_| times).map(time);
        let cells = row.cells.iter().zip(&row.numbers).zip(columns);
        cells
            .map(|((cell, number), column)| {
                let cell = Cell::from(ui.masked(cell).into_owned());
                match number.and_then(|number| column.value(number)) {
                    Some(value) => Cell { value, ..cell },
                    // An unknown number.
                    None if column.is_number() && matches!(cell.text.as_str(), "" | "-") => Cell {
                        value: Value::Null,
                        ..cell
                    },
                    None => cell,
                }
            })
            .chain(seen)
            .collect()
    };
    Grid {
        names: columns
            .iter()
            .map(|column| column.name)
            .chain(["first_seen", "last_seen"].into_iter().filter(|_| times))
            .collect(),
        rows: rows.into_iter().map(cells).collect(),
        more,
    }
}

/// The rows to list.
#[derive(Debug, Clone, Copy)]
pub struct WantedRows<'a> {
    /// The screen.
    pub pane: Pane,
    /// Filter in the syntax of the screen.
    pub filter: &'a str,
    /// Leave out rows that ended before then.
    pub since: Option<Timestamp>,
    /// Show secrets.
    pub reveal: bool,
}

/// The selected rows, as text or for programs.
///
/// # Errors
/// When the filter cannot be read.
pub fn listing(core: &Core, wanted: WantedRows<'_>, format: Format) -> Result<Vec<u8>, String> {
    let mut ui = Ui::default();
    ui.at.pane = wanted.pane;
    ui.display.reveal = wanted.reveal;
    let table = ui.table_mut();
    table.set_filter(wanted.pane, wanted.filter)?;
    // Tree lines are for people only.
    table.flat = format != Format::Text;
    written(&grid(core, &ui, format, wanted.since), format)
}

/// A grid in a format; SVG shows no grid.
fn written(grid: &Grid, format: Format) -> Result<Vec<u8>, String> {
    match format {
        Format::Json => Ok(view::json(grid).into_bytes()),
        Format::Csv => view::csv(grid).map_err(|e| e.to_string()),
        Format::Text | Format::Svg => Ok(view::text(grid).into_bytes()),
    }
}

/// The evidence of the selected row, collected from memory.
pub(in crate::tui) enum GatheredEvidence {
    /// The complete archive of a finding.
    Finding(String, Vec<u8>),
    /// The evidence of an incident, whose files are read while it is written.
    Incident(String, Box<report::IncidentEvidence>),
}

impl GatheredEvidence {
    /// Collects it; `here`: the present of this host is shown.
    pub(in crate::tui) fn of(core: &Core, ui: &Ui, here: bool) -> Result<Self, String> {
        let masked = !ui.display.reveal;
        let gathered = match ui.subject() {
            Some(RowKey::Finding(id)) => {
                let mut out = Vec::new();
                report::write_finding_evidence(core, *id, masked, &mut out)
                    .map(|()| Self::Finding(id.to_string(), out))
            }
            Some(RowKey::Incident(id)) => {
                let host = ui.responding.docker_host.as_deref();
                report::IncidentEvidence::of(core, *id, masked, here.then_some(host))
                    .map(|evidence| Self::Incident(id.to_string(), Box::new(evidence)))
            }
            _ => return Err("select an incident or a finding first".to_owned()),
        };
        gathered.map_err(|e| e.to_string())
    }

    /// The number of the finding or incident.
    pub(in crate::tui) fn name(&self) -> &str {
        match self {
            Self::Finding(name, _) | Self::Incident(name, _) => name,
        }
    }

    /// Writes it to a new file, which is removed on failure; returns the message. It reads the
    /// container's files, so the core should not be locked meanwhile.
    pub(in crate::tui) fn write(
        self,
        now: Timestamp,
        reveal: bool,
        folder: &Path,
        progress: &EvidenceProgress,
    ) -> Result<String, String> {
        let (file, path) = create(now, self.name(), "tar", folder)?;
        let mut file = io::BufWriter::new(progress.count(file));
        let written = match self {
            Self::Finding(_, bytes) => file.write_all(&bytes).map(|()| String::new()),
            Self::Incident(_, evidence) => evidence.write(&mut file).map(|copied| {
                let kept = copied.iter().filter(|file| !file.copy.is_empty()).count();
                match copied.len() {
                    0 => String::new(),
                    all => format!(", {kept} of {all} files kept"),
                }
            }),
        };
        let written = written.and_then(|message| file.flush().map(|()| message));
        let files = written.map_err(|error| {
            // An incomplete archive could be taken for a complete one.
            let left = user_files::remove(&path).err();
            let left = left.map_or_else(String::new, |e| format!("; what was written stays: {e}"));
            format!("not written: {}{left}", failed(&path, &error))
        })?;
        let secrets = if reveal {
            "secrets as seen"
        } else {
            "secrets masked"
        };
        Ok(written_to(&path, &format!(" ({secrets}{files})")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::demo;

    fn looking(core: &Core, pane: Pane) -> Ui {
        let mut ui = Ui::default();
        ui.apply(Action::Show(pane), core);
        let rows = rows::rows(core, &ui.query());
        ui.drawn.current = rows.first().map(|row| row.key.clone());
        ui
    }

    #[test]
    fn every_format_is_written_and_nothing_overwritten() {
        let core = demo::core();
        let ui = looking(&core, Pane::Findings);
        let dir = tempfile::tempdir().unwrap();
        let status = Status::default();
        let theme = Theme::mono();
        let screen = Appearance {
            status: &status,
            theme: &theme,
            area: Rect::new(0, 0, 80, 24),
        };
        let count = rows::rows(&core, &ui.query()).len();
        for (name, format) in Format::ALL {
            for _ in 0..2 {
                let message = export(&core, &ui, &screen, format, dir.path()).unwrap();
                let rest = message.strip_prefix("written ").unwrap();
                let (file, folder) = rest.split_once(" in ").unwrap();
                assert!(file.ends_with(name), "{message}");
                let text = std::fs::read_to_string(Path::new(folder).join(file)).unwrap();
                let lines = text.lines().count();
                match format {
                    Format::Json => {
                        assert_eq!(lines, count);
                        let first: Value =
                            serde_json::from_str(text.lines().next().unwrap()).unwrap();
                        for time in ["first_seen", "last_seen"] {
                            let time = first[time].as_str().unwrap();
                            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
                        }
                    }
                    Format::Csv | Format::Text => assert_eq!(lines, count + 1),
                    Format::Svg => assert!(text.starts_with("<svg") && text.contains("FINDING")),
                }
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 8);
        assert!(
            GatheredEvidence::of(&core, &ui, false)
                .and_then(|e| {
                    let progress = EvidenceProgress::default();
                    e.write(core.state.now, false, dir.path(), &progress)
                })
                .unwrap()
                .contains("tar (secrets masked)")
        );
        let nowhere = export(&core, &ui, &screen, Format::Csv, Path::new("/proc/nowhere"));
        assert!(nowhere.unwrap_err().contains("/proc/nowhere"));
    }

    #[test]
    fn a_file_is_named_by_the_page() {
        let core = demo::core();
        let mut ui = looking(&core, Pane::Incidents);
        assert_eq!(content_name(&ui), "incidents");
        ui.at.detail = Some(RowKey::Since(core.state.now));
        assert_eq!(content_name(&ui), "since");
        ui.at.detail = core
            .ranked_incidents()
            .first()
            .map(|i| RowKey::Incident(i.id));
        assert!(content_name(&ui).starts_with("I-0"));
    }

    #[test]
    fn rows_are_copied_as_recorded() {
        let core = demo::core();
        for pane in Pane::ALL {
            let ui = looking(&core, pane);
            let value: Value = serde_json::from_str(&row(&core, &ui).unwrap()).unwrap();
            assert!(value.is_object(), "{pane:?}");
            assert!(!cell(&core, &ui).unwrap().is_empty(), "{pane:?}");
        }
        let ui = looking(&core, Pane::Findings);
        let value: Value = serde_json::from_str(&row(&core, &ui).unwrap()).unwrap();
        assert!(value["rule"].is_string() && value["why"].is_array());
    }
}
