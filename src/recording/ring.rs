//! A directory of recording segments with the last hours: lists segments, removes old ones, pins
//! some.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{RecordingReader, path_is_written};
use crate::event::Timestamp;
use crate::user_files::{self, Creation};

/// End of a segment's name; what precedes it is the time of its beginning.
const SUFFIX: &str = ".jsonl.zst";
/// End of the name of the file that pins a segment.
const PIN: &str = ".pin";
/// Minimum number of segments that share the space.
const SHARES: u64 = 8;
/// Number of segments that cannot be removed after which no further one is tried until the next time.
const MAX_STUCK: usize = 16;
/// Maximum number of files in the directory.
const MAX_FILES: usize = 100_000;

/// Limits of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Older segments are removed.
    pub keep: Duration,
    /// Bytes that all segments may use.
    pub max_size: u64,
    /// Bytes of the file system that must stay free.
    pub min_free: u64,
    /// A segment is ended after this time.
    pub segment: Duration,
}

/// A segment of a ring: a recording of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingSegment {
    /// Its file.
    pub path: PathBuf,
    /// When it began, by its name.
    pub began: Timestamp,
    /// When it was last written.
    pub written: Timestamp,
    /// Bytes on disk.
    pub bytes: u64,
    /// It is pinned: kept whatever its age.
    pub pinned: bool,
}

/// The removed segments, and why more were not removed.
#[derive(Debug, Default)]
pub struct RingRemoval {
    /// Segments that were removed.
    pub removed: Vec<PathBuf>,
    /// Number of them that were pinned: no other was left to remove.
    pub pinned: Vec<PathBuf>,
    /// Segments that could not be removed.
    pub stuck: Vec<(PathBuf, io::Error)>,
    /// The limit is still exceeded: no segment that can be removed is left.
    pub exceeded: bool,
}

/// The file name of a segment that begins at this time.
#[must_use]
pub fn segment_path(ring: &Path, began: Timestamp) -> PathBuf {
    // Without the colons, which some file systems and many programs dislike.
    ring.join(format!("{}{SUFFIX}", began.to_string().replace(':', "-")))
}

fn began(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let (day, time) = name.split_once('T')?;
    Timestamp::parse(&format!("{day}T{}", time.replace('-', ":"))).ok()
}

fn pin_of(segment: &Path) -> PathBuf {
    let mut name = segment.as_os_str().to_owned();
    name.push(PIN);
    PathBuf::from(name)
}

/// The segments of a ring, the oldest first. Other files, and what is no file, are ignored; a segment
/// need not be readable.
///
/// # Errors
/// When the directory cannot be read, or holds too many files.
pub fn segments(ring: &Path) -> io::Result<Vec<RingSegment>> {
    let files = user_files::list(ring)?;
    if files.len() > MAX_FILES {
        return Err(io::Error::other(format!(
            "it holds more than {MAX_FILES} files"
        )));
    }
    let mut found = Vec::new();
    for path in files {
        let Some(began) = began(&path) else { continue };
        let facts = match user_files::facts(&path) {
            // Removed meanwhile by the recorder.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        if !facts.is_file() {
            continue;
        }
        use std::os::unix::fs::MetadataExt as _;
        found.push(RingSegment {
            began,
            written: Timestamp(
                (facts.mtime().saturating_mul(1_000_000_000)).saturating_add(facts.mtime_nsec()),
            ),
            bytes: facts.len(),
            pinned: user_files::facts(&pin_of(&path)).is_ok(),
            path,
        });
    }
    found.sort_by(|a, b| (a.began, &a.path).cmp(&(b.began, &b.path)));
    Ok(found)
}

/// The segment that holds this moment: the last that began before it, else the first.
#[must_use]
pub fn segment_at(segments: &[RingSegment], at: Timestamp) -> Option<&RingSegment> {
    let after = segments.partition_point(|segment| segment.began <= at);
    segments.get(after.saturating_sub(1))
}

impl RingSegment {
    /// True while it is being written.
    #[must_use]
    pub fn is_written(&self) -> bool {
        path_is_written(&self.path)
    }

