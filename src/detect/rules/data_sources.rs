//! Programs that bring data: they fetch it from another host, or decode it.

use bstr::ByteSlice as _;

use crate::detect::program_roles;
use crate::event::{Bytes, ProgramAdditions};

/// Whether the program fetches data, or decodes its input.
pub(super) fn is_source(names: &ProgramAdditions, name: &[u8], argv: &[Bytes]) -> bool {
    let relay = program_roles::is_relay(name, argv);
    names.is_downloader(name) && !relay || fetches(names, name, argv) || decodes(names, name, argv)
}

/// An interpreter whose text fetches data.
pub(super) fn fetches(names: &ProgramAdditions, name: &[u8], argv: &[Bytes]) -> bool {
    names.is_interpreter(name)
        && argv.iter().skip(1).any(|a| {
            let text = a.as_bytes();
            text.contains(&b'(')
                && (text.find(b"http://").is_some() || text.find(b"https://").is_some())
        })
}

/// Whether the program decodes its input.
pub(super) fn decodes(names: &ProgramAdditions, name: &[u8], argv: &[Bytes]) -> bool {
    let has = |words: &[&[u8]]| argv.iter().skip(1).any(|a| words.contains(&a.as_bytes()));
    match name {
        b"base64" | b"base" | b"basenc" => has(&[b"-d", b"-D", b"--decode", b"-di", b"-id"]),
        b"xxd" => has(&[b"-r", b"-p", b"-rp", b"-pr"]),
        b"openssl" => has(&[b"-d"]),
        b"uudecode" => true,
        // Through a program text of its own.
        _ if names.is_interpreter(name) => argv.iter().skip(1).any(|a| {
            [
                &b"decode"[..],
                b"unhex",
                b"fromhex",
                b"inflate",
                b"decompress",
            ]
            .iter()
            .any(|word| a.find(word).is_some())
                && a.iter().any(|b| matches!(b, b'(' | b' '))
        }),
        _ => false,
    }
}
