//! `hullwatch diff`: what one version does that another one does not.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::error::print_message;
use super::period::Period;
use super::{CliError, LiveArgs, baseline, learn, live, ring};
use crate::baseline::{Baseline, BaselineItem, Diff, Facet, ItemField, diff};
use crate::event::{Timestamp, escape_json};
use crate::memory::MemoryBudget;

/// Compare what two versions of a container do
///
/// Each side is a baseline file, a recording (a file or the directory of record --ring), or the
/// name of a running container. Of a recording with several containers name one: FILE@NAME. Numbers
/// and temporary names are generalized, so that they do not count as differences. Lines with + are
/// what only the second side does.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The side before
    a: String,

    /// The side after
    b: String,

    /// Of a recording before, only what happened until then: -2h, or a date and time
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = ring::moment)]
    until: Option<Timestamp>,

    /// Of a recording after, only what happened since then; the same recording can be both sides
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = ring::moment)]
    since: Option<Timestamp>,

    /// How long to watch running containers
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = live::duration)]
    time: Duration,

    /// Only these facets, separated by commas, e.g. exec,connect
    #[arg(long, value_name = "FACETS", value_delimiter = ',', value_parser = baseline::facet)]
    only: Vec<Facet>,

    /// Exit with 1 when the second does something that the first does not
    #[arg(long)]
    exit_code: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,

    /// Print Markdown, for a pull request
    #[arg(long)]
    markdown: bool,

    #[command(flatten)]
    live: LiveArgs,
}

/// It is no file, so that it must be a container's name.
fn is_running(text: &str) -> bool {
    let file = text.ends_with(".toml") || text.contains(['@', '/']);
    !file && !Path::new(text).exists()
}

/// The only baseline of a name.
fn one(text: &str, found: Vec<Baseline>) -> Result<Baseline, CliError> {
    <[Baseline; 1]>::try_from(found)
        .map(|[one]| one)
        .map_err(|many| {
            let count = many.len();
            CliError::expected(format!(
                "{text}: {count} containers have this name; give an id"
            ))
        })
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    for (option, given, side) in [
        ("--until", args.until, &args.a),
        ("--since", args.since, &args.b),
    ] {
        if given.is_some() && (is_running(side) || side.ends_with(".toml")) {
            return Err(CliError::expected(format!(
                "{option} selects a part of a recording, but {side} is not a recording"
            )));
        }
    }
    let running = [&args.a, &args.b].into_iter().any(|text| is_running(text));
    let watched = match running {
        true => Some(learn::watch(&args.live, args.time)?),
        false => None,
    };
    let of = |text: &str, period: Period| match &watched {
        Some(learner) if is_running(text) => one(text, learn::of_name(learner, text)?),
        _ => side_of(text, period, args.live.memory),
    };
    let before = Period {
        until: args.until,
        since: None,
    };
    let after = Period {
        since: args.since,
        until: None,
    };
    let first = of(&args.a, before)?;
    let second = of(&args.b, after)?;
    let found = diff(&first, &second, &args.only);
    let mut out = std::io::stdout().lock();
    if args.json {
        out.write_all(&escape_json(&json(&found)))?;
    } else if args.markdown {
        markdown(&found, &first, &second, &mut out)?;
    } else {
        text(&found, &mut out)?;
    }
    let failed = args.exit_code && !found.new.is_empty();
    Ok(ExitCode::from(u8::from(failed)))
}

/// A baseline file, or what is learned from a recording.
pub(super) fn side(text: &str) -> Result<Baseline, CliError> {
    side_of(text, Period::default(), None)
}

/// The same, of a recording only a period.
fn side_of(text: &str, period: Period, limit: Option<MemoryBudget>) -> Result<Baseline, CliError> {
    if text.ends_with(".toml") {
        return baseline::load(Path::new(text));
    }
    let (path, name) = match text.rsplit_once('@') {
        Some((path, name)) if !Path::new(text).exists() => (path, Some(name)),
        _ => (text, None),
    };
    let (learner, sound) = learn::from_recording(Path::new(path), period, limit)?;
    if !sound {
        print_message(format!(
            "{path}: the recording is damaged; the readable part is used"
        ));
    }
    let names: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => learner
            .containers()
            .map(|(id, _)| id.as_str().to_owned())
            .collect(),
    };
    let mut found = Vec::new();
    for name in &names {
        found.extend(learn::of_name(&learner, name)?);
    }
    match <[Baseline; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(many) => Err(CliError::expected(format!(
            "{path}: it holds {} containers; name one: {path}@NAME",
            many.len()
        ))),
    }
}

