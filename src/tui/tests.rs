//! Tests of the demo's screens at every size, and of keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use super::{Action, Pane, Shown, SourceKind, Status, Theme, Ui, draw};
use crate::core::Core;
use crate::event::{Bytes, Event, Exec, Kind, Timestamp};
use crate::recording;

pub(super) fn demo() -> Core {
    static CORE: std::sync::OnceLock<Core> = std::sync::OnceLock::new();
    CORE.get_or_init(recording::demo::core).clone()
}

pub(super) fn screen(core: &Core, ui: &mut Ui, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let status = Status {
        host: "host".to_owned(),
        engine: "docker 20.10".to_owned(),
        tier: "core".to_owned(),
        time: Shown::Live,
        mode: "LIVE".to_owned(),
        doing: "● REC".to_owned(),
        trouble: None,
        degraded: false,
        ..Status::default()
    };
    let mut buffer = Buffer::empty(area);
    let drawn = draw(core, ui, &status, area, &Theme::mono(), &mut buffer);
    ui.keep(drawn);
    (0..height)
        .map(|y| {
            let mut line = String::new();
            let mut x = 0;
            while x < width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                // A wide character covers the cell behind it.
                x += u16::try_from(symbol.width().max(1)).unwrap();
            }
            line.trim_end().to_owned()
        })
        .collect()
}

#[test]
fn a_recording_that_failed_is_seen_at_every_width() {
    let core = demo();
    let error = "/var/log/incident-of-today.jsonl: cannot write: No space left on device";
    let status = Status {
        host: "host".to_owned(),
        mode: "LIVE".to_owned(),
        trouble: Some(("REC FAILED", error.to_owned())),
        ..Status::default()
    };
    for width in [40, 60, 80, 120] {
        let area = Rect::new(0, 0, width, 24);
        let mut buffer = Buffer::empty(area);
        let _ = draw(
            &core,
            &Ui::default(),
            &status,
            area,
            &Theme::mono(),
            &mut buffer,
        );
        let line = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
        assert!(line(0).contains("REC FAILED"), "{width}: {}", line(0));
        assert!(line(0).contains("0 lost"), "{width}: {}", line(0));
        assert!(line(23).contains("incident-of-today"), "{}", line(23));
    }
}

#[test]
fn a_page_beyond_the_end_of_a_list_that_became_short_is_drawn() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), &core);
    ui.table_mut().first = 490;
    screen(&core, &mut ui, 120, 40);
    assert!(ui.drawn.current.is_some());
}

#[test]
fn while_a_key_is_held_the_rows_stay() {
    let mut core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Events), &core);
    let more = |core: &mut Core| {
        let newest = core.state.recent.events.back().unwrap();
        let seq = newest.seq + 1;
        let event = Event {
            seq,
            ..Event::clone(newest)
        };
        core.apply(&std::sync::Arc::new(event));
        seq.to_string()
    };
    let shows = |core: &Core, ui: &mut Ui, seq: &str| {
        let lines = screen(core, ui, 80, 24);
        lines.iter().any(|line| line.contains(seq))
    };
    let press = |ui: &mut Ui, core: &Core, key| {
        let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
        let requested = ui.press(&key, core).unwrap();
        ui.ask(&requested, core);
    };
    let first = more(&mut core);
    assert!(shows(&core, &mut ui, &first));
    let second = more(&mut core);
    ui.hurry = true;
    press(&mut ui, &core, 'j');
    assert!(!shows(&core, &mut ui, &second), "the list ran away");
    ui.hurry = false;
    assert!(shows(&core, &mut ui, &second), "let go, it is the present");
    // Any other query is answered with the present, too.
    let third = more(&mut core);
    ui.hurry = true;
    press(&mut ui, &core, 'v');
    assert!(shows(&core, &mut ui, &third));
}

