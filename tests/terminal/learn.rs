//! Learning on the screen: started, shown, written, compared.

use hullwatch::baseline::{Facet, ItemField, parse};

use crate::common::{BUSYBOX, Engine, engine_is_ready};
use crate::screen::{Screen, at_home};

/// Types a command, and Enter as a key by itself.
fn command(screen: &mut Screen, line: &str) {
    screen.settle();
    screen.type_in(line);
    screen.settle();
    screen.type_in("\r");
}

#[test]
fn a_container_is_learned_written_and_compared_on_the_screen() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("hw-learn-{}", std::process::id());
    let script = "trap 'exit 0' TERM; while :; do sleep 0.2; done";
    let container = engine.run(&["--name", &name], BUSYBOX, &["sh", "-c", script]);
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let words = ["sh", "-c", "cd \"$0\" && exec \"$1\"", home, program];
    let mut screen = Screen::start(&words, &at_home(folder.path()));
    screen.type_in(&format!("2/{name}\r"));
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.lines()
            .any(|line| line.starts_with('▌') && line.contains(&name))
    });
    command(&mut screen, ":learn");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("Learned here since")
    });
    container.control("restart");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("1 start, 1 end")
    });
    command(&mut screen, ":learn");
    let file = format!("{name}.baseline.toml");
    screen.shows(24, 80, |picture| picture.contents().contains("written /"));
    let text = std::fs::read_to_string(folder.path().join(&file)).unwrap();
    let learned = parse(&text).unwrap();
    let mut programs = learned.facet(Facet::Exec);
    assert!(
        programs.any(|(item, _)| item.get(ItemField::Exe) == b"/bin/busybox"),
        "{text}"
    );
    command(&mut screen, &format!(":diff {file}"));
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("Compared with") && text.contains("0 new, 0 gone")
    });
    command(&mut screen, ":learn stop");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("learning ended")
    });
    screen.type_in("\x03");
    assert!(screen.ended());
}
