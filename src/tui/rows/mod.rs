//! The rows of each pane, one file a pane: the same list for drawing, moving, filtering and going
//! in.

mod containers;
mod events;
mod files;
mod findings;
mod images;
mod network;
mod processes;
mod short;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use images::{ImageKey, images};
use processes::exact;
pub(super) use short::short;
pub(super) use words::{
    command, endpoint, errno_name, name, origin, source, source_told, what, word,
};

use serde::{Deserialize, Serialize};

use super::app::{Pane, Ui};
use super::filter::Filter;
use super::table::Column;
use super::text::coarse;
use crate::core::Core;
use crate::detect::{FindingId, Severity};
use crate::event::{ContainerId, Timestamp};
use crate::state::{ConnectionKey, FileKey, Owner};

/// Identity of a row, so that the selection stays on it while rows move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Key {
    Container(ContainerId),
    Finding(FindingId),
    Process(u32),
    Connection(ConnectionKey),
    File(FileKey),
    Image(ImageKey),
    Event(u64),
    /// No row: the page of what changed since a moment.
    Since(Timestamp),
}

/// A row: escaped text by column, and what sorts it where the text does not.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) cells: Vec<String>,
    pub(super) numbers: Vec<Option<u64>>,
    pub(super) severity: Option<Severity>,
    /// Ended: shown dim.
    pub(super) faded: bool,
    /// Shown only because a row below it matches.
    pub(super) context: bool,
    /// What is said before the text it is called by.
    pub(super) tag: &'static str,
    /// A column, and its text in few words.
    pub(super) brief: Option<(usize, String)>,
    /// From when to when it was seen: for programs, which cannot use an age.
    pub(super) seen: Option<(Timestamp, Timestamp)>,
    /// How deep in a tree.
    pub(super) depth: usize,
    /// What stands before the text of a tree's row.
    pub(super) lead: String,
    /// When it last changed: what following goes by.
    pub(super) at: Timestamp,
}

impl Row {
    fn new(key: Key, at: Timestamp) -> Self {
        Self {
            key,
            cells: Vec::new(),
            numbers: Vec::new(),
            severity: None,
            faded: false,
            context: false,
            tag: "",
            brief: None,
            seen: None,
            depth: 0,
            lead: String::new(),
            at,
        }
    }

    fn text(&mut self, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(None);
    }

    /// A text, and how it is put where there is little room.
    fn shortened(&mut self, text: impl Into<String>, brief: String) {
        self.brief = Some((self.cells.len(), brief));
        self.text(text);
    }

    /// The few words that a column may show instead of its text.
    pub(super) fn brief(&self, column: usize) -> Option<&str> {
        let brief = self.brief.as_ref().filter(|(at, _)| *at == column);
        brief.map(|(_, text)| text.as_str())
    }

    fn number(&mut self, number: u64, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(Some(number));
    }

    fn count(&mut self, count: u64) {
        self.number(count, count.to_string());
    }

    /// Time since `then`, in steps that do not tick all the time.
    fn age(&mut self, core: &Core, then: Timestamp) {
        let age = core.state.now.since(then);
        self.number(age.as_secs(), coarse(age));
    }

    /// The letter of its severity.
    fn letter(&mut self, severity: Option<Severity>) {
        self.severity = severity;
        let letter = severity.map_or_else(|| ".".to_owned(), |s| s.letter().to_string());
        self.number(rank(severity), letter);
    }
}

/// A severity as a number: 0 none, 1 info … 5 critical.
pub(super) fn rank(severity: Option<Severity>) -> u64 {
    match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Low) => 2,
        Some(Severity::Medium) => 3,
        Some(Severity::High) => 4,
        Some(Severity::Critical) => 5,
    }
}

/// The columns of a pane.
pub(super) fn columns(pane: Pane) -> &'static [Column] {
    match pane {
        Pane::Containers => containers::COLUMNS,
        Pane::Findings => findings::COLUMNS,
        Pane::Processes => processes::COLUMNS,
        Pane::Network => network::COLUMNS,
        Pane::Files => files::COLUMNS,
        Pane::Images => images::COLUMNS,
        Pane::Events => events::COLUMNS,
        Pane::Overview => &[],
    }
}

/// How many rows match the filter, of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) matching: usize,
    pub(super) all: usize,
}

/// The rows of the present pane, filtered and sorted.
pub(super) fn rows(core: &Core, ui: &Ui) -> Vec<Row> {
    let mut rows = collect(core, ui).rows;
    rows.iter_mut().for_each(|row| write(core, ui, row));
    rows
}

/// Rows, and how many were left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    rows: Vec<Row>,
    pub(super) counted: Counted,
}

impl std::ops::Deref for Listing {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.rows
    }
}

