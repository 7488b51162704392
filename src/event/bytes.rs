//! Byte strings from containers: stored losslessly, shown escaped.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bstr::{BStr, ByteSlice as _};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Attacker-controlled bytes (argv, paths, names). In JSON a string where they are UTF-8,
/// otherwise `{"text": lossy, "base64": exact}`. Clones share them: an event's words stay in the
/// state, in findings and in keyframes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(Arc<[u8]>);

impl Bytes {
    /// Copies `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The form for a terminal, a log or a report: see [`escape`].
    #[must_use]
    pub fn escaped(&self) -> Escaped<'_> {
        escape(&self.0)
    }
}

impl Deref for Bytes {
    type Target = BStr;
    fn deref(&self) -> &BStr {
        self.0.as_bstr()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl From<&str> for Bytes {
    fn from(s: &str) -> Self {
        Self::new(s.as_bytes())
    }
}

impl From<&[u8]> for Bytes {
    fn from(s: &[u8]) -> Self {
        Self::new(s)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(v: Vec<u8>) -> Self {
        Self(v.into())
    }
}

impl PartialEq<&str> for Bytes {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == other.as_bytes()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => {
                let mut map = s.serialize_map(Some(2))?;
                map.serialize_entry("text", &self.to_str_lossy())?;
                map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or {\"text\", \"base64\"}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes::from(text))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
                let mut exact = None;
                while let Some(key) = map.next_key::<String>()? {
                    let value: String = map.next_value()?;
                    if key == "base64" {
                        exact = Some(STANDARD.decode(value).map_err(de::Error::custom)?);
                    }
                }
                exact
                    .map(Bytes::from)
                    .ok_or_else(|| de::Error::missing_field("base64"))
            }
        }
        d.deserialize_any(Either)
    }
}

/// Displays bytes with everything that could steer a terminal or mislead a reader escaped.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

/// Escapes control bytes, invalid UTF-8, bidirectional marks, zero-width and other
/// invisible characters as `\xNN` / `\u{NNNN}`; a backslash becomes `\\` only where an
/// escape would otherwise be ambiguous.
#[must_use]
pub fn escape(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(chunk) = rest.utf8_chunks().next() {
            let valid = chunk.valid();
            let mut chars = valid.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    '\\' if matches!(chars.peek(), Some('x' | 'u' | 'n' | 't' | 'r' | '\\')) => {
                        f.write_str("\\\\")?;
                    }
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", c as u32)?,
                    c if is_deceptive(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
            rest = rest
                .get(valid.len() + chunk.invalid().len()..)
                .unwrap_or(&[]);
        }
        Ok(())
    }
}

/// A JSON text in which what could steer a terminal or mislead a reader is written as `\uNNNN`. It
/// has the same value: outside of strings JSON has no such characters.
#[must_use]
pub fn escape_json(json: &[u8]) -> Cow<'_, [u8]> {
    if json.iter().all(|byte| *byte < 0x7f) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len() + 64);
    for chunk in json.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut units = [0; 2];
            if c > '~' && is_deceptive(c) {
                for unit in c.encode_utf16(&mut units) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(out)
}

/// Characters that are invisible, reorder text, or join what follows to what precedes.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202F | 0x205F..=0x206F | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF9..=0xFFFB | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
        || (unicode_width::UnicodeWidthChar::width(c) == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_keeps_its_value_and_steers_no_terminal() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{200b}\u{e0041}é東";
        let json = serde_json::to_vec(text).unwrap();
        let escaped = String::from_utf8(escape_json(&json).into_owned()).unwrap();
        assert!(!escaped.chars().any(is_deceptive), "{escaped}");
        assert!(escaped.contains("\\u009b31m\\u007f") && escaped.contains("é東"));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }

    #[test]
    fn escapes_what_could_steer_a_terminal() {
        let shown = escape(b"a\x1b[31m\n\xff\xe2\x80\xaeb\\x1b \\o").to_string();
        assert_eq!(shown, r"a\x1b[31m\n\xff\u{202e}b\\x1b \o");
    }

    proptest! {
        #[test]
        fn json_round_trip_is_lossless(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let json = serde_json::to_string(&Bytes::new(&raw)).unwrap();
            let back: Bytes = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&*back, raw.as_bstr());
        }

        #[test]
        fn escaped_text_has_no_control_character(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!escape(&raw).to_string().chars().any(|c| c.is_control() || is_deceptive(c)));
        }
    }
}
