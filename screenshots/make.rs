//! Renders screens of the demo to SVG: `cargo run --example screenshots [-- --check]`.
//! With `--check` it writes nothing, and fails when an image differs from what the program draws.

use std::path::Path;

use color_eyre::eyre::{WrapErr as _, bail};
use hullwatch::recording::Player;
use hullwatch::tui::export::svg;
use hullwatch::tui::{Action, Depth, Pane, Status, Theme, Ui, draw};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Cells.
const SIZE: Rect = Rect::new(0, 0, 110, 30);
const BACKGROUND: &str = "#14181d";
/// The frames of `tour.svg`, as the list of screens orders them.
const TOUR: [&str; 6] = [
    "containers",
    "incidents",
    "incident",
    "finding",
    "processes",
    "network",
];
/// How long the tour shows each frame.
const SECONDS: usize = 4;

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
        mode: "LIVE".to_owned(),
        ..Status::default()
    };
    let theme = Theme::named("hull-dark", Depth::True)?;
    let screens: &[(&str, &[Action])] = &[
        ("containers", &[]),
        ("incidents", &[Action::Show(Pane::Incidents)]),
        ("incident", &[Action::Show(Pane::Incidents), Action::Enter]),
        ("findings", &[Action::Show(Pane::Findings)]),
        (
            "finding",
            &[Action::Show(Pane::Findings), Action::Move(1), Action::Enter],
        ),
        ("container", &[Action::Enter]),
        ("processes", &[Action::Show(Pane::Processes)]),
        ("network", &[Action::Show(Pane::Network)]),
        ("files", &[Action::Show(Pane::Files)]),
        ("images", &[Action::Show(Pane::Images)]),
        ("events", &[Action::Show(Pane::Events)]),
        ("keys", &[Action::Help]),
    ];
    let mut frames = Vec::new();
    for (name, actions) in screens {
        let mut ui = Ui::default();
        for action in *actions {
            ui.apply(*action, core);
        }
        let mut buffer = Buffer::empty(SIZE);
        let _ = draw(core, &ui, &status, SIZE, &theme, &mut buffer);
        let picture = svg(&buffer, BACKGROUND);
        if TOUR.contains(name) {
            frames.push(picture.clone());
        }
        keep(
            &root.join(format!("screenshots/{name}.svg")),
            &picture,
            check,
        )?;
    }
    keep(
        &root.join("screenshots/tour.svg"),
        &animated(&frames),
        check,
    )
}
/// Writes an image, or with `check` fails when the file differs.
fn keep(path: &Path, picture: &str, check: bool) -> color_eyre::Result<()> {
    if !check {
        return std::fs::write(path, picture).wrap_err(path.display().to_string());
    }
    let there = std::fs::read_to_string(path).wrap_err(path.display().to_string())?;
    if there != picture {
        bail!(
            "{} is stale: run cargo run --example screenshots",
            path.display()
        );
    }
    Ok(())
}

/// One image that shows frames in turn, each for [`SECONDS`], endlessly. Where animation is
/// disabled it shows the first.
fn animated(frames: &[String]) -> String {
    let whole = frames.len() * SECONDS;
    let percent = 100.0 / frames.len().max(1) as f64;
    let mut out = frames
        .first()
        .and_then(|frame| frame.lines().next())
        .unwrap_or_default()
        .to_owned();
    out += &format!(
        "\n<style>.f{{visibility:hidden;animation:f {whole}s step-end infinite}}\
         @keyframes f{{0%{{visibility:visible}}{percent:.2}%{{visibility:hidden}}}}\
         @media (prefers-reduced-motion:reduce){{.f{{animation:none}}.f:first-of-type{{visibility:visible}}}}\
         </style>\n"
    );
    for (number, frame) in frames.iter().enumerate() {
        let drawn = frame.lines().skip(1).filter(|line| *line != "</svg>");
        out += &format!(
            "<g class=\"f\" style=\"animation-delay:{}s\">\n",
            number * SECONDS
        );
        for line in drawn {
            out += line;
            out.push('\n');
        }
        out += "</g>\n";
    }
    out + "</svg>\n"
}
