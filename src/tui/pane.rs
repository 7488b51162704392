//! The panes, and how the table of each is looked at.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::rows::{self, Key};
use super::table::Column;

/// A screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// Containers.
    #[default]
    Containers,
    /// Findings.
    Findings,
    /// Process tree.
    Processes,
    /// Connections and listening sockets.
    Network,
    /// Files.
    Files,
    /// Images.
    Images,
    /// The raw stream.
    Events,
    /// All about one container: only inside it.
    Overview,
}

impl Pane {
    /// The views, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Containers,
        Self::Findings,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Images,
        Self::Events,
    ];

    /// The tabs inside a container.
    pub const INSIDE: [Self; 6] = [
        Self::Overview,
        Self::Processes,
        Self::Network,
        Self::Files,
        Self::Findings,
        Self::Events,
    ];

    /// Panes with a table of their own.
    pub(super) const COUNT: usize = 8;

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Findings => "Findings",
            Self::Processes => "Processes",
            Self::Network => "Network",
            Self::Files => "Files",
            Self::Images => "Images",
            Self::Events => "Events",
            Self::Overview => "Overview",
        }
    }

    /// Its title where there is little room.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Containers => "Cont",
            Self::Findings => "Find",
            Self::Processes => "Proc",
            Self::Network => "Net",
            Self::Images => "Img",
            other => other.title(),
        }
    }

    /// What those of its rows are called that are over: ended, or dealt with.
    pub(super) fn over(self) -> &'static str {
        match self {
            Self::Findings => "silenced",
            Self::Network => "closed",
            Self::Files => "removed",
            _ => "ended",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// How the table of a pane is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The selected row.
    pub(super) selected: Option<Key>,
    /// Where the selected row stood when it was last shown: what takes its place is selected when
    /// it is gone.
    pub(super) at: usize,
    /// A person chose it. What nobody chose is let go when it leaves the page.
    pub(super) by_hand: bool,
    /// It was not faded then.
    pub(super) lit: bool,
    /// The first row of the page.
    pub(super) first: usize,
    /// Sorted by this column; else in the pane's own order.
    pub(super) sort: Option<usize>,
    /// The other way round.
    pub(super) reverse: bool,
    /// Which rows to show.
    pub(super) filter: Filter,
    /// Columns shown although spare, and hidden although not: those that were switched.
    switched: u32,
    /// Ended processes, connections and containers are hidden.
    pub(super) hide_ended: bool,
    /// The tree is shown as a list.
    pub(super) flat: bool,
    /// The selection goes to what changed last.
    pub(super) follow: bool,
    /// Text cut off at the left of the main column.
    pub(super) shift: usize,
}

/// A table's look as it is kept for another run of the program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptTable {
    selected: Option<Key>,
    sort: Option<usize>,
    reverse: bool,
    filter: String,
    switched: u32,
    hide_ended: bool,
    flat: bool,
    follow: bool,
    shift: usize,
}

impl KeptTable {
    /// The same look; what this version does not know is left out.
    pub(super) fn table(self, pane: Pane) -> Table {
        let columns = rows::columns(pane);
        Table {
            by_hand: self.selected.is_some(),
            selected: self.selected,
            at: 0,
            lit: false,
            first: 0,
            sort: self.sort.filter(|at| *at < columns.len()),
            reverse: self.reverse,
            filter: Filter::parse(&self.filter, columns).unwrap_or_default(),
            switched: self.switched,
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }
}

impl Table {
    /// As it is kept for another run of the program.
    pub(super) fn kept(&self) -> KeptTable {
        KeptTable {
            selected: self.selected.clone(),
            sort: self.sort,
            reverse: self.reverse,
            filter: self.filter.text().to_owned(),
            switched: self.switched,
            hide_ended: self.hide_ended,
            flat: self.flat,
            follow: self.follow,
            shift: self.shift,
        }
    }

    /// Whether a column is wanted.
    pub(super) fn shows(&self, columns: &[Column], at: usize) -> bool {
        let switched = self.switched >> at & 1 == 1;
        columns[at].drop == 0 || columns[at].spare == switched
    }

    /// Shows a hidden column, hides a shown one; false for those that never go.
    pub(super) fn switch(&mut self, columns: &[Column], at: usize) -> bool {
        let may = columns.get(at).is_some_and(|column| column.drop > 0);
        if may {
            self.switched ^= 1 << at;
        }
        may
    }

    /// Reads a filter for rows of `pane` and shows those only.
    ///
    /// # Errors
    /// When the filter cannot be read; then the one before stays.
    pub(super) fn set_filter(&mut self, pane: Pane, text: &str) -> Result<(), String> {
        self.filter = Filter::parse(text, rows::columns(pane))?;
        Ok(())
    }
}
