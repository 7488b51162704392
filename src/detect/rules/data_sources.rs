//! Programs that bring data: they fetch it from another host, or decode it.

use bstr::ByteSlice as _;

use crate::catalog;
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
    match catalog::decoders::of(name) {
        Some(decoder) => decoder.options.is_empty() || has(decoder.options),
        // Through a program text of its own.
        None if names.is_interpreter(name) => argv.iter().skip(1).any(|a| {
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
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoder_decodes_with_its_options_only() {
        let names = ProgramAdditions::default();
        let runs = |line: &str| {
            let argv: Vec<Bytes> = line.split(' ').map(Bytes::from).collect();
            decodes(&names, argv[0].as_bytes(), &argv)
        };
        for line in [
            "base64 -d",
            "base -D",
            "xxd -r",
            "openssl enc -d",
            "gpg --decrypt",
            "uudecode",
        ] {
            assert!(runs(line), "{line}");
        }
        for line in [
            "base64 x",
            "xxd x",
            "openssl enc -e",
            "gpg --verify x",
            "cat -d",
        ] {
            assert!(!runs(line), "{line}");
        }
    }
}
