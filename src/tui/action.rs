//! The actions of the user: one table from which keys, help, footer and command line are made.
//!
//! To add an action: a variant of [`Action`], one row of [`ACTIONS`], and the place that does it:
//! `Ui::apply` when it only changes the view, `App::act` in `run.rs` when it concerns
//! time, recording or the program. `hullwatch keys`, the help, the footer, the command line and
//! `[keys]` in the configuration then know it. Default keys of two rows may not be the same; a
//! test says so.

use super::pane::Pane;

/// The actions of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Close what is open; leave the program when nothing is.
    Quit,
    /// Leave the program at once.
    QuitNow,
    /// Stop the program, as job control of the shell does.
    Suspend,
    /// Redraw the screen.
    Redraw,
    /// Switch to the next theme.
    NextTheme,
    /// Times in UTC, or in this machine's zone.
    Zone,
    /// Use the mouse, or leave it to the terminal.
    Mouse,
    /// Open a recording.
    Open,
    /// Show or hide the keys.
    Help,
    /// Go to a pane.
    Show(Pane),
    /// Next pane.
    NextPane,
    /// Previous pane.
    PreviousPane,
    /// Move the selection by rows.
    Move(isize),
    /// Move the selection by pages.
    Page(isize),
    /// Move the selection by half pages.
    HalfPage(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Open the selected row.
    Enter,
    /// Go back.
    Back,
    /// Type a filter.
    Filter,
    /// To the next (+1) or previous (-1) match.
    Match(isize),
    /// Type a command.
    Command,
    /// Choose the column to sort by.
    Sort,
    /// Reverse the order.
    Reverse,
    /// Choose the columns.
    Columns,
    /// Show or hide the preview below the table.
    Preview,
    /// Only the table, or all.
    Zoom,
    /// Processes as a tree or a list.
    Tree,
    /// Show or hide ended rows.
    Ended,
    /// Let the selection follow the latest change.
    Follow,
    /// Mark the selected row.
    Mark,
    /// Take all marks.
    ClearMarks,
    /// Unfold or right (+1), fold or left (-1).
    Sideways(isize),
    /// Back to the previous view.
    LastView,
    /// The page of the host.
    Machine,
    /// To the container of the selected row.
    Owner,
    /// To its image.
    Image,
    /// To the worst finding about it.
    Why,
    /// Accept the finding for a while.
    Acknowledge,
    /// Choose which findings to accept.
    Silence,
    /// Undo the last silence.
    UndoSilence,
    /// List the silences.
    Silences,
    /// Open the menu of responses.
    Respond,
    /// Pause the display; play or pause a recording.
    Pause,
    /// Copy the name of the row.
    CopyCell,
    /// Copy the row as JSON.
    CopyRow,
    /// Copy the engine's command that shows more of it.
    CopyCommand,
    /// Write the view to a file.
    Export,
    /// Write a finding with its evidence to a file.
    Bundle,
    /// Show secrets, or mask them.
    Reveal,
    /// Compare a container's files with its image.
    Scan,
    /// The baseline of a container.
    Baseline,
    /// Mark the baseline of the container as complete, or undo that.
    Freeze,
    /// Learn what containers do; again: write what was learned of this one.
    Learn,
    /// Compare a baseline with what the container does.
    Diff,
    /// Begin or end recording.
    Record,
    /// One event on (+1) or back (-1).
    Step(i8),
    /// Faster (+1) or slower (-1).
    Speed(i8),
    /// Seconds on or back.
    Seek(i32),
    /// To the moment of the selected finding, or to a typed time.
    Moment,
    /// To the next finding (+1) or the previous one (-1).
    Finding(i8),
    /// Mark this moment, to show what changed since.
    MarkMoment,
    /// Show what changed since the marked moment.
    Since,
    /// To the present; to the end of a recording.
    Present,
    /// To the beginning of a recording, or of what is remembered.
    Earliest,
    /// Show or hide the timeline.
    Timeline,
}

