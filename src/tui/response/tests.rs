//! The menu on the demo's recording.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::event::ResponseAction;
use crate::recording::demo::core;

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
        let (open, asked) = press(menu(&core, false), code);
        assert!(open.is_some());
        let Some(ResponseRequest::Copy(line, _)) = asked else {
            panic!("{asked:?}");
        };
        assert!(line.starts_with("docker pause "), "{line}");
    }
}

#[test]
fn when_allowed_it_asks_once_and_only_y_confirms() {
    let core = core();
    let asked = |then: KeyCode| {
        let (open, asked) = press(menu(&core, true), KeyCode::Enter);
        assert!(asked.is_none(), "nothing is done before it was confirmed");
        press(open.unwrap(), then)
    };
    for no in [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Char('n'),
        KeyCode::Char(' '),
    ] {
        let (open, asked) = asked(no);
        assert!(
            open.is_some_and(|open| !open.confirming) && asked.is_none(),
            "{no:?}"
        );
    }
    let (open, made) = asked(KeyCode::Char('y'));
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
    let (open, asked) = press(dialog, KeyCode::Enter);
    assert!(open.is_some_and(|open| !open.confirming));
    assert!(
        matches!(asked, Some(ResponseRequest::Copy(..))),
        "{asked:?}"
    );
}
