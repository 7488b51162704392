//! `hullwatch record --ring`: the last hours, in segments of which the oldest are removed.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

use super::error::print_message;
use super::signals::StopSignal;
use super::sinks::Sinks;
use super::{CliError, LiveArgs, live};
use crate::collect::{Live, give_up_files};
use crate::detect::{FindingId, Severity};
use crate::machine::Machine;
use crate::recording::ring::{RingLimits, RingSegment, segment_path, segments};
use crate::recording::{RecordingError, RecordingSummary};
use crate::{system, user_files};

/// Interval of the checks of sizes and ages.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long a predecessor that was killed may hold the ring: the kernel detaches its programs
/// first.
const PREDECESSOR: Duration = Duration::from_secs(10);
/// The file whose lock a recorder of the ring holds.
const LOCK: &str = "lock";

/// Options of a recording of the last hours.
#[derive(Debug, clap::Args)]
pub(super) struct RingArgs {
    /// Record the last hours into this directory, creating it if needed
    #[arg(long = "ring", value_name = "DIR", conflicts_with = "file")]
    pub(super) directory: Option<PathBuf>,

    /// Keep segments for this long
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = some_time, requires = "directory", conflicts_with = "file")]
    keep: Duration,

    /// Maximum number of bytes that the segments may use
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "2GiB",
        value_parser = some_bytes,
        requires = "directory",
        conflicts_with = "file"
    )]
    max_size: ByteSize,

    /// Bytes of the file system that must stay free
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        requires = "directory",
        conflicts_with = "file"
    )]
    min_free: ByteSize,

    /// Begin another segment after this time, or when the current one reaches an eighth of
    /// --max-size
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time, requires = "directory", conflicts_with = "file")]
    segment: Duration,

    /// Keep the segment of a finding of this severity or above, and the one before it, until
    /// hullwatch ring release
    #[arg(
        long,
        value_name = "SEVERITY",
        requires = "directory",
        conflicts_with = "file"
    )]
    pin: Option<Severity>,
}

/// The smallest `--max-size`: an eighth of it is a segment, of which each has the whole state.
const LEAST: ByteSize = ByteSize::mib(1);

/// A time that is not zero, with which nothing would be kept.
fn some_time(text: &str) -> Result<Duration, String> {
    match live::duration(text)? {
        Duration::ZERO => Err("it must be longer than 0s".to_owned()),
        time => Ok(time),
    }
}

/// A size into which segments fit.
fn some_bytes(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>()? {
        size if size < LEAST => Err(format!("it must be at least {}", LEAST.display().iec())),
        size => Ok(size),
    }
}

/// A recording into a ring that is under way.
struct RingRecorder<'a> {
    directory: &'a Path,
    limits: RingLimits,
    pin: Option<Severity>,
    live: Live,
    /// The segments that this run wrote and that may still be there, in order; the last is being
    /// written.
    own: Vec<PathBuf>,
    begun: Instant,
    /// Findings whose segments are pinned.
    seen: BTreeSet<FindingId>,
    /// Segments that are to be pinned: a full disk accepts no pin.
    unpinned: Vec<RingSegment>,
    exceeded: bool,
    /// When a segment last failed.
    failed: Option<Instant>,
    /// What goes wrong at present.
    reported: BTreeSet<String>,
}

