//! Frames as a terminal shows them.
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::style::Style;

use super::*;
use crate::tui::Depth;

fn able(depth: Depth, unicode: bool, term: &str) -> Abilities {
    Abilities {
        depth,
        unicode,
        term: term.to_owned(),
    }
}

/// A terminal of 20x5 cells whose bytes are kept.
fn picture(able: Abilities) -> Terminal<CompactBackend<Vec<u8>>> {
    Terminal::new(CompactBackend::new(Vec::new(), Size::new(20, 5), able)).unwrap()
}

/// The bytes of a frame.
fn frame(
    terminal: &mut Terminal<CompactBackend<Vec<u8>>>,
    lines: &[(u16, u16, &str, Style)],
) -> Vec<u8> {
    terminal
        .draw(|frame| {
            let buffer = frame.buffer_mut();
            for (x, y, text, style) in lines {
                buffer.set_string(*x, *y, *text, *style);
            }
            mend_wide(buffer);
        })
        .unwrap();
    let backend = terminal.backend_mut();
    let out = std::mem::take(&mut backend.to);
    assert_eq!(out.len(), backend.sent());
    out
}

#[test]
fn nothing_changed_is_nothing_sent() {
    let mut p = picture(able(Depth::True, true, "xterm"));
    let lines = [(0, 0, "hello", Style::new().fg(Color::Red))];
    assert!(!frame(&mut p, &lines).is_empty());
    assert!(frame(&mut p, &lines).is_empty());
    p.clear().unwrap();
    assert!(!frame(&mut p, &lines).is_empty());
}

#[test]
fn a_changed_number_costs_a_move_and_the_number() {
    let mut p = picture(able(Depth::True, true, "xterm"));
    frame(&mut p, &[(0, 2, "cpu 12.3", Style::new())]);
    let out = frame(&mut p, &[(0, 2, "cpu 12.9", Style::new())]);
    assert_eq!(out, b"\x1b[3;8H9");
}

#[test]
fn removed_text_is_erased_in_a_few_bytes() {
    let mut p = picture(able(Depth::True, true, "xterm"));
    frame(&mut p, &[(0, 1, "a long line of text", Style::new())]);
    assert_eq!(frame(&mut p, &[]), b"\r\x1b[K");
}

#[test]
fn mono_keeps_reverse_and_sends_no_colour() {
    let style = Style::new()
        .fg(Color::Red)
        .bg(Color::Blue)
        .add_modifier(Modifier::REVERSED | Modifier::DIM);
    let mut p = picture(able(Depth::Mono, true, "vt100"));
    let out = frame(&mut p, &[(0, 0, "x", style)]);
    assert_eq!(out, b"\x1b[m\x1b[H\x1b[2J\x1b[7mx");
}

#[test]
fn ascii_terminals_get_no_other_byte() {
    let mut p = picture(able(Depth::Indexed, false, "xterm"));
    let out = frame(&mut p, &[(0, 0, "▌日本 ▁█…", Style::new())]);
    assert!(out.is_ascii());
    assert!(out.ends_with(b">???? .#~"));
}

#[test]
fn rows_that_move_are_scrolled() {
    let all = |from: u8| -> Vec<(u16, u16, String, Style)> {
        let text = |n: u8| format!("  {}", char::from(b'a' + n).to_string().repeat(15));
        let row = |y: u8| (0, y.into(), text(from + y), Style::new());
        (0..5).map(row).collect()
    };
    for term in ["xterm", "vt100"] {
        let mut p = picture(able(Depth::Indexed, true, term));
        let mut sent = |from| {
            let rows = all(from);
            let rows: Vec<_> = rows
                .iter()
                .map(|(x, y, t, s)| (*x, *y, t.as_str(), *s))
                .collect();
            String::from_utf8(frame(&mut p, &rows)).unwrap()
        };
        sent(1);
        let up = "\x1b[1;5r\x1b[5H\n\x1b[r\x1b[5;3Hggggggggggggggg";
        assert_eq!(sent(2), up, "{term}");
        let down = "\x1b[1;5r\x1b[1H\x1bM\x1b[r\x1b[1;3Hbbbbbbbbbbbbbbb";
        assert_eq!(sent(1), down, "{term}");
    }
}