impl Action {
    /// Whether the action writes to the policy, a file, a recording or the clipboard, or may end a
    /// recording: pasted text and bursts of keys never trigger it.
    pub(super) fn changes(self) -> bool {
        matches!(
            self,
            Self::Acknowledge
                | Self::UndoSilence
                | Self::Record
                | Self::Export
                | Self::Bundle
                | Self::Freeze
                | Self::Learn
                | Self::CopyCell
                | Self::CopyRow
                | Self::CopyCommand
                | Self::Quit
        )
    }
}

/// Groups of actions, in the order of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionGroup {
    /// Moving.
    Move,
    /// Opening and going back.
    Open,
    /// Searching.
    Find,
    /// Display of rows.
    Table,
    /// Copying and exporting.
    Export,
    /// Handling findings.
    Triage,
    /// Time.
    Time,
    /// The program itself.
    Program,
}

impl ActionGroup {
    /// In the order of help.
    pub(super) const ALL: [Self; 8] = [
        Self::Move,
        Self::Open,
        Self::Find,
        Self::Table,
        Self::Export,
        Self::Triage,
        Self::Time,
        Self::Program,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "MOVE",
            Self::Open => "OPEN",
            Self::Find => "FIND",
            Self::Table => "TABLE",
            Self::Export => "EXPORT",
            Self::Triage => "TRIAGE",
            Self::Time => "TIME",
            Self::Program => "PROGRAM",
        }
    }
}

/// Where an action applies. Elsewhere its key names the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionScope {
    /// Everywhere.
    Anywhere,
    /// Where rows are listed.
    Rows,
    /// In the process tree.
    Tree,
    /// On an incident or a finding: its row, or its page.
    Evidence,
    /// On a finding: its row, or its page.
    Finding,
    /// On a container: its row, or anywhere inside it.
    Container,
    /// While this host is watched.
    Live,
}

impl ActionScope {
    /// The place, as text for the help.
    #[must_use]
    pub fn needed(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::Rows => "in a table of rows",
            Self::Tree => "in a table of processes, connections or files",
            Self::Evidence => "on an incident or a finding",
            Self::Finding => "on an incident or a finding",
            Self::Container => "on a container",
            Self::Live => "while a host is watched",
        }
    }

    /// The message where the action does not apply.
    pub(super) fn first(self) -> &'static str {
        match self {
            Self::Rows => "go to a list first",
            Self::Tree => "go to the processes, network or files first (4, 5, 6)",
            Self::Evidence | Self::Finding => "select an incident or a finding first (1, 3)",
            Self::Container => "select a container first (2)",
            Self::Anywhere | Self::Live => self.needed(),
        }
    }
}

/// A row of [`ACTIONS`].
#[derive(Debug)]
pub struct Entry {
    /// Its name in the configuration and on the command line.
    pub name: &'static str,
    /// The action.
    pub action: Action,
    /// Its keys, unless configured otherwise.
    pub keys: &'static [&'static str],
    /// Where help lists it.
    pub group: ActionGroup,
    /// Where it applies.
    pub place: ActionScope,
    /// Its priority in the footer, the lowest first; 0: never shown there.
    pub(super) rank: u8,
    /// Two words for footer and help; adjacent actions with the same words share a line.
    pub(super) brief: &'static str,
    /// A sentence.
    pub help: &'static str,
}

/// The rest of a row: place in the footer, two words, a sentence.
type Said = (u8, &'static str, &'static str);

const fn row(
    name: &'static str,
    action: Action,
    keys: &'static [&'static str],
    group: ActionGroup,
    place: ActionScope,
    (rank, brief, help): Said,
) -> Entry {
    Entry {
        name,
        action,
        keys,
        group,
        place,
        rank,
        brief,
        help,
    }
}

/// The name under which a recording is opened.
pub(super) const OPEN: &str = "open-recording";

use Action as A;
use ActionGroup as G;
use ActionScope as P;

