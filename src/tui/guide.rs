//! The guide of the demo: lines above the last one that explain the screen.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget as _};

use super::action::Action;
use super::keymap::Keymap;
use super::pane::Pane;
use super::theme::Theme;

/// Minimum height of the screen.
const LEAST: u16 = 20;

/// Lines that the guide takes on a screen: none where it would take more than half of it.
pub(super) fn height(keys: &Keymap, screen: Rect) -> u16 {
    let lines = u16::try_from(lines(keys, screen.width).len()).unwrap_or(u16::MAX);
    if screen.height < LEAST || lines > screen.height / 2 {
        0
    } else {
        lines
    }
}

/// Draws it.
pub(super) fn draw(keys: &Keymap, area: Rect, theme: &Theme, out: &mut Buffer) {
    let lines = lines(keys, area.width).into_iter();
    let lines: Vec<Line<'_>> = lines.map(|line| Line::from(format!(" {line}"))).collect();
    Paragraph::new(lines)
        .style(theme.accent())
        .render(area, out);
}

/// Its lines, with a column free on both sides.
fn lines(keys: &Keymap, width: u16) -> Vec<String> {
    let room = usize::from(width.saturating_sub(2)).max(1);
    let text = text(keys);
    let lines = textwrap::wrap(&text, room).into_iter();
    lines.map(Cow::into_owned).collect()
}

fn text(keys: &Keymap) -> String {
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
            "{} returns to the end. {} lists all keys, {} hides this guide, {} goes back, then leaves.",
            key(Action::Present),
            key(Action::Help),
            key(Action::Zoom),
            key(Action::Quit),
        ),
    ]
    .join(" ")
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::tui::Ui;
    use crate::tui::tests::{demo, press, screen};

    #[test]
    fn every_line_fits_and_names_bound_keys() {
        let keys = Keymap::default();
        for width in [40, 60, 80, 120] {
            let lines = lines(&keys, width);
            for line in &lines {
                assert!(line.width() < usize::from(width), "{line}");
                assert!(!line.contains("  "), "a key is missing: {line}");
            }
            assert!(lines.concat().ends_with("leaves."), "{lines:?}");
        }
        let height = |width, height| super::height(&keys, Rect::new(0, 0, width, height));
        assert!((5..=6).contains(&height(80, 24)));
        assert!(height(60, 24) > height(80, 24));
        assert_eq!((height(80, 10), height(20, 24)), (0, 0));
    }

    #[test]
    fn the_first_zoom_hides_only_the_guide() {
        let mut ui = Ui::default();
        let core = demo();
        ui.guide = true;
        let before = screen(&core, &mut ui, 80, 24);
        assert!(before.iter().any(|line| line.contains("leaves.")));
        press(&mut ui, &core, "z");
        let lines = screen(&core, &mut ui, 80, 24);
        assert!(!ui.guide && !ui.display.zoom);
        assert!(lines[1].contains("2 Cont"), "{}", lines[1]);
        press(&mut ui, &core, "z");
        assert!(ui.display.zoom);
    }
}
