//! The user's `config.toml`: accepted whole, or refused with the line of the error.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::budget::Bps;
use super::keymap::{Binding, Keymap};
use super::theme::Chosen;
use crate::memory::MemoryBudget;

/// Settings of the screen.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Key bindings.
    pub keys: Keymap,
    /// The theme's name or file, if set.
    pub theme: Option<String>,
    /// The loaded theme.
    pub look: Chosen,
    /// Use the mouse from the start.
    pub mouse: bool,
    /// Byte rate for background frames.
    pub bps: Bps,
    /// Responses may be made from the screen, not only copied.
    pub allow_actions: bool,
    /// Bytes that may be held, where that is set.
    pub memory: Option<MemoryBudget>,
    /// Address of the Docker engine, for command lines; `None`: the standard one.
    pub docker_host: Option<String>,
}

/// An error in a configuration, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// The error.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    theme: Option<String>,
    #[serde(default)]
    mouse: bool,
    #[serde(default, rename = "allow-actions")]
    allow_actions: bool,
    memory: Option<Spanned<String>>,
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Spanned<Value>>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When it is no TOML, holds something unknown, or binds keys that cannot be bound.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
        let wrong = |offset, message| ConfigError {
            line: line(offset),
            message,
        };
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            wrong(offset, error.message().to_owned())
        })?;
        let mut bindings = Vec::new();
        for (action, keys) in raw.keys {
            let at = action.span().start;
            let list = match keys.into_inner() {
                Value::String(key) => Some(vec![key]),
                Value::Array(list) => list
                    .into_iter()
                    .map(|key| match key {
                        Value::String(key) => Some(key),
                        _ => None,
                    })
                    .collect(),
                _ => None,
            };
            let Some(keys) = list else {
                let message = format!("{}: write \"key\" or [\"key\", \"key\"]", action.get_ref());
                return Err(wrong(at, message));
            };
            bindings.push(Binding {
                action: action.into_inner(),
                keys,
                line: line(at),
            });
        }
        bindings.sort_by_key(|binding| binding.line);
        let keys = Keymap::new(&bindings).map_err(|error| ConfigError {
            line: error.line,
            message: error.message,
        })?;
        let memory = raw.memory.map(|text| {
            let refused = |why: String| wrong(text.span().start, format!("memory: {why}"));
            text.get_ref().parse::<MemoryBudget>().map_err(refused)
        });
        Ok(Self {
            keys,
            memory: memory.transpose()?,
            theme: raw.theme,
            mouse: raw.mouse,
            look: Chosen::default(),
            bps: Bps::default(),
            allow_actions: raw.allow_actions,
            docker_host: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_errors_name_their_line() {
        let config =
            Config::parse("# mine\n[keys]\nfilter = \"C-f\"\nquit = [\"Q\", \"F10\"]\n").unwrap();
        assert!(!config.allow_actions);
        assert!(Config::parse("allow-actions = true").unwrap().allow_actions);
        let small = Config::parse("memory = \"64MiB\"").unwrap().memory;
        assert_eq!(small, "64MiB".parse().ok());
        let entry = config.keys.entry("F10".parse().unwrap()).unwrap();
        assert_eq!(entry.name, "quit");
        for (text, line, part) in [
            ("[keys]\nfilter = 3\n", 2, "filter: write"),
            ("[keys]\nfilter = [\"/\", 3]\n", 2, "filter: write"),
            ("[keys]\n\nflter = \"/\"\n", 3, "\"flter\""),
            (
                "[keys]\nquit = \"C-x\"\nfilter = \"C-x\"\n",
                3,
                "line 2, of quit",
            ),
            ("colour = 1\n", 1, "colour"),
            ("mouse = true\nmemory = \"1k\"\n", 2, "memory: between"),
            ("[keys\n", 1, ""),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{error}");
        }
    }
}