/// Every action.
#[rustfmt::skip]
pub static ACTIONS: &[Entry] = &[
    row("down", A::Move(1), &["j", "Down"], G::Move, P::Anywhere, (0, "row", "down one row")),
    row("up", A::Move(-1), &["k", "Up"], G::Move, P::Anywhere, (0, "row", "up one row")),
    row("first", A::First, &["g", "Home"], G::Move, P::Anywhere, (0, "first, last", "to the first row")),
    row("last", A::Last, &["G", "End"], G::Move, P::Anywhere, (0, "first, last", "to the last row")),
    row("half-page-down", A::HalfPage(1), &["C-d"], G::Move, P::Anywhere, (0, "half a page", "half a page down")),
    row("half-page-up", A::HalfPage(-1), &["C-u"], G::Move, P::Anywhere, (0, "half a page", "half a page up")),
    row("page-down", A::Page(1), &["PgDn"], G::Move, P::Anywhere, (0, "page", "a page down")),
    row("page-up", A::Page(-1), &["PgUp"], G::Move, P::Anywhere, (0, "page", "a page up")),
    row("next-pane", A::NextPane, &["Tab"], G::Move, P::Anywhere, (0, "next, previous screen", "next screen")),
    row("previous-pane", A::PreviousPane, &["S-Tab"], G::Move, P::Anywhere, (0, "next, previous screen", "previous screen")),
    row("incidents", A::Show(Pane::Incidents), &["1"], G::Move, P::Anywhere, (0, "view", "show the incidents: findings that belong together")),
    row("containers", A::Show(Pane::Containers), &["2"], G::Move, P::Anywhere, (0, "view", "show the containers")),
    row("findings", A::Show(Pane::Findings), &["3"], G::Move, P::Anywhere, (0, "view", "show the findings")),
    row("processes", A::Show(Pane::Processes), &["4"], G::Move, P::Anywhere, (0, "view", "show the processes")),
    row("network", A::Show(Pane::Network), &["5"], G::Move, P::Anywhere, (0, "view", "show connections and listening sockets")),
    row("files", A::Show(Pane::Files), &["6"], G::Move, P::Anywhere, (0, "view", "show the files that were changed")),
    row("images", A::Show(Pane::Images), &["7"], G::Move, P::Anywhere, (0, "view", "show the images that containers run from")),
    row("events", A::Show(Pane::Events), &["8"], G::Move, P::Anywhere, (0, "view", "show the raw stream")),

    row("left", A::Sideways(-1), &["Left"], G::Move, P::Rows, (0, "fold, scroll", "fold the tree, go to the parent")),
    row("right", A::Sideways(1), &["Right"], G::Move, P::Rows, (0, "fold, scroll", "unfold the tree; elsewhere both scroll the row")),

    row("open", A::Enter, &["Enter", "l"], G::Open, P::Rows, (10, "open", "open the selected row")),
    row("back", A::Back, &["Esc", "Backspace", "h"], G::Open, P::Anywhere, (60, "back", "clear the filter, then go back")),
    row("last-view", A::LastView, &["`"], G::Open, P::Anywhere, (0, "last view", "switch to the previous view")),
    row("owner", A::Owner, &["o"], G::Open, P::Anywhere, (0, "its container", "to the container it belongs to; :container NAME")),
    row("host", A::Machine, &["I"], G::Open, P::Anywhere, (0, "the host", "the host: load, memory, processors, disk space for recordings, uptime, kernel")),
    row("image", A::Image, &["i"], G::Open, P::Anywhere, (0, "its image", "to its image; :image NAME")),
    row("baseline", A::Baseline, &["b"], G::Open, P::Container, (0, "baseline", "the container's baseline; the next tabs show how to harden it and its posture")),
    row("why", A::Why, &["w"], G::Open, P::Anywhere, (23, "why", "to the worst finding about it; from a finding to the next related one; :finding F-0001")),

    row("filter", A::Filter, &["/"], G::Find, P::Anywhere, (11, "filter", "show matching rows only: text !not col=part sev>=h age>1h; on a page: search")),
    row("next-match", A::Match(1), &["n"], G::Find, P::Anywhere, (0, "match", "to the next match or marked row")),
    row("previous-match", A::Match(-1), &["N"], G::Find, P::Anywhere, (0, "match", "to the previous match or marked row")),
    row("command", A::Command, &[":"], G::Find, P::Anywhere, (0, "command", "type a command: every action has a name; Tab completes")),
    row("help", A::Help, &["?", "F1"], G::Find, P::Anywhere, (90, "help", "show the keys; typing searches them")),

    row("sort", A::Sort, &["s"], G::Table, P::Rows, (30, "sort", "choose the column to sort by; :sort -age")),
    row("reverse", A::Reverse, &["S"], G::Table, P::Rows, (0, "reverse", "reverse the sort order")),
    row("columns", A::Columns, &["c"], G::Table, P::Rows, (31, "columns", "choose the columns; :columns image pids")),
    row("preview", A::Preview, &["v"], G::Table, P::Rows, (0, "preview", "show or hide the preview of the selected row below the table")),
    row("zoom", A::Zoom, &["z"], G::Table, P::Anywhere, (0, "zoom", "show only the table, or everything")),
    row("tree", A::Tree, &["t"], G::Table, P::Tree, (32, "tree/flat", "processes as a tree or as a list; files by directory; many peers in one row or one by one")),
    row("ended", A::Ended, &["x"], G::Table, P::Rows, (33, "ended", "show or hide ended rows")),
    row("follow", A::Follow, &["f"], G::Table, P::Rows, (0, "follow", "let the selection follow the latest change")),
    row("mark", A::Mark, &["Space"], G::Table, P::Rows, (34, "mark", "mark the row; other actions take the marked ones")),
    row("clear-marks", A::ClearMarks, &["*"], G::Table, P::Rows, (0, "clear marks", "clear all marks")),

    row("copy", A::CopyCell, &["y"], G::Export, P::Anywhere, (0, "copy", "copy the name of the row to the clipboard (OSC 52)")),
    row("copy-row", A::CopyRow, &["Y"], G::Export, P::Anywhere, (0, "copy as JSON", "copy the row as JSON")),
    row("copy-command", A::CopyCommand, &["C"], G::Export, P::Anywhere, (0, "engine command", "copy the engine command that shows more about it")),
    row("export", A::Export, &["e"], G::Export, P::Anywhere, (0, "export", "write the view to a file; :export json, csv, txt or svg")),
    row("evidence", A::Bundle, &["E"], G::Export, P::Evidence, (14, "evidence", "write the incident or finding with its events, processes and container to a tar file")),
    row("secrets", A::Reveal, &["V"], G::Export, P::Anywhere, (0, "secrets", "show the secrets in command lines and settings, or mask them, also in copies and exports")),
    row("respond", A::Respond, &["A"], G::Triage, P::Anywhere, (15, "respond", "list the responses that fit (pause, block, copy out, kill, stop …) with their command lines")),
    row("silence", A::Silence, &["!"], G::Triage, P::Finding, (12, "silence", "choose which findings like this to accept, until when and why; on an incident, all of its findings")),
    row("acknowledge", A::Acknowledge, &["a"], G::Triage, P::Finding, (13, "ack", "accept just this, in this container, for 30 days: a finding, or an incident with all its findings; a deviation (base.*) into the baseline")),
    row("freeze", A::Freeze, &[], G::Triage, P::Container, (0, "freeze", "mark the baseline of the container as complete, or undo that")),
    row("learn", A::Learn, &[], G::Triage, P::Container, (0, "learn", "start learning from all containers; again: write this container's baseline to NAME.baseline.toml; :learn stop")),
    row("diff", A::Diff, &[], G::Triage, P::Container, (0, "diff", "compare the loaded baseline, or :diff FILE, with the items learned from the container")),
    row("drift", A::Scan, &["d"], G::Triage, P::Container, (0, "drift", "compare the container's files with its image, and show the differences")),
    row("undo-silence", A::UndoSilence, &["U"], G::Triage, P::Live, (0, "undo, list", "undo the last silence")),
    row("silences", A::Silences, &["L"], G::Triage, P::Anywhere, (0, "undo, list", "list the silences and the findings they hide")),

    row("pause", A::Pause, &["p"], G::Time, P::Anywhere, (50, "pause", "pause or play time; collection continues")),
    row("step-back", A::Step(-1), &[","], G::Time, P::Anywhere, (51, "event", "one event back, also while this host is watched")),
    row("step", A::Step(1), &["."], G::Time, P::Anywhere, (51, "event", "one event forward")),
    row("seconds-back", A::Seek(-10), &["<"], G::Time, P::Anywhere, (52, "10 s", "10 seconds back")),
    row("seconds", A::Seek(10), &[">"], G::Time, P::Anywhere, (52, "10 s", "10 seconds forward")),
    row("minute-back", A::Seek(-60), &["{"], G::Time, P::Anywhere, (53, "1 min", "a minute back")),
    row("minute", A::Seek(60), &["}"], G::Time, P::Anywhere, (53, "1 min", "a minute forward")),
    row("previous-finding", A::Finding(-1), &["["], G::Time, P::Anywhere, (54, "finding", "back to where the previous finding was raised")),
    row("next-finding", A::Finding(1), &["]"], G::Time, P::Anywhere, (54, "finding", "forward to where the next finding was raised")),
    row("moment", A::Moment, &["@"], G::Time, P::Anywhere, (55, "go to", "to the moment of the selected finding; elsewhere type 14:03, -5m, F-0132, start or end")),
    row("faster", A::Speed(1), &["+"], G::Time, P::Anywhere, (56, "speed", "play twice as fast")),
    row("slower", A::Speed(-1), &["-"], G::Time, P::Anywhere, (56, "speed", "play half as fast")),
    row("present", A::Present, &["="], G::Time, P::Anywhere, (57, "live", "to the present; to the end of a recording")),
    row("earliest", A::Earliest, &["0"], G::Time, P::Anywhere, (0, "beginning", "to the beginning of a recording, or of this host's history")),
    row("mark-moment", A::MarkMoment, &["M"], G::Time, P::Anywhere, (0, "mark moment", "remember this moment")),
    row("since", A::Since, &["D"], G::Time, P::Anywhere, (0, "since the mark", "what changed since the moment remembered with mark-moment; :since -5m, :since 14:03")),
    row("timeline", A::Timeline, &["H"], G::Time, P::Anywhere, (0, "timeline", "show or hide the timeline")),

    row("record", A::Record, &["r"], G::Program, P::Live, (58, "record", "start or stop recording to hullwatch-DATE-TIME.jsonl")),
    row(OPEN, A::Open, &["R"], G::Program, P::Anywhere, (0, "open", "open a recording; :open-recording FILE")),
    row("mouse", A::Mouse, &["m"], G::Program, P::Anywhere, (0, "mouse", "click and scroll with the mouse, or leave it to the terminal, which then can select text")),
    row("zone", A::Zone, &["u"], G::Program, P::Anywhere, (0, "UTC/local", "times in UTC, or in this machine's time zone")),
    row("theme", A::NextTheme, &["T"], G::Program, P::Anywhere, (0, "theme", "switch to the next theme")),
    row("redraw", A::Redraw, &["C-l"], G::Program, P::Anywhere, (0, "redraw", "redraw the screen")),
    row("suspend", A::Suspend, &["C-z"], G::Program, P::Anywhere, (0, "suspend", "suspend the program; fg continues it")),
    row("quit", A::Quit, &["q"], G::Program, P::Anywhere, (0, "up, quit", "go back, then quit; asks for confirmation while recording")),
    row("quit-now", A::QuitNow, &["C-c"], G::Program, P::Anywhere, (0, "quit now", "quit at once; a running recording is closed")),
];

/// The row of a name.
#[must_use]
pub(super) fn named(name: &str) -> Option<&'static Entry> {
    ACTIONS.iter().find(|entry| entry.name == name)
}
