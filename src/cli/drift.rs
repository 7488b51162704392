//! `hullwatch drift`: how containers' files differ from their images, now.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::error::print_message;
use super::runtimes::RuntimeArgs;
use super::signals::StopSignal;
use super::{CliError, privileges};
use crate::containers::ContainerSelector;
use crate::containers::inventory::{Inventory, ListedContainer};
use crate::drift::{DriftScanner, ScanProgress, Tally, TextDiff, diff, from_engine, package_line};
use crate::event::{
    Bytes, ContainerId, ContainerInfo, Difference, Differing, DriftScan, FileClass, NodeKind,
    Runtime, escape, escape_json,
};

/// Differences listed of each class; all of them are counted.
const LISTED: usize = 50;
/// Text diffs shown of one container.
const DIFFS: usize = 100;

/// Compare the files of containers with their images
///
/// Compares the current files, including changes made before hullwatch started and programs that
/// have not run yet. Stopped containers too, if the engine reports their directories. Loads no
/// kernel programs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these: a name, an id or its beginning, a pod, or image:NAME [default: all running]
    #[arg(add = super::completions::containers())]
    container: Vec<String>,

    /// Stopped containers too
    #[arg(long, short, conflicts_with = "container")]
    all: bool,

    /// Print JSON lines: one for each difference, then one for the container
    #[arg(long)]
    json: bool,

    /// Exit with 1 when files other than logs, caches and data differ
    #[arg(long)]
    exit_code: bool,

    /// Show the lines in which small text files differ, and the lines of those that were added
    #[arg(long)]
    diff: bool,

    #[command(flatten)]
    runtimes: RuntimeArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if !privileges::may_read_files() {
        return Err(CliError::expected(
            "comparing containers with their images needs root (try sudo hullwatch drift) or the \
             capabilities CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE and CAP_SYS_ADMIN",
        ));
    }
    let inventory = Inventory::new(args.runtimes.options()?);
    let (known, problems) = inventory.containers();
    for problem in &problems {
        print_message(problem);
    }
    let chosen = choose(args, known)?;
    if chosen.is_empty() {
        print_message("no containers are running");
    }
    crate::drift::be_modest();
    let mut work = Work {
        args,
        inventory,
        scanner: DriftScanner::default(),
        ended: StopSignal::install()?,
        out: BufWriter::new(Box::new(io::stdout().lock())),
        notable: false,
        failed: false,
    };
    for (number, container) in chosen.iter().enumerate() {
        work.container(container, number > 0)?;
        if work.ended.ended() {
            return Err(CliError::expected("interrupted"));
        }
    }
    work.out.flush()?;
    if work.failed {
        return Ok(ExitCode::from(2));
    }
    Ok(ExitCode::from(u8::from(args.exit_code && work.notable)))
}

fn running(info: &ContainerInfo) -> bool {
    info.init_pid != 0
}

/// The requested containers, in their order.
fn choose(args: &Args, known: Vec<ListedContainer>) -> Result<Vec<ListedContainer>, CliError> {
    if args.container.is_empty() {
        return Ok(known
            .into_iter()
            .filter(|k| args.all || running(&k.info))
            .collect());
    }
    let mut chosen: Vec<ListedContainer> = Vec::new();
    let all = known.iter().map(|k| (&k.id, &k.info));
    for requested in &args.container {
        let found = ContainerSelector::new(requested).resolve(all.clone());
        for id in found.map_err(|e| CliError::expected(e.to_string()))? {
            if let Some(one) = known.iter().find(|k| k.id == id)
                && chosen.iter().all(|c| c.id != id)
            {
                chosen.push(one.clone());
            }
        }
    }
    Ok(chosen)
}

struct Work<'a> {
    args: &'a Args,
    inventory: Inventory,
    scanner: DriftScanner,
    ended: StopSignal,
    out: BufWriter<Box<dyn Write>>,
    /// A file other than logs, caches and data differs.
    notable: bool,
    /// A container could not be compared.
    failed: bool,
}

#[derive(Serialize)]
struct EntryLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    container: &'a ContainerId,
    name: &'a Bytes,
    #[serde(flatten)]
    entry: &'a Differing,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Vec<String>>,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    container: &'a ContainerId,
    name: &'a Bytes,
    image: &'a Bytes,
    running: bool,
    #[serde(flatten)]
    scan: &'a DriftScan,
}

