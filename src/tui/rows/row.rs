//! A row of a screen: its identity, its text by column, and the numbers behind that text.

use serde::{Deserialize, Serialize};

use super::image::ImageKey;
use crate::core::Core;
use crate::detect::{FindingId, Severity};
use crate::event::{ContainerId, Timestamp};
use crate::incident::IncidentId;
use crate::state::{ConnectionKey, FileKey};
use crate::tui::text::coarse;
use crate::tui::theme::Token;

/// Identity of a row, so that the selection follows it while rows move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::tui) enum RowKey {
    Incident(IncidentId),
    Container(ContainerId),
    /// An image build, by its first step.
    Build(ContainerId),
    Finding(FindingId),
    Process(u32),
    Connection(ConnectionKey),
    File(FileKey),
    Image(ImageKey),
    Event(u64),
    /// No row: the page of what changed since a moment.
    Since(Timestamp),
    /// The host.
    Machine,
    /// The files that differ from the image, by directory.
    FileTree,
}

/// The pod of a row's container as `NAMESPACE/POD`, its namespace and the runtime, in lower case;
/// empty where none.
pub(in crate::tui) type Belonging = [String; 3];

/// A row: escaped text by column, and sort keys where the text does not sort.
#[derive(Debug, Clone)]
pub(in crate::tui) struct Row {
    pub(in crate::tui) key: RowKey,
    pub(in crate::tui) cells: Vec<String>,
    pub(in crate::tui) numbers: Vec<Option<u64>>,
    pub(in crate::tui) severity: Option<Severity>,
    /// Ended: shown dim.
    pub(in crate::tui) faded: bool,
    /// Shown only because a row below it matches.
    pub(in crate::tui) context: bool,
    /// The word before the text that names it.
    pub(in crate::tui) tag: &'static str,
    /// A column, and its short text.
    pub(in crate::tui) brief: Option<(usize, String)>,
    /// First and last time, for programs, which cannot use an age.
    pub(in crate::tui) seen: Option<(Timestamp, Timestamp)>,
    /// Columns with a style of their own.
    pub(in crate::tui) tones: Vec<(&'static str, Token)>,
    /// The bars of its charts, in the order of their columns, each with the value of a full one.
    pub(in crate::tui) charts: Vec<(Vec<u64>, u64)>,
    /// The pod, namespace and runtime of its container, if the filter needs them.
    pub(in crate::tui) belonging: Option<Box<Belonging>>,
    /// Depth in a tree.
    pub(in crate::tui) depth: usize,
    /// Prefix of a tree row's text.
    pub(in crate::tui) lead: String,
    /// Time of its latest change, for following.
    pub(in crate::tui) at: Timestamp,
}

impl Row {
    /// A row without text yet.
    pub(super) fn new(key: RowKey, at: Timestamp) -> Self {
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
            tones: Vec::new(),
            charts: Vec::new(),
            belonging: None,
            depth: 0,
            lead: String::new(),
            at,
        }
    }

    /// Styles the cell of a column.
    pub(super) fn toned(&mut self, column: &'static str, token: Token) {
        self.tones.push((column, token));
    }

    /// Styles the cell of a use that is near its limit: from 80 % on, and from 95 % on.
    pub(super) fn near(&mut self, column: &'static str, used: u64, limit: u64) {
        let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(0);
        match percent {
            0..80 => {}
            80..95 => self.toned(column, Token::Medium),
            _ => self.toned(column, Token::High),
        }
    }

    /// The style of a column's cell; `None`: that of ordinary text.
    pub(in crate::tui) fn tone(&self, column: &str) -> Option<Token> {
        let tone = self.tones.iter().find(|(name, _)| *name == column);
        tone.map(|(_, token)| *token)
    }

    /// Adds a cell of text.
    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(None);
    }

    /// Adds a text with its short form.
    pub(super) fn shortened(&mut self, text: impl Into<String>, brief: String) {
        self.brief = Some((self.cells.len(), brief));
        self.text(text);
    }

    /// The short text that a column may show instead.
    pub(in crate::tui) fn brief(&self, column: usize) -> Option<&str> {
        let brief = self.brief.as_ref().filter(|(at, _)| *at == column);
        brief.map(|(_, text)| text.as_str())
    }

    /// Adds a cell with the number behind its text.
    pub(super) fn number(&mut self, number: u64, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(Some(number));
    }

    /// Adds a cell with a count.
    pub(super) fn count(&mut self, count: u64) {
        self.number(count, count.to_string());
    }

    /// Time since `then`, in steps, so that it changes rarely.
    pub(super) fn age(&mut self, core: &Core, then: Timestamp) {
        let age = core.state.now.since(then);
        self.number(age.as_secs(), coarse(age));
    }

    /// The letter of its severity.
    pub(super) fn letter(&mut self, severity: Option<Severity>) {
        self.severity = severity;
        let letter = severity.map_or_else(|| ".".to_owned(), |s| s.letter().to_string());
        self.number(rank(severity), letter);
    }
}

/// A severity as a number: 0 none, 1 info … 5 critical.
pub(in crate::tui) fn rank(severity: Option<Severity>) -> u64 {
    match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Low) => 2,
        Some(Severity::Medium) => 3,
        Some(Severity::High) => 4,
        Some(Severity::Critical) => 5,
    }
}
