//! Key bindings: the defaults of the action table, changed by the configuration.

use super::action::{ACTIONS, Action, Entry, named};
use super::chord::Chord;

/// The keys of every action, in the order of [`ACTIONS`].
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: Vec<(Chord, &'static Entry)>,
}

/// A line of `[keys]`: an action, its keys, and the line for errors.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The action's name.
    pub action: String,
    /// Its keys; none: it has no key.
    pub keys: Vec<String>,
    /// Its line.
    pub line: usize,
}

/// Why a binding is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingError {
    /// Its line.
    pub line: usize,
    /// The error.
    pub message: String,
}

impl Default for Keymap {
    fn default() -> Self {
        // A test parses every default key.
        Self::new(&[]).unwrap_or(Self { bound: Vec::new() })
    }
}

impl Keymap {
    /// The defaults, with the keys of some actions replaced.
    ///
    /// # Errors
    /// When a binding names no action or no key, or when a key would do two things.
    pub fn new(bindings: &[Binding]) -> Result<Self, BindingError> {
        for binding in bindings {
            if named(&binding.action).is_none() {
                return Err(BindingError {
                    line: binding.line,
                    message: format!("no action {:?}; hullwatch keys lists them", binding.action),
                });
            }
        }
        let mut bound: Vec<(Chord, &'static Entry, Option<usize>)> = Vec::new();
        for entry in ACTIONS {
            let changed = bindings.iter().find(|b| b.action == entry.name);
            let line = changed.map(|binding| binding.line);
            let mut bind = |text: &str| -> Result<(), BindingError> {
                let wrong = |line, message| BindingError { line, message };
                let chord: Chord = text.parse().map_err(|message| {
                    wrong(line.unwrap_or(0), format!("{}: {message}", entry.name))
                })?;
                match bound.iter().find(|(other, ..)| *other == chord) {
                    Some((_, other, _)) if std::ptr::eq(*other, entry) => {}
                    Some((_, other, before)) => {
                        let (line, what) = match (before, line) {
                            (Some(a), Some(b)) => {
                                (*a.max(&b), format!("and, in line {}, of", a.min(&b)))
                            }
                            (a, b) => (a.or(b).unwrap_or(0), "and by default of".to_owned()),
                        };
                        // The error names the action of its own line first.
                        let (own, foreign) = if Some(line) == *before {
                            (other.name, entry.name)
                        } else {
                            (entry.name, other.name)
                        };
                        return Err(wrong(
                            line,
                            format!(
                                "{chord} would be the key of {own} {what} {foreign}: give \
                                 {foreign} another key, or [] for none"
                            ),
                        ));
                    }
                    None => bound.push((chord, entry, line)),
                }
                Ok(())
            };
            match changed {
                Some(binding) => binding.keys.iter().try_for_each(|key| bind(key))?,
                None => entry.keys.iter().try_for_each(|key| bind(key))?,
            }
        }
        let leaves = |entry: &Entry| matches!(entry.action, Action::Quit | Action::QuitNow);
        if !bound.iter().any(|(_, entry, _)| leaves(entry)) {
            let taken = bindings
                .iter()
                .filter(|binding| named(&binding.action).is_some_and(leaves));
            return Err(BindingError {
                line: taken.map(|binding| binding.line).max().unwrap_or(0),
                message: "no key would quit the program: bind one to quit or quit-now".to_owned(),
            });
        }
        let bound = bound.into_iter().map(|(chord, entry, _)| (chord, entry));
        Ok(Self {
            bound: bound.collect(),
        })
    }

    /// The action of a key.
    #[must_use]
    pub fn entry(&self, chord: Chord) -> Option<&'static Entry> {
        let mut bound = self.bound.iter();
        bound.find(|(key, _)| *key == chord).map(|(_, e)| *e)
    }

    /// The keys of an action.
    pub fn keys(&self, entry: &'static Entry) -> impl Iterator<Item = Chord> {
        let mine = move |(_, other): &&(Chord, &'static Entry)| std::ptr::eq(*other, entry);
        self.bound.iter().filter(mine).map(|(chord, _)| *chord)
    }

    /// The first key of an action as the screen shows it; empty when it has none.
    #[must_use]
    pub fn sign(&self, action: Action) -> String {
        let mut bound = self.bound.iter();
        bound
            .find(|(_, entry)| entry.action == action)
            .map_or_else(String::new, |(chord, _)| chord.sign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(line: usize, action: &str, keys: &[&str]) -> Binding {
        Binding {
            action: action.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            line,
        }
    }

    #[test]
    fn the_defaults_parse_and_do_not_conflict() {
        let map = Keymap::new(&[]).unwrap();
        for entry in ACTIONS {
            assert_eq!(map.keys(entry).count(), entry.keys.len(), "{}", entry.name);
            assert!(
                std::ptr::eq(named(entry.name).unwrap(), entry),
                "twice: {}",
                entry.name
            );
        }
    }

    #[test]
    fn keys_are_replaced_and_taken_away() {
        let map = Keymap::new(&[
            binding(2, "filter", &["C-f", "F3"]),
            binding(3, "quit", &[]),
        ])
        .unwrap();
        let keys = |name: &str| {
            map.keys(named(name).unwrap())
                .map(|k| k.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys("filter"), ["C-f", "F3"]);
        assert!(keys("quit").is_empty());
        assert!(map.entry("/".parse().unwrap()).is_none());
        // A key that its default action no longer has is free.
        Keymap::new(&[binding(2, "filter", &["q"]), binding(3, "quit", &["C-x"])]).unwrap();
    }

    #[test]
    fn errors_name_the_line_and_both_actions() {
        for (bindings, line, parts) in [
            (
                vec![binding(3, "quit-now", &[]), binding(5, "quit", &[])],
                5,
                vec!["quit the program", "quit-now"],
            ),
            (
                vec![binding(4, "fly", &["C-y"])],
                4,
                vec!["\"fly\"", "hullwatch keys"],
            ),
            (
                vec![binding(5, "quit", &["Hyper-x"])],
                5,
                vec!["quit", "Hyper-x"],
            ),
            (
                vec![binding(6, "filter", &["q"])],
                6,
                vec!["filter", "quit", "default"],
            ),
            (
                vec![binding(7, "quit", &["/"])],
                7,
                vec!["filter", "quit", "default"],
            ),
            (
                vec![binding(8, "filter", &["C-y"]), binding(9, "quit", &["C-y"])],
                9,
                vec!["quit", "line 8", "filter"],
            ),
            (
                vec![binding(9, "filter", &["C-y"]), binding(8, "quit", &["C-y"])],
                9,
                vec!["quit", "line 8", "filter"],
            ),
        ] {
            let error = Keymap::new(&bindings).unwrap_err();
            assert_eq!(error.line, line, "{error:?}");
            for part in parts {
                assert!(error.message.contains(part), "{error:?}: {part}");
            }
        }
    }
}
