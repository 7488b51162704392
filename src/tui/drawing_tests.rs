//! Every screen and dialog on ratatui's [`TestBackend`]: in colour, without, and as ASCII.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::tests::{demo, press};
use super::timeline::Timeline;
use super::{Depth, Status, Theme, Ui, draw, glyphs};
use crate::core::Core;
use crate::detect::Severity;
use crate::event::Timestamp;
use crate::recording::Rates;

/// Keys that open a screen or dialog, and a text that it shows at 80x24.
const SCREENS: &[(&str, &str)] = &[
    ("1", "[1 Inc 1]"),
    ("1 Enter", "Incidents › "),
    ("2", "[2 Cont 2]"),
    ("2 Enter", "shop-web ›"),
    ("3", "[3 Find 10]"),
    ("3 Enter", "Findings › "),
    ("4", "[4 Proc 3]"),
    ("5", "[5 Net 4]"),
    ("6", "[6 Files 6]"),
    ("7", "[7 Img 1]"),
    ("8", "[8 Events]"),
    ("?", "Keys: "),
    ("? s o r t", "Keys with: sort"),
    ("/ s e v", "/sev"),
    (": s o r t", ":sort"),
    ("s", " Sort by"),
    ("c", " Columns"),
    ("3 !", "would hide 2 of 2 findings"),
    ("L", "0 silences"),
    ("3 A", "Responses to "),
];

fn frame(core: &Core, keys: &str, theme: &Theme, size: (u16, u16)) -> Buffer {
    let now = core.state.now;
    let began = Timestamp(now.0 - 60_000_000_000);
    let status = Status {
        mode: "LIVE".to_owned(),
        timeline: Some(Timeline {
            span: (began, now),
            cursor: now,
            rates: Rates {
                step: 1,
                first: began.seconds(),
                counts: (0..60).map(|second| second % 9).collect(),
            },
            findings: vec![(Timestamp(now.0 - 20_000_000_000), Severity::High)],
            gaps: vec![(began, Timestamp(began.0 + 5_000_000_000))],
            name: String::new(),
        }),
        ..Status::default()
    };
    let mut ui = Ui::default();
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    let mut show = |ui: &mut Ui| {
        let done = terminal.draw(|frame| {
            let drawn = draw(core, ui, &status, frame.area(), theme, frame.buffer_mut());
            ui.keep(drawn);
        });
        done.unwrap();
        terminal.backend().buffer().clone()
    };
    show(&mut ui);
    for key in keys.split(' ') {
        press(&mut ui, core, key);
        show(&mut ui);
    }
    show(&mut ui)
}

fn text(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content.chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect())
        .collect()
}

#[test]
fn every_screen_and_dialog_is_complete_in_colour_without_and_as_ascii() {
    let core = demo();
    let colour = Theme::named("hull-dark", Depth::True).unwrap();
    let mut missing = Vec::new();
    for (keys, wanted) in SCREENS {
        for size in [(120, 40), (80, 24), (40, 10)] {
            let coloured = frame(&core, keys, &colour, size);
            let plain = frame(&core, keys, &Theme::mono(), size);
            let lines = text(&plain);
            // Colour is never the only cue.
            assert_eq!(text(&coloured), lines, "{keys} at {size:?}");
            if size == (80, 24) {
                let found = lines.iter().any(|line| line.contains(wanted));
                if !found {
                    missing.push(format!("{keys}: no {wanted:?} in {lines:#?}"));
                }
            }
            assert!(
                lines[0].contains("0 lost"),
                "{keys} at {size:?}: {lines:#?}"
            );
            assert!(lines.last().is_some_and(|line| !line.trim().is_empty()));
            for cell in &plain.content {
                let colours = [cell.fg, cell.bg];
                assert_eq!(colours, [Color::Reset; 2], "{keys} at {size:?}");
                let symbol = cell.symbol();
                if !symbol.is_ascii() {
                    assert_ne!(
                        glyphs::ascii(symbol),
                        "?",
                        "{keys}: {symbol:?} has no ASCII"
                    );
                }
            }
            let hued = |cell: &&ratatui::buffer::Cell| cell.fg != Color::Reset;
            assert!(coloured.content.iter().filter(hued).count() > 20, "{keys}");
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_timeline_shows_bars_findings_gaps_and_the_time() {
    let core = demo();
    for (size, lines) in [((120, 40), 4), ((80, 24), 4), ((80, 20), 3)] {
        let rows = text(&frame(&core, "2", &Theme::mono(), size));
        let at = rows.len() - 1 - lines;
        assert!(rows[at].starts_with("── timeline "), "{rows:#?}");
        assert!(rows[at + 1].starts_with("events    ?"), "{rows:#?}");
        assert!(rows[at + 1].contains('█') && rows[at + 1].contains('▃'));
        assert!(rows[at + lines - 1].ends_with('┃'), "{rows:#?}");
        let findings = &rows[at + lines.min(3) - 1];
        assert!(findings.contains('H'), "{rows:#?}");
    }
    // A low screen has no room for it.
    let rows = text(&frame(&core, "2", &Theme::mono(), (40, 10)));
    assert!(!rows.iter().any(|row| row.contains("timeline")));
}
