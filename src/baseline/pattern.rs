//! Patterns of paths and arguments: literal text, tokens such as `<n>`, and the fixed rules that
//! insert tokens for parts that change from run to run.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Text as a pattern that matches only itself: `\`, `<` and `*` get a backslash.
#[must_use]
pub fn literal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'\\' | b'<' | b'*') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// The parts of a pattern: escapes, tokens, and text that changes from run to run.
static CHANGING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(
        r"(?<keep>\\.|<[a-z]+>)|(?<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})|(?<date>[0-9]{4}-[01][0-9]-[0-3][0-9])|(?<hex>[0-9a-f]{16,})|(?<n>[0-9]{6,})",
    )
});

/// A segment that is a number, as databases name their files: `16396`, `2615_vm`, `16396.1`.
static NUMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r"^[0-9]+(?<kind>_[a-z]+)?(?<part>\.[0-9]+)?$"));

/// A file's name that ends in a number, as of processes or of rotated files: `pg_internal.init.54`,
/// `access.log.1`. Versions, of libraries or after a digit, are no such numbers.
static NUMBERED: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(r"^(?<name>[^<*\\]*[a-z])\.[0-9]{1,15}$"));

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .build()
        .ok()
}

/// A pattern with tokens for identifiers, dates and long numbers.
#[must_use]
pub(super) fn fixed_text(text: &[u8]) -> Vec<u8> {
    let Some(changing) = &*CHANGING else {
        return text.to_vec();
    };
    let replaced = changing.replace_all(text, |found: &regex::bytes::Captures<'_>| {
        let whole = found[0].to_vec();
        let token: &[u8] = if found.name("keep").is_some() {
            &whole
        } else if found.name("uuid").is_some() {
            b"<uuid>"
        } else if found.name("date").is_some() {
            b"<date>"
        } else if found.name("n").is_some() {
            b"<n>"
        } else if whole.iter().any(u8::is_ascii_digit) {
            b"<hex>"
        } else {
            &whole
        };
        token.to_vec()
    });
    replaced.into_owned()
}

/// A segment of a path with tokens.
fn fixed_segment(segment: &[u8]) -> Vec<u8> {
    if let Some(found) = NUMBER.as_ref().and_then(|number| number.captures(segment)) {
        // A run of sixteen digits and more is an identifier of another form.
        if segment.iter().take_while(|b| b.is_ascii_digit()).count() < 16 {
            let mut out = b"<n>".to_vec();
            out.extend_from_slice(found.name("kind").map_or(b"", |kind| kind.as_bytes()));
            if found.name("part").is_some() {
                out.extend_from_slice(b".<n>");
            }
            return out;
        }
    }
    fixed_text(segment)
}

/// The name of a file, the last segment of a path, with tokens.
fn fixed_name(segment: &[u8]) -> Vec<u8> {
    let numbered = NUMBERED.as_ref().and_then(|known| known.captures(segment));
    match numbered.and_then(|found| found.name("name")) {
        Some(name) if !name.as_bytes().ends_with(b".so") => {
            let mut out = fixed_text(name.as_bytes());
            out.extend_from_slice(b".<n>");
            out
        }
        _ => fixed_segment(segment),
    }
}

/// A path with tokens: processes, numbers, identifiers, dates.
#[must_use]
pub fn fixed_path(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let (mut before, mut first): (&[u8], &[u8]) = (b"", b"");
    let last = path.iter().filter(|b| **b == b'/').count();
    for (place, segment) in path.split(|b| *b == b'/').enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        let process = segment == b"self"
            || segment == b"thread-self"
            || (!segment.is_empty() && segment.iter().all(u8::is_ascii_digit));
        let in_proc = path.starts_with(b"/") && first == b"proc";
        if in_proc && process && (place == 2 || before == b"task") {
            out.extend_from_slice(b"<pid>");
        } else if place == last {
            out.extend_from_slice(&fixed_name(segment));
        } else {
            out.extend_from_slice(&fixed_segment(segment));
        }
        if place == 1 {
            first = segment;
        }
        before = segment;
    }
    out
}

