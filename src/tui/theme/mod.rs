//! Colours by meaning, from the TOML files in `themes/` and the user's.

mod check;
mod depth;
mod file;
mod library;
mod reload;
mod token;

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

use crate::detect::Severity;

pub use check::{CONTRAST, Contrast, DISTANCE, Distance, GRAPHICS, ThemeReport, check};
pub use depth::Depth;
pub(crate) use depth::bare;
pub use file::ThemeError;
pub use library::{Library, SHIPPED};
pub use reload::Chosen;
pub use token::Token;

use file::{StyleEntry, ThemeFile, ThemeWord};

/// Styles by meaning, reduced to the terminal's colours.
#[derive(Debug, Clone)]
pub struct Theme {
    name: String,
    styles: Vec<Style>,
    background: Option<Color>,
    glyphs: Glyphs,
}

/// The characters for lines and charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// As the locale allows.
    #[default]
    Auto,
    /// Unicode.
    Unicode,
    /// ASCII only.
    Ascii,
}

impl Theme {
    fn plain() -> Self {
        Self {
            name: "none".to_owned(),
            styles: vec![Style::new(); Token::ALL.len()],
            background: None,
            glyphs: Glyphs::Auto,
        }
    }

    /// Merges the files of a chain of inheritance, the base first.
    fn resolve(name: &str, chain: Vec<ThemeFile>, depth: Depth) -> Result<Self, ThemeError> {
        let mut palette = BTreeMap::new();
        let mut style: BTreeMap<Token, StyleEntry> = BTreeMap::new();
        let mut ansi16: BTreeMap<Token, StyleEntry> = BTreeMap::new();
        let mut background = None;
        let mut glyphs = Glyphs::Auto;
        for file in chain {
            palette.extend(file.palette);
            background = file.background.or(background);
            for (token, entry) in file.style {
                // A colour of a derived file overrides the sixteen-colour style of its base.
                if entry.fg.is_some() || entry.bg.is_some() {
                    ansi16.remove(&token);
                }
                let under = style.remove(&token).unwrap_or_default();
                style.insert(token, under.under(entry));
            }
            for (token, entry) in file.ansi16 {
                let under = ansi16.remove(&token).unwrap_or_default();
                ansi16.insert(token, under.under(entry));
            }
            match file.glyphs.map(|word| word.text).as_deref() {
                Some("unicode") => glyphs = Glyphs::Unicode,
                Some("ascii") => glyphs = Glyphs::Ascii,
                Some(_) => glyphs = Glyphs::Auto,
                None => {}
            }
        }
        let colour = |word: &ThemeWord| colour(word, &palette);
        let background = background.as_ref().map(colour).transpose()?;
        // Every colour is parsed at every depth, so that an error shows on every terminal.
        let read = |entry: StyleEntry| -> Result<(Style, Modifier), ThemeError> {
            let mut read = Style::new().add_modifier(entry.mods.unwrap_or_default());
            read.fg = entry.fg.as_ref().map(colour).transpose()?;
            read.bg = entry.bg.as_ref().map(colour).transpose()?;
            Ok((read, entry.mono.or(entry.mods).unwrap_or_default()))
        };
        let mut styles = Vec::with_capacity(Token::ALL.len());
        for token in Token::ALL {
            let entry = style.remove(token).unwrap_or_default();
            let (full, mono) = read(entry.clone())?;
            let sixteen = match ansi16.remove(token) {
                Some(over) => read(entry.under(over))?.0,
                None => full,
            };
            styles.push(match depth {
                Depth::Mono => Style::new().add_modifier(mono),
                Depth::Sixteen => projected(sixteen, depth),
                Depth::Indexed | Depth::True => projected(full, depth),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            styles,
            background,
            glyphs,
        })
    }

    /// Its name, or its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The background it is made for, as `#rrggbb`; dark if it names none.
    #[must_use]
    pub fn background(&self) -> String {
        match self.background {
            Some(Color::Rgb(r, g, b)) => format!("#{r:02x}{g:02x}{b:02x}"),
            _ => "#14181d".to_owned(),
        }
    }

    /// The characters it uses.
    #[must_use]
    pub fn glyphs(&self) -> Glyphs {
        self.glyphs
    }

    /// The style of a token.
    #[must_use]
    pub fn style(&self, token: Token) -> Style {
        self.styles[token as usize]
    }

    pub(super) fn text(&self) -> Style {
        self.style(Token::Text)
    }

    pub(super) fn dim(&self) -> Style {
        self.style(Token::Muted)
    }

    pub(super) fn accent(&self) -> Style {
        self.style(Token::Accent)
    }

    pub(super) fn title(&self) -> Style {
        self.style(Token::Heading)
    }

    pub(super) fn good(&self) -> Style {
        self.style(Token::Ok)
    }

    pub(super) fn bad(&self) -> Style {
        self.style(Token::ToastError)
    }

    pub(super) fn selected(&self) -> Style {
        self.style(Token::Selection)
    }

    pub(super) fn severity(&self, severity: Severity) -> Style {
        self.style(Token::severity(severity))
    }

    /// The style of a severity's letter where it should stand out: critical and high have a
    /// coloured background, which takes no more bytes than a coloured letter.
    pub(super) fn badge(&self, severity: Severity) -> Style {
        let style = self.severity(severity);
        if severity >= Severity::High {
            style.add_modifier(Modifier::REVERSED)
        } else {
            style
        }
    }
}

/// A colour by the name a palette gives it, or as `ratatui` reads it: `red`, `light blue`,
/// `#rrggbb`, 0-255.
fn colour(word: &ThemeWord, palette: &BTreeMap<String, ThemeWord>) -> Result<Color, ThemeError> {
    let (text, place) = match palette.get(&word.text) {
        Some(named) => (&named.text, &named.place),
        None => (&word.text, &word.place),
    };
    text.parse().map_err(|_| {
        place.wrong(format!(
            "unknown colour {text:?}: write a palette name, red, light blue, #rrggbb or 0-255"
        ))
    })
}

fn projected(style: Style, depth: Depth) -> Style {
    Style {
        fg: style.fg.and_then(|colour| depth.nearest(colour)),
        bg: style.bg.and_then(|colour| depth.nearest(colour)),
        ..style
    }
}

#[cfg(test)]
mod tests;
