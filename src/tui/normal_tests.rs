//! Tests of the tabs on normal behavior: baseline, harden, posture.

use std::sync::Arc;

use parking_lot::Mutex;

use super::learned::{BaselineComparison, ScreenLearner};
use super::rows::RowKey;
use super::tests::{demo, screen};
use super::{Action, Pane, Ui};
use crate::baseline::{Baseline, Learner, diff, write};
use crate::core::Core;
use crate::event::{BaselineChange, ContainerId, Event, Kind};
use crate::learning::{learn, learner};
use crate::recording::{ReadAhead, RecordingPiece, RecordingReader};

/// The demo, what is learned from it, and a container of it.
fn demo_learned() -> (Core, Learner, ContainerId) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.jsonl.zst");
    let reader = RecordingReader::open(path.as_ref()).unwrap();
    let mut recording = ReadAhead::start(reader).unwrap();
    let settings = recording.header().settings.clone();
    let mut learner = learner(&settings);
    let mut core = Core::new(settings);
    while let Some(batch) = recording.next_batch() {
        for piece in batch.pieces {
            if let RecordingPiece::Event(event) = piece {
                core.apply(&event);
                learn(&mut learner, &event, &core);
            }
        }
    }
    let named = |name: &str| {
        let mut all = core.state.containers.values();
        let found = all.find(|container| container.display_name().contains(name));
        found.map(|container| container.id.clone())
    };
    let id = named("web").or_else(|| core.state.containers.keys().next().cloned());
    (core, learner, id.unwrap())
}

/// The demo, with the baseline of a container of it in force, learned from the demo itself.
fn core() -> (Core, ContainerId) {
    let (mut core, learner, id) = demo_learned();
    let mut baseline = learner.baseline(&id).unwrap();
    baseline.digests.clear();
    let event = Event {
        seq: 1 << 40,
        ts: core.state.now,
        container: None,
        pid: 0,
        nspid: 0,
        kind: Kind::Baseline(Box::new(BaselineChange {
            file: "web.baseline.toml".to_owned(),
            content: Some(write(&baseline)),
            ..BaselineChange::default()
        })),
    };
    core.apply(&Arc::new(event));
    (core, id)
}

#[test]
fn a_baseline_in_force_has_its_readiness_items_advice_and_posture() {
    let (core, id) = core();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Containers), &core);
    screen(&core, &mut ui, 100, 40);
    ui.open(RowKey::Container(id));
    ui.apply(Action::Baseline, &core);
    for (pane, parts) in [
        (
            Pane::Baseline,
            &["readiness", "exec: ", "web.baseline.toml"][..],
        ),
        (Pane::Harden, &["--cap-drop=ALL", "--verify="]),
        (Pane::Posture, &["failed, ", "declared ", "CIS "]),
    ] {
        assert_eq!(ui.at.pane, pane);
        for (width, height) in [(120, 60), (80, 24), (40, 10)] {
            let lines = screen(&core, &mut ui, width, height);
            if height == 60 {
                let text = lines.join("\n");
                for part in parts {
                    assert!(text.contains(part), "{pane:?}: no {part} in\n{text}");
                }
            }
            insta::assert_snapshot!(
                format!("normal-{}-{width}x{height}", pane.name()),
                lines.join("\n")
            );
        }
        ui.apply(Action::NextPane, &core);
    }
}

#[test]
fn without_a_baseline_the_tabs_say_how_to_learn_one() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Containers), &core);
    screen(&core, &mut ui, 100, 40);
    ui.apply(Action::Baseline, &core);
    for _ in 0..2 {
        let text = screen(&core, &mut ui, 100, 40).join("\n");
        assert!(text.contains("hullwatch learn "), "{text}");
        ui.apply(Action::NextPane, &core);
    }
    let text = screen(&core, &mut ui, 100, 40).join("\n");
    assert!(text.contains("failed, "), "{text}");
}

#[test]
fn items_learned_here_are_shown_hardened_and_compared_without_a_file() {
    let (core, learner, id) = demo_learned();
    let learned = learner.baseline(&id).unwrap();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Containers), &core);
    screen(&core, &mut ui, 100, 40);
    ui.open(RowKey::Container(id.clone()));
    ui.apply(Action::Baseline, &core);
    let learner = Arc::new(Mutex::new(learner));
    ui.learner = Some(ScreenLearner::new(learner, core.state.now));
    let before = Baseline {
        image: learned.image.clone(),
        ..Baseline::default()
    };
    ui.compared = Some(BaselineComparison {
        container: id,
        with: "old\u{1b}.baseline.toml".to_owned(),
        diff: diff(&before, &learned, &[]),
    });
    let text = screen(&core, &mut ui, 120, 80).join("\n");
    let new = learned.items.len() + learned.held.len();
    for part in [
        format!("Compared with old\\x1b.baseline.toml: {new} new, 0 gone"),
        "Learned here since ".to_owned(),
        ":learn writes ".to_owned(),
        "exec: ".to_owned(),
        "+ exec".to_owned(),
    ] {
        assert!(text.contains(&part), "no {part} in\n{text}");
    }
    assert!(!text.contains("No baseline of it"), "{text}");
    ui.apply(Action::NextPane, &core);
    let text = screen(&core, &mut ui, 120, 60).join("\n");
    assert!(text.contains("--cap-drop=ALL"), "{text}");
}
