//! Quotes words for a shell so that a command line may be pasted whatever a container wrote into
//! it.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::event::escape;

/// One word for a POSIX shell. A word with bytes that a terminal could obey when it is pasted, that
/// are invisible or no UTF-8 is written as `$'…'` with octal escapes, in printable ASCII only.
pub(crate) fn quote(word: &[u8]) -> Cow<'_, str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(b);
    // A leading `=` names a program in some shells.
    if word.first().is_some_and(|b| *b != b'=') && word.iter().all(plain) {
        return String::from_utf8_lossy(word);
    }
    if let Ok(text) = std::str::from_utf8(word)
        && escape(word).to_string() == text
        && let Ok(quoted) = shlex::try_quote(text)
    {
        return quoted;
    }
    let mut out = "$'".to_owned();
    for byte in word {
        match byte {
            b'\'' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            // Writing to a string cannot fail. Three octal digits end by themselves.
            _ => drop(write!(out, "\\{byte:03o}")),
        }
    }
    out.push('\'');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const HOSTILE: &[&[u8]] = &[
        b"",
        b"plain",
        b"/tmp/a b;reboot",
        b"/tmp/$(id)`id`",
        b"'; rm -rf / #",
        b"\"$HOME\"",
        b"!history ^x^y",
        b"~root",
        b"*?[a-z]{1,2}",
        b"a\nreboot\n",
        b"\x1b]52;c;aGk=\x07\x1b[2J\x03",
        b"\xff\xfe not utf-8 '",
        "\u{202e}gpj.sh \u{200b}".as_bytes(),
        b"back\\slash\\n",
        b"-rf",
        b"\\'$'\\''",
        b"\x0177",
        "caf\u{e9} \u{65e5}\u{672c}".as_bytes(),
    ];

    #[test]
    fn a_shell_parses_every_quoted_hostile_word() {
        for word in HOSTILE {
            let line = format!("printf %s {}", quote(word));
            let out = Command::new("bash").arg("-c").arg(&line).output().unwrap();
            assert!(out.status.success(), "{line}");
            assert_eq!(out.stdout, *word, "{line}");
            assert_eq!(out.stderr, b"", "{line}");
        }
    }

    #[test]
    fn nothing_in_a_quoted_word_acts_on_a_terminal() {
        for word in HOSTILE {
            let quoted = quote(word);
            let written = quoted.starts_with("$'") && quoted.is_ascii();
            let harmless = |c: char| {
                let c = c.to_string();
                escape(c.as_bytes()).to_string() == c
            };
            assert!(written || quoted.chars().all(harmless), "{quoted}");
            assert!(!quoted.chars().any(char::is_control), "{quoted}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_without_nul_come_back(word in proptest::collection::vec(1u8.., 0..40)) {
            // The shell's result, and that of shlex for plain words.
            let quoted = quote(&word).into_owned();
            let out = Command::new("bash").arg("-c").arg(format!("printf %s {quoted}")).output().unwrap();
            proptest::prop_assert_eq!(out.stdout, word);
        }
    }
}
