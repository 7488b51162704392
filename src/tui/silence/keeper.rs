//! Writes silences to the policy file, and undoes changes.

use std::io;
use std::path::Path;

use super::edit::{PolicyEdit, line};
use crate::detect::{Policy, Silence};
use crate::user_files;

/// Maximum number of changes that can be undone.
const MOST_CHANGES: usize = 100;

/// A change of the policy file, to undo it.
#[derive(Debug)]
enum SilenceChange {
    Added(Vec<Silence>),
    Removed(Box<Silence>),
}

/// Writes to the policy file, and remembers the changes.
#[derive(Debug, Default)]
pub(in crate::tui) struct Keeper {
    changes: Vec<SilenceChange>,
}

impl Keeper {
    /// Changes the policy file; returns the message. The change takes effect when the file is read
    /// again.
    pub(in crate::tui) fn fulfil(&mut self, edit: PolicyEdit, path: Option<&Path>) -> String {
        let Some(path) = path else {
            return "no policy file, since the home directory is unknown: use --policy FILE"
                .to_owned();
        };
        let done = self.change(edit, path);
        done.unwrap_or_else(|error| format!("{}: {error}", path.display()))
    }

    fn change(&mut self, edit: PolicyEdit, path: &Path) -> Result<String, String> {
        let file = path.display();
        match edit {
            PolicyEdit::Add(silences) => {
                add(path, &silences)?;
                let message = format!("silenced (U undoes) in {file}: {}", lines(&silences));
                self.remember(SilenceChange::Added(silences));
                Ok(message)
            }
            PolicyEdit::Remove(silence) => {
                remove(path, std::slice::from_ref(&*silence))?;
                let message = format!(
                    "no longer silenced (U undoes) in {file}: {}",
                    line(&silence)
                );
                self.remember(SilenceChange::Removed(silence));
                Ok(message)
            }
            PolicyEdit::Undo => {
                let Some(change) = self.changes.pop() else {
                    return Ok("nothing to undo".to_owned());
                };
                match change {
                    SilenceChange::Added(silences) => {
                        remove(path, &silences)?;
                        Ok(format!("undone: removed from {file}: {}", lines(&silences)))
                    }
                    SilenceChange::Removed(silence) => {
                        add(path, std::slice::from_ref(&*silence))?;
                        Ok(format!(
                            "undone: silenced again in {file}: {}",
                            line(&silence)
                        ))
                    }
                }
            }
        }
    }

    fn remember(&mut self, change: SilenceChange) {
        if self.changes.len() >= MOST_CHANGES {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }
}

fn text(path: &Path) -> Result<String, String> {
    match user_files::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|e| e.to_string()),
    }
}

/// Adds all of them in one step, or none.
fn add(path: &Path, silences: &[Silence]) -> Result<(), String> {
    let mut text = text(path)?;
    for silence in silences {
        text = Policy::with_silence(&text, silence).map_err(|e| e.to_string())?;
    }
    user_files::write(path, &text).map_err(|e| e.to_string())
}

/// Removes all of them in one step, or none.
fn remove(path: &Path, silences: &[Silence]) -> Result<(), String> {
    let mut left = text(path)?;
    for silence in silences {
        let without = Policy::without_silence(&left, silence).map_err(|e| e.to_string())?;
        left = without.ok_or("the silence was changed or removed in the file")?;
    }
    user_files::write(path, &left).map_err(|e| e.to_string())
}

/// The silences in one line.
fn lines(silences: &[Silence]) -> String {
    match silences {
        [one] => line(one),
        all => {
            let rules: Vec<&str> = all.iter().map(|silence| silence.rule.as_str()).collect();
            format!("{} entries: {}", all.len(), rules.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_undone_step_by_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hullwatch/policy.toml");
        let silence = |subject: &str| {
            vec![Silence {
                rule: "file.cron".to_owned(),
                subject: vec![subject.to_owned()],
                reason: "ours".to_owned(),
                ..Silence::default()
            }]
        };
        let mut keeper = Keeper::default();
        let subjects = || {
            let read = Policy::parse(&text(&path).unwrap()).unwrap().policy;
            let all = read.silence.into_iter().flat_map(|s| s.subject);
            all.collect::<Vec<_>>()
        };
        keeper
            .change(PolicyEdit::Add(silence("/a")), &path)
            .unwrap();
        // Another process writes into the file meanwhile.
        let by_hand = format!("# mine\n{}", text(&path).unwrap());
        user_files::write(&path, &by_hand).unwrap();
        keeper
            .change(PolicyEdit::Add(silence("/b")), &path)
            .unwrap();
        keeper
            .change(PolicyEdit::Remove(Box::new(silence("/a").remove(0))), &path)
            .unwrap();
        assert_eq!(subjects(), ["/b"]);
        keeper.change(PolicyEdit::Undo, &path).unwrap();
        assert_eq!(subjects(), ["/b", "/a"]);
        keeper.change(PolicyEdit::Undo, &path).unwrap();
        keeper.change(PolicyEdit::Undo, &path).unwrap();
        assert_eq!(subjects(), Vec::<String>::new());
        let message = keeper.change(PolicyEdit::Undo, &path).unwrap();
        assert!(message.contains("nothing"), "{message}");
        // A file that is wrong is left alone.
        user_files::write(&path, "wrong = 1\n").unwrap();
        let error = keeper
            .change(PolicyEdit::Add(silence("/a")), &path)
            .unwrap_err();
        assert!(error.contains("line 1"), "{error}");
        assert_eq!(text(&path).unwrap(), "wrong = 1\n");
    }
}