    /// True when its first line is that of a recording.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        RecordingReader::open(&self.path).is_ok()
    }

    /// Pins it until [`RingSegment::release`].
    ///
    /// # Errors
    /// When the pin cannot be written.
    pub fn pin(&self) -> io::Result<()> {
        match user_files::create(&pin_of(&self.path), Creation::Write) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    /// Unpins it.
    ///
    /// # Errors
    /// When the pin cannot be removed.
    pub fn release(&self) -> io::Result<()> {
        match user_files::remove(&pin_of(&self.path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl RingLimits {
    /// Bytes after which a segment is ended.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        (self.max_size / SHARES).max(1)
    }

    /// The segments to remove, in this order: those that are too old, then the oldest ones until
    /// the rest fits. Pinned ones only if no other is left. Never one of `kept`.
    #[must_use]
    pub fn due<'a>(
        &self,
        segments: &'a [RingSegment],
        kept: &[&Path],
        now: Timestamp,
        free: u64,
    ) -> (Vec<&'a RingSegment>, bool) {
        let oldest = now.minus(self.keep);
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut free = free;
        let mut due = Vec::new();
        let candidates = segments
            .iter()
            .filter(|segment| !kept.contains(&&*segment.path));
        let (pinned, ordinary): (Vec<_>, Vec<_>) = candidates.partition(|segment| segment.pinned);
        let aged = ordinary
            .iter()
            // A clock that was set back stamps a segment with a time before its begin.
            .map(|segment| (*segment, segment.written.max(segment.began) < oldest));
        let held = pinned.iter().map(|segment| (*segment, false));
        for (segment, too_old) in aged.chain(held) {
            if too_old || bytes > self.max_size || free < self.min_free {
                bytes = bytes.saturating_sub(segment.bytes);
                free = free.saturating_add(segment.bytes);
                due.push(segment);
            }
        }
        (due, bytes > self.max_size || free < self.min_free)
    }

    /// Removes what is [due](RingLimits::due). For one that cannot be removed the next is taken.
    /// The last of `own`, which this program wrote in this order, is kept; the others are newer
    /// than any segment of another run, whatever the clock was when that began.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn enforce(
        &self,
        ring: &Path,
        own: &[PathBuf],
        now: Timestamp,
        free: u64,
    ) -> io::Result<RingRemoval> {
        let mut all = segments(ring)?;
        let order: BTreeMap<&Path, usize> = own.iter().map(|path| &**path).zip(0..).collect();
        all.sort_by_key(|segment| order.get(&*segment.path));
        let mut free = free;
        let mut done = RingRemoval::default();
        loop {
            let mut kept: Vec<&Path> = own.last().map(|path| &**path).into_iter().collect();
            kept.extend(done.stuck.iter().map(|(path, _)| &**path));
            let (due, exceeded) = self.due(&all, &kept, now, free);
            let due: Vec<RingSegment> = due.into_iter().cloned().collect();
            done.exceeded = exceeded;
            let (tried, stuck) = (done.removed.len(), done.stuck.len());
            for segment in due {
                match user_files::remove(&segment.path) {
                    // Somebody else may have removed it.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        done.stuck.push((segment.path, error));
                        break;
                    }
                    _ => {}
                }
                free = free.saturating_add(segment.bytes);
                if segment.pinned {
                    // A pin without a segment does no harm.
                    let _ = segment.release();
                    done.pinned.push(segment.path.clone());
                }
                done.removed.push(segment.path);
            }
            if done.stuck.len() == stuck {
                return Ok(done);
            }
            if done.stuck.len() >= MAX_STUCK {
                done.exceeded = true;
                return Ok(done);
            }
            let gone: BTreeSet<&Path> = done.removed.iter().skip(tried).map(|p| &**p).collect();
            all.retain(|segment| !gone.contains(&*segment.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RingLimits = RingLimits {
        keep: Duration::from_secs(3600),
        max_size: 100,
        min_free: 50,
        segment: Duration::from_secs(600),
    };

    fn at(seconds: i64) -> Timestamp {
        crate::system::timestamp(1_780_000_000 + seconds, 5)
    }

    fn segment(seconds: i64, bytes: u64, pinned: bool) -> RingSegment {
        RingSegment {
            path: segment_path(Path::new("/ring"), at(seconds)),
            began: at(seconds),
            written: at(seconds + 600),
            bytes,
            pinned,
        }
    }

    fn due(segments: &[RingSegment], now: i64, free: u64) -> (Vec<i64>, bool) {
        let current = segments.last().unwrap();
        let (due, exceeded) = LIMITS.due(segments, &[&current.path], at(now), free);
        let began = |one: &&RingSegment| (one.began.0 - at(0).0) / 1_000_000_000;
        (due.iter().map(began).collect(), exceeded)
    }

    #[test]
    fn a_segments_name_has_its_begin() {
        let path = segment_path(Path::new("/ring"), at(1));
        assert!(!path.display().to_string().contains(':'));
        assert_eq!(began(&path), Some(at(1)));
        assert_eq!(began(Path::new("/ring/notes.txt")), None);
        assert_eq!(began(Path::new("/ring/x.jsonl.zst")), None);
    }

    #[test]
    fn the_oldest_go_first_and_pinned_ones_last() {
        let ring = [
            segment(0, 10, false),
            segment(600, 10, true),
            segment(1200, 10, false),
        ];
        assert_eq!(due(&ring, 1800, 1000), (vec![], false));
        // By age: the pinned one stays.
        assert_eq!(due(&ring, 9000, 1000), (vec![0], false));
        // By size.
        let large = [
            segment(0, 40, true),
            segment(600, 40, false),
            segment(1200, 40, false),
            segment(1800, 40, false),
        ];
        assert_eq!(due(&large, 1800, 1000), (vec![600, 1200], false));
        // By free space: then even the pinned one is removed, and finally nothing is left to
        // remove.
        assert_eq!(due(&ring, 1800, 35), (vec![0, 600], false));
        assert_eq!(due(&ring, 1800, 10), (vec![0, 600], true));
    }

    #[test]
    fn a_moment_is_in_the_last_segment_that_began_before_it() {
        let ring = [segment(0, 1, false), segment(600, 1, false)];
        let found = |seconds| segment_at(&ring, at(seconds)).unwrap().began;
        assert_eq!(found(-5), at(0));
        assert_eq!(found(599), at(0));
        assert_eq!(found(600), at(600));
        assert_eq!(found(9000), at(600));
        assert!(segment_at(&[], at(0)).is_none());
    }

    #[test]
    fn removing_deletes_the_pin_and_keeps_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let ring = dir.path();
        let paths = [0, 600, 1200].map(|seconds| segment_path(ring, at(seconds)));
        for path in &paths {
            std::fs::write(path, [0; 60]).unwrap();
        }
        std::fs::write(ring.join("notes.txt"), "mine").unwrap();
        let all = segments(ring).unwrap();
        all[0].pin().unwrap();
        all[0].pin().unwrap();
        assert!(segments(ring).unwrap()[0].pinned);
        let done = LIMITS.enforce(ring, &paths[2..], at(1800), 1000).unwrap();
        assert_eq!(done.removed, [paths[1].clone(), paths[0].clone()]);
        assert_eq!(done.pinned, [paths[0].clone()]);
        assert!(!done.exceeded);
        let mut left: Vec<_> = std::fs::read_dir(ring)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        left.sort();
        assert_eq!(left, [paths[2].clone(), ring.join("notes.txt")]);
    }

    /// The machine was on battery: its clock began in the past, or was corrected, backwards, by hours.
    #[test]
    fn a_clock_that_was_wrong_does_not_remove_what_was_recorded_last() {
        let mut set_back = segment(7200, 10, false);
        set_back.written = at(0);
        let ring = [set_back, segment(7800, 10, false)];
        assert_eq!(due(&ring, 7800, 1000), (vec![], false));

        let dir = tempfile::tempdir().unwrap();
        let ring = dir.path();
        let written = |seconds| {
            let path = segment_path(ring, at(seconds));
            std::fs::write(&path, [0; 40]).unwrap();
            path
        };
        // Another run, whose clock was ahead; then three segments of this one.
        let ahead = [90_000, 90_600].map(written);
        let own = [0, 600, 1200].map(written);
        let done = LIMITS.enforce(ring, &own, at(1200), 1000).unwrap();
        assert_eq!(
            done.removed,
            [ahead[0].clone(), ahead[1].clone(), own[0].clone()]
        );
    }

    #[test]
    fn what_cannot_be_removed_or_read_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let ring = dir.path();
        let paths = [0, 600, 1200, 1800].map(|seconds| segment_path(ring, at(seconds)));
        // A directory with the name of a segment, and a pipe.
        std::fs::create_dir(&paths[0]).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            segment_path(ring, at(1)),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in &paths[1..] {
            std::fs::write(path, [0; 60]).unwrap();
        }
        assert_eq!(segments(ring).unwrap().len(), 3);
        // One that cannot be removed is left out, and the next one goes instead.
        let all = segments(ring).unwrap();
        let kept: [&Path; 2] = [&paths[3], &paths[1]];
        let (due, exceeded) = LIMITS.due(&all, &kept, at(1800), 1000);
        let due: Vec<_> = due.iter().map(|segment| &segment.path).collect();
        assert_eq!((due, exceeded), (vec![&paths[2]], true));
        let done = LIMITS.enforce(ring, &paths[3..], at(1800), 1000).unwrap();
        assert_eq!(done.removed, [paths[1].clone(), paths[2].clone()]);
        assert!(done.stuck.is_empty() && !done.exceeded);
    }
}
