//! Copies text to the clipboard of the user's terminal, through any number of hops: OSC 52, wrapped
//! for tmux and screen.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Many terminals take no more than 100,000 bytes of OSC 52, some 74,994 of base64 less framing.
pub(in crate::tui) const MOST: usize = 56_000;
/// screen cuts a passed-through string at 768 bytes.
const SCREEN_PIECE: usize = 700;

/// The multiplexer between the program and the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Between {
    Nothing,
    Tmux,
    Screen,
}

impl Between {
    /// As `TMUX` and `TERM` indicate.
    pub(in crate::tui) fn found(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let term = variable("TERM").unwrap_or_default();
        if set("TMUX") {
            Self::Tmux
        } else if set("STY") || term.starts_with("screen") {
            Self::Screen
        } else {
            Self::Nothing
        }
    }
}

/// Writes the sequence that sets the clipboard to `text`; false, and nothing written, when the text
/// is too long.
pub(in crate::tui) fn copy(text: &str, between: Between, out: &mut impl Write) -> io::Result<bool> {
    if text.len() > MOST {
        return Ok(false);
    }
    let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    match between {
        Between::Nothing => out.write_all(plain.as_bytes())?,
        // Every escape within is doubled.
        Between::Tmux => write!(out, "\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b"))?,
        Between::Screen => {
            for piece in plain.as_bytes().chunks(SCREEN_PIECE) {
                out.write_all(b"\x1bP")?;
                out.write_all(piece)?;
                out.write_all(b"\x1b\\")?;
            }
        }
    }
    out.flush()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &str, between: Between) -> String {
        let mut out = Vec::new();
        assert!(copy(text, between, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_passes_through_multiplexers() {
        assert_eq!(copied("a\x1bb", Between::Nothing), "\x1b]52;c;YRti\x07");
        assert_eq!(
            copied("ab", Between::Tmux),
            "\x1bPtmux;\x1b\x1b]52;c;YWI=\x07\x1b\\"
        );
        let long = copied(&"x".repeat(2000), Between::Screen);
        let joined = long.replace("\x1b\\\x1bP", "");
        assert!(joined.starts_with("\x1bP\x1b]52;c;eHh4") && joined.ends_with("\x07\x1b\\"));
        assert!(long.split("\x1b\\").all(|piece| piece.len() <= 768));
    }

    #[test]
    fn too_large_values_are_reported_and_not_written() {
        let mut out = Vec::new();
        assert!(!copy(&"x".repeat(MOST + 1), Between::Nothing, &mut out).unwrap());
        assert!(out.is_empty());
    }

    #[test]
    fn the_environment_shows_the_multiplexer() {
        let found = |name: &'static str, value: &'static str| {
            Between::found(move |requested| (requested == name).then(|| value.to_owned()))
        };
        assert_eq!(found("TMUX", "/tmp/x,1,0"), Between::Tmux);
        assert_eq!(found("TERM", "screen-256color"), Between::Screen);
        assert_eq!(found("TERM", "xterm-256color"), Between::Nothing);
    }
}
