//! Fuzz targets: the filter's parser, and the reader of keys.

use super::filter::Filter;
use super::input::Input;
use super::rows::SCREENS;

#[test]
fn the_filter_parser() {
    let seeds: [&[u8]; 6] = [
        b"text",
        b"!not other",
        b"sev>=h",
        b"age>1h cpu<50",
        b"name=\"a b\" image!=x",
        b"ip=10.0.0.0/8 port>1024",
    ];
    crate::fuzz::fuzz(&seeds, |input| {
        if let Ok(text) = std::str::from_utf8(input) {
            for screen in SCREENS {
                let _ = Filter::parse(text, screen.columns);
            }
        }
    });
}

#[test]
fn the_key_reader() {
    let seeds: [&[u8]; 8] = [
        b"jk",
        b"\x1b[A\x1b[1;5B",
        b"\x1bOP",
        b"\x1b[<0;10;20M\x1b[<0;10;20m",
        b"\x1b[200~pasted\x1b[201~",
        b"\x1b]52;c;aGk=\x07",
        b"\x1bP1$r0m\x1b\\",
        "äß€😀".as_bytes(),
    ];
    crate::fuzz::fuzz(&seeds, |input| {
        // However the bytes are cut, the same events come out.
        let mut whole = (Input::default(), Vec::new());
        whole.0.take(input, &mut whole.1);
        let mut bytes = (Input::default(), Vec::new());
        for byte in input {
            bytes.0.take(&[*byte], &mut bytes.1);
        }
        if input.len() < 64 {
            assert_eq!(whole.1, bytes.1);
        }
        whole.0.settle(&mut whole.1);
        assert!(whole.0.waits().is_none());
    });
}