#[test]
fn esc_and_a_key_that_arrive_together_are_two_keys() {
    let mut ui = Ui::default();
    let alt = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::ALT);
    let codes = |ui: &Ui, key| -> Vec<KeyCode> {
        ui.typed_as(&key).into_iter().map(|key| key.code).collect()
    };
    let two = [KeyCode::Esc, KeyCode::Char('j')];
    assert_eq!(codes(&ui, alt('j')), two);
    let up = KeyEvent::new(KeyCode::Up, KeyModifiers::ALT);
    assert_eq!(codes(&ui, up), [KeyCode::Up]);
    // Unless it is bound by the user; and never while a line is typed.
    let config = super::Config::parse("[keys]\nrecord = \"A-j\"\n").unwrap();
    ui = Ui::new(&config, SourceKind::Host);
    assert_eq!(codes(&ui, alt('j')), [KeyCode::Char('j')]);
    ui.apply(Action::Command, &Core::default());
    assert_eq!(codes(&ui, alt('j')), two);
}

#[test]
fn every_screen_at_every_size() {
    let core = demo();
    let screens: &[(&str, &str)] = &[
        ("incidents", "1"),
        ("incident", "1 Enter"),
        ("containers", "2"),
        ("findings", "3"),
        ("finding", "3 Enter"),
        ("processes", "4"),
        ("network", "5"),
        ("files", "6"),
        ("images", "7"),
        ("events", "8"),
        ("container", "Enter"),
        ("container-processes", "Enter Tab"),
        ("process", "4 j Enter"),
        ("image", "7 Enter"),
        ("keys", "?"),
        ("keys-searched", "? s o r t"),
        ("filter", "/ s e v > = x"),
        ("command", ": s Tab"),
        ("sort", "s j j"),
        ("columns", "c"),
        ("zoom", "z"),
    ];
    for (width, height) in [(120, 40), (80, 24), (60, 16), (40, 10), (40, 2)] {
        for (name, keys) in screens {
            let mut ui = Ui::default();
            screen(&core, &mut ui, width, height);
            for key in keys.split(' ') {
                press(&mut ui, &core, key);
                screen(&core, &mut ui, width, height);
            }
            let lines = screen(&core, &mut ui, width, height);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), lines.join("\n"));
        }
    }
}

#[test]
fn the_smallest_terminals_show_something_and_do_not_panic() {
    let core = demo();
    for (width, height) in [(1, 1), (10, 1), (40, 1), (5, 3), (20, 4), (300, 2)] {
        for pane in Pane::ALL {
            let mut ui = Ui::default();
            ui.apply(Action::Show(pane), &core);
            let lines = screen(&core, &mut ui, width, height);
            // One line has the counts; if there are more, losses come before the name.
            if height < 4 {
                assert!(lines[0].starts_with(&"hullwatch"[..usize::from(width.min(4)) - 1]));
            } else {
                assert!(lines[0].contains("0 lost"));
            }
        }
    }
}

#[test]
fn severity_and_name_stay_at_every_width() {
    let core = demo();
    for width in [200, 120, 80, 60, 40, 30] {
        let lines = screen(&core, &mut Ui::default(), width, 10);
        assert!(
            lines[3].starts_with("▌ C shop-web"),
            "{width}: {}",
            lines[3]
        );
    }
}

#[test]
fn filters_sorts_and_comes_back() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), &core);
    let all = screen(&core, &mut ui, 120, 40).join("\n");
    press(
        &mut ui,
        &core,
        "/ m e t a d a t a Space ! p a s s w d Enter",
    );
    let some = screen(&core, &mut ui, 120, 40).join("\n");
    assert!(all.contains("file.accounts") && all.contains("net.cloud-metadata"));
    assert!(!some.contains("file.accounts") && some.contains("net.cloud-metadata"));
    ui.apply(Action::Enter, &core);
    assert!(screen(&core, &mut ui, 120, 40).join("\n").contains("Why"));
    ui.apply(Action::Back, &core);
    assert_eq!(screen(&core, &mut ui, 120, 40).join("\n"), some);
    ui.apply(Action::Back, &core);
    ui.apply(Action::First, &core);
    assert_eq!(screen(&core, &mut ui, 120, 40).join("\n"), all);
    ui.apply(Action::Show(Pane::Containers), &core);
    press(&mut ui, &core, "s j j Enter Enter");
    assert!(ui.at.container.is_some());
    ui.apply(Action::Back, &core);
    assert!(ui.at.container.is_none() && ui.at.pane == Pane::Containers);
}