fn text(diff: &Diff, out: &mut impl Write) -> Result<(), CliError> {
    let phase = |phases: &str| match phases {
        "" => String::new(),
        phases => format!(" ({phases})"),
    };
    for (item, phases) in &diff.new {
        writeln!(out, "+ {:<10} {item}{}", item.facet, phase(phases))?;
    }
    for (item, _) in &diff.gone {
        writeln!(out, "- {:<10} {item}", item.facet)?;
    }
    // Otherwise a program of another version does the same.
    for (before, after) in programs(diff) {
        writeln!(
            out,
            "~ {:<10} {} -> {}",
            after.facet,
            before.subject(),
            after.subject()
        )?;
    }
    for note in &diff.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "{} new, {} gone", diff.new.len(), diff.gone.len())?;
    Ok(())
}

fn programs(diff: &Diff) -> impl Iterator<Item = &(BaselineItem, BaselineItem)> {
    let subject =
        |(before, after): &&(BaselineItem, BaselineItem)| before.subject() != after.subject();
    diff.moved.iter().filter(subject)
}

fn fields(item: &BaselineItem, phases: Option<&str>) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    map.insert("facet".to_owned(), json!(item.facet.name()));
    for field in ItemField::ALL {
        if let Some(value) = item.fields.get(&field) {
            map.insert(field.name().to_owned(), json!(value));
        }
    }
    if let Some(phases) = phases {
        map.insert("phases".to_owned(), json!(phases));
    }
    serde_json::Value::Object(map)
}

fn json(diff: &Diff) -> Vec<u8> {
    let list = |items: &[(BaselineItem, String)]| -> Vec<serde_json::Value> {
        items
            .iter()
            .map(|(item, phases)| fields(item, Some(phases)))
            .collect()
    };
    let moved: Vec<_> = diff
        .moved
        .iter()
        .map(
            |(before, after)| json!({"before": fields(before, None), "after": fields(after, None)}),
        )
        .collect();
    let value = json!({
        "new": list(&diff.new),
        "gone": list(&diff.gone),
        "other_version": moved,
        "notes": diff.notes,
    });
    let mut text = value.to_string().into_bytes();
    text.push(b'\n');
    text
}

/// Text as inline code: nothing in it can end the code or begin a cell.
fn code(text: &str) -> String {
    let safe = text.replace('`', "'").replace('|', "\\|");
    format!("`{safe}`")
}

fn markdown(
    diff: &Diff,
    first: &Baseline,
    second: &Baseline,
    out: &mut impl Write,
) -> Result<(), CliError> {
    writeln!(
        out,
        "### What {} does: {} new, {} gone\n",
        code(&second.title()),
        diff.new.len(),
        diff.gone.len()
    )?;
    if first.title() != second.title() {
        writeln!(out, "Compared with {}.\n", code(&first.title()))?;
    }
    if diff.new.is_empty() && diff.gone.is_empty() {
        writeln!(out, "Nothing differs.")?;
    } else {
        writeln!(
            out,
            "| | facet | what | by | when |\n| --- | --- | --- | --- | --- |"
        )?;
        let new = diff.new.iter().map(|line| ("new", line));
        let gone = diff.gone.iter().map(|line| ("gone", line));
        for (word, (item, phases)) in new.chain(gone) {
            let by = crate::event::escape(item.get(ItemField::By)).to_string();
            let by = if by.is_empty() { by } else { code(&by) };
            let what = code(&item.subject());
            writeln!(
                out,
                "| {word} | {} | {what} | {by} | {phases} |",
                item.facet
            )?;
        }
    }
    for (before, after) in programs(diff) {
        writeln!(
            out,
            "\n{} became {}",
            code(&before.subject()),
            code(&after.subject())
        )?;
    }
    for note in &diff.notes {
        writeln!(out, "\nNote: {note}.")?;
    }
    Ok(())
}
