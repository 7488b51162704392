//! What a person can ask for, and the one table of keys that help and input both use.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::Pane;

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leave the program.
    Quit,
    /// Stop the program as the shell's job control does.
    Suspend,
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
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Go into the selected row.
    Enter,
    /// Come out.
    Back,
    /// Type a filter.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Freeze the picture; play or pause a recording.
    Pause,
    /// Begin or end recording.
    Record,
    /// One event on (+1) or back (-1).
    Step(i8),
    /// Faster (+1) or slower (-1).
    Speed(i8),
    /// Seconds on or back.
    Seek(i32),
    /// To the moment of the selected finding.
    Moment,
}

/// Keys, what they do, and how help says it.
pub(super) const KEYS: &[(&str, Action, &str)] = &[
    ("q", Action::Quit, "leave"),
    ("?", Action::Help, "these keys"),
    ("1", Action::Show(Pane::Containers), "containers"),
    ("2", Action::Show(Pane::Findings), "findings"),
    ("3", Action::Show(Pane::Processes), "processes"),
    ("4", Action::Show(Pane::Network), "network"),
    ("5", Action::Show(Pane::Files), "files"),
    ("6", Action::Show(Pane::Events), "events"),
    ("Tab", Action::NextPane, "next pane"),
    ("BackTab", Action::PreviousPane, "previous pane"),
    ("j", Action::Move(1), "down"),
    ("k", Action::Move(-1), "up"),
    ("Down", Action::Move(1), "down"),
    ("Up", Action::Move(-1), "up"),
    ("PgDn", Action::Page(1), "page down"),
    ("PgUp", Action::Page(-1), "page up"),
    ("g", Action::First, "first row"),
    ("G", Action::Last, "last row"),
    ("Enter", Action::Enter, "go in"),
    ("Esc", Action::Back, "come out; clear the filter"),
    ("/", Action::Filter, "filter rows: text, !not"),
    ("s", Action::Sort, "sort by the next column"),
    ("p", Action::Pause, "freeze the picture; collection goes on"),
    ("Space", Action::Pause, "pause; play a recording"),
    ("r", Action::Record, "begin or end recording"),
    (".", Action::Step(1), "recording: one event on"),
    (",", Action::Step(-1), "recording: one event back"),
    (">", Action::Speed(1), "recording: faster"),
    ("<", Action::Speed(-1), "recording: slower"),
    ("]", Action::Seek(10), "recording: 10 s on"),
    ("[", Action::Seek(-10), "recording: 10 s back"),
    ("@", Action::Moment, "recording: to the finding's moment"),
];

/// The action of a key, if it has one.
pub(super) fn action(key: &KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('d') => Some(Action::Page(1)),
            KeyCode::Char('u') => Some(Action::Page(-1)),
            _ => None,
        };
    }
    let typed;
    let name = match key.code {
        KeyCode::Char(' ') => "Space",
        KeyCode::Char(c) => {
            typed = c.to_string();
            &typed
        }
        KeyCode::Tab => "Tab",
        KeyCode::BackTab => "BackTab",
        KeyCode::Down => "Down",
        KeyCode::Up => "Up",
        KeyCode::PageDown => "PgDn",
        KeyCode::PageUp => "PgUp",
        KeyCode::Home => "g",
        KeyCode::End => "G",
        KeyCode::Enter | KeyCode::Right => "Enter",
        KeyCode::Esc | KeyCode::Left => "Esc",
        _ => return None,
    };
    KEYS.iter()
        .find(|(key, ..)| *key == name)
        .map(|(_, action, _)| *action)
}