fn screen() -> vt100::Parser {
    let [rows, columns] = [5, 20].map(|size| std::num::NonZero::new(size).unwrap());
    vt100::Parser::new(rows, columns, 0)
}

fn style() -> impl Strategy<Value = Style> {
    (0_u8..4, 0_u8..3, any::<bool>(), any::<bool>()).prop_map(|(fg, bg, bold, reverse)| {
        let mut style = Style::new();
        if fg > 0 {
            style = style.fg(Color::Indexed(fg));
        }
        if bg > 0 {
            style = style.bg(Color::Indexed(bg));
        }
        if bold {
            style = style.add_modifier(Modifier::BOLD);
        }
        if reverse {
            style = style.add_modifier(Modifier::REVERSED);
        }
        style
    })
}

/// Frames whose rows are those of one list from some row on, as a table that scrolls shows it.
fn scrolled() -> impl Strategy<Value = Vec<Vec<(u16, u16, String, Style)>>> {
    let row = ("[ab 日é]{0,18}", style(), style());
    let list = prop::collection::vec(row, 12);
    let begins = prop::collection::vec((0_usize..8, 0_usize..5), 1..6);
    (list, begins).prop_map(|(list, begins)| {
        let frame = |(begin, selected): (usize, usize)| {
            let rows = list.iter().skip(begin).take(5).zip(0_u16..).enumerate();
            let pieces = rows.flat_map(|(at, ((text, style, marked), y))| {
                let marker = if at == selected { "▌" } else { " " };
                let style = if at == selected { marked } else { style };
                [
                    (0, y, marker.to_owned(), *style),
                    (2, y, text.clone(), *style),
                ]
            });
            pieces.collect()
        };
        begins.into_iter().map(frame).collect()
    })
}

fn piece() -> impl Strategy<Value = (u16, u16, String, Style)> {
    (0_u16..20, 0_u16..5, "[ab 日é]{0,14}", style())
}

proptest! {
    /// After any sequence of frames the terminal shows the same as a fresh one.
    #[test]
    fn the_terminal_shows_the_frame(
        frames in prop_oneof![prop::collection::vec(prop::collection::vec(piece(), 0..6), 1..6), scrolled()]
    ) {
        let mut p = picture(able(Depth::Indexed, true, "xterm"));
        let mut incremental = screen();
        for lines in &frames {
            let lines: Vec<_> = lines.iter().map(|(x, y, t, s)| (*x, *y, t.as_str(), *s)).collect();
            incremental.process(&frame(&mut p, &lines));
            let mut fresh = picture(able(Depth::Indexed, true, "xterm"));
            let mut whole = screen();
            whole.process(&frame(&mut fresh, &lines));
            for y in 0..5 {
                for x in 0..20 {
                    let is = incremental.screen().cell(y, x).unwrap();
                    let should = whole.screen().cell(y, x).unwrap();
                    let text = |cell: &vt100::Cell| match cell.contents() {
                        "" => " ".to_owned(),
                        text => text.to_owned(),
                    };
                    let seen = |cell: &vt100::Cell| {
                        let blank = text(cell) == " " && !cell.inverse();
                        let fg = if blank { vt100::Color::Default } else { cell.fgcolor() };
                        (text(cell), fg, cell.bgcolor(), cell.inverse(), !blank && cell.bold())
                    };
                    prop_assert_eq!(seen(is), seen(should), "at {},{}", x, y);
                }
            }
        }
    }
}

#[test]
fn a_closed_terminal_is_left_without_an_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let able = able(Depth::True, true, "xterm");
    let mut terminal = Terminal::new(CompactBackend::new(Gone, Size::new(20, 5), able)).unwrap();
    let drawn = terminal.draw(|frame| {
        frame.buffer_mut().set_string(0, 0, "x", Style::new());
    });
    assert!(drawn.is_err());
    // `Terminal` shows the cursor when it is dropped; on failure it prints an error on stderr.
    assert!(terminal.show_cursor().is_ok());
}
