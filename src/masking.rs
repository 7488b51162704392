//! Masks secrets in command lines and settings on screens, copies and exports. The recording itself
//! keeps them.

use std::borrow::Cow;
use std::sync::LazyLock;

use bstr::ByteSlice as _;
use regex::bytes::{Captures, Regex, RegexBuilder};
use serde_json::Value;

/// Replacement for a secret.
pub const MASK: &str = "***";

/// Words that name a secret; `passwd` alone is a file.
const NAMED: &str = r"(?:pass(?:word|phrase|wd)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|encryption[_-]?key|credentials?|auth)";

/// The group `s` is the secret; the text around it stays.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let value = r#"(?<s>"[^"]*"|'[^']*'|[^\s,;&"']+)"#;
    [
        // PASSWORD=…, api_key=…
        format!(r#"(?i)(?:^|[^\w/.-])[\w.-]*{NAMED}(?:[_-][\w-]*)?={value}"#),
        // --password …, --token=…
        format!(r"(?i)(?:^|\s)--?[\w-]*{NAMED}(?:[ =]|\s+){value}"),
        // "password": "…"
        format!(r#"(?i)"[\w.-]*{NAMED}(?:[_-][\w-]*)?"\s*:\s*"(?<s>[^"]*)""#),
        // Authorization: Bearer …
        r"(?i)\b(?:bearer|basic|token)\s+(?<s>[a-z0-9._~+/=-]{12,})".to_owned(),
        r"(?i)\bx-[\w-]*(?:key|token|secret)\s*:\s*(?<s>[^\s',;]+)".to_owned(),
        // scheme://user:…@host
        r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@]*:(?<s>[^\s/@]+)@".to_owned(),
        // mysql -p…, sshpass -p …, curl -u user:…
        r"(?:^|[\s/])(?:mysql|mariadb)[\w-]*\s(?:.*\s)?-p(?<s>[^\s]+)".to_owned(),
        r"(?:^|[\s/])(?:sshpass\s(?:.*\s)?-p\s*|redis-cli\s(?:.*\s)?-a\s+)(?<s>[^\s]+)".to_owned(),
        r"(?:^|[\s/])curl\s(?:.*\s)?(?:-u\s*|--user[ =])[^\s:]+:(?<s>[^\s]+)".to_owned(),
        // Keys recognised by their form.
        r"\b(?<s>(?:AKIA|ASIA)[A-Z0-9]{16})\b".to_owned(),
        r"\b(?<s>gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|[sr]k_live_\w{16,})"
            .to_owned(),
        r"\b(?<s>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)".to_owned(),
        r"(?<s>-----BEGIN [A-Z ]*PRIVATE KEY-----.*)".to_owned(),
    ]
    .iter()
    // A test compiles every one.
    .filter_map(|pattern| compile(pattern))
    .collect()
});

/// An option or setting whose value is a secret, standing alone: `--password`, `DB_TOKEN`.
static ALONE: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(&format!(r"(?i)^(?:--?)?[\w.-]*{NAMED}(?:[_-][\w-]*)?$")));

/// A pattern of bytes: names of secrets are ASCII, and Unicode tables, repeated in every pattern,
/// would take megabytes. Each secret begins and ends next to an ASCII character, so no character is
/// split.
fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().ok()
}

