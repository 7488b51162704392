//! Renders screens of the demo to SVG: `cargo run --example screenshots [-- --check]`.
//! With `--check` nothing is written, and it fails when a picture is not what the program draws.

use std::fmt::Write as _;
use std::path::Path;

use color_eyre::eyre::{WrapErr as _, bail};
use hullwatch::session::Player;
use hullwatch::tui::{Action, Pane, Status, Theme, Ui, draw};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// Cells.
const SIZE: Rect = Rect::new(0, 0, 110, 30);
/// Pixels.
const CELL: (u16, u16) = (8, 17);
const BACKGROUND: &str = "#101418";

fn main() -> color_eyre::Result<()> {
    let check = std::env::args().nth(1).as_deref() == Some("--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut player = Player::open(&root.join("demo/demo.jsonl.zst"))?;
    while player.step() {}
    let core = player.core();
    let status = Status {
        host: player.header().host.clone(),
        engine: "docker".to_owned(),
        tier: "core".to_owned(),
        ..Status::default()
    };
    let theme = Theme::named("dark").unwrap_or_default();
    let screens: &[(&str, &[Action])] = &[
        ("containers", &[]),
        ("findings", &[Action::Show(Pane::Findings)]),
        (
            "finding",
            &[Action::Show(Pane::Findings), Action::Move(1), Action::Enter],
        ),
        ("processes", &[Action::Enter]),
        ("network", &[Action::Show(Pane::Network)]),
        ("files", &[Action::Show(Pane::Files)]),
        ("events", &[Action::Show(Pane::Events)]),
        ("keys", &[Action::Help]),
    ];
    for (name, actions) in screens {
        let mut ui = Ui::default();
        for action in *actions {
            ui.apply(*action, core);
        }
        let mut buffer = Buffer::empty(SIZE);
        draw(core, &mut ui, &status, SIZE, &theme, &mut buffer);
        let picture = svg(&buffer)?;
        let path = root.join(format!("screenshots/{name}.svg"));
        if check {
            let there = std::fs::read_to_string(&path).wrap_err(path.display().to_string())?;
            if there != picture {
                bail!(
                    "{} is stale: run cargo run --example screenshots",
                    path.display()
                );
            }
        } else {
            std::fs::write(&path, picture).wrap_err(path.display().to_string())?;
        }
    }
    Ok(())
}

fn svg(buffer: &Buffer) -> color_eyre::Result<String> {
    let (width, height) = (SIZE.width * CELL.0, SIZE.height * CELL.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"{BACKGROUND}\"/>\n"
    );
    for y in 0..SIZE.height {
        let mut x = 0;
        while x < SIZE.width {
            let first = &buffer[(x, y)];
            let style = look(first);
            let mut text = String::new();
            let from = x;
            while x < SIZE.width && look(&buffer[(x, y)]) == style {
                text.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            run(&mut out, (from, y), x - from, &text, &style)?;
        }
    }
    out.push_str("</svg>\n");
    Ok(out)
}

/// Foreground, background when it is not the screen's, bold.
fn look(cell: &Cell) -> (String, Option<String>, bool) {
    let fg = colour(cell.fg);
    let bold = cell.modifier.contains(Modifier::BOLD);
    if cell.modifier.contains(Modifier::REVERSED) {
        (BACKGROUND.to_owned(), Some(fg), bold)
    } else {
        (fg, None, bold)
    }
}

fn run(
    out: &mut String,
    (x, y): (u16, u16),
    cells: u16,
    text: &str,
    (fg, bg, bold): &(String, Option<String>, bool),
) -> std::fmt::Result {
    let (left, top) = (x * CELL.0, y * CELL.1);
    let width = cells * CELL.0;
    if let Some(bg) = bg {
        let height = CELL.1;
        writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"{bg}\"/>"
        )?;
    }
    if text.trim().is_empty() {
        return Ok(());
    }
    let text = text
        .trim_end()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let weight = if *bold { " font-weight=\"bold\"" } else { "" };
    let length = text_width(&text) * CELL.0;
    writeln!(
        out,
        "<text x=\"{left}\" y=\"{}\" fill=\"{fg}\"{weight} textLength=\"{length}\" \
         xml:space=\"preserve\">{text}</text>",
        top + 13
    )
}

/// Cells of an escaped text of single-width characters.
fn text_width(text: &str) -> u16 {
    let plain = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    u16::try_from(plain.chars().count()).unwrap_or(u16::MAX)
}

fn colour(colour: Color) -> String {
    match colour {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Black => BACKGROUND.to_owned(),
        Color::Red | Color::LightRed => "#ff5f5f".to_owned(),
        Color::Green | Color::LightGreen => "#87d787".to_owned(),
        Color::Yellow | Color::LightYellow => "#ffd75f".to_owned(),
        Color::Blue | Color::LightBlue => "#5fafff".to_owned(),
        Color::Magenta | Color::LightMagenta => "#d787d7".to_owned(),
        Color::Cyan | Color::LightCyan => "#5fd7d7".to_owned(),
        Color::DarkGray => "#808890".to_owned(),
        Color::White => "#ffffff".to_owned(),
        _ => "#d0d4d8".to_owned(),
    }
}
