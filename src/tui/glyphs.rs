//! Replacements of characters where the terminal shows ASCII only.

use unicode_width::UnicodeWidthStr as _;

use super::theme::bare;

/// Whether the environment allows characters beyond ASCII.
#[must_use]
pub(super) fn unicode() -> bool {
    allowed(|name| std::env::var(name).ok())
}

fn allowed(get: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| get(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    let term = get("TERM").unwrap_or_default();
    (locale.contains("utf-8") || locale.contains("utf8")) && !bare(&term)
}

/// ASCII of the same width as `symbol`.
pub(super) fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "▁" | "▂" => ".",
        "▃" | "▄" => ":",
        "▅" | "▆" => "|",
        "▇" | "█" | "●" => "#",
        "▌" | "›" | "→" | "▶" | "↳" => ">",
        "‹" | "←" => "<",
        "↑" => "^",
        "↓" => "v",
        "↵" => "<",
        "─" | "━" | "╌" | "–" | "—" => "-",
        "│" | "┃" | "╎" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "╭" | "╮" | "╰" | "╯" => {
            "+"
        }
        "…" => "~",
        "·" | "•" => ".",
        "×" | "✗" => "x",
        "✓" => "v",
        "Δ" => "d",
        "░" | "▒" | "▓" => "%",
        _ => match symbol.width() {
            0 => "",
            1 => "?",
            _ => "??",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> bool {
        allowed(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_a_utf_8_locale_gets_more_than_ascii() {
        let term = ("TERM", "xterm");
        assert!(of(&[term, ("LANG", "C.UTF-8")]));
        assert!(of(&[term, ("LC_ALL", ""), ("LC_CTYPE", "de_DE.utf8")]));
        assert!(!of(&[term]));
        assert!(!of(&[term, ("LANG", "C.UTF-8"), ("LC_ALL", "C")]));
        assert!(!of(&[("TERM", "vt100"), ("LANG", "C.UTF-8")]));
    }

    #[test]
    fn every_replacement_has_the_same_width() {
        for symbol in ["▁", "█", "─", "…", "Δ", "日", "é", "→", "●"] {
            assert_eq!(ascii(symbol).width(), symbol.width(), "{symbol}");
            assert!(ascii(symbol).is_ascii());
        }
    }
}
