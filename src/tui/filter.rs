//! The row filter: `text`, `!not`, `col=part`, `col==exact`, `col!=part`, `sev>=h`, `age>1h`.
//!
//! Terms are separated by blanks, and all must hold; `!` in front of one negates it; quotes keep
//! blanks and signs (`"a = b"`). Text is compared without regard to case; in `=` a `*` matches
//! anything. `pod=`, `ns=` and `runtime=` select rows by their container, on every screen. Numbers
//! are read as the column counts: ages as `1h30m`, sizes as `10M`.

use super::rows::belonging::WORDS as BELONGING_WORDS;
use super::rows::row::{Row, rank};
use super::table::{Column, Unit};
use crate::detect::Severity;

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    not: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Anywhere in the row.
    Anywhere(String),
    /// In this column.
    Text(usize, Pattern),
    /// In one of the facts about the row's container.
    Belongs(usize, Pattern),
    /// The number of this column.
    Number(usize, Order, f64),
}

#[derive(Debug, Clone, PartialEq)]
enum Pattern {
    Part(String),
    Exact(String),
    /// The parts between `*`.
    Parts(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// Signs between a column and a value; longer ones first.
const SIGNS: &[(&str, bool, Order)] = &[
    (">=", false, Order::AtLeast),
    ("<=", false, Order::AtMost),
    ("!=", true, Order::Equal),
    ("==", false, Order::Equal),
    ("=", false, Order::Equal),
    (">", false, Order::More),
    ("<", false, Order::Less),
];

impl Filter {
    /// Reads a filter for rows of these columns.
    ///
    /// # Errors When a column is not there, or a value does not fit the column.
    pub(super) fn parse(text: &str, columns: &[Column]) -> Result<Self, String> {
        let mut terms = Vec::new();
        for word in words(text)? {
            terms.push(term(&word, columns)?);
        }
        Ok(Self {
            text: text.trim().to_owned(),
            terms,
        })
    }

    /// The filter without its last word, while that word is incomplete or may become the name of a
    /// column: used while the filter is being typed.
    pub(super) fn begun(text: &str, wrong: bool, columns: &[Column]) -> Option<Self> {
        let last = text.split(char::is_whitespace).next_back()?;
        let word = last.trim_start_matches('!').to_lowercase();
        let begins = |column: &Column| !word.is_empty() && column.name.starts_with(&word);
        if !wrong && !columns.iter().any(begins) {
            return None;
        }
        Self::parse(&text[..text.len() - last.len()], columns).ok()
    }

    /// The text as typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it has a term about a column.
    pub(super) fn asks(&self, wanted: usize) -> bool {
        self.terms.iter().any(|term| match &term.test {
            Test::Text(column, _) | Test::Number(column, ..) => *column == wanted,
            Test::Anywhere(_) | Test::Belongs(..) => false,
        })
    }

    /// Whether it has a term about the rows' containers.
    pub(super) fn asks_belonging(&self) -> bool {
        let mut terms = self.terms.iter();
        terms.any(|term| matches!(term.test, Test::Belongs(..)))
    }

    /// Whether a row passes.
    pub(super) fn matches(&self, row: &Row) -> bool {
        self.terms.iter().all(|term| term.holds(row))
    }
}

impl Term {
    fn holds(&self, row: &Row) -> bool {
        let holds = match &self.test {
            Test::Anywhere(part) => {
                let brief = row.brief.iter().map(|(_, brief)| brief);
                let mut cells = row.cells.iter().chain(brief);
                cells.any(|cell| cell.to_lowercase().contains(part))
            }
            Test::Text(column, pattern) => row
                .cells
                .get(*column)
                .map(String::as_str)
                .into_iter()
                .chain(row.brief(*column))
                .any(|cell| pattern.matches(&cell.to_lowercase())),
            Test::Belongs(word, pattern) => {
                let texts = row.belonging.iter().filter_map(|texts| texts.get(*word));
                { texts }.any(|text| !text.is_empty() && pattern.matches(text))
            }
            Test::Number(column, order, value) => row
                .numbers
                .get(*column)
                .copied()
                .flatten()
                .is_some_and(|number| order.holds(number, *value)),
        };
        holds != self.not
    }
}

impl Pattern {
    fn new(value: &str, exact: bool) -> Self {
        if exact {
            Self::Exact(value.to_owned())
        } else if value.contains('*') {
            Self::Parts(value.split('*').map(str::to_owned).collect())
        } else {
            Self::Part(value.to_owned())
        }
    }

    fn matches(&self, cell: &str) -> bool {
        match self {
            Self::Part(part) => cell.contains(part),
            Self::Exact(value) => cell == value,
            Self::Parts(parts) => {
                let [first, middle @ .., last] = &parts[..] else {
                    return false;
                };
                let Some(mut rest) = cell.strip_prefix(first.as_str()) else {
                    return false;
                };
                for part in middle {
                    let Some(at) = rest.find(part) else {
                        return false;
                    };
                    rest = &rest[at + part.len()..];
                }
                rest.ends_with(last)
            }
        }
    }
}

impl Order {
    #[allow(
        clippy::cast_precision_loss,
        reason = "an inexact comparison of huge sizes is fine"
    )]
    fn holds(self, number: u64, value: f64) -> bool {
        let number = number as f64;
        match self {
            Self::Less => number < value,
            Self::AtMost => number <= value,
            Self::Equal => (number - value).abs() < 0.5,
            Self::AtLeast => number >= value,
            Self::More => number > value,
        }
    }
}

