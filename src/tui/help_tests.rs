//! Tests of the help, the second line and the footer.

use super::tests::{demo, press, screen};
use super::{SourceKind, Ui};

#[test]
fn keys_filter_search_the_help_and_say_where_they_work() {
    let core = demo();
    let mut ui = Ui::default();
    let seen = |ui: &mut Ui| screen(&core, ui, 120, 40).join("\n");
    press(&mut ui, &core, "2 / m e t a x");
    assert!(seen(&mut ui).contains("No row matches"));
    press(&mut ui, &core, "Backspace Enter");
    assert!(seen(&mut ui).contains("net.cloud-metadata"));
    press(&mut ui, &core, "Esc ? s o r");
    let help = seen(&mut ui);
    assert!(
        help.contains("Keys with: sor") && help.contains("sort"),
        "{help}"
    );
    ui.source = SourceKind::Recording;
    press(&mut ui, &core, "Esc Esc r");
    assert!(!ui.dialog.help && seen(&mut ui).contains("while a host is watched"));
    assert!(
        ui.press(&"@".parse::<super::Chord>().unwrap().event(), &core)
            .is_some()
    );
}

#[test]
fn the_help_shows_the_keys_as_they_are_bound() {
    let config = super::Config::parse("[keys]\nfilter = \"F3\"\n").unwrap();
    let mut ui = Ui::new(&config, SourceKind::Host);
    let core = demo();
    press(&mut ui, &core, "? m a t c h i n g");
    let help = screen(&core, &mut ui, 120, 40).join("\n");
    assert!(
        help.contains("F3              show matching rows"),
        "{help}"
    );
}

#[test]
fn the_second_line_lists_hidden_parts_and_the_last_keeps_the_keys() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3 / m e t a Enter");
    let lines = screen(&core, &mut ui, 80, 24);
    assert!(lines[1].ends_with(" 1 of 10"), "{}", lines[1]);
    assert!(lines[23].starts_with("/meta  Esc clears"), "{}", lines[23]);
    assert!(lines[23].ends_with("? help"), "{}", lines[23]);
    press(&mut ui, &core, "Enter");
    let lines = screen(&core, &mut ui, 80, 24);
    assert!(lines[23].starts_with("Esc back"), "{}", lines[23]);
    press(&mut ui, &core, "Esc Esc x V f");
    let lines = screen(&core, &mut ui, 120, 24);
    let expected = "silenced hidden, following, secrets shown";
    assert!(lines[1].ends_with(expected), "{}", lines[1]);
    press(&mut ui, &core, "x f V");
    let lines = screen(&core, &mut ui, 120, 24);
    assert!(lines[1].ends_with("8 Events"), "{}", lines[1]);
}

#[test]
fn names_of_the_screens_stay_beside_a_note() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3 V");
    let line = screen(&core, &mut ui, 80, 24).swap_remove(1);
    for tab in ["1 Inc", "[3 Find ", "5 Net", "8 Events", "secrets shown"] {
        assert!(line.contains(tab), "{tab}: {line}");
    }
}

#[test]
fn the_page_of_a_file_is_named_by_its_path() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "6");
    screen(&core, &mut ui, 80, 24);
    press(&mut ui, &core, "Enter");
    let line = screen(&core, &mut ui, 80, 24).swap_remove(1);
    assert!(line.starts_with("Files › /"), "{line}");
}

#[test]
fn the_footer_shows_what_matters_on_a_finding() {
    let core = demo();
    let mut ui = Ui::default();
    press(&mut ui, &core, "3");
    screen(&core, &mut ui, 80, 24);
    let last = |ui: &mut Ui| screen(&core, ui, 80, 24).pop().unwrap();
    let list = last(&mut ui);
    for key in ["! silence", "a ack", "E evidence", "p pause", "? help"] {
        assert!(list.contains(key), "{list}");
    }
    press(&mut ui, &core, "Enter");
    let page = last(&mut ui);
    assert!(
        page.starts_with("Esc back") && page.contains("w related"),
        "{page}"
    );
    let before = ui.at.detail.clone();
    press(&mut ui, &core, "w");
    assert!(ui.at.detail.is_some() && ui.at.detail != before);
    ui.source = SourceKind::Recording;
    press(&mut ui, &core, "Esc Esc");
    assert!(
        !last(&mut ui).contains("silence"),
        "a recording keeps its policy"
    );
    press(&mut ui, &core, "?");
    assert!(last(&mut ui).contains("typing searches"));
    press(&mut ui, &core, "Esc s");
    assert!(last(&mut ui).contains("Enter: sort"));
}
