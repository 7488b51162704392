//! Reads a baseline file. An error refuses the whole file and names the line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::item::{BaselineItem, Facet, LifePhase};
use super::model::{Baseline, Facts, LearningSource, MOST_HELD, MOST_ITEMS, MOST_SOURCES};
use super::write::FORMAT;
use crate::event::{Bytes, Timestamp};

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct BaselineError {
    /// Line in the file, from 1.
    pub line: usize,
    /// The error.
    pub message: String,
}

type Result<T> = std::result::Result<T, (Range<usize>, String)>;

fn refuse<T>(at: &Spanned<DeValue<'_>>, message: impl Into<String>) -> Result<T> {
    Err((at.span(), message.into()))
}

/// The keys of a table; those that are left are unknown.
struct Keys<'a> {
    span: Range<usize>,
    table: &'a DeTable<'a>,
    known: BTreeSet<String>,
}

impl<'a> Keys<'a> {
    fn of(value: &'a Spanned<DeValue<'a>>) -> Result<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(Self {
                span: value.span(),
                table,
                known: BTreeSet::new(),
            }),
            _ => refuse(value, "it must be a table: { … }"),
        }
    }

    fn take(&mut self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.insert(key.to_owned());
        self.table.get(key)
    }

    fn need(&mut self, key: &str) -> Result<&'a Spanned<DeValue<'a>>> {
        let span = self.span.clone();
        self.take(key)
            .ok_or_else(|| (span, format!("it lacks {key}")))
    }

    fn finish(self) -> Result<()> {
        for (key, _) in self.table {
            if !self.known.contains(key.get_ref().as_ref()) {
                return Err((key.span(), format!("{:?} is unknown", key.get_ref())));
            }
        }
        Ok(())
    }
}

fn read_text<'a>(value: &'a Spanned<DeValue<'a>>) -> Result<&'a str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => refuse(value, "it must be a string"),
    }
}

fn read_bytes(value: &Spanned<DeValue<'_>>) -> Result<Bytes> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Bytes::new(text.as_bytes())),
        DeValue::Integer(_) => Ok(Bytes::from(read_number::<u64>(value)?.to_string().as_str())),
        DeValue::Table(_) => {
            let mut keys = Keys::of(value)?;
            keys.take("text");
            let exact = keys.need("base64")?;
            let decoded = STANDARD.decode(read_text(exact)?);
            keys.finish()?;
            decoded.map_or_else(|e| refuse(exact, e.to_string()), |v| Ok(Bytes::from(v)))
        }
        _ => refuse(value, "it must be a string, or { text, base64 }"),
    }
}

fn read_number<T: TryFrom<i64>>(value: &Spanned<DeValue<'_>>) -> Result<T> {
    let DeValue::Integer(number) = value.get_ref() else {
        return refuse(value, "it must be a number");
    };
    let number = i64::from_str_radix(number.as_str(), number.radix());
    number
        .ok()
        .and_then(|n| T::try_from(n).ok())
        .map_or_else(|| refuse(value, "the number is too small or too large"), Ok)
}

fn read_list<'a>(value: &'a Spanned<DeValue<'a>>) -> Result<&'a [Spanned<DeValue<'a>>]> {
    match value.get_ref() {
        DeValue::Array(list) => Ok(list),
        _ => refuse(value, "it must be a list"),
    }
}

fn read_time(value: &Spanned<DeValue<'_>>) -> Result<Timestamp> {
    Timestamp::parse(read_text(value)?).or_else(|e| refuse(value, e))
}

fn read_item(facet: Facet, keys: &mut Keys<'_>) -> Result<BaselineItem> {
    let mut item = BaselineItem::new(facet, []);
    for field in facet.fields() {
        // A program's user ids are facts, not a part of its identity.
        if let Some(value) = keys.take(field.name()) {
            let value = read_bytes(value)?;
            if !value.is_empty() {
                item.fields.insert(*field, value);
            }
        }
    }
    match facet.fields().first() {
        Some(first) if !item.fields.contains_key(first) => Err((
            keys.span.clone(),
            format!("an item of {facet} needs {}", first.name()),
        )),
        _ => Ok(item),
    }
}

fn read_facts(facet: Facet, keys: &mut Keys<'_>, sources: &[&String]) -> Result<Facts> {
    let mut facts = Facts::default();
    if let Some(how) = keys.take("how") {
        facts.how = read_text(how)?.chars().collect();
        if facts.how.iter().any(|c| !"cwtmdrlanxisf".contains(*c)) {
            return refuse(how, "it has an unknown letter");
        }
    }
    if facet != Facet::User
        && let Some(uid) = keys.take("uid")
    {
        facts.uid = read_list(uid)?
            .iter()
            .map(read_number)
            .collect::<Result<_>>()?;
    }
    for phase in LifePhase::ALL {
        let Some(samples) = keys.take(phase.name()) else {
            continue;
        };
        for sample in read_list(samples)? {
            let (source, n) = match sample.get_ref() {
                DeValue::Integer(_) => match sources {
                    [only] => (only.as_str(), read_number(sample)?),
                    _ => return refuse(sample, "name the source of the sample: \"ID/1\""),
                },
                _ => match read_text(sample)?.rsplit_once('/') {
                    Some((source, n)) => match n.parse() {
                        Ok(n) => (source, n),
                        Err(_) => return refuse(sample, "it must be ID/NUMBER"),
                    },
                    None => return refuse(sample, "it must be ID/NUMBER"),
                },
            };
            if !sources.iter().any(|known| *known == source) {
                return refuse(sample, format!("{source:?} is not among the sources"));
            }
            facts.samples_mut(phase).add(source, n);
        }
    }
    Ok(facts)
}