/// A word, and which of its bytes were quoted.
struct FilterWord {
    text: String,
    quoted: Vec<bool>,
}

fn words(text: &str) -> Result<Vec<FilterWord>, String> {
    let mut words = Vec::new();
    let mut word: Option<FilterWord> = None;
    let mut inside = None;
    for c in text.chars() {
        match (inside, c) {
            (None, '"' | '\'') => {
                inside = Some(c);
                word.get_or_insert(FilterWord {
                    text: String::new(),
                    quoted: Vec::new(),
                });
            }
            (Some(quote), c) if c == quote => inside = None,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => {
                let word = word.get_or_insert(FilterWord {
                    text: String::new(),
                    quoted: Vec::new(),
                });
                word.text.extend(c.to_lowercase());
                word.quoted.resize(word.text.len(), inside.is_some());
            }
        }
    }
    if let Some(quote) = inside {
        return Err(format!("{quote} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

fn term(word: &FilterWord, columns: &[Column]) -> Result<Term, String> {
    let bare = |at: usize| !word.quoted.get(at).copied().unwrap_or(false);
    let (mut not, start) = match word.text.strip_prefix('!') {
        Some(_) if bare(0) => (true, 1),
        _ => (false, 0),
    };
    let text = &word.text[start..];
    let sign = text
        .char_indices()
        .filter(|(at, _)| bare(start + at))
        .find_map(|(at, _)| {
            let found = SIGNS.iter().find(|(sign, ..)| text[at..].starts_with(sign));
            found.map(|sign| (at, sign))
        });
    let name_of = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '%')
    };
    let Some((at, (sign, turned, order))) = sign.filter(|(at, _)| name_of(&text[..*at])) else {
        let test = Test::Anywhere(text.to_owned());
        return Ok(Term { not, test });
    };
    let (name, value) = (&text[..at], &text[at + sign.len()..]);
    not ^= turned;
    let Some(column) = columns
        .iter()
        .position(|column| column.name == name || column.title.eq_ignore_ascii_case(name))
    else {
        if let Some(word) = BELONGING_WORDS.iter().position(|word| *word == name) {
            if value.is_empty() {
                return Err(format!("{name}{sign} needs a value"));
            }
            if *order != Order::Equal {
                return Err(format!("{name} is text: use = or !="));
            }
            let test = Test::Belongs(word, Pattern::new(value, *sign == "=="));
            return Ok(Term { not, test });
        }
        let names = columns.iter().map(|column| column.name);
        let words = BELONGING_WORDS.iter().copied();
        let words = words.filter(|word| columns.iter().all(|column| column.name != *word));
        let names: Vec<&str> = names.chain(words).collect();
        return Err(format!(
            "no column {name}; the columns are {}",
            names.join(" ")
        ));
    };
    let quoted = word.quoted.last().copied().unwrap_or(false);
    if value.is_empty() && !quoted {
        return Err(format!("{name}{sign} needs a value"));
    }
    let unit = columns[column].unit;
    let test = match (unit, order) {
        (Unit::Text, Order::Equal) => Test::Text(column, Pattern::new(value, *sign == "==")),
        (Unit::Text, _) => {
            return Err(format!("{name} is text: use = or !="));
        }
        _ => Test::Number(column, *order, number(name, value, unit)?),
    };
    Ok(Term { not, test })
}

fn number(name: &str, value: &str, unit: Unit) -> Result<f64, String> {
    let wrong = |like: &str| format!("{name}: {value:?} is invalid, write {like}");
    let plain = || value.trim_end_matches('%').parse::<f64>().ok();
    match unit {
        Unit::Severity if value == "none" => Ok(0.0),
        Unit::Severity => {
            let severity: Severity = value.parse().map_err(|_| wrong("c, h, m, l, i or none"))?;
            Ok(f64::from(u8::try_from(rank(Some(severity))).unwrap_or(0)))
        }
        Unit::Seconds => match plain() {
            Some(seconds) => Ok(seconds),
            None => humantime::parse_duration(value)
                .map(|span| span.as_secs_f64())
                .map_err(|_| wrong("30s, 5m, 1h or 3d")),
        },
        Unit::Bytes => {
            let split = value.trim_end_matches(['b', 'i']);
            let (digits, factor) = match split.char_indices().next_back() {
                Some((at, unit @ ('k' | 'm' | 'g' | 't'))) => {
                    let power = match unit {
                        'k' => 1,
                        'm' => 2,
                        'g' => 3,
                        _ => 4,
                    };
                    (&split[..at], 1024_f64.powi(power))
                }
                _ => (split, 1.0),
            };
            let number: f64 = digits.parse().map_err(|_| wrong("512, 10K or 1.5G"))?;
            Ok(number * factor)
        }
        Unit::PerMille => plain().map(|n| n * 10.0).ok_or_else(|| wrong("12.5")),
        Unit::Count | Unit::Text => plain().ok_or_else(|| wrong("a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::tui::rows::RowKey;
    use proptest::prelude::*;

    const COLUMNS: &[Column] = &[
        Column::severity(),
        Column::new("name", "NAME", 16, 0).main(),
        Column::new("age", "AGE", 4, 1).counts(Unit::Seconds),
        Column::new("mem", "MEM", 5, 2).counts(Unit::Bytes),
        Column::new("cpu", "CPU%", 5, 2).counts(Unit::PerMille),
    ];

    fn row(severity: Option<Severity>, name: &str, age: Option<u64>, mem: u64, cpu: u64) -> Row {
        Row {
            key: RowKey::Event(1),
            cells: vec![
                severity.map_or_else(|| ".".to_owned(), |s| s.letter().to_string()),
                name.to_owned(),
                "age".to_owned(),
                "mem".to_owned(),
                "cpu".to_owned(),
            ],
            numbers: vec![Some(rank(severity)), None, age, Some(mem), Some(cpu)],
            severity,
            faded: false,
            context: false,
            tag: "",
            brief: None,
            seen: None,
            tones: Vec::new(),
            charts: Vec::new(),
            belonging: None,
            depth: 0,
            lead: String::new(),
            at: Timestamp::default(),
        }
    }

    #[test]
    fn every_form_matches_and_rejects() {
        let high = row(
            Some(Severity::High),
            "Shop-Web x=1",
            Some(7200),
            20 << 20,
            125,
        );
        let none = row(None, "cron \\u{202e}job", None, 512, 0);
        for (text, on_high, on_none) in [
            ("", true, true),
            ("shop", true, false),
            ("SHOP web", true, false),
            ("!shop", false, true),
            ("\"web x\"", true, false),
            ("'x=1'", true, false),
            ("\"!\"", false, false),
            ("name=shop", true, false),
            ("name==shop", false, false),
            ("name==\"shop-web x=1\"", true, false),
            ("name=shop*1", true, false),
            ("name=*job", false, true),
            ("name=s*z*1", false, false),
            ("name!=shop", false, true),
            ("!name=shop", false, true),
            ("sev>=h", true, false),
            ("sev>high", false, false),
            ("sev<m", false, true),
            ("sev=none", false, true),
            ("sev!=none", true, false),
            ("age>1h", true, false),
            ("age<=2h", true, false),
            ("age>7200", false, false),
            ("age<1d", true, false),
            ("mem>10M", true, false),
            ("mem<1k", false, true),
            ("mem=20m", true, false),
            ("cpu>=12.5", true, false),
            ("CPU%=12.5", true, false),
            ("202e", false, true),
            ("/etc/a=b", false, false),
        ] {
            let filter = Filter::parse(text, COLUMNS).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(filter.matches(&high), on_high, "{text}: {filter:?}");
            assert_eq!(filter.matches(&none), on_none, "{text}: {filter:?}");
        }
    }

    #[test]
    fn pod_namespace_and_runtime_filter_on_every_screen() {
        let mut front = row(None, "nginx", None, 0, 0);
        let words = ["shop/front-7", "shop", "containerd"].map(str::to_owned);
        front.belonging = Some(Box::new(words));
        let mut host = row(None, "sshd", None, 0, 0);
        host.belonging = Some(Box::default());
        for (text, on_front, on_host) in [
            ("pod=front", true, false),
            ("pod=shop/*", true, false),
            ("ns==shop", true, false),
            ("ns==sho", false, false),
            ("!ns=shop", false, true),
            ("runtime!=docker", true, true),
            ("runtime=containerd nginx", true, false),
        ] {
            let filter = Filter::parse(text, COLUMNS).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(filter.asks_belonging());
            assert_eq!(filter.matches(&front), on_front, "{text}");
            assert_eq!(filter.matches(&host), on_host, "{text}");
        }
        assert!(!Filter::parse("name=a", COLUMNS).unwrap().asks_belonging());
        assert!(Filter::parse("pod>1", COLUMNS).is_err());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, part) in [
            (
                "nme=x",
                "no column nme; the columns are sev name age mem cpu",
            ),
            ("sev>=", "sev>= needs a value"),
            ("sev>=x", "write c, h"),
            ("age>soon", "write 30s"),
            ("mem>lots", "write 512"),
            ("name>x", "name is text"),
            ("\"open", "\" is not closed"),
        ] {
            let error = Filter::parse(text, COLUMNS).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}", name in "\\PC{0,12}") {
            if let Ok(filter) = Filter::parse(&text, COLUMNS) {
                filter.matches(&row(None, &name, None, 0, 0));
            }
        }

        #[test]
        fn a_quoted_name_finds_itself(name in "[^\"\\pC]{1,12}") {
            let filter = Filter::parse(&format!("\"{name}\""), COLUMNS).unwrap();
            prop_assert!(filter.matches(&row(None, &name, None, 0, 0)));
        }
    }
}
