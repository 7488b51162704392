//! The menu on the demo's recording.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::*;
use crate::event::ResponseAction;
use crate::recording::demo::core;
use crate::tui::Ui;
use crate::tui::theme::Theme;

fn press(
    dialog: ResponseDialog,
    code: KeyCode,
) -> (Option<ResponseDialog>, Option<ResponseRequest>) {
    dialog.press(&KeyEvent::new(code, KeyModifiers::NONE))
}

fn menu(core: &Core, allowed: bool) -> ResponseDialog {
    let incident = core.ranked_incidents()[0].id;
    ResponseDialog::of(core, Some(&RowKey::Incident(incident)), None, None, allowed).unwrap()
}

#[test]
fn when_not_allowed_the_menu_only_copies() {
    let core = core();
    for code in [KeyCode::Enter, KeyCode::Char('y')] {
        let (open, requested) = press(menu(&core, false), code);
        assert!(open.is_some());
        let Some(ResponseRequest::Copy(line, _)) = requested else {
            panic!("{requested:?}");
        };
        assert!(line.starts_with("docker pause "), "{line}");
    }
}

#[test]
fn a_low_menu_shows_that_there_is_more() {
    let core = core();
    let dialog = menu(&core, false);
    let drawn = |height: u16| -> Vec<String> {
        let area = Rect::new(0, 0, 80, height);
        let mut buffer = Buffer::empty(area);
        draw(
            &Ui::default().query(),
            &dialog,
            area,
            &Theme::mono(),
            &mut buffer,
        );
        let line = |y| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    };
    let all = drawn(60);
    assert!(!all.iter().any(|line| line.ends_with(" more")), "{all:?}");
    let low = drawn(6);
    let more = format!(" … {} more", dialog.suggestions.len() - 2);
    assert!(low.contains(&more), "{low:?}");
    assert!(low[5].ends_with('…'), "{low:?}");
}

#[test]
fn when_allowed_it_needs_one_confirmation_by_y() {
    let core = core();
    let requested = |then: KeyCode| {
        let (open, requested) = press(menu(&core, true), KeyCode::Enter);
        assert!(
            requested.is_none(),
            "nothing is done before it was confirmed"
        );
        press(open.unwrap(), then)
    };
    for no in [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Char('n'),
        KeyCode::Char(' '),
    ] {
        let (open, requested) = requested(no);
        assert!(
            open.is_some_and(|open| !open.confirming) && requested.is_none(),
            "{no:?}"
        );
    }
    let (open, made) = requested(KeyCode::Char('y'));
    assert!(open.is_none());
    let Some(ResponseRequest::Make(suggestion)) = made else {
        panic!("{made:?}");
    };
    assert_eq!(suggestion.action, ResponseAction::Pause);
}

#[test]
fn interactive_responses_are_only_copied() {
    let core = core();
    let mut dialog = menu(&core, true);
    let shell = dialog
        .suggestions
        .iter()
        .position(|s| s.action == ResponseAction::Shell);
    dialog.at = shell.unwrap();
    let (open, requested) = press(dialog, KeyCode::Enter);
    assert!(open.is_some_and(|open| !open.confirming));
    assert!(
        matches!(requested, Some(ResponseRequest::Copy(..))),
        "{requested:?}"
    );
}
