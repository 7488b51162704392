//! Parses one theme file; an unknown part is an error with its line.

use std::collections::BTreeMap;
use std::ops::Range;

use ratatui::style::Modifier;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::token::Token;

/// An error in a theme, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}: {message}")]
pub struct ThemeError {
    /// The file, or the name of a theme that comes with the program.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The error.
    pub message: String,
}

/// A line of a file, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThemePosition {
    pub(super) file: String,
    pub(super) line: usize,
}

impl ThemePosition {
    pub(super) fn wrong(&self, message: impl Into<String>) -> ThemeError {
        ThemeError {
            file: self.file.clone(),
            line: self.line,
            message: message.into(),
        }
    }
}

/// A text and its line.
#[derive(Debug, Clone)]
pub(super) struct ThemeWord {
    pub(super) text: String,
    pub(super) place: ThemePosition,
}

/// The style of one token in a file; parts it leaves out are inherited.
#[derive(Debug, Clone, Default)]
pub(super) struct StyleEntry {
    pub(super) fg: Option<ThemeWord>,
    pub(super) bg: Option<ThemeWord>,
    pub(super) mods: Option<Modifier>,
    pub(super) mono: Option<Modifier>,
}

impl StyleEntry {
    /// This style with the parts that `over` sets replaced.
    pub(super) fn under(mut self, over: Self) -> Self {
        self.fg = over.fg.or(self.fg);
        self.bg = over.bg.or(self.bg);
        self.mods = over.mods.or(self.mods);
        self.mono = over.mono.or(self.mono);
        self
    }
}

/// The content of a theme file.
#[derive(Debug, Clone, Default)]
pub(super) struct ThemeFile {
    pub(super) inherits: Option<ThemeWord>,
    /// Background of the terminal it is made for; not painted.
    pub(super) background: Option<ThemeWord>,
    pub(super) palette: BTreeMap<String, ThemeWord>,
    pub(super) style: BTreeMap<Token, StyleEntry>,
    /// Used instead of `style` on terminals with sixteen colours.
    pub(super) ansi16: BTreeMap<Token, StyleEntry>,
    pub(super) glyphs: Option<ThemeWord>,
}

/// Parses a theme; errors name it `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<ThemeFile, ThemeError> {
    let reader = ThemeReader { name, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        reader.at(&at).wrong(error.message())
    })?;
    let mut file = ThemeFile::default();
    for (key, value) in root.get_ref() {
        match key.get_ref().as_ref() {
            "inherits" => file.inherits = Some(reader.word(value)?),
            "background" => file.background = Some(reader.word(value)?),
            "palette" => {
                for (key, value) in reader.table(value)? {
                    let word = reader.word(value)?;
                    file.palette.insert(key.get_ref().to_string(), word);
                }
            }
            "style" => reader.styles("", reader.table(value)?, &mut file.style)?,
            "ansi16" => reader.styles("", reader.table(value)?, &mut file.ansi16)?,
            "glyphs" => {
                for (key, value) in reader.table(value)? {
                    if key.get_ref() != "set" {
                        return Err(reader.unknown(key));
                    }
                    let word = reader.word(value)?;
                    if !["auto", "unicode", "ascii"].contains(&word.text.as_str()) {
                        let message = format!(
                            "unknown glyph set {:?}: write auto, unicode or ascii",
                            word.text
                        );
                        return Err(word.place.wrong(message));
                    }
                    file.glyphs = Some(word);
                }
            }
            _ => return Err(reader.unknown(key)),
        }
    }
    Ok(file)
}

type TomlKey<'i> = Spanned<std::borrow::Cow<'i, str>>;
type TomlValue<'i> = Spanned<DeValue<'i>>;

struct ThemeReader<'a> {
    name: &'a str,
    text: &'a str,
}

impl ThemeReader<'_> {
    fn at(&self, span: &Range<usize>) -> ThemePosition {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        ThemePosition {
            file: self.name.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }

    fn unknown(&self, key: &TomlKey) -> ThemeError {
        let message = format!("unknown key {:?}", key.get_ref());
        self.at(&key.span()).wrong(message)
    }

    fn word(&self, value: &TomlValue) -> Result<ThemeWord, ThemeError> {
        let place = self.at(&value.span());
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            other => {
                let message = format!("expected text, found {}", other.type_str());
                return Err(place.wrong(message));
            }
        };
        Ok(ThemeWord { text, place })
    }

    fn table<'v, 'i>(&self, value: &'v TomlValue<'i>) -> Result<&'v DeTable<'i>, ThemeError> {
        value.get_ref().as_table().ok_or_else(|| {
            let message = format!("expected a table, found {}", value.get_ref().type_str());
            self.at(&value.span()).wrong(message)
        })
    }

    /// `sev.high = …` is a table in a table: names are joined until they are a token.
    fn styles(
        &self,
        prefix: &str,
        table: &DeTable,
        into: &mut BTreeMap<Token, StyleEntry>,
    ) -> Result<(), ThemeError> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let Some(token) = Token::named(&name) {
                into.insert(token, self.entry(value)?);
                continue;
            }
            let group = format!("{name}.");
            let inner = value.get_ref().as_table();
            let grouped = Token::ALL.iter().any(|t| t.name().starts_with(&group));
            match inner.filter(|_| grouped) {
                Some(inner) => self.styles(&group, inner, into)?,
                None => {
                    let message = format!("unknown style {name:?}; hull-dark.toml has them all");
                    return Err(self.at(&key.span()).wrong(message));
                }
            }
        }
        Ok(())
    }

    fn entry(&self, value: &TomlValue) -> Result<StyleEntry, ThemeError> {
        let Some(table) = value.get_ref().as_table() else {
            return Ok(StyleEntry {
                fg: Some(self.word(value)?),
                ..StyleEntry::default()
            });
        };
        let mut entry = StyleEntry::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "fg" => entry.fg = Some(self.word(value)?),
                "bg" => entry.bg = Some(self.word(value)?),
                "mods" => entry.mods = Some(self.modifiers(value)?),
                "mono" => entry.mono = Some(self.modifiers(value)?),
                _ => return Err(self.unknown(key)),
            }
        }
        Ok(entry)
    }

    fn modifiers(&self, value: &TomlValue) -> Result<Modifier, ThemeError> {
        let Some(list) = value.get_ref().as_array() else {
            let message = "expected a list such as [\"bold\"]";
            return Err(self.at(&value.span()).wrong(message));
        };
        let mut modifiers = Modifier::empty();
        for value in list {
            let word = self.word(value)?;
            modifiers |= match word.text.as_str() {
                "bold" => Modifier::BOLD,
                "dim" => Modifier::DIM,
                "underline" => Modifier::UNDERLINED,
                "reverse" => Modifier::REVERSED,
                other => {
                    let message = format!(
                        "unknown modifier {other:?}: write bold, dim, underline or reverse"
                    );
                    return Err(word.place.wrong(message));
                }
            };
        }
        Ok(modifiers)
    }
}
