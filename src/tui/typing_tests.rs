//! Tests of typed or pasted lines: the filter, the search, the command.

use super::tests::{demo, press, screen};
use super::{Pane, Ui};

#[test]
fn a_filter_is_typed_again_and_the_old_one_is_an_up_away() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3 / m e t a d a t a Enter");
    assert_eq!(ui.filter().text(), "metadata");
    let matching = |ui: &mut Ui| {
        screen(&core, ui, 120, 40);
        ui.drawn.counted.matching
    };
    let some = matching(&mut ui);
    // Opened and left again, nothing changes.
    press(&mut ui, &core, "/ Esc / Enter");
    assert_eq!(matching(&mut ui), some);
    assert_eq!(ui.filter().text(), "metadata");
    press(&mut ui, &core, "/ c r o n");
    assert_eq!(ui.filter().text(), "cron");
    press(&mut ui, &core, "Enter / Up Up");
    assert_eq!(ui.filter().text(), "metadata");
    press(&mut ui, &core, "Down Enter");
    assert_eq!(ui.filter().text(), "cron");
}

#[test]
fn a_refused_line_accepts_no_keys_and_can_be_recalled() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3 : s o r t Space n o s u c h Enter");
    assert!(ui.message.as_deref().unwrap().contains("no column nosuch"));
    press(&mut ui, &core, "4");
    assert_eq!(ui.at.pane, Pane::Processes);
    press(&mut ui, &core, ": Up");
    let prompt = ui.dialog.prompt.as_ref().unwrap();
    assert_eq!(prompt.text(), "sort nosuch");
    // An invalid filter leaves the previous one in force.
    press(
        &mut ui,
        &core,
        "Esc 3 / c r o n Enter / s e v > = x Enter 4",
    );
    assert_eq!(ui.at.pane, Pane::Processes);
    press(&mut ui, &core, "3");
    assert_eq!(ui.filter().text(), "cron");
}

#[test]
fn pasted_text_is_text_in_every_field() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3");
    ui.paste("a\nq\n", &core);
    assert!(ui.message.as_deref().unwrap().contains("not read as keys"));
    press(&mut ui, &core, "/");
    ui.paste(" cron\r\n\u{1b}q\u{7f} ", &core);
    assert_eq!(ui.dialog.prompt.as_ref().unwrap().text(), "cron  q");
    assert_eq!(ui.filter().text(), "cron  q");
    press(&mut ui, &core, "Esc :");
    ui.paste(&"x".repeat(5000), &core);
    let prompt = ui.dialog.prompt.as_ref().unwrap();
    assert_eq!(prompt.text().len(), 1000);
    press(&mut ui, &core, "Esc ?");
    ui.paste("sort\n", &core);
    assert_eq!(ui.dialog.search, "sort");
}
