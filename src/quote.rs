//! Quotes words for a shell so that a command line may be pasted whatever a container wrote into
//! it.

use std::borrow::Cow;
use std::fmt::Write as _;

use bstr::ByteSlice as _;

use crate::event::escape;

/// One word for any POSIX shell: plain, or in single quotes. A word with bytes that a terminal could
/// obey when it is pasted, that are invisible or no UTF-8 is written as `"$(printf '…')"` with octal
/// escapes, in printable ASCII only.
///
/// A shell removes newlines at the end of such a substitution, and no word has a NUL: with these the
/// word makes the shell refuse the command, rather than name another file. [`command_line`] can write
/// the former.
pub(crate) fn quote(word: &[u8]) -> Cow<'_, str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(b);
    // A leading `=` names a program in some shells.
    if word.first().is_some_and(|b| *b != b'=') && word.iter().all(plain) {
        return String::from_utf8_lossy(word);
    }
    if let Some(text) = printable(word) {
        return format!("'{}'", text.replace('\'', r"'\''")).into();
    }
    if word.ends_with(b"\n") {
        return refusal("ends with a newline");
    }
    if word.contains(&0) {
        return refusal("contains a NUL");
    }
    format!("\"$(printf '{}')\"", format_of(word)).into()
}

/// A command of these words, for any POSIX shell.
pub(crate) fn command_line(words: &[&[u8]]) -> String {
    let ends = words.iter().any(|word| word.ends_with(b"\n"));
    if !ends || words.iter().any(|word| word.contains(&0)) {
        let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
        return words.join(" ");
    }
    // The shell reads the words from a text, in which a newline is inside of quotes.
    let raw = |word: &&[u8]| [b"'", &*word.replace("'", r"'\''"), b"'"].concat();
    let text = words.iter().map(raw).collect::<Vec<_>>().join(&b' ');
    format!("eval \"$(printf '{}')\"", format_of(&text))
}

/// A command that prints these bytes, for any POSIX shell.
pub(crate) fn printing(bytes: &[u8]) -> String {
    match printable(bytes) {
        Some(_) => format!("printf %s {}", quote(bytes)),
        None => format!("printf '{}'", format_of(bytes)),
    }
}

/// The text, if all of it is shown by a terminal as it is.
fn printable(bytes: &[u8]) -> Option<&str> {
    let shown =
        |c: char| escape(c.encode_utf8(&mut [0; 4]).as_bytes()).to_string() == c.to_string();
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(shown).then_some(text)
}

/// A word that no shell passes on: the variable is not set, so the shell prints this and stops.
fn refusal(why: &str) -> Cow<'static, str> {
    format!("\"${{CANNOT_BE_PASTED?a word of this command {why}}}\"").into()
}

/// The first argument of printf that prints these bytes.
fn format_of(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        // Some shells read a digit behind an escape as part of it; a leading `-` begins an option.
        let digit = escaped && byte.is_ascii_digit();
        let plain = b" _./:=@+,".contains(byte) || (*byte == b'-' && at > 0);
        escaped = false;
        match byte {
            b'%' => out.push_str("%%"),
            _ if !digit && (byte.is_ascii_alphanumeric() || plain) => out.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => {
                escaped = true;
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    const SHELLS: &[&[&str]] = &[&["sh"], &["dash"], &["bash"], &["busybox", "sh"]];

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
        b"a\nreboot\n\n;",
        b"\x1b]52;c;aGk=\x07\x1b[2J\x03",
        b"\xff\xfe not utf-8 '",
        b"-n\xff%s %d%% \x01!x 100%",
        "\u{202e}gpj.sh \u{200b}".as_bytes(),
        b"back\\slash\\n",
        b"-rf",
        b"\\'$'\\''",
        b"\x0177",
        b"\xff8\x0108\x018",
        "caf\u{e9} \u{65e5}\u{672c}".as_bytes(),
    ];

    fn run(shell: &[&str], line: &str) -> Output {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", line]);
        command.output().unwrap()
    }

    #[test]
    fn every_shell_parses_every_quoted_hostile_word() {
        for shell in SHELLS {
            for word in HOSTILE {
                for line in [
                    format!("printf %s {}", quote(word)),
                    printing(word),
                    printing(&[word, &b"\n\n"[..]].concat()),
                ] {
                    let out = run(shell, &line);
                    assert!(out.status.success(), "{shell:?} {line}");
                    let printed = out.stdout.strip_suffix(b"\n\n").unwrap_or(&out.stdout);
                    assert_eq!(printed, *word, "{shell:?} {line}");
                    assert_eq!(out.stderr, b"", "{shell:?} {line}");
                }
            }
        }
    }

    #[test]
    fn every_shell_runs_a_command_of_hostile_words() {
        let mut words: Vec<&[u8]> = vec![b"printf", b"%s@"];
        words.extend(HOSTILE);
        for end in [&[][..], &[&b"/tmp/it's\n\n"[..], b"\n", b"x"]] {
            let words = [&words[..], end].concat();
            let line = command_line(&words);
            assert!(!line.chars().any(char::is_control), "{line}");
            for shell in SHELLS {
                let out = run(shell, &format!("{line} && echo done"));
                let wanted = [&words[2..].join(&b'@'), &b"@done\n"[..]].concat();
                assert_eq!(out.stdout.as_bstr(), wanted.as_bstr(), "{shell:?} {line}");
            }
        }
    }

    #[test]
    fn a_word_that_no_shell_passes_on_stops_the_command() {
        for shell in SHELLS {
            for word in [&b"/tmp/x\n"[..], b"\n", b"a\0b"] {
                let out = run(shell, &format!("echo {}; echo more", quote(word)));
                assert!(
                    !out.status.success() && out.stdout.is_empty(),
                    "{shell:?} {out:?}"
                );
                let why = String::from_utf8(out.stderr).unwrap();
                assert!(why.contains("a word of this command"), "{shell:?} {why}");
            }
        }
    }

    #[test]
    fn nothing_in_a_quoted_word_acts_on_a_terminal() {
        let harmless = |c: char| {
            let c = c.to_string();
            escape(c.as_bytes()).to_string() == c
        };
        for word in HOSTILE {
            let quoted = quote(word);
            assert!(quoted.chars().all(harmless), "{quoted}");
            assert!(!quoted.chars().any(char::is_control), "{quoted}");
            // An interactive shell replaces a `!` in double quotes.
            assert!(
                !quoted.starts_with('"') || !quoted.contains('!'),
                "{quoted}"
            );
            assert!(printing(word).chars().all(harmless), "{quoted}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_without_nul_come_back(word in proptest::collection::vec(1u8.., 0..40)) {
            let quoted = match word.ends_with(b"\n") {
                true => printing(&word),
                false => format!("printf %s {}", quote(&word)),
            };
            for shell in [&["dash"], &["bash"]] {
                let out = run(shell, &quoted);
                proptest::prop_assert_eq!(&out.stdout, &word);
            }
        }
    }
}
