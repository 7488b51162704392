//! Built-in themes meet their contrast; files are inherited, refused and reloaded.

use std::time::{Duration, SystemTime};

use super::reload::Chosen;
use super::*;

#[test]
fn every_shipped_theme_reads_at_every_depth() {
    for (name, _) in SHIPPED {
        for depth in [Depth::Mono, Depth::Sixteen, Depth::Indexed, Depth::True] {
            let theme = Theme::named(name, depth).unwrap();
            let coloured = Token::ALL.iter().filter(|t| theme.style(**t).fg.is_some());
            let expected = if depth == Depth::Mono {
                0
            } else {
                Token::ALL.len()
            };
            assert_eq!(coloured.count(), expected, "{name} {depth:?}");
        }
    }
}

#[test]
fn shipped_themes_are_readable_with_any_colour_vision() {
    for (name, _) in SHIPPED {
        let report = check(&Theme::named(name, Depth::True).unwrap());
        assert!(report.good(), "{name}: {report:#?}");
        // The sixteen are the terminal's own: letters show the severity there.
        assert_eq!(report.contrast.is_empty(), *name == "ansi16", "{name}");
    }
}

#[test]
fn selection_and_critical_show_without_colours() {
    let mono = Theme::mono();
    for token in [Token::Selection, Token::Critical] {
        let style = mono.style(token);
        assert!(style.add_modifier.contains(Modifier::REVERSED), "{token:?}");
        assert_eq!((style.fg, style.bg), (None, None));
    }
}

#[test]
fn a_file_changes_what_it_names_and_inherits_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::of(Some(dir.path().to_owned()), None);
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "mine.toml",
        "inherits = \"hull-dark\"\n[palette]\nred = \"#ff0000\"\n\
         [style]\nsev.high = { mods = [\"underline\"] }\n[glyphs]\nset = \"ascii\"\n",
    );
    write("nearer.toml", "inherits = \"mine\"\n[style]\ntext = 196\n");
    let theme = library.load("nearer", Depth::True).unwrap();
    let dark = Theme::named("hull-dark", Depth::True).unwrap();
    let critical = theme.style(Token::Critical);
    assert_eq!(critical.fg, Some(Color::Rgb(255, 0, 0)), "palette");
    assert!(critical.add_modifier.contains(Modifier::BOLD), "kept");
    let high = theme.style(Token::High);
    assert_eq!(high.fg, dark.style(Token::High).fg, "kept");
    assert_eq!(high.add_modifier, Modifier::UNDERLINED);
    assert_eq!(theme.style(Token::Text).fg, Some(Color::Indexed(196)));
    assert_eq!(theme.glyphs(), Glyphs::Ascii);
    // Its own colour counts before the sixteen of the theme it builds upon.
    let sixteen = library.load("nearer", Depth::Sixteen).unwrap();
    assert_eq!(sixteen.style(Token::Text).fg, Some(Color::Red));
    // A file may bear the name of a shipped theme and build upon it.
    write(
        "contrast.toml",
        "inherits = \"contrast\"\nbackground = \"#111111\"\n",
    );
    let own = library.load("contrast", Depth::True).unwrap();
    assert_eq!(own.background, Some(Color::Rgb(17, 17, 17)));
    assert_eq!(library.names()[4..], ["mine", "nearer"]);
}

#[test]
fn mistakes_are_refused_with_file_line_and_cause() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::of(Some(dir.path().to_owned()), None);
    for (text, line, part) in [
        ("[style\n", 1, ""),
        ("colour = 1\n", 1, "\"colour\""),
        (
            "[style]\ntext = \"red\"\ntxt = \"red\"\n",
            3,
            "unknown style \"txt\"",
        ),
        (
            "[style]\nsev.hgh = \"red\"\n",
            2,
            "unknown style \"sev.hgh\"",
        ),
        ("[style]\ntext = true\n", 2, "boolean"),
        (
            "[style]\ntext = \"mauvish\"\n",
            2,
            "unknown colour \"mauvish\"",
        ),
        (
            "[palette]\na = \"nope\"\n[style]\ntext = \"a\"\n",
            2,
            "\"nope\"",
        ),
        ("[style]\ntext = { mods = [\"blink\"] }\n", 2, "\"blink\""),
        ("[style]\ntext = { mods = \"bold\" }\n", 2, "a list"),
        ("[style]\ntext = { size = 3 }\n", 2, "\"size\""),
        ("[glyphs]\nset = \"fancy\"\n", 2, "\"fancy\""),
        ("[glyphs]\nseet = \"auto\"\n", 2, "\"seet\""),
        ("\ninherits = \"nobody\"\n", 2, "no theme \"nobody\""),
        ("inherits = \"bad\"\n", 1, "itself"),
    ] {
        std::fs::write(dir.path().join("bad.toml"), text).unwrap();
        // At the depth without colours too.
        let error = library.load("bad", Depth::Mono).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.message.contains(part), "{text}: {error}");
        assert!(error.file.ends_with("bad.toml"), "{error}");
    }
    for (one, other) in [("a", "b"), ("b", "a")] {
        let text = format!("inherits = \"{other}\"\n");
        std::fs::write(dir.path().join(format!("{one}.toml")), text).unwrap();
    }
    let error = library.load("a", Depth::True).unwrap_err();
    assert!(error.message.contains("deep"), "{error}");
}

#[test]
fn a_file_of_another_user_is_refused() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, "inherits = \"hull-dark\"\n").unwrap();
    let owner = path.metadata().unwrap().uid();
    let of = |owner| Library::of(Some(dir.path().to_owned()), Some(owner));
    of(owner).load("mine", Depth::True).unwrap();
    if std::os::unix::fs::chown(&path, Some(4242), None).is_ok() {
        let error = of(1000).load("mine", Depth::True).unwrap_err();
        assert!(error.message.contains("4242"), "{error}");
    }
}

#[test]
fn a_changed_file_is_read_again_and_a_bad_one_keeps_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    let mut seconds = 0;
    let mut write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        // Two edits within the clock's tick must differ.
        seconds += 5;
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let at = SystemTime::now() + Duration::from_secs(seconds);
        file.set_modified(at).unwrap();
    };
    write("inherits = \"hull-dark\"\n[style]\ntext = \"red\"\n");
    let library = Library::of(Some(dir.path().to_owned()), None);
    let mut chosen = Chosen::new(library, "mine", Depth::True).unwrap();
    assert_eq!(chosen.refresh(), Ok(false));
    write("inherits = \"hull-dark\"\n[style]\ntext = \"blue\"\n");
    assert_eq!(chosen.refresh(), Ok(true));
    let blue = chosen.theme.style(Token::Text).fg;
    write("[style]\ntext = 1.5\n");
    chosen.refresh().unwrap_err();
    assert_eq!(chosen.refresh(), Ok(false), "reported once");
    assert_eq!(chosen.theme.style(Token::Text).fg, blue);
    write("inherits = \"hull-dark\"\n[style]\ntext = \"green\"\n");
    assert_eq!(chosen.refresh(), Ok(true));
    assert_eq!(chosen.theme.style(Token::Text).fg, Some(Color::Green));
    assert_eq!(chosen.advance(), "hull-dark");
}
