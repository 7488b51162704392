//! Screens of the demo at every size, and what keys do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use super::{Action, Pane, Status, Theme, Ui, draw};
use crate::core::Core;
use crate::event::{Bytes, Event, Exec, Kind, Timestamp};
use crate::session::Player;

static DEMO: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

fn demo() -> Core {
    let mut player = Player::from_memory("demo", DEMO).unwrap();
    while player.step() {}
    player.core().clone()
}

fn screen(core: &Core, ui: &mut Ui, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let status = Status {
        host: "host".to_owned(),
        engine: "docker 20.10".to_owned(),
        tier: "core".to_owned(),
        mode: "REC".to_owned(),
        degraded: false,
    };
    let mut buffer = Buffer::empty(area);
    draw(core, ui, &status, area, &Theme::mono(), &mut buffer);
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
fn every_screen_at_every_size() {
    let core = demo();
    let screens: &[(&str, &[Action])] = &[
        ("containers", &[]),
        ("findings", &[Action::Show(Pane::Findings)]),
        ("finding", &[Action::Show(Pane::Findings), Action::Enter]),
        ("container", &[Action::Enter]),
        ("network", &[Action::Show(Pane::Network)]),
        ("files", &[Action::Show(Pane::Files)]),
        ("events", &[Action::Show(Pane::Events)]),
        ("keys", &[Action::Help]),
    ];
    for (width, height) in [(120, 40), (80, 24), (60, 16), (40, 10)] {
        for (name, actions) in screens {
            let mut ui = Ui::default();
            for action in *actions {
                ui.apply(*action, &core);
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
            assert!(lines[0].starts_with(&"hullwatch"[..usize::from(width.min(4)) - 1]));
        }
    }
}

#[test]
fn severity_and_name_stay_at_every_width() {
    let core = demo();
    for width in [200, 120, 80, 60, 40, 30] {
        let lines = screen(&core, &mut Ui::default(), width, 10);
        assert!(lines[3].starts_with("H shop-web"), "{width}: {}", lines[3]);
    }
}

#[test]
fn filters_sorts_and_comes_back() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), &core);
    let all = screen(&core, &mut ui, 120, 40).join("\n");
    ui.filter = "metadata !passwd".to_owned();
    let some = screen(&core, &mut ui, 120, 40).join("\n");
    assert!(all.contains("file.accounts") && all.contains("net.cloud-metadata"));
    assert!(!some.contains("file.accounts") && some.contains("net.cloud-metadata"));
    ui.apply(Action::Enter, &core);
    assert!(screen(&core, &mut ui, 120, 40).join("\n").contains("Why"));
    ui.apply(Action::Back, &core);
    assert_eq!(screen(&core, &mut ui, 120, 40).join("\n"), some);
    ui.apply(Action::Back, &core);
    assert_eq!(screen(&core, &mut ui, 120, 40).join("\n"), all);
    ui.apply(Action::Show(Pane::Containers), &core);
    ui.apply(Action::Sort, &core);
    ui.apply(Action::Enter, &core);
    assert!(ui.container.is_some());
    ui.apply(Action::Back, &core);
    assert!(ui.container.is_none() && ui.pane == Pane::Containers);
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
