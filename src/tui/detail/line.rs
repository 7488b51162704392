//! A line of a page: a heading, or a fact with its name.

use crate::detect::Severity;
use crate::tui::action::Action;
use crate::tui::rows::Query;

/// A heading (no text) or a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct DetailLine {
    /// The fact's name, or the heading.
    pub(in crate::tui) name: String,
    /// The fact; `None`: a heading.
    pub(in crate::tui) text: Option<String>,
    /// The severity of the finding that the line is about, for its colour.
    pub(in crate::tui) severity: Option<Severity>,
    /// The text is keys with words, three spaces apart; a key is not parted from its words.
    pub(in crate::tui) keys: bool,
}

impl DetailLine {
    /// A fact without text is left out.
    pub(super) fn blank(&self) -> bool {
        self.text.as_ref().is_some_and(String::is_empty)
    }
}

/// The title of a section.
pub(super) fn heading(text: impl Into<String>) -> DetailLine {
    DetailLine {
        name: text.into(),
        text: None,
        severity: None,
        keys: false,
    }
}

/// A fact with its name.
pub(super) fn fact(name: &str, text: impl Into<String>) -> DetailLine {
    DetailLine {
        name: name.to_owned(),
        text: Some(text.into()),
        severity: None,
        keys: false,
    }
}

/// Further steps: the keys of the bound actions with their words.
pub(super) fn steps(query: &Query<'_>, steps: &[(Action, &str)]) -> DetailLine {
    let bound = steps.iter().filter_map(|(action, words)| {
        let key = query.keys.sign(*action);
        (!key.is_empty()).then(|| format!("{key} {words}"))
    });
    DetailLine {
        keys: true,
        ..fact("", bound.collect::<Vec<_>>().join("   "))
    }
}

/// A finding in a line: its letter, a word, and its text.
pub(super) fn flagged(severity: Severity, word: &str, text: impl Into<String>) -> DetailLine {
    DetailLine {
        severity: Some(severity),
        ..fact(&format!("{} {word}", severity.letter()), text)
    }
}
