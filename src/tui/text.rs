//! Text of any width into a cell of a given one.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// `text` in at most `width` columns, cut with `…`. The text must be escaped already.
#[must_use]
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// `text` in exactly `width` columns.
#[must_use]
pub(super) fn pad(text: &str, width: usize, right: bool) -> String {
    let text = fit(text, width);
    let room = " ".repeat(width.saturating_sub(text.width()));
    if right { room + &text } else { text + &room }
}

/// Bytes for people: `1.5M`.
#[must_use]
pub(super) fn bytes(count: u64) -> String {
    let units = ["", "K", "M", "G", "T"];
    let mut value = count;
    let mut rest = 0;
    let mut unit = 0;
    while value >= 1024 && unit + 1 < units.len() {
        rest = value % 1024 * 10 / 1024;
        value /= 1024;
        unit += 1;
    }
    if unit == 0 || value >= 10 {
        format!("{value}{}", units[unit])
    } else {
        format!("{value}.{rest}{}", units[unit])
    }
}

/// A time span in its two largest units: `3d 4h`.
#[must_use]
pub(super) fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let coarse = if seconds >= 86_400 {
        seconds / 3600 * 3600
    } else if seconds >= 3600 {
        seconds / 60 * 60
    } else {
        seconds
    };
    humantime::format_duration(std::time::Duration::from_secs(coarse)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_never_misalign() {
        assert_eq!(pad("ab", 4, false), "ab  ");
        assert_eq!(pad("ab", 4, true), "  ab");
        assert_eq!(pad("日本語", 4, false).width(), 4);
        assert_eq!(fit("abcdef", 3), "ab…");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn sizes_and_spans_read_well() {
        assert_eq!(bytes(512), "512");
        assert_eq!(bytes(1536), "1.5K");
        assert_eq!(bytes(20 << 20), "20M");
        assert_eq!(span(std::time::Duration::from_secs(90_061)), "1day 1h");
    }
}