#[test]
fn hostile_names_stay_escaped_and_in_their_column() {
    let mut core = demo();
    let nasty = "/bin/\u{1b}[2J\u{202e}日本\u{200b}\n\r\u{7}x".as_bytes();
    let container = core.state.containers.keys().next().cloned();
    core.apply(&std::sync::Arc::new(Event {
        seq: 1_000_000,
        ts: core.state.now.plus(std::time::Duration::from_secs(1)),
        container,
        pid: 4_000_000,
        nspid: 7,
        kind: Kind::Exec(Box::new(Exec {
            exe: Bytes::new(nasty),
            argv: vec![Bytes::new(nasty), Bytes::new(b"\xff\xfe")],
            comm: Bytes::new(b"\x1b]0;owned\x07"),
            ..Exec::default()
        })),
    }));
    assert!(core.state.now > Timestamp::default());
    for pane in Pane::ALL {
        let mut ui = Ui::default();
        ui.apply(Action::Show(pane), &core);
        for detail in [false, true] {
            if detail {
                ui.apply(Action::Enter, &core);
            }
            for line in screen(&core, &mut ui, 80, 24) {
                assert!(!line.chars().any(char::is_control), "{pane:?}: {line:?}");
                assert!(
                    !line.contains(['\u{202e}', '\u{200b}']),
                    "{pane:?}: {line:?}"
                );
                assert!(line.width() <= 80, "{pane:?}: {line:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_keys_in_any_order_never_panic(
        keys in proptest::collection::vec(any_key(), 1..60),
        size in proptest::sample::select(&[(120, 40), (80, 24), (60, 16), (40, 10), (30, 4), (9, 2)]),
    ) {
        let core = demo();
        let mut ui = Ui::default();
        for key in keys {
            if let Some(requested) = ui.press(&key, &core) {
                ui.ask(&requested, &core);
            }
            screen(&core, &mut ui, size.0, size.1);
        }
    }
}

/// Keys that do something, more often than not; and any others.
fn any_key() -> impl Strategy<Value = KeyEvent> {
    let bound: Vec<KeyEvent> = super::ACTIONS
        .iter()
        .flat_map(|entry| entry.keys)
        .map(|key| key.parse::<super::Chord>().unwrap().event())
        .collect();
    prop_oneof![
        4 => proptest::sample::select(bound),
        1 => proptest::char::any().prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)),
        1 => proptest::char::range(' ', '~')
            .prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)),
    ]
}

pub(super) fn press(ui: &mut Ui, core: &Core, keys: &str) {
    for key in keys.split(' ') {
        let chord: super::Chord = key.parse().unwrap();
        if let Some(requested) = ui.press(&chord.event(), core) {
            ui.ask(&requested, core);
        }
    }
}

#[test]
fn processes_of_a_loop_are_one_line_of_the_tree() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Processes), &core);
    let sleeps = |ui: &mut Ui| {
        let lines = screen(&core, ui, 120, 60);
        let alike: Vec<_> = lines
            .into_iter()
            .filter(|l| l.contains("sleep 4  exit 0"))
            .collect();
        alike
    };
    let tree = sleeps(&mut ui);
    assert_eq!(tree.len(), 1, "{tree:?}");
    let count = tree[0].split('×').next().unwrap();
    let count: usize = count.rsplit(' ').next().unwrap().parse().unwrap();
    ui.apply(Action::Tree, &core);
    let list = screen(&core, &mut ui, 120, 200);
    let list = list
        .iter()
        .filter(|l| l.contains("sleep 4  exit 0"))
        .count();
    assert_eq!(list, count, "the list has each");
}

