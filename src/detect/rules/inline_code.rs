//! What inline code (`python3 -c`, `sh -c`) does with data: decodes and runs it, or runs its input.

use bstr::ByteSlice as _;

use super::fetched_commands;
use crate::catalog;
use crate::detect::program_roles;
use crate::detect::program_roles::StartedProgram;
use crate::event::{Bytes, Exec, ProgramAdditions};

/// Inline code that decodes data into code and runs it.
pub(super) fn runs_decoded(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    let has = |text: &[u8], words: &[&[u8]]| words.iter().any(|word| text.find(word).is_some());
    names.is_interpreter(name)
        && exec.script.is_none()
        && program_roles::takes_text(&exec.argv)
        && exec.argv.iter().skip(1).any(|text| {
            has(text, catalog::words::DECODING_CALLS) && has(text, catalog::words::RUNNING_CALLS)
        })
}

/// Inline code that runs what it reads from its input: `curl … | python3 -c
/// 'exec(sys.stdin.read())'`, `curl … | xargs -I{} sh -c {}`.
pub(super) fn runs_input<'a>(
    names: &ProgramAdditions,
    started: impl Into<StartedProgram<'a>>,
) -> bool {
    let started = started.into();
    let has = |text: &[u8], words: &[&[u8]]| words.iter().any(|word| text.find(word).is_some());
    let reads: &[&[u8]] = &[b"stdin", b"STDIN", b"<>"];
    let name = program_roles::name(started.exe, started.argv);
    match name {
        b"xargs" | b"parallel" => {
            return fetched_commands::hands_input_to_shell(names, started.argv);
        }
        _ if name.ends_with(b"awk") => return fetched_commands::awk_runs_input(started.argv),
        _ => {}
    }
    names.is_interpreter(name)
        && started.script.is_none()
        && program_roles::takes_text(started.argv)
        && started
            .argv
            .iter()
            .skip(1)
            .any(|text| has(text, reads) && has(text, catalog::words::RUNNING_CALLS))
}

/// Inline code that only reads its input, as mail filters do: its text runs nothing, connects
/// nowhere and opens no file.
pub(super) fn filters_input(argv: &[Bytes]) -> bool {
    let reads: &[&[u8]] = &[b"stdin", b"STDIN", b"<>"];
    let more: &[&[u8]] = &[
        b"open",
        b"/etc/",
        b"environ",
        b"ENV",
        b"http",
        b"import os",
        b"unlink",
    ];
    let words = catalog::words::RUNNING_CALLS.iter();
    let words = words.chain(catalog::words::RUNS_COMMANDS);
    let words = words.chain(catalog::words::TALKS);
    let words = words.chain(catalog::words::DECODING_CALLS).chain(more);
    let has = |word: &[u8]| argv.iter().skip(1).any(|text| text.contains_str(word));
    let takes = program_roles::filters(argv) || reads.iter().any(|word| has(word));
    takes && !words.into_iter().any(|word| has(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_mail_and_programs_that_do_more() {
        let filter = |words: &[&str]| {
            let argv: Vec<Bytes> = words.iter().map(|w| Bytes::from(*w)).collect();
            filters_input(&argv)
        };
        assert!(filter(&["perl", "-ne", "print if /^Subject/"]));
        assert!(filter(&[
            "python3",
            "-c",
            "import sys; print(len(sys.stdin.read()))"
        ]));
        assert!(!filter(&["perl", "-ne", "system($_)"]));
        assert!(!filter(&["perl", "-ne", "eval $_"]));
        assert!(!filter(&["perl", "-pe", "print `id`"]));
        assert!(!filter(&[
            "python3",
            "-c",
            "import sys; exec(sys.stdin.read())"
        ]));
        assert!(!filter(&["perl", "-e", "print 1"]));
    }
}
