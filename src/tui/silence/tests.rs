//! The form and the list on the findings of the demo.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::PolicyEdit;
use crate::core::Core;
use crate::detect::{Policy, Settings, Silence};
use crate::event::{Event, Kind, PolicyChange};
use crate::incident::IncidentId;
use crate::tui::tests::{demo, screen};
use crate::tui::{Action, Ui};
use crate::tui::{Pane, SourceKind, rows};

fn keys(ui: &mut Ui, core: &Core, keys: &[KeyCode]) {
    for code in keys {
        if let Some(requested) = ui.press(&KeyEvent::new(*code, KeyModifiers::NONE), core) {
            ui.ask(&requested, core);
        }
    }
}

fn type_in(ui: &mut Ui, core: &Core, text: &str) {
    let codes: Vec<KeyCode> = text.chars().map(KeyCode::Char).collect();
    keys(ui, core, &codes);
}

/// On the first finding of a rule.
fn on(core: &Core, rule: &str) -> Ui {
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), core);
    let finding = core
        .detector
        .findings()
        .iter()
        .find(|f| f.rule == rule)
        .unwrap();
    ui.at.detail = Some(crate::tui::rows::RowKey::Finding(finding.id));
    ui
}

#[test]
fn the_form_previews_and_requires_a_reason() {
    let core = demo();
    let mut ui = on(&core, "file.accounts");
    keys(&mut ui, &core, &[KeyCode::Char('!')]);
    for (width, height) in [(120, 24), (40, 10)] {
        let lines = screen(&core, &mut ui, width, height);
        insta::assert_snapshot!(format!("form-{width}x{height}"), lines.join("\n"));
    }
    keys(&mut ui, &core, &[KeyCode::Enter]);
    assert!(
        screen(&core, &mut ui, 120, 24)
            .join("\n")
            .contains("reason is required")
    );
    assert_eq!(ui.policy_edit, None);
    type_in(&mut ui, &core, "made by us");
    keys(
        &mut ui,
        &core,
        &[KeyCode::Up, KeyCode::Char(' '), KeyCode::Enter],
    );
    let Some(PolicyEdit::Add(mut silences)) = ui.policy_edit.take() else {
        panic!("nothing is wished");
    };
    let silence = silences.remove(0);
    assert_eq!(silence.reason, "made by us");
    // One further than 30 days.
    assert_eq!(silence.expires, None);
    assert!(silence.scope.digest.is_some() || silence.scope.image.is_some());
    assert!(ui.dialog.silence.is_none());
}

#[test]
fn the_preview_follows_the_choices() {
    let core = demo();
    let mut ui = on(&core, "exec.session");
    keys(&mut ui, &core, &[KeyCode::Char('!')]);
    let effect = |ui: &mut Ui| screen(&core, ui, 120, 24)[3].clone();
    let narrow = effect(&mut ui);
    // About anything, everywhere.
    keys(
        &mut ui,
        &core,
        &[KeyCode::Left, KeyCode::Down, KeyCode::Left],
    );
    let wide = effect(&mut ui);
    let number = |line: &str, n: usize| -> u64 {
        let words = line.split_whitespace();
        words.filter_map(|w| w.parse().ok()).nth(n).unwrap()
    };
    assert_eq!(number(&wide, 0), number(&wide, 1));
    assert!(number(&narrow, 0) <= number(&wide, 0));
    assert!(number(&narrow, 0) > 0, "{narrow}");
    keys(&mut ui, &core, &[KeyCode::Esc]);
    assert!(ui.dialog.silence.is_none() && ui.policy_edit.is_none());
}

#[test]
fn acknowledged_findings_are_hidden_listed_and_undone() {
    let mut core = demo();
    let mut ui = on(&core, "file.accounts");
    keys(&mut ui, &core, &[KeyCode::Char('a')]);
    let Some(PolicyEdit::Add(mut silences)) = ui.policy_edit.take() else {
        panic!("nothing is wished");
    };
    let silence = silences.remove(0);
    write(&mut core, &silence);
    let silenced = core
        .detector
        .findings()
        .iter()
        .filter(|f| f.silenced.is_some());
    assert_eq!(silenced.count(), 1);
    keys(&mut ui, &core, &[KeyCode::Char('L')]);
    let list = screen(&core, &mut ui, 120, 24).join("\n");
    assert!(list.contains("1 silence, 1 finding silenced"), "{list}");
    assert!(list.contains("acknowledged"), "{list}");
    keys(&mut ui, &core, &[KeyCode::Char('d')]);
    assert_eq!(
        ui.policy_edit.take(),
        Some(PolicyEdit::Remove(Box::new(silence)))
    );
    keys(&mut ui, &core, &[KeyCode::Esc, KeyCode::Char('U')]);
    assert_eq!(ui.policy_edit.take(), Some(PolicyEdit::Undo));
}

/// The incident of the demo is acknowledged with its row selected.
fn acknowledge_incident(core: &Core) -> (IncidentId, Vec<Silence>) {
    let mut ui = Ui {
        person: "ann".to_owned(),
        ..Ui::default()
    };
    ui.apply(Action::Show(Pane::Incidents), core);
    screen(core, &mut ui, 120, 24);
    keys(&mut ui, core, &[KeyCode::Char('a')]);
    let Some(PolicyEdit::Add(silences)) = ui.policy_edit.take() else {
        panic!("nothing is wished: {:?}", ui.message);
    };
    (core.ranked_incidents()[0].id, silences)
}