#[test]
fn while_a_key_is_held_the_explanation_waits() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), &core);
    let explained = |ui: &mut Ui| {
        let lines = screen(&core, ui, 120, 40);
        let title = |l: &String| l.starts_with("── ") && l.contains(" F-");
        lines.into_iter().find(title).unwrap()
    };
    let first = explained(&mut ui);
    ui.hurry = true;
    ui.apply(Action::Move(1), &core);
    assert_eq!(explained(&mut ui), first);
    assert_ne!(ui.drawn.explained, ui.drawn.current);
    ui.hurry = false;
    assert_ne!(explained(&mut ui), first);
    assert_eq!(ui.drawn.explained, ui.drawn.current);
}

#[test]
fn the_row_under_the_marker_stays_there_while_it_is_on_the_page() {
    let mut core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Events), &core);
    screen(&core, &mut ui, 80, 24);
    let shown = ui.drawn.current.clone();
    let come = |core: &mut Core, count: u64| {
        for _ in 0..count {
            let next = core.state.totals.events;
            core.apply(&std::sync::Arc::new(Event {
                seq: 1_000_000 + next,
                ts: core.state.now.plus(std::time::Duration::from_secs(1)),
                container: core.state.containers.keys().next().cloned(),
                pid: 4_000_000,
                nspid: 7,
                kind: Kind::Exec(Box::default()),
            }));
        }
    };
    come(&mut core, 1);
    screen(&core, &mut ui, 80, 24);
    assert_eq!(ui.drawn.current, shown);
    come(&mut core, 30);
    screen(&core, &mut ui, 80, 24);
    let latest = super::rows::rows(&core, &ui.query()).remove(0).key;
    assert_eq!(ui.drawn.current, Some(latest.clone()), "nobody chose it");
    come(&mut core, 1);
    ui.apply(Action::Enter, &core);
    assert_eq!(
        ui.at.detail,
        Some(latest.clone()),
        "what was shown is opened"
    );
    ui.apply(Action::Back, &core);
    come(&mut core, 30);
    screen(&core, &mut ui, 80, 24);
    assert_eq!(ui.drawn.current, Some(latest), "it was chosen");
}

#[test]
fn the_worst_row_is_selected_until_the_user_chooses() {
    let mut player = recording::demo::player();
    let mut ui = Ui::default();
    let mut first = Vec::new();
    while player.step() {
        if !player.core().state.totals.events.is_multiple_of(50) {
            continue;
        }
        screen(player.core(), &mut ui, 80, 24);
        let rows = super::rows::rows(player.core(), &ui.query());
        assert_eq!(ui.drawn.current.as_ref(), rows.first().map(|row| &row.key));
        first.extend(ui.drawn.current.clone());
    }
    first.dedup();
    assert!(first.len() > 1, "the worst one changed: {first:?}");
    // From then on the selection stays, whatever rows appear above.
    press(&mut ui, player.core(), "j");
    let put = ui.table().selected.clone();
    screen(player.core(), &mut ui, 80, 24);
    assert_eq!(ui.drawn.current, put);
}

#[test]
fn evidence_is_written_of_incidents_and_findings_alone() {
    use super::action::ActionScope;
    let core = demo();
    let mut ui = Ui::default();
    for (screen_key, works) in [("1", true), ("2", false), ("3", true), ("4", false)] {
        press(&mut ui, &core, screen_key);
        screen(&core, &mut ui, 80, 24);
        assert_eq!(ui.works(ActionScope::Evidence), works, "{screen_key}");
    }
}

#[test]
fn a_filter_that_is_being_typed_does_not_empty_the_table() {
    let core = demo();
    let mut ui = Ui::default();
    let shown = |ui: &mut Ui| {
        screen(&core, ui, 80, 24);
        ui.drawn.counted.matching
    };
    press(&mut ui, &core, "3 /");
    for key in "s e v > = x Backspace".split(' ') {
        press(&mut ui, &core, key);
        assert!(shown(&mut ui) > 0, "{key}");
    }
    press(&mut ui, &core, "h");
    assert_eq!(shown(&mut ui), 5);
    press(&mut ui, &core, "Space r u l");
    assert!(shown(&mut ui) > 0, "it may become rule=");
    press(&mut ui, &core, "Enter");
    assert_eq!(ui.filter().text(), "sev>=h rul", "what is entered counts");
    assert_eq!(shown(&mut ui), 0);
}
