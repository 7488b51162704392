//! Reads a period of a recording, from a file or from the segments of a ring.
//!
//! The segments of one run of hullwatch are one stream: each begins with the existing objects,
//! which a core that continues from the previous segment knows already. A run that ended and a
//! later one are two streams, each with a core of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::error::print_message;
use super::{CliError, ring};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{Event, Kind, Timestamp};
use crate::memory::MemoryBudget;
use crate::recording::{Header, ReadAhead, ReadReport, RecordingPiece, RecordingReader};

/// Which part of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Period {
    /// Of a recording, only what happened since then: -2h, or a date and time as in
    /// 2026-01-31T14:03:00Z
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = ring::moment)]
    pub(super) since: Option<Timestamp>,

    /// Of a recording, only what happened until then
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = ring::moment)]
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// Refuses a period that is not recorded yet, or that ends before it begins.
    pub(super) fn check(&self, recorded: bool) -> Result<(), CliError> {
        if !recorded && *self != Self::default() {
            return Err(CliError::expected(
                "--since and --until select a part of a recording, but no recording is given",
            ));
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if until < since => Err(CliError::expected(format!(
                "--until {until} is before --since {since}"
            ))),
            _ => Ok(()),
        }
    }

    /// The files that hold it, in order.
    fn files(&self, path: &Path) -> Result<Vec<PathBuf>, CliError> {
        if !path.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let all = ring::all(path)?;
        let after = |at| all.partition_point(|segment| segment.began <= at);
        let first = self.since.map_or(0, |at| after(at).saturating_sub(1));
        let end = self.until.map_or(all.len(), after);
        let chosen = all.get(first..end).unwrap_or_default();
        if chosen.is_empty() {
            return Err(CliError::expected(format!(
                "{}: nothing was recorded at that time; its first segment begins at {}",
                path.display(),
                all.first()
                    .map_or_else(String::new, |s| s.began.to_string())
            )));
        }
        Ok(chosen.iter().map(|segment| segment.path.clone()).collect())
    }
}

/// The elements of a period for its reader, in order.
pub(super) enum Played<'a> {
    /// A run of hullwatch begins, with these settings.
    Begun(&'a Settings),
    /// An event that the core has applied; `within`: it is not before the period.
    Event {
        event: &'a Arc<Event>,
        core: &'a Core,
        within: bool,
    },
    /// The run is read to its end, or to that of the period.
    Ended(Box<Core>),
}

/// A run that is being read.
struct RecordedRun {
    core: Box<Core>,
    host: String,
    /// Number of its last event.
    last: u64,
    /// Time of its last event.
    until: Timestamp,
}

/// Applies events to the run they belong to, and passes them on.
struct Playback<V> {
    period: Period,
    run: Option<RecordedRun>,
    visit: V,
}

impl<V: FnMut(Played<'_>)> Playback<V> {
    /// Begins a run; the one before is over.
    fn begin(&mut self, header: &Header) {
        if let Some(before) = self.end() {
            print_message(format!(
                "between {before} and {} nothing was recorded; both sides are evaluated separately",
                header.started
            ));
        }
        (self.visit)(Played::Begun(&header.settings));
        self.run = Some(RecordedRun {
            core: Box::new(Core::new(header.settings.clone())),
            host: header.host.clone(),
            last: 0,
            until: header.started,
        });
    }

    /// Ends the run; returns its end.
    fn end(&mut self) -> Option<Timestamp> {
        let run = self.run.take()?;
        (self.visit)(Played::Ended(run.core));
        Some(run.until)
    }

    fn event(&mut self, event: &Arc<Event>) {
        let Some(run) = &mut self.run else { return };
        run.core.apply(event);
        run.until = run.until.max(event.ts);
        (self.visit)(Played::Event {
            event,
            core: &run.core,
            within: self.period.since.is_none_or(|since| event.ts >= since),
        });
    }

    /// Reads one file; false when it is damaged.
    fn file(&mut self, reader: RecordingReader) -> Result<bool, CliError> {
        let mut recording = ReadAhead::start(reader)?;
        let header = recording.header().clone();
        let mut report = ReadReport::default();
        let mut first = true;
        let mut known = false;
        'reading: while let Some(batch) = recording.next_batch() {
            report = batch.report;
            for piece in batch.pieces {
                let RecordingPiece::Event(event) = piece else {
                    continue;
                };
                if self.period.until.is_some_and(|until| event.ts > until) {
                    // Between two ticks the order of times is not quite that of events.
                    match event.kind {
                        Kind::Tick(_) => break 'reading,
                        _ => continue,
                    }
                }
                if first {
                    first = false;
                    known = self.run.as_ref().is_some_and(|run| {
                        run.host == header.host && event.seq == run.last.saturating_add(1)
                    });
                    if !known {
                        self.begin(&header);
                    }
                }
                known = known && repeats(&event, &header);
                if !known {
                    self.event(&event);
                }
                if let Some(run) = &mut self.run {
                    run.last = event.seq;
                }
            }
        }
        if first && self.run.is_none() {
            self.begin(&header);
        }
        for notice in report.notices() {
            print_message(notice);
        }
        Ok(report.is_sound())
    }
}

/// Whether an event at the beginning of a segment only repeats known objects.
fn repeats(event: &Event, header: &Header) -> bool {
    let kind = matches!(
        event.kind,
        Kind::Baseline(_)
            | Kind::Container(_)
            | Kind::DriftScan(_)
            | Kind::Socket(_)
            | Kind::Process(_)
            | Kind::Connect(_)
    );
    kind && event.ts == header.started
}

