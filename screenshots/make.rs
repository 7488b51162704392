//! Renders screens of the demo to SVG: `cargo run --example screenshots [-- --check]`.
//! With `--check` nothing is written, and it fails when a picture is not what the program draws.

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
    for (name, actions) in screens {
        let mut ui = Ui::default();
        for action in *actions {
            ui.apply(*action, core);
        }
        let mut buffer = Buffer::empty(SIZE);
        let _ = draw(core, &ui, &status, SIZE, &theme, &mut buffer);
        let picture = svg(&buffer, BACKGROUND);
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