/// The same rows, of which some may lack their text: there are thousands, a few of them are shown,
/// and text is most of the work. [`write`] adds it.
///
/// While a key is held they are those of the last picture: otherwise each step would send all that
/// moved meanwhile, which on a slow link piles up, and the list would run away under the hand.
pub(super) fn outline(core: &Core, ui: &Ui) -> Arc<Listing> {
    match &ui.held {
        Some(held) if ui.hurry => Arc::clone(held),
        _ => Arc::new(collect(core, ui)),
    }
}

fn collect(core: &Core, ui: &Ui) -> Listing {
    let mut rows = match ui.pane {
        Pane::Containers => containers::rows(core, ui),
        Pane::Findings => findings::rows(core, ui),
        Pane::Processes => processes::outline(core, ui),
        Pane::Network => network::outline(core, ui),
        Pane::Files => files::outline(core, ui),
        Pane::Images => images::rows(core, ui),
        Pane::Events => events::outline(core, ui),
        Pane::Overview => Vec::new(),
    };
    if ui.hide_ended() {
        rows.retain(|row| !row.faded);
    }
    let all = rows.len();
    let mut filter = Cow::Borrowed(ui.filter());
    if !filter.is_empty() || ui.table().sort.is_some() {
        rows.iter_mut().for_each(|row| write(core, ui, row));
    }
    if let Some(prompt) = ui.filtering()
        && !rows.iter().any(|row| filter.matches(row))
        && let Some(begun) = Filter::begun(prompt.text(), prompt.error.is_some(), columns(ui.pane))
    {
        // A word that is half typed does not empty the table.
        filter = Cow::Owned(begun);
    }
    if !filter.is_empty() {
        keep(&mut rows, |row| filter.matches(row));
    }
    let table = ui.table();
    if let Some(by) = table.sort {
        rows.sort_by(|a, b| {
            let order = match (a.numbers[by], b.numbers[by]) {
                // The largest first; text in its own order.
                (Some(a), Some(b)) => b.cmp(&a),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => a.cells[by].cmp(&b.cells[by]),
            };
            if table.reverse {
                order.reverse()
            } else {
                order
            }
        });
    } else if table.reverse && !ui.tree() {
        rows.reverse();
    }
    let matching = rows.iter().filter(|row| !row.context).count();
    let counted = Counted { matching, all };
    Listing { rows, counted }
}

/// Adds the text of a row where it is missing.
pub(super) fn write(core: &Core, ui: &Ui, row: &mut Row) {
    if !row.cells.is_empty() {
        return;
    }
    match row.key.clone() {
        Key::Process(pid) => processes::write(core, pid, row),
        Key::Connection(key) => network::write(core, &key, row),
        Key::File(key) => files::write(core, &key, row),
        Key::Event(seq) => events::write(core, ui, seq, row),
        Key::Container(_) | Key::Finding(_) | Key::Image(_) | Key::Since(_) => {}
    }
    // An event of a damaged recording may not be found by its number.
    while row.cells.len() < columns(ui.pane).len() {
        row.text("");
    }
}

/// Keeps matching rows, and of a tree what is above them.
fn keep(rows: &mut Vec<Row>, matches: impl Fn(&Row) -> bool) {
    // From the end: a row that is less deep than the last one kept is above it.
    let mut below = 0;
    let mut kept: Vec<bool> = Vec::with_capacity(rows.len());
    for row in rows.iter_mut().rev() {
        let matching = matches(row);
        row.context = !matching && row.depth < below;
        kept.push(matching || row.context);
        if matching || row.context {
            below = row.depth;
        }
    }
    rows.retain(|_| kept.pop().unwrap_or(true));
}

fn wanted(ui: &Ui, owner: &Owner) -> bool {
    ui.container.is_none() || ui.container == *owner
}

/// What the findings of a container or an image come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found<'a> {
    pub(super) count: u64,
    pub(super) worst: Option<Severity>,
    /// The latest of the worst.
    pub(super) latest: Option<&'a crate::detect::Finding>,
}

/// Findings by container, those that are silenced aside.
pub(super) fn found(core: &Core) -> BTreeMap<&ContainerId, Found<'_>> {
    let mut found: BTreeMap<&ContainerId, Found<'_>> = BTreeMap::new();
    for finding in core.detector.findings() {
        let (Some(id), None) = (&finding.container, &finding.silenced) else {
            continue;
        };
        let entry = found.entry(id).or_default();
        entry.count += 1;
        entry.worst = entry.worst.max(Some(finding.severity));
        if entry
            .latest
            .is_none_or(|f| (finding.severity, finding.last) >= (f.severity, f.last))
        {
            entry.latest = Some(finding);
        }
    }
    found
}

/// Files by container that differ from the image as far as they were seen to change.
pub(super) fn drifted(core: &Core) -> BTreeMap<&ContainerId, u64> {
    let mut drifted: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for (key, activity) in &core.state.files {
        if let Some(id) = &key.owner
            && activity.differs().is_some()
        {
            *drifted.entry(id).or_default() += 1;
        }
    }
    drifted
}
