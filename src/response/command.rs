//! A command as arguments, and as the line that a person pastes into a shell.

use std::fmt::Write as _;

use crate::event::Bytes;
use crate::quote::{command_line, printing};

/// A program with its arguments, and what it reads from its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments.
    pub argv: Vec<Bytes>,
    /// Its input; `None` is empty.
    pub input: Option<String>,
}

impl CommandLine {
    /// A command without input.
    pub(super) fn new<W: Into<Bytes>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            input: None,
        }
    }

    /// With a further argument.
    pub(super) fn arg(mut self, word: impl Into<Bytes>) -> Self {
        self.argv.push(word.into());
        self
    }

    /// With further arguments.
    pub(super) fn args<W: Into<Bytes>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.argv.extend(words.into_iter().map(Into::into));
        self
    }

    /// The line for a shell.
    #[must_use]
    pub fn shell(&self) -> String {
        let words = self.argv.iter().map(|word| -> &[u8] { word });
        let words: Vec<_> = words.collect();
        let command = command_line(&words);
        match &self.input {
            None => command,
            Some(input) => format!("{} | {command}", printing(input.as_bytes())),
        }
    }
}

/// The commands as one line; each runs only when those before it succeeded.
pub(super) fn shell(commands: &[CommandLine]) -> String {
    let mut line = String::new();
    for command in commands {
        let and = if line.is_empty() { "" } else { " && " };
        // Writing to a string cannot fail.
        let _ = write!(line, "{and}{}", command.shell());
    }
    line
}