#[test]
fn an_acknowledged_incident_stays_with_its_state_below_the_others() {
    let mut core = demo();
    let before = core.ranked_incidents();
    let (id, silences) = acknowledge_incident(&core);
    let by = "acknowledged by ann ";
    assert!(
        silences
            .iter()
            .all(|s| s.reason.starts_with(by) && s.expires.is_some())
    );
    write_all(&mut core, &silences);
    assert_eq!(core.ranked_incidents().len(), before.len() - 1);
    let accepted = core.incident(id).unwrap();
    assert!(accepted.accepted.as_deref().unwrap().starts_with(by));
    assert_eq!(accepted.findings, before[0].findings);
    let of_it = |f: &&std::sync::Arc<crate::detect::Finding>| before[0].findings.contains(&f.id);
    let findings = core.detector.findings().iter();
    assert!(findings.filter(of_it).all(|f| f.silenced.is_some()));
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Incidents), &core);
    let lines = screen(&core, &mut ui, 120, 40);
    let rows = rows::rows(&core, &ui.query());
    assert_eq!(rows.last().unwrap().tag, "acknowledged", "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("acknowledged")),
        "{lines:#?}"
    );
    // Its page names the person; acknowledging it again does nothing.
    ui.at.detail = Some(crate::tui::rows::RowKey::Incident(id));
    let page = screen(&core, &mut ui, 120, 40).join("\n");
    assert!(page.contains(by), "{page}");
    keys(&mut ui, &core, &[KeyCode::Char('a')]);
    assert_eq!(ui.policy_edit, None);
}

#[test]
fn an_incident_of_which_more_was_seen_is_open_again() {
    let mut core = demo();
    let (id, silences) = acknowledge_incident(&core);
    let grave = |s: &Silence| {
        let mut all = core.detector.findings().iter();
        all.any(|f| f.rule == s.rule && f.severity >= crate::detect::Severity::Medium)
    };
    let later = silences.iter().position(grave).unwrap();
    let mut some = silences.clone();
    let rule = some.remove(later).rule;
    write_all(&mut core, &some);
    let incident = core.incident(id).unwrap();
    assert!(incident.accepted.is_none() && incident.silenced > 0);
    let rules = incident
        .findings
        .iter()
        .filter_map(|id| core.detector.finding(*id));
    assert!(rules.map(|f| &f.rule).all(|open| *open == rule));
}

#[test]
fn the_form_of_an_incident_silences_all_of_it() {
    let core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Incidents), &core);
    screen(&core, &mut ui, 120, 24);
    keys(&mut ui, &core, &[KeyCode::Char('!')]);
    for (width, height) in [(120, 24), (80, 24)] {
        let lines = screen(&core, &mut ui, width, height);
        insta::assert_snapshot!(format!("form-incident-{width}x{height}"), lines.join("\n"));
    }
    keys(&mut ui, &core, &[KeyCode::Up]);
    type_in(&mut ui, &core, "a test of ours");
    keys(&mut ui, &core, &[KeyCode::Enter]);
    let Some(PolicyEdit::Add(silences)) = ui.policy_edit.take() else {
        panic!("nothing is wished: {:?}", ui.message);
    };
    assert_eq!(silences.len(), acknowledge_incident(&core).1.len());
    let fits = |s: &Silence| s.reason == "a test of ours" && s.scope.container.is_some();
    assert!(silences.iter().all(fits));
}

/// The policy is written and read.
fn write(core: &mut Core, silence: &Silence) {
    write_all(core, std::slice::from_ref(silence));
}

fn write_all(core: &mut Core, silences: &[Silence]) {
    let with = |text: String, silence| Policy::with_silence(&text, silence).unwrap();
    let text = silences.iter().fold(String::new(), with);
    let mut settings = Settings::default();
    settings.adopt(Policy::parse(&text).unwrap());
    let change = PolicyChange {
        file: "policy.toml".to_owned(),
        rules: Some(settings.policy_settings()),
        refused: None,
    };
    core.apply(&std::sync::Arc::new(Event {
        seq: core.state.totals.events + 1,
        ts: core.state.now,
        container: None,
        pid: 0,
        nspid: 0,
        kind: Kind::Policy(Box::new(change)),
    }));
}

#[test]
fn silencing_selects_the_next_row() {
    let mut core = demo();
    let mut ui = Ui::default();
    ui.apply(Action::Show(Pane::Findings), &core);
    screen(&core, &mut ui, 80, 24);
    ui.apply(Action::Move(1), &core);
    screen(&core, &mut ui, 80, 24);
    let rows = rows::rows(&core, &ui.query());
    assert_eq!(ui.drawn.current.as_ref(), Some(&rows[1].key));
    keys(&mut ui, &core, &[KeyCode::Char('a')]);
    let Some(PolicyEdit::Add(mut silences)) = ui.policy_edit.take() else {
        panic!("nothing is wished");
    };
    let silence = silences.remove(0);
    write(&mut core, &silence);
    let lines = screen(&core, &mut ui, 80, 24);
    assert_eq!(ui.drawn.current.as_ref(), Some(&rows[2].key), "{lines:#?}");
    let silenced = lines.iter().filter(|line| line.contains(" silenced "));
    assert_eq!(silenced.count(), 1, "{lines:#?}");
    ui.apply(Action::Last, &core);
    screen(&core, &mut ui, 80, 24);
    assert_eq!(
        ui.drawn.current.as_ref(),
        Some(&rows[1].key),
        "it can be gone to"
    );
}

#[test]
fn a_recording_keeps_its_policy() {
    let core = demo();
    let mut ui = on(&core, "file.accounts");
    ui.source = SourceKind::Recording;
    keys(&mut ui, &core, &[KeyCode::Char('!')]);
    assert!(ui.dialog.silence.is_none() && ui.message.unwrap().contains("live host"));
}