impl Work<'_> {
    fn container(&mut self, known: &ListedContainer, further: bool) -> Result<(), CliError> {
        let progress = Arc::new(ScanProgress::default());
        let shown = ProgressLine::begin(known, &progress, &self.ended);
        let (json, with_diff) = (self.args.json, self.args.diff);
        let mut tallies: BTreeMap<FileClass, Tally> = BTreeMap::new();
        let mut written = Ok(());
        let out = &mut self.out;
        let mut take = |entry: Differing| {
            if json && written.is_ok() {
                let diff = (with_diff && is_text(&entry))
                    .then(|| diff(&known.info, &entry.path).ok())
                    .flatten();
                let line = EntryLine {
                    kind: "difference",
                    container: &known.id,
                    name: &known.info.name,
                    entry: &entry,
                    diff: diff.map(|d| d.lines),
                };
                written = line_to(out, &line);
                if written.is_err() {
                    progress.cancel();
                }
            }
            tallies
                .entry(entry.class)
                .or_insert_with(|| Tally::new(LISTED))
                .add(entry);
        };
        let scanned = self.scanner.scan(&known.info, &progress, &mut take);
        let scanned = scanned.or_else(|why| {
            // Another runtime's container is unknown to the Docker engine.
            let requested = self.inventory.asks_docker() && known.info.runtime == Runtime::Docker;
            let changes = if !requested {
                return Err(why);
            } else {
                self.inventory.changes(&known.id)
            };
            match changes {
                Ok(changes) => Ok(from_engine(changes, &why, &mut take)),
                Err(error) => Err(format!("{why}; querying the engine failed: {error}")),
            }
        });
        drop(shown);
        written?;
        let mut scan = scanned.unwrap_or_else(|why| DriftScan {
            failed: Some(why),
            ..DriftScan::default()
        });
        for (class, tally) in &tallies {
            scan.counts.insert(
                *class,
                tally.counts().get(class).copied().unwrap_or_default(),
            );
        }
        self.notable |= scan.notable() > 0 || !scan.packages.is_empty();
        self.failed |= scan.failed.is_some();
        if self.args.json {
            let line = SummaryLine {
                kind: "container",
                container: &known.id,
                name: &known.info.name,
                image: &known.info.image,
                running: running(&known.info),
                scan: &scan,
            };
            Ok(line_to(&mut self.out, &line)?)
        } else {
            if further {
                writeln!(self.out)?;
            }
            Ok(self.table(known, &scan, &tallies)?)
        }
    }

    fn table(
        &mut self,
        known: &ListedContainer,
        scan: &DriftScan,
        tallies: &BTreeMap<FileClass, Tally>,
    ) -> io::Result<()> {
        let out = &mut self.out;
        let state = if running(&known.info) {
            ""
        } else {
            ", stopped"
        };
        writeln!(
            out,
            "{} ({}{state}): {}",
            known.info.name.escaped(),
            known.info.image.escaped(),
            escape(scan.headline().as_bytes()),
        )?;
        for class in FileClass::ALL {
            let Some(tally) = tallies.get(&class) else {
                continue;
            };
            writeln!(out, "  {}", class.title())?;
            for entry in tally.kept() {
                writeln!(out, "    {}", entry_line(entry))?;
            }
            if tally.unlisted() > 0 {
                writeln!(out, "    and {} more (--json lists all)", tally.unlisted())?;
            }
        }
        if !scan.packages.is_empty() {
            writeln!(out, "  packages (+ added, ~ other version, - removed)")?;
            for change in &scan.packages {
                writeln!(out, "    {}", package_line(change))?;
            }
            if scan.packages_unlisted > 0 {
                writeln!(out, "    and {} more", scan.packages_unlisted)?;
            }
        }
        for problem in &scan.problems {
            writeln!(out, "  ! {}", escape(problem.as_bytes()))?;
        }
        let further = scan.unreadable.saturating_sub(scan.problems.len() as u64);
        if further > 0 {
            writeln!(out, "  ! and {further} more could not be read")?;
        }
        if self.args.diff {
            let texts = tallies
                .values()
                .flat_map(Tally::kept)
                .filter(|e| is_text(e));
            for entry in texts.take(DIFFS) {
                text_diff(out, known, entry)?;
            }
        }
        writeln!(
            out,
            "  {} files compared, {} rewritten unchanged, {} new directories, {}",
            scan.examined,
            scan.unchanged,
            scan.directories,
            humantime::format_duration(Duration::from_millis(scan.took_ms)),
        )
    }
}

fn is_text(entry: &Differing) -> bool {
    entry.kind == NodeKind::File
        && matches!(entry.difference, Difference::Added | Difference::Changed)
        && !entry.metadata_only
        && !matches!(
            entry.class,
            FileClass::Binary | FileClass::Library | FileClass::Log | FileClass::Packages
        )
}