pub(super) fn run(
    directory: &Path,
    args: &RingArgs,
    watch: &LiveArgs,
    mut sinks: Sinks,
    duration: Option<Duration>,
) -> Result<ExitCode, CliError> {
    let fail =
        |why: &dyn std::fmt::Display| CliError::expected(format!("{}: {why}", directory.display()));
    let limits = RingLimits {
        keep: args.keep,
        max_size: args.max_size.as_u64(),
        min_free: args.min_free.as_u64(),
        segment: args.segment.max(Duration::from_secs(1)),
    };
    let ended = StopSignal::install()?;
    let _lock = lock(directory).map_err(|error| fail(&error))?;
    let first = segment_path(directory, system::now());
    // Room first: a full disk must not keep the new recording from beginning.
    limits
        .enforce(
            directory,
            std::slice::from_ref(&first),
            system::now(),
            free(directory),
        )
        .map_err(|error| fail(&error))?;
    let tap = sinks.tap(Some(Box::new(live::PolicyReporter)));
    let live = live::start(watch, tap, Some(&first))?;
    sinks.begin(&live)?;
    give_up_files();
    let mut ring = RingRecorder {
        directory,
        limits,
        pin: args.pin,
        live,
        own: vec![first],
        begun: Instant::now(),
        seen: BTreeSet::new(),
        unpinned: Vec::new(),
        exceeded: false,
        failed: None,
        reported: BTreeSet::new(),
    };
    let deadline = duration.map(|d| Instant::now() + d);
    let mut engine = live::EngineReporter::new(watch);
    let mut clock = live::ClockReporter::default();
    let mut calls = live::CallReporter::default();
    let mut next = Instant::now();
    while !ended.ended() && deadline.is_none_or(|at| Instant::now() < at) {
        if let Some(failure) = live::recording_failure(&ring.live)
            && !ring.continues_after(&failure)
        {
            break;
        }
        engine.look(&ring.live);
        clock.look(&ring.live);
        calls.look(&ring.live);
        sinks.look();
        if Instant::now() >= next {
            next = Instant::now() + INTERVAL.min(limits.segment);
            ring.keep_limits();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if let Err(error) = ring.pin_findings() {
        print_message(error);
    }
    sinks.stop(ring.live)?;
    Ok(ExitCode::SUCCESS)
}

impl RingRecorder<'_> {
    /// Begins another segment when it is time, pins, and removes what exceeds the limits. What goes
    /// wrong is reported once, and tried again the next time: recording goes on.
    fn keep_limits(&mut self) {
        let mut wrong = BTreeSet::new();
        wrong.extend(self.pin_findings().err());
        wrong.extend(self.next_segment().err());
        match self.remove_segments() {
            Ok(stuck) => wrong.extend(stuck),
            Err(error) => {
                wrong.insert(error);
            }
        }
        for new in wrong.difference(&self.reported) {
            print_message(format!("{new}; recording continues"));
        }
        self.reported = wrong;
    }

    /// Begins another segment after one that failed, because it was removed or its disk had an
    /// error. False when that does not help: the segment before has just failed as well, or none
    /// can begin.
    fn continues_after(&mut self, failure: &str) -> bool {
        let failed = self.failed.replace(Instant::now());
        if failed.is_some_and(|before| before.elapsed() < INTERVAL) {
            return false;
        }
        let begun = self.begin_segment();
        match &begun {
            Ok(_) => print_message(format!("{failure}; recording continues in another segment")),
            Err(error) => print_message(error),
        }
        begun.is_ok()
    }

    /// Begins another segment when it is time.
    fn next_segment(&mut self) -> Result<(), String> {
        let current = self.own.last().map(|path| user_files::open(path));
        let bytes = current
            .and_then(|file| file.and_then(|file| file.metadata()).ok())
            .map_or(0, |facts| facts.len());
        let full = bytes >= self.limits.segment_bytes();
        if !full && self.begun.elapsed() < self.limits.segment {
            return Ok(());
        }
        if let Some(Err(error)) = self.begin_segment()? {
            print_message(format!("{error}; recording continues in another segment"));
        }
        Ok(())
    }

    /// Begins another segment; returns how the one before ended.
    fn begin_segment(
        &mut self,
    ) -> Result<Option<Result<RecordingSummary, RecordingError>>, String> {
        let next = segment_path(self.directory, system::now());
        let before = self.live.continue_recording(&next);
        let before = before.map_err(|error| {
            // Its name is another one each time.
            let (name, ring) = (next.display(), self.directory.display());
            let why = error
                .to_string()
                .replace(&name.to_string(), &ring.to_string());
            format!("no further segment: {why}")
        })?;
        self.own.push(next);
        self.begun = Instant::now();
        Ok(before)
    }

    /// Removes what exceeds the limits; returns what could not be removed.
    fn remove_segments(&mut self) -> Result<Vec<String>, String> {
        let free = free(self.directory);
        let done = self
            .limits
            .enforce(self.directory, &self.own, system::now(), free)
            .map_err(|error| format!("{}: {error}", self.directory.display()))?;
        self.own.retain(|path| !done.removed.contains(path));
        for pinned in &done.pinned {
            print_message(format!(
                "{}: pinned, but removed, since no other segment was left to free space",
                pinned.display()
            ));
        }
        if done.exceeded && !self.exceeded {
            print_message(format!(
                "{}: --max-size or --min-free is exceeded, and no segment that can be removed is left",
                self.directory.display()
            ));
        }
        self.exceeded = done.exceeded;
        let stuck = done.stuck.into_iter();
        Ok(stuck
            .map(|(path, error)| format!("{}: cannot be removed: {error}", path.display()))
            .collect())
    }

    /// Pins the current segment, and the one before it, when a finding since the last check
    /// requires it. The disk may be full: then they are pinned later.
    fn pin_findings(&mut self) -> Result<(), String> {
        let Some(lowest) = self.pin else {
            return Ok(());
        };
        let found = {
            let core = self.live.core().lock();
            let findings = core.detector.findings().iter();
            // One may become more severe later.
            let severe = findings.filter(|f| f.part_of.is_none() && f.severity >= lowest);
            let mut found = false;
            for finding in severe {
                found |= self.seen.insert(finding.id);
            }
            found
        };
        if found {
            let all = segments(self.directory)
                .map_err(|error| format!("{}: {error}", self.directory.display()))?;
            for segment in all.into_iter().rev().take(2) {
                if !self.unpinned.iter().any(|one| one.path == segment.path) {
                    self.unpinned.push(segment);
                }
            }
        }
        let mut failed = None;
        self.unpinned.retain(|segment| match segment.pin() {
            _ if user_files::facts(&segment.path).is_err() => false,
            Ok(()) => false,
            Err(error) => {
                let path = segment.path.display();
                failed = Some(format!("{path}: cannot be pinned: {error}"));
                true
            }
        });
        failed.map_or(Ok(()), Err)
    }
}

/// Bytes that are free where the ring is.
fn free(directory: &Path) -> u64 {
    let disk = Machine::default().read(directory).disk;
    disk.map_or(u64::MAX, |disk| disk.free)
}

/// Creates the directory, and takes the ring for this process alone.
fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.to_owned();
    user_files::with_rights(move || {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits();
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(nofollow).unwrap_or(0))
            .open(path.join(LOCK))
    })
    .map_err(|error| format!("cannot record to it: {error}"))
    .and_then(|file| {
        let until = Instant::now() + PREDECESSOR;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err("another hullwatch is recording to this directory".to_owned());
                }
                Err(TryLockError::Error(error)) => return Err(format!("cannot lock it: {error}")),
            }
        }
    })
}
