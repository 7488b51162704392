//! Programs that decode text.

/// A program that turns text into a binary file, without versions (`base` is `base64`, `base32`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    name: &'static [u8],
    /// Options that make it decode its input; empty: it always does.
    pub(crate) options: &'static [&'static [u8]],
}

const BASE_OPTIONS: &[&[u8]] = &[b"-d", b"-D", b"--decode", b"-di", b"-id"];

/// Programs that turn text into a binary file.
const DECODERS: &[Decoder] = &[
    decoder(b"base64", BASE_OPTIONS),
    decoder(b"base", BASE_OPTIONS),
    decoder(b"basenc", BASE_OPTIONS),
    decoder(b"xxd", &[b"-r", b"-p", b"-rp", b"-pr"]),
    decoder(b"openssl", &[b"-d"]),
    decoder(b"uudecode", &[]),
    decoder(b"gpg", &[b"-d", b"--decrypt"]),
];

const fn decoder(name: &'static [u8], options: &'static [&'static [u8]]) -> Decoder {
    Decoder { name, options }
}

/// The decoder with this name.
#[must_use]
pub(crate) fn of(name: &[u8]) -> Option<&'static Decoder> {
    DECODERS.iter().find(|decoder| decoder.name == name)
}
