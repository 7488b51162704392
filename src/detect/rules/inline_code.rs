//! What inline code (`python3 -c`, `sh -c`) does with data: decodes and runs it, or runs its input.

use bstr::ByteSlice as _;

use crate::catalog;
use crate::detect::program_roles;
use crate::detect::program_roles::StartedProgram;
use crate::event::{Exec, ProgramAdditions};

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
/// 'exec(sys.stdin.read())'`.
pub(super) fn runs_input<'a>(
    names: &ProgramAdditions,
    started: impl Into<StartedProgram<'a>>,
) -> bool {
    let started = started.into();
    let has = |text: &[u8], words: &[&[u8]]| words.iter().any(|word| text.find(word).is_some());
    let reads: &[&[u8]] = &[b"stdin", b"STDIN", b"<>"];
    names.is_interpreter(program_roles::name(started.exe, started.argv))
        && started.script.is_none()
        && program_roles::takes_text(started.argv)
        && started
            .argv
            .iter()
            .skip(1)
            .any(|text| has(text, reads) && has(text, catalog::words::RUNNING_CALLS))
}

/// The shell's text runs the output of a program as a file: `source <(curl …)`.
pub(super) fn sources_output(text: &[u8], word: &[u8]) -> bool {
    text.find_iter(b"<(").any(|at| {
        let (before, inside) = text.split_at(at);
        let end = inside.find_byte(b')').unwrap_or(inside.len());
        let before = before.trim_end();
        let sources = before.ends_with(b"source") || before == b"." || before.ends_with(b" .");
        sources
            && inside
                .get(..end)
                .is_some_and(|part| part.contains_str(word))
    })
}
