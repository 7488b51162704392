//! The guide of the demo: five lines above the last one that explain the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget as _};

use super::action::Action;
use super::keymap::Keymap;
use super::pane::Pane;
use super::text::fit;
use super::theme::Theme;

/// Lines of the guide.
const LINES: u16 = 5;
/// Minimum height of the screen.
const LEAST: u16 = 20;

/// Lines that the guide takes on a screen of this height.
pub(super) fn height(screen: u16) -> u16 {
    if screen < LEAST { 0 } else { LINES }
}

/// Draws it.
pub(super) fn draw(keys: &Keymap, area: Rect, theme: &Theme, out: &mut Buffer) {
    let width = usize::from(area.width);
    let lines = lines(keys).map(|line| Line::from(fit(&format!(" {line}"), width)));
    Paragraph::new(lines.to_vec())
        .style(theme.accent())
        .render(area, out);
}

fn lines(keys: &Keymap) -> [String; LINES as usize] {
    let key = |action| keys.sign(action);
    [
        "A recorded break-in into a web shop, paused at its end. This is the worst".to_owned(),
        format!(
            "incident: how they got in and what they did. {} goes back, {} lists incidents,",
            key(Action::Back),
            key(Action::Show(Pane::Incidents)),
        ),
        format!(
            "{} containers, {} processes, {} the network. {} lists what can be done now,",
            key(Action::Show(Pane::Containers)),
            key(Action::Show(Pane::Processes)),
            key(Action::Show(Pane::Network)),
            key(Action::Respond),
        ),
        format!(
            "with exact commands. {} goes to the moment it began, {} plays on from there,",
            key(Action::Moment),
            key(Action::Pause),
        ),
        format!(
            "{} returns to the end. {} lists all keys, {} hides this guide, {} leaves.",
            key(Action::Present),
            key(Action::Help),
            key(Action::Zoom),
            key(Action::Quit),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn every_line_fits_a_narrow_terminal_and_names_bound_keys() {
        for line in lines(&Keymap::default()) {
            assert!(line.width() < 80, "{line}");
            assert!(!line.contains("  "), "a key is missing: {line}");
        }
        assert_eq!(height(24), LINES);
        assert_eq!(height(10), 0);
    }
}
