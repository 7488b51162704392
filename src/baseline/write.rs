//! Writes a baseline as a file: TOML, one item a line, sorted, so that a change is a small difference.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::item::{BaselineItem, Facet, ItemField, LifePhase};
use super::model::{Baseline, Facts, LearningSource};
use crate::event::Timestamp;

/// The version of the format.
pub(super) const FORMAT: i64 = 1;

/// A TOML string in one line, with everything escaped that could steer a terminal.
fn text(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if crate::event::escape(c.encode_utf8(&mut [0; 4]).as_bytes())
                .to_string()
                .starts_with('\\') =>
            {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn bytes(value: &[u8], out: &mut String) {
    match std::str::from_utf8(value) {
        Ok(value) => text(value, out),
        Err(_) => {
            out.push_str("{ text = ");
            text(&String::from_utf8_lossy(value), out);
            out.push_str(", base64 = ");
            text(&STANDARD.encode(value), out);
            out.push_str(" }");
        }
    }
}

fn string(key: &str, value: &[u8], out: &mut String) {
    out.push_str(key);
    out.push_str(" = ");
    bytes(value, out);
    out.push('\n');
}

fn strings<'a>(key: &str, values: impl Iterator<Item = &'a [u8]>, out: &mut String) {
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        return;
    }
    out.push_str(key);
    out.push_str(" = [\n");
    for value in values {
        out.push_str("  ");
        bytes(value, out);
        out.push_str(",\n");
    }
    out.push_str("]\n");
}

fn fields(item: &BaselineItem, out: &mut String) {
    for (place, (field, value)) in item.fields.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push_str(field.name());
        out.push_str(" = ");
        let digits = value.iter().all(u8::is_ascii_digit) && value.len() < 12;
        let plain = digits && (value.len() == 1 || !value.starts_with(b"0"));
        if matches!(field, ItemField::Port | ItemField::Uid) && plain {
            out.push_str(&String::from_utf8_lossy(value));
        } else {
            bytes(value, out);
        }
    }
}

fn facts(facts: &Facts, single: bool, out: &mut String) {
    if !facts.how.is_empty() {
        out.push_str(", how = ");
        text(&facts.how.iter().collect::<String>(), out);
    }
    if !facts.uid.is_empty() {
        let uid: Vec<_> = facts.uid.iter().map(u32::to_string).collect();
        let _ = write!(out, ", uid = [{}]", uid.join(", "));
    }
    for phase in LifePhase::ALL {
        let samples = facts.samples(phase);
        if samples.is_empty() {
            continue;
        }
        let samples: Vec<_> = samples
            .iter()
            .map(|(source, n)| {
                if single {
                    n.to_string()
                } else {
                    let mut out = String::new();
                    text(&format!("{source}/{n}"), &mut out);
                    out
                }
            })
            .collect();
        let _ = write!(out, ", {} = [{}]", phase.name(), samples.join(", "));
    }
}

fn source(id: &str, source: &LearningSource, out: &mut String) {
    out.push_str("  { id = ");
    text(id, out);
    let time = |t: Timestamp| t.to_jiff().strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string();
    let _ = write!(
        out,
        ", from = \"{}\", until = \"{}\", starts = {}, stops = {}, windows = {}, observed = {}, \
         lost = {}, start-incidences = {}, steady-incidences = {}, memory = {}, tasks = {}, \
         cpu = {}, compared = {}, under = {{ ",
        time(source.from),
        time(source.until),
        source.starts,
        source.stops,
        source.windows,
        source.observed,
        source.lost,
        source.start_incidences,
        source.steady_incidences,
        source.memory,
        source.tasks,
        source.cpu,
        source.compared
    );
    for (place, (key, value)) in source.under.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        text(key, out);
        out.push_str(" = ");
        text(value, out);
    }
    out.push_str(" } },\n");
}

/// The file of a baseline.
#[must_use]
pub fn write(baseline: &Baseline) -> String {
    let mut out = format!("baseline = {FORMAT}\n");
    string("image", &baseline.image, &mut out);
    if !baseline.service.is_empty() {
        string("service", &baseline.service, &mut out);
    }
    if !baseline.command.is_empty() {
        string("command", &baseline.command, &mut out);
    }
    string("state", baseline.state().name().as_bytes(), &mut out);
    let digests = baseline.digests.iter().map(|d| d.as_bytes());
    strings("digests", digests, &mut out);
    let mounts = baseline.mounts.iter().map(|m| &***m);
    strings("mounts", mounts, &mut out);
    let large = baseline.too_large.iter().map(|f| f.name().as_bytes());
    strings("too-large", large, &mut out);
    out.push_str("sources = [\n");
    for (id, learned) in &baseline.sources {
        source(id, learned, &mut out);
    }
    out.push_str("]\n");
    if !baseline.held.is_empty() {
        out.push_str("held = [\n");
        for (item, why) in &baseline.held {
            let _ = write!(out, "  {{ facet = \"{}\", why = ", item.facet.name());
            text(why, &mut out);
            out.push_str(", ");
            fields(item, &mut out);
            out.push_str(" },\n");
        }
        out.push_str("]\n");
    }
    out.push_str("\n[facets]\n");
    let single = baseline.sources.len() == 1;
    for facet in Facet::ALL {
        let mut items = baseline.facet(facet).peekable();
        if items.peek().is_none() {
            continue;
        }
        out.push_str(facet.name());
        out.push_str(" = [\n");
        for (item, known) in items {
            out.push_str("  { ");
            fields(item, &mut out);
            facts(known, single, &mut out);
            out.push_str(" },\n");
        }
        out.push_str("]\n");
    }
    out
}