fn text_diff(out: &mut dyn Write, known: &ListedContainer, entry: &Differing) -> io::Result<()> {
    match diff(&known.info, &entry.path) {
        Ok(TextDiff { lines, cut }) => {
            let path = entry.path.escaped();
            match entry.difference {
                Difference::Added => writeln!(out, "  --- not in the image")?,
                _ => writeln!(out, "  --- image {path}")?,
            }
            writeln!(out, "  +++ container {path}")?;
            for line in lines {
                writeln!(out, "  {line}")?;
            }
            if cut {
                writeln!(out, "  and further lines")?;
            }
            Ok(())
        }
        // For data that is not text there is no message.
        Err(_) if entry.class == FileClass::Data => Ok(()),
        Err(why) => writeln!(
            out,
            "  {}: {}",
            entry.path.escaped(),
            escape(why.as_bytes())
        ),
    }
}

/// One difference for people.
fn entry_line(entry: &Differing) -> String {
    let sign = match entry.difference {
        Difference::Added => '+',
        Difference::Changed => '~',
        Difference::Deleted => '-',
        Difference::Unread => '?',
    };
    let mut line = format!("{sign} {}", entry.path.escaped());
    if let Some(target) = &entry.target {
        line.push_str(&format!(" → {}", target.escaped()));
    }
    let mut facts: Vec<String> = Vec::new();
    if entry.is_setuid() {
        facts.push("SETUID".to_owned());
    }
    match (entry.metadata_only, entry.mode_before) {
        (true, Some(before)) if before & 0o7777 == entry.mode & 0o7777 => {
            facts.push(format!("now owned by {}:{}", entry.uid, entry.gid));
        }
        (_, Some(before)) => {
            facts.push(format!(
                "mode {:o} → {:o}",
                before & 0o7777,
                entry.mode & 0o7777
            ));
        }
        _ => {}
    }
    let gone = entry.difference == Difference::Deleted;
    if entry.kind == NodeKind::File && !entry.metadata_only && !gone {
        match entry.size_before {
            Some(before) if before != entry.size => {
                facts.push(format!("{before} → {} bytes", entry.size));
            }
            _ if entry.mode != 0 => facts.push(format!("{} bytes", entry.size)),
            _ => {}
        }
    }
    if entry.mode != 0 && !gone {
        if entry.mode_before.is_none() && entry.kind == NodeKind::File {
            facts.push(format!("{:o}", entry.mode & 0o7777));
        }
        if entry.uid != 0 || entry.gid != 0 {
            facts.push(format!("{}:{}", entry.uid, entry.gid));
        }
        facts.push(
            entry
                .mtime
                .to_jiff()
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
        );
    }
    if let Some(below) = entry.below {
        facts.push(format!("directory of {below} files"));
    } else if entry.kind != NodeKind::File && entry.kind != NodeKind::Symlink {
        facts.push(format!("{:?}", entry.kind).to_lowercase());
    }
    if let Some(package) = &entry.package {
        facts.push(format!("of package {}", package.escaped()));
    }
    if let Some(note) = &entry.note {
        facts.push(escape(note.as_bytes()).to_string());
    }
    if !facts.is_empty() {
        line.push_str(&format!("  ({})", facts.join(", ")));
    }
    line
}

fn line_to<T: Serialize>(out: &mut dyn Write, line: &T) -> io::Result<()> {
    let json = serde_json::to_vec(line).map_err(io::Error::from)?;
    out.write_all(&escape_json(&json))?;
    out.write_all(b"\n")
}

/// Shows on a terminal how far a scan is; passes a signal on to it.
struct ProgressLine {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ProgressLine {
    fn begin(known: &ListedContainer, progress: &Arc<ScanProgress>, ended: &StopSignal) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (over, progress, ended) = (Arc::clone(&done), Arc::clone(progress), ended.clone());
        let name = known.info.name.escaped().to_string();
        let visible = io::stderr().is_terminal();
        let thread = std::thread::spawn(move || {
            let mut shown = false;
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(250));
                if ended.ended() {
                    progress.cancel();
                }
                let count = progress.examined();
                if visible && count > 0 && !over.load(Ordering::Relaxed) {
                    eprint!("\r{name}: {count} entries compared\x1b[K");
                    shown = true;
                }
            }
            if shown {
                eprint!("\r\x1b[K");
            }
        });
        Self {
            done,
            thread: Some(thread),
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot fail; if it did, there is nothing to undo.
            let _ = thread.join();
        }
    }
}
