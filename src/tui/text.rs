//! Fits text of any width into a cell.

use std::time::Duration;

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

/// A byte count as text: `1.5M`.
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

/// `text` in at most `width` columns, shortened in the middle: names often differ at their end.
#[must_use]
pub(super) fn fit_middle(text: &str, width: usize) -> String {
    if text.width() <= width || width < 6 {
        return fit(text, width);
    }
    let tail_room = (width - 1) / 2;
    let mut tail = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let w = c.width().unwrap_or(0);
        if used + w > tail_room {
            break;
        }
        used += w;
        tail.push(c);
    }
    let mut out = fit(text, width - used);
    out.extend(tail.iter().rev());
    out
}

/// A number of things: `1 file`, `2 files`.
#[must_use]
pub(super) fn things(count: u64, one: &str) -> String {
    let more = match one.ends_with('s') {
        _ if count == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{count} {one}{more}")
}

/// A count before a text; nothing for 1.
#[must_use]
pub(super) fn times(count: u64) -> String {
    if count == 1 {
        String::new()
    } else {
        format!("x{count}  ")
    }
}

/// A count as text in three digits: `9.1k`.
#[must_use]
pub(super) fn count(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..10_000 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        10_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// A time span in one unit, in steps so that it changes rarely: 10 s, a minute, an hour, a day.
#[must_use]
pub(super) fn coarse(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{}s", seconds / 10 * 10),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
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

/// A distance in time: `00:12`, `1:02:03`.
pub(super) fn distance(by: Duration) -> String {
    let seconds = by.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
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
        assert_eq!(fit_middle("payments-api-6f9c", 12), "paymen…-6f9c");
        assert_eq!(fit_middle("日本語日本語日本語", 9).width(), 9);
        assert_eq!(fit_middle("abcdefgh", 4), "abc…");
    }

    #[test]
    fn sizes_and_spans_read_well() {
        assert_eq!(bytes(512), "512");
        assert_eq!(bytes(1536), "1.5K");
        assert_eq!(bytes(20 << 20), "20M");
        assert_eq!(count(9_150), "9.1k");
        let ages = [9, 19, 61, 7_300, 200_000].map(|s| coarse(std::time::Duration::from_secs(s)));
        assert_eq!(ages, ["0s", "10s", "1m", "2h", "2d"]);
        assert_eq!(span(std::time::Duration::from_secs(90_061)), "1day 1h");
    }
}
