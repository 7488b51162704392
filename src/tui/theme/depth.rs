//! The number of colours of the terminal, and the nearest available colour.

use anstyle::{Ansi256Color, AnsiColor, RgbColor};
use anstyle_lossy::palette::VGA;
use ratatui::style::Color;

/// The number of colours of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// None: attributes only.
    #[default]
    Mono,
    /// The terminal's own sixteen.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// 24-bit colours.
    True,
}

impl Depth {
    /// The depth by `NO_COLOR`, `TERM` and `COLORTERM`. `variable` reads one of them.
    #[must_use]
    pub fn promised(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).unwrap_or_default();
        let term = set("TERM");
        // GNU screen damages 24-bit colours, whatever the terminal outside supports.
        let screen = !set("STY").is_empty();
        let promised = matches!(set("COLORTERM").as_str(), "truecolor" | "24bit");
        if !set("NO_COLOR").is_empty() || bare(&term) {
            Self::Mono
        } else if !screen && (promised || DEEP.iter().any(|name| term.contains(name))) {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }

    /// The nearest colour the terminal has; `None` where it has none.
    #[must_use]
    pub fn nearest(self, colour: Color) -> Option<Color> {
        match (self, colour) {
            (Self::Mono, _) => None,
            (Self::True, colour) => Some(colour),
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(
                anstyle_lossy::rgb_to_xterm(RgbColor(r, g, b)).index(),
            )),
            (Self::Sixteen, Color::Rgb(r, g, b)) => {
                Some(named(anstyle_lossy::rgb_to_ansi(RgbColor(r, g, b), VGA)))
            }
            (Self::Sixteen, Color::Indexed(index)) => Some(named(anstyle_lossy::xterm_to_ansi(
                Ansi256Color(index),
                VGA,
            ))),
            (_, colour) => Some(colour),
        }
    }
}

/// Terminals with 24-bit colours although a remote login does not pass `COLORTERM` on.
const DEEP: &[&str] = &[
    "-direct",
    "kitty",
    "alacritty",
    "foot",
    "ghostty",
    "wezterm",
];

/// A terminal that knows no more than a VT220: no colours, no characters beyond ASCII.
pub(crate) fn bare(term: &str) -> bool {
    term.is_empty() || term == "dumb" || term.starts_with("vt") || term.ends_with("-mono")
}

fn named(colour: AnsiColor) -> Color {
    match colour {
        AnsiColor::Black => Color::Black,
        AnsiColor::Red => Color::Red,
        AnsiColor::Green => Color::Green,
        AnsiColor::Yellow => Color::Yellow,
        AnsiColor::Blue => Color::Blue,
        AnsiColor::Magenta => Color::Magenta,
        AnsiColor::Cyan => Color::Cyan,
        AnsiColor::White => Color::Gray,
        AnsiColor::BrightBlack => Color::DarkGray,
        AnsiColor::BrightRed => Color::LightRed,
        AnsiColor::BrightGreen => Color::LightGreen,
        AnsiColor::BrightYellow => Color::LightYellow,
        AnsiColor::BrightBlue => Color::LightBlue,
        AnsiColor::BrightMagenta => Color::LightMagenta,
        AnsiColor::BrightCyan => Color::LightCyan,
        AnsiColor::BrightWhite => Color::White,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_the_colour_depth() {
        for (no_color, term, colorterm, depth) in [
            ("1", "xterm-256color", "truecolor", Depth::Mono),
            ("", "xterm-256color", "truecolor", Depth::True),
            ("", "xterm-256color", "", Depth::Indexed),
            ("", "screen-256color", "", Depth::Indexed),
            ("", "xterm", "", Depth::Sixteen),
            ("", "linux", "", Depth::Sixteen),
            ("", "vt100", "", Depth::Mono),
            ("", "vt220", "", Depth::Mono),
            ("", "dumb", "truecolor", Depth::Mono),
            ("", "", "", Depth::Mono),
            ("", "xterm-kitty", "", Depth::True),
            ("", "xterm-mono", "", Depth::Mono),
        ] {
            let set = |name: &str| match name {
                "NO_COLOR" => no_color,
                "TERM" => term,
                "COLORTERM" => colorterm,
                _ => "",
            };
            let promised = Depth::promised(|name| Some(set(name).to_owned()));
            assert_eq!(promised, depth, "{no_color} {term} {colorterm}");
        }
    }

    #[test]
    fn colours_become_those_the_terminal_has() {
        let red = Color::Rgb(255, 85, 85);
        assert_eq!(Depth::True.nearest(red), Some(red));
        assert_eq!(Depth::Indexed.nearest(red), Some(Color::Indexed(203)));
        assert_eq!(Depth::Sixteen.nearest(red), Some(Color::LightRed));
        assert_eq!(Depth::Mono.nearest(red), None);
        assert_eq!(Depth::Sixteen.nearest(Color::Green), Some(Color::Green));
    }
}