/// Plays a period of a recording or ring, with no more memory than `limit`. Damage and gaps between runs are reported on stderr;
/// the exit code is 2 when something could not be read.
pub(super) fn play(
    path: &Path,
    period: Period,
    limit: Option<MemoryBudget>,
    visit: impl FnMut(Played<'_>),
) -> Result<ExitCode, CliError> {
    let mut playback = Playback {
        period,
        run: None,
        visit,
    };
    let mut sound = true;
    for file in period.files(path)? {
        match RecordingReader::open(&file) {
            Ok(reader) => sound &= playback.file(reader.within(limit))?,
            // The other segments of a ring can still be used.
            Err(error) if path.is_dir() => {
                print_message(error);
                sound = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    playback.end();
    Ok(ExitCode::from(if sound { 0 } else { 2 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ContainerAction, ContainerEvent, ContainerId, Exec};
    use crate::recording::Writer;
    use crate::recording::ring::segment_path;
    use crate::state::snapshot;

    fn at(seconds: i64) -> Timestamp {
        crate::system::timestamp(1_790_000_000 + seconds, 0)
    }

    fn event(seq: u64, seconds: i64, kind: Kind) -> Event {
        Event {
            seq,
            ts: at(seconds),
            container: Some(ContainerId::new(&"ab".repeat(32))),
            pid: 7,
            nspid: 7,
            kind,
        }
    }

    fn exec(seq: u64, seconds: i64) -> Event {
        let exec = Exec {
            exe: "/bin/true".into(),
            ..Exec::default()
        };
        event(seq, seconds, Kind::Exec(Box::new(exec)))
    }

    /// Writes a segment that begins with what `core` knows; the events that follow are applied.
    fn segment(ring: &Path, core: &mut Core, begins: i64, events: Vec<Event>, first: u64) {
        let mut header = Header::here(at(begins), Settings::default());
        header.host = "node".to_owned();
        let path = segment_path(ring, at(begins));
        let mut writer = Writer::create(&path, &header).unwrap();
        core.state.now = at(begins);
        for event in snapshot(&core.state, first) {
            writer.event(&event).unwrap();
        }
        for event in events {
            writer.event(&event).unwrap();
            core.apply(&Arc::new(event));
        }
        writer.finish(&[]).unwrap();
    }

    /// Two segments of one run and one of a later run.
    fn ring() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut core = Core::default();
        let started = event(
            1,
            0,
            Kind::Container(Box::new(ContainerEvent {
                action: ContainerAction::Existing,
                info: None,
            })),
        );
        segment(
            dir.path(),
            &mut core,
            0,
            vec![started, exec(2, 10), exec(3, 20)],
            1,
        );
        let repeated = snapshot(&core.state, 4).len() as u64;
        assert!(repeated > 1, "a container and a process");
        let next = 4 + repeated;
        segment(
            dir.path(),
            &mut core,
            600,
            vec![exec(next, 610), exec(next + 1, 620)],
            4,
        );
        segment(
            dir.path(),
            &mut Core::default(),
            1200,
            vec![exec(1, 1210)],
            1,
        );
        dir
    }

    /// Seconds of the execs in the period, `|` where a run ends; and how many events each core had.
    fn played(path: &Path, since: Option<i64>, until: Option<i64>) -> (String, Vec<u64>) {
        let period = Period {
            since: since.map(at),
            until: until.map(at),
        };
        let (mut text, mut execs) = (String::new(), Vec::new());
        let mut seen = 0;
        let code = play(path, period, None, |played| match played {
            Played::Begun(_) => seen = 0,
            Played::Event { event, within, .. } => {
                seen += 1;
                if within && matches!(event.kind, Kind::Exec(_)) {
                    text += &format!("{} ", (event.ts.0 - at(0).0) / 1_000_000_000);
                }
            }
            Played::Ended(_) => {
                execs.push(seen);
                text += "|";
            }
        });
        assert_eq!(code.unwrap(), ExitCode::SUCCESS);
        (text, execs)
    }

    #[test]
    fn segments_of_one_run_are_one_stream_and_repeat_nothing() {
        let dir = ring();
        let all = played(dir.path(), None, None);
        assert_eq!(all, ("10 20 610 620 |1210 |".to_owned(), vec![5, 1]));
    }

    #[test]
    fn a_stretch_reads_the_segments_that_hold_it() {
        let dir = ring();
        let of = |since, until| played(dir.path(), since, until).0;
        assert_eq!(of(Some(15), Some(615)), "20 610 |");
        assert_eq!(of(Some(615), Some(1205)), "620 |");
        assert_eq!(of(Some(1205), None), "1210 |");
        // A part of one file.
        let first = segment_path(dir.path(), at(0));
        assert_eq!(played(&first, Some(15), None).0, "20 |");
        assert_eq!(played(&first, None, Some(15)).0, "10 |");
    }

    #[test]
    fn a_stretch_without_a_recording_or_against_time_is_refused() {
        let period = |since, until| Period { since, until };
        assert!(period(Some(at(0)), None).check(false).is_err());
        assert!(period(Some(at(9)), Some(at(1))).check(true).is_err());
        assert!(period(Some(at(1)), Some(at(9))).check(true).is_ok());
        assert!(period(None, None).check(false).is_ok());
        let dir = ring();
        let before = period(None, Some(at(-60)));
        assert!(play(dir.path(), before, None, |_| {}).is_err());
    }

    #[test]
    fn a_segment_that_is_no_recording_leaves_the_others() {
        let dir = ring();
        std::fs::write(segment_path(dir.path(), at(900)), "").unwrap();
        let mut events = 0;
        let code = play(dir.path(), Period::default(), None, |played| {
            events += usize::from(matches!(played, Played::Event { .. }));
        });
        assert_eq!((code.unwrap(), events), (ExitCode::from(2), 6));
    }
}