/// The temporary name's template: the text around the last run of at least six letters and digits,
/// whose last six are left out. `None` without such a run.
#[must_use]
pub(super) fn template(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    if segment.contains(&b'<') || segment.contains(&b'*') {
        return None;
    }
    let mut end = segment.len();
    loop {
        let last = segment
            .get(..end)?
            .iter()
            .rposition(u8::is_ascii_alphanumeric)?;
        let from = segment
            .get(..last)?
            .iter()
            .rposition(|b| !b.is_ascii_alphanumeric())
            .map_or(0, |at| at + 1);
        if last + 1 - from >= 6 {
            return Some((segment.get(..last - 5)?, segment.get(last + 1..)?));
        }
        end = from;
    }
}

/// Whether six letters and digits look random.
#[must_use]
pub(super) fn looks_drawn(segment: &[u8], prefix: usize) -> bool {
    let drawn = segment.get(prefix..prefix + 6).unwrap_or_default();
    let has = |kind: fn(&u8) -> bool| drawn.iter().any(kind);
    let kinds = [
        has(u8::is_ascii_lowercase),
        has(u8::is_ascii_uppercase),
        has(u8::is_ascii_digit),
    ];
    kinds.iter().filter(|kind| **kind).count() >= 2
}

/// Whether a segment of a pattern is a temporary name of this template.
#[must_use]
pub(super) fn is_template(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = segment.windows(5).position(|w| w == b"<tmp>")?;
    Some((segment.get(..at)?, segment.get(at + 5..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> String {
        String::from_utf8(fixed_path(&literal(text.as_bytes()))).unwrap()
    }

    #[test]
    fn changing_parts_become_tokens() {
        for (text, general) in [
            ("/proc/123/oom_score_adj", "/proc/<pid>/oom_score_adj"),
            ("/proc/self/task/77/comm", "/proc/<pid>/task/<pid>/comm"),
            ("/data/base/5/16396", "/data/base/<n>/<n>"),
            ("/data/base/5/2615_vm", "/data/base/<n>/<n>_vm"),
            ("/data/base/5/16396.1", "/data/base/<n>/<n>.<n>"),
            ("/data/pg_internal.init.54", "/data/pg_internal.init.<n>"),
            ("/var/log/access.log.1", "/var/log/access.log.<n>"),
            ("/usr/lib/libx.so.6", "/usr/lib/libx.so.6"),
            ("/usr/bin/python3.11", "/usr/bin/python3.11"),
            ("/srv/app.2/x", "/srv/app.2/x"),
            ("/dev/shm/PostgreSQL.2767086300", "/dev/shm/PostgreSQL.<n>"),
            (
                "/data/pg_wal/000000010000000000000001",
                "/data/pg_wal/<hex>",
            ),
            ("/log/app-2026-11-28.log", "/log/app-<date>.log"),
            (
                "/run/7c9e6679-7425-40de-944b-e07fc1f90ae7/x",
                "/run/<uuid>/x",
            ),
            ("/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/<n>/bin"),
            ("/tmp/a*b<c\\d", "/tmp/a\\*b\\<c\\\\d"),
            ("/srv/deadbeefdeadbeefface", "/srv/deadbeefdeadbeefface"),
        ] {
            assert_eq!(path(text), general);
        }
    }

    #[test]
    fn a_template_is_the_text_around_the_random_letters() {
        assert_eq!(template(b"ccNQlGZ8.s"), Some((&b"cc"[..], &b".s"[..])));
        assert_eq!(template(b"tmp.a1B2c3"), Some((&b"tmp."[..], &b""[..])));
        assert_eq!(template(b"a.b"), None);
        assert!(looks_drawn(b"ccNQlGZ8.s", 2) && !looks_drawn(b"access", 0));
    }

    proptest! {
        #[test]
        fn the_fixed_rules_change_nothing_twice(raw in "[/a-f0-9A-Z<>*._\\\\-]{0,60}") {
            let once = fixed_path(&literal(raw.as_bytes()));
            prop_assert_eq!(fixed_path(&once), once.clone());
            let text = fixed_text(&literal(raw.as_bytes()));
            prop_assert_eq!(fixed_text(&text), text.clone());
        }
    }
}
