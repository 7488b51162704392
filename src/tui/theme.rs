//! Colours by meaning, from the TOML files in `themes/`.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

use crate::detect::Severity;

/// Themes that come with the program.
const SHIPPED: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    (
        "high-contrast",
        include_str!("../../themes/high-contrast.toml"),
    ),
    ("ansi16", include_str!("../../themes/ansi16.toml")),
];

/// Colours by meaning; without colours every style keeps what can be told without them.
#[derive(Debug, Clone, Default)]
pub struct Theme {
    colours: BTreeMap<String, Color>,
}

impl Theme {
    /// No colours at all.
    #[must_use]
    pub fn mono() -> Self {
        Self::default()
    }

    /// A shipped theme by name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        let named: BTreeMap<String, String> = toml::from_str(text).ok()?;
        let colours = named
            .into_iter()
            .map(|(token, colour)| colour.parse().ok().map(|colour| (token, colour)))
            .collect::<Option<_>>()?;
        Some(Self { colours })
    }

    /// What this terminal can show: nothing with `NO_COLOR` or a dumb terminal, 16 colours where
    /// more are not promised.
    #[must_use]
    pub fn from_environment() -> Self {
        let set = |name| std::env::var(name).unwrap_or_default();
        let term = set("TERM");
        if !set("NO_COLOR").is_empty() || matches!(term.as_str(), "dumb" | "vt100") {
            return Self::mono();
        }
        let deep = set("COLORTERM") == "truecolor" || term.contains("256color");
        Self::named(if deep { "dark" } else { "ansi16" }).unwrap_or_default()
    }

    fn fg(&self, token: &str) -> Style {
        self.colours
            .get(token)
            .map_or_else(Style::new, |colour| Style::new().fg(*colour))
    }

    pub(super) fn text(&self) -> Style {
        self.fg("text")
    }

    pub(super) fn dim(&self) -> Style {
        self.fg("dim")
    }

    pub(super) fn accent(&self) -> Style {
        self.fg("accent").add_modifier(Modifier::BOLD)
    }

    pub(super) fn title(&self) -> Style {
        self.fg("title").add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(&self) -> Style {
        self.fg("good")
    }

    pub(super) fn bad(&self) -> Style {
        self.fg("bad").add_modifier(Modifier::BOLD)
    }

    /// Told by reverse video, so that it shows without colours.
    pub(super) fn selected(&self) -> Style {
        self.fg("text").add_modifier(Modifier::REVERSED)
    }

    pub(super) fn severity(&self, severity: Severity) -> Style {
        let style = self.fg(&severity.to_string());
        if severity >= Severity::High {
            style.add_modifier(Modifier::BOLD)
        } else {
            style
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_theme_has_every_token() {
        let tokens = [
            "text", "dim", "accent", "title", "good", "bad", "info", "low", "medium", "high",
            "critical",
        ];
        for (name, _) in SHIPPED {
            let theme = Theme::named(name).unwrap();
            for token in tokens {
                assert!(theme.colours.contains_key(token), "{name}: {token}");
            }
            assert_eq!(theme.colours.len(), tokens.len(), "{name}");
        }
    }

    #[test]
    fn selection_shows_without_colours() {
        let style = Theme::mono().selected();
        assert!(style.add_modifier.contains(Modifier::REVERSED));
        assert_eq!(style.fg, None);
    }
}