fn read_source(value: &Spanned<DeValue<'_>>) -> Result<(String, LearningSource)> {
    let mut keys = Keys::of(value)?;
    let id = read_text(keys.need("id")?)?.to_owned();
    let compared = match keys.take("compared").map(|v| (v, v.get_ref())) {
        None => false,
        Some((_, DeValue::Boolean(compared))) => *compared,
        Some((at, _)) => return refuse(at, "it must be true or false"),
    };
    let mut source = LearningSource {
        from: read_time(keys.need("from")?)?,
        until: read_time(keys.need("until")?)?,
        starts: read_number(keys.need("starts")?)?,
        stops: read_number(keys.need("stops")?)?,
        windows: read_number(keys.need("windows")?)?,
        observed: read_number(keys.need("observed")?)?,
        lost: read_number(keys.need("lost")?)?,
        start_incidences: read_number(keys.need("start-incidences")?)?,
        steady_incidences: read_number(keys.need("steady-incidences")?)?,
        memory: keys.take("memory").map_or(Ok(0), read_number)?,
        tasks: keys.take("tasks").map_or(Ok(0), read_number)?,
        cpu: keys.take("cpu").map_or(Ok(0), read_number)?,
        compared,
        under: BTreeMap::new(),
    };
    if let Some(under) = keys.take("under") {
        let Keys { table, .. } = Keys::of(under)?;
        for (key, value) in table {
            let value = read_text(value)?.to_owned();
            source
                .under
                .insert(key.get_ref().clone().into_owned(), value);
        }
    }
    keys.finish()?;
    Ok((id, source))
}

fn read(root: &Spanned<DeValue<'_>>) -> Result<Baseline> {
    let mut keys = Keys::of(root)?;
    let format = keys.need("baseline")?;
    if read_number::<i64>(format)? != FORMAT {
        return refuse(
            format,
            format!("this version reads baselines of format {FORMAT} only"),
        );
    }
    let mut baseline = Baseline {
        image: read_bytes(keys.need("image")?)?,
        ..Baseline::default()
    };
    if let Some(service) = keys.take("service") {
        baseline.service = read_bytes(service)?;
    }
    if let Some(command) = keys.take("command") {
        baseline.command = read_bytes(command)?;
    }
    let state = keys.need("state")?;
    baseline.frozen = match read_text(state)? {
        "frozen" => true,
        "partial" | "learning" | "ready" => false,
        _ => return refuse(state, "it must be partial, learning, ready or frozen"),
    };
    if let Some(digests) = keys.take("digests") {
        for digest in read_list(digests)? {
            baseline.digests.insert(read_text(digest)?.to_owned());
        }
    }
    if let Some(mounts) = keys.take("mounts") {
        for mount in read_list(mounts)? {
            baseline.mounts.insert(read_bytes(mount)?);
        }
    }
    if let Some(large) = keys.take("too-large") {
        for name in read_list(large)? {
            let Some(facet) = Facet::named(read_text(name)?) else {
                return refuse(name, "there is no such facet");
            };
            baseline.too_large.insert(facet);
        }
    }
    let sources = keys.need("sources")?;
    for value in read_list(sources)? {
        let (id, source) = read_source(value)?;
        if baseline.sources.insert(id, source).is_some() {
            return refuse(value, "this source is listed twice");
        }
    }
    if baseline.sources.len() > MOST_SOURCES {
        return refuse(
            sources,
            format!("there are more than {MOST_SOURCES} sources"),
        );
    }
    if let Some(held) = keys.take("held") {
        let list = read_list(held)?;
        if list.len() > MOST_HELD {
            return refuse(held, format!("more than {MOST_HELD} items are held"));
        }
        for value in list {
            let mut keys = Keys::of(value)?;
            let name = keys.need("facet")?;
            let Some(facet) = Facet::named(read_text(name)?) else {
                return refuse(name, "there is no such facet");
            };
            let why = read_text(keys.need("why")?)?.to_owned();
            let item = read_item(facet, &mut keys)?;
            keys.finish()?;
            if baseline.held.insert(item, why).is_some() {
                return refuse(value, "this item is held twice");
            }
        }
    }
    let facets = keys.need("facets")?;
    let mut names = Keys::of(facets)?;
    let ids: Vec<String> = baseline.sources.keys().cloned().collect();
    let ids: Vec<&String> = ids.iter().collect();
    for facet in Facet::ALL {
        let Some(items) = names.take(facet.name()) else {
            continue;
        };
        let list = read_list(items)?;
        if list.len() > MOST_ITEMS {
            return refuse(items, format!("{facet} has more than {MOST_ITEMS} items"));
        }
        for value in list {
            let mut keys = Keys::of(value)?;
            let item = read_item(facet, &mut keys)?;
            let facts = read_facts(facet, &mut keys, &ids)?;
            keys.finish()?;
            if baseline.items.insert(item, facts).is_some() {
                return refuse(value, "this item is listed twice");
            }
        }
    }
    names.finish()?;
    keys.finish()?;
    Ok(baseline)
}

/// Reads a baseline. An error refuses the whole file.
///
/// # Errors
/// When the text is no baseline of this format: the line, and what is wrong there.
pub fn parse(text: &str) -> std::result::Result<Baseline, BaselineError> {
    let at = |span: Option<Range<usize>>, message: String| {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let before = text.as_bytes().get(..start).unwrap_or_default();
        BaselineError {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            message,
        }
    };
    let table = DeTable::parse(text).map_err(|e| at(e.span(), e.message().to_owned()))?;
    let span = table.span();
    let root = Spanned::new(span, DeValue::Table(table.into_inner()));
    read(&root).map_err(|(span, message)| at(Some(span), message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "file_tests.rs"]
mod tests;
