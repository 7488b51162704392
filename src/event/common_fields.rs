//! The common fields of an event line as this program's writer puts them: read without a parser,
//! since a recording has millions. Any other line is left to the parser.

use super::Timestamp;

/// The common fields, and the rest of the line.
pub(super) struct Common<'a> {
    pub(super) kind: &'a str,
    pub(super) seq: u64,
    pub(super) ts: Timestamp,
    pub(super) container: Option<&'a str>,
    pub(super) pid: u32,
    pub(super) nspid: u32,
    /// The rest, from the comma or the closing brace on.
    pub(super) rest: &'a [u8],
}

/// Reads them; `None` when the line looks different in any way.
pub(super) fn read(line: &[u8]) -> Option<Common<'_>> {
    let rest = line.strip_prefix(br#"{"type":"#)?;
    let (kind, rest) = text(rest)?;
    let (seq, rest) = number(rest.strip_prefix(br#","seq":"#)?)?;
    let (ts, rest) = text(rest.strip_prefix(br#","ts":"#)?)?;
    let ts = Timestamp::from_own_form(ts.as_bytes())?;
    let rest = rest.strip_prefix(br#","container":"#)?;
    let (container, rest) = match rest.strip_prefix(b"null") {
        Some(rest) => (None, rest),
        None => text(rest).map(|(id, rest)| (Some(id), rest))?,
    };
    let (pid, rest) = number(rest.strip_prefix(br#","pid":"#)?)?;
    let (nspid, rest) = number(rest.strip_prefix(br#","nspid":"#)?)?;
    matches!(rest.first(), Some(b',' | b'}')).then_some(Common {
        kind,
        seq,
        ts,
        container,
        pid: u32::try_from(pid).ok()?,
        nspid: u32::try_from(nspid).ok()?,
        rest,
    })
}

/// A string of plain ASCII without escapes.
fn text(json: &[u8]) -> Option<(&str, &[u8])> {
    let json = json.strip_prefix(b"\"")?;
    let end = json
        .iter()
        .position(|b| !matches!(b, b' '..=b'~') || matches!(b, b'"' | b'\\'))?;
    let (text, rest) = json.split_at_checked(end)?;
    Some((std::str::from_utf8(text).ok()?, rest.strip_prefix(b"\"")?))
}

/// A whole number, not negative.
fn number(json: &[u8]) -> Option<(u64, &[u8])> {
    let end = json.iter().position(|b| !b.is_ascii_digit())?;
    let (digits, rest) = json.split_at_checked(end)?;
    // Zeros in front are no JSON; twenty digits may not fit.
    if digits.is_empty() || digits.len() > 19 || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    let number = digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
    Some((number, rest))
}