/// `text` with its secrets replaced by [`MASK`].
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text.as_bytes());
    for pattern in PATTERNS.iter() {
        let Cow::Owned(next) = pattern.replace_all(&masked, replace) else {
            continue;
        };
        masked = Cow::Owned(next);
    }
    match masked {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn replace(found: &Captures) -> Vec<u8> {
    let whole = &found[0];
    let (Some(all), Some(secret)) = (found.get(0), found.name("s")) else {
        return whole.to_owned();
    };
    if already(secret.as_bytes()) {
        return whole.to_owned();
    }
    let from = secret.start() - all.start();
    let to = secret.end() - all.start();
    [&whole[..from], MASK.as_bytes(), &whole[to..]].concat()
}

/// A value that is not a secret: masked before, a variable, a file's name.
fn already(value: &[u8]) -> bool {
    let value = value.trim_with(|c| matches!(c, '"' | '\''));
    value.is_empty() || value.contains_str(MASK) || b"$/<".contains(&value[0])
}

/// True for a name whose value is a secret: `DB_PASSWORD`, `--token`.
#[must_use]
pub fn names_secret(name: &[u8]) -> bool {
    ALONE.as_ref().is_some_and(|pattern| pattern.is_match(name))
}

/// Masks every text in a JSON value, including the argument after one that names a secret.
pub fn mask_json(value: &mut Value) {
    match value {
        Value::String(text) => mask_string(text),
        Value::Array(list) => {
            let mut named = false;
            for value in list {
                let word = value.as_str().or_else(|| value.get("text")?.as_str());
                let names = word.is_some_and(|word| word.starts_with('-') && alone(word));
                if named
                    && word.is_some_and(|word| !word.starts_with("--") && !already(word.as_bytes()))
                {
                    *value = Value::String(MASK.to_owned());
                } else {
                    mask_json(value);
                }
                named = names;
            }
        }
        Value::Object(map) => {
            // Bytes that are not UTF-8: their exact form would reveal what the text masks.
            if let (Some(Value::String(text)), true) = (map.get("text"), map.contains_key("base64"))
            {
                let masked = mask(text).into_owned();
                if masked != *text {
                    *value = Value::String(masked);
                }
                return;
            }
            for (key, value) in map {
                match value {
                    Value::String(text) if alone(key) && !already(text.as_bytes()) => {
                        MASK.clone_into(text)
                    }
                    value => mask_json(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn mask_string(text: &mut String) {
    if let Cow::Owned(masked) = mask(text) {
        *text = masked;
    }
}

fn alone(word: &str) -> bool {
    ALONE
        .as_ref()
        .is_some_and(|alone| alone.is_match(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 13);
        assert!(ALONE.is_some());
    }

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        for (text, masked) in [
            ("psql --password hunter2 -h db", "psql --password *** -h db"),
            ("app --api-key=abc123 -v", "app --api-key=*** -v"),
            (
                "env DB_PASSWORD=a PATH=/bin",
                "env DB_PASSWORD=*** PATH=/bin",
            ),
            (
                "AWS_SECRET_ACCESS_KEY=x/y+z ls",
                "AWS_SECRET_ACCESS_KEY=*** ls",
            ),
            ("SECRET='a b c' run", "SECRET=*** run"),
            ("curl -u bob:pw https://h", "curl -u bob:*** https://h"),
            (
                "git clone https://bob:pw@host/r",
                "git clone https://bob:***@host/r",
            ),
            ("redis-cli -a s3 ping", "redis-cli -a *** ping"),
            ("mysql -h x -ps3cret db", "mysql -h x -p*** db"),
            (
                "curl -H 'Authorization: Bearer abcdef0123456789'",
                "curl -H 'Authorization: Bearer ***'",
            ),
            (
                "{\"password\": \"x y\", \"n\": 1}",
                "{\"password\": \"***\", \"n\": 1}",
            ),
            ("echo AKIAIOSFODNN7EXAMPLE", "echo ***"),
            ("PASSWORD=a TOKEN=b", "PASSWORD=*** TOKEN=***"),
            ("東京 --password=pässwörd京 é", "東京 --password=*** é"),
            ("éPASSWORD=é,京", "éPASSWORD=***,京"),
            (
                "curl -u jürgen:ü https://京",
                "curl -u jürgen:*** https://京",
            ),
        ] {
            assert_eq!(mask(text), masked);
            assert_eq!(mask(masked), masked, "twice");
        }
        for plain in [
            "cat /etc/passwd",
            "wrote /etc/passwd: 12 bytes",
            "ssh-keygen -f key",
            "vi /root/.ssh/authorized_keys",
            "login --password $PW",
            "app --token-file=/run/secrets/token",
            "mkdir -p /a/b",
            "passwd root",
            "http://host:80/a@b",
            "author=me",
            "søt=é 東京",
        ] {
            assert_eq!(mask(plain), plain);
        }
    }

    #[test]
    fn json_is_masked_in_every_depth() {
        let mut value = serde_json::json!({
            "argv": ["app", "--password", "x", "--user", "bob", "--token", "--verbose"],
            "env": ["TOKEN=abc", "HOME=/root"],
            "labels": {"db.password": "y", "tier": "web"},
            "odd": {"text": "PASSWORD=\u{fffd}", "base64": "UEFTUw=="},
            "path": {"text": "/tmp/\u{fffd}", "base64": "L3RtcC//"},
            "n": 1
        });
        mask_json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({
                "argv": ["app", "--password", "***", "--user", "bob", "--token", "--verbose"],
                "env": ["TOKEN=***", "HOME=/root"],
                "labels": {"db.password": "***", "tier": "web"},
                "odd": "PASSWORD=***",
                "path": {"text": "/tmp/\u{fffd}", "base64": "L3RtcC//"},
                "n": 1
            })
        );
    }
}
