//! `hullwatch ring`: lists the segments of `record --ring`, pins and releases them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;

use super::CliError;
use crate::event::Timestamp;
use crate::recording::ring::{RingSegment, segment_at, segments};
use crate::system;

/// List, pin and release the segments of record --ring
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: RingCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RingCommand {
    /// List the segments: start, end, size, state
    List {
        /// The directory
        #[arg(value_name = "DIR")]
        ring: PathBuf,
    },
    /// Keep the segment of a moment until it is released
    Pin(Moment),
    /// Unpin the segment of a moment: it is removed when it is old enough
    Release(Moment),
}

#[derive(Debug, clap::Args)]
struct Moment {
    /// The directory
    #[arg(value_name = "DIR")]
    ring: PathBuf,

    /// The moment: -2h, or a date and time as in 2026-01-31T14:03:00Z
    #[arg(allow_hyphen_values = true, value_name = "MOMENT", value_parser = moment)]
    at: Timestamp,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let (requested, pin) = match &args.action {
        RingCommand::List { ring } => return list(ring),
        RingCommand::Pin(requested) => (requested, true),
        RingCommand::Release(requested) => (requested, false),
    };
    let segment = segment(&requested.ring, Some(requested.at))?;
    let done = match pin {
        true => segment.pin(),
        false => segment.release(),
    };
    let path = segment.path.display();
    done.map_err(|error| CliError::expected(format!("{path}: {error}")))?;
    writeln!(std::io::stdout().lock(), "{path}")?;
    Ok(ExitCode::SUCCESS)
}

fn list(ring: &Path) -> Result<ExitCode, CliError> {
    let mut out = std::io::stdout().lock();
    for segment in all(ring)? {
        let state = match (segment.is_written(), segment.is_readable()) {
            (true, _) => "being written",
            (false, true) => "",
            (false, false) => "no recording",
        };
        writeln!(
            out,
            "{} to {}  {:>9}  {}{}  {}",
            segment.began,
            segment.written,
            ByteSize(segment.bytes).display().iec().to_string(),
            if segment.pinned { "pinned " } else { "" },
            state,
            segment.path.display()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The segments of a ring; at least one.
pub(super) fn all(ring: &Path) -> Result<Vec<RingSegment>, CliError> {
    let fail =
        |why: &dyn std::fmt::Display| CliError::expected(format!("{}: {why}", ring.display()));
    let all = segments(ring).map_err(|error| fail(&error))?;
    if all.is_empty() {
        return Err(fail(&"it contains no segments of hullwatch record --ring"));
    }
    Ok(all)
}

/// The segment that holds a moment; without one that which is being written, else the last. By
/// their names, another may be the last: then the clock was ahead when it began.
pub(super) fn segment(ring: &Path, at: Option<Timestamp>) -> Result<RingSegment, CliError> {
    let all = all(ring)?;
    let found = match at {
        Some(at) => segment_at(&all, at),
        None => all
            .iter()
            .rfind(|segment| segment.is_written())
            .or(all.last()),
    };
    found
        .cloned()
        .ok_or_else(|| CliError::expected(format!("{}: no such segment", ring.display())))
}

/// Parses a moment: so long ago, or a date and time.
///
/// # Errors
/// When it is neither.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Some(ago) = text.strip_prefix('-') {
        return super::live::duration(ago).map(|ago| system::now().minus(ago));
    }
    Timestamp::parse(text)
        .map_err(|_| format!("{text:?} is not a moment: write -2h or 2026-01-31T14:03:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Settings;
    use crate::recording::ring::segment_path;
    use crate::recording::{Header, Writer};

    #[test]
    fn a_moment_is_a_span_back_or_a_time() {
        let hour = moment("-1h").unwrap();
        let ago = system::now().0 - hour.0;
        assert!(ago >= 3_600_000_000_000, "{ago}");
        assert_eq!(moment("1970-01-01T00:00:01Z").unwrap().0, 1_000_000_000);
        assert!(moment("yesterday").unwrap_err().contains("not a moment"));
        assert!(all(Path::new("/nosuch")).is_err());
    }

    /// The clock was ahead in another run.
    #[test]
    fn the_present_is_the_segment_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let write = |seconds: i64| {
            let began = system::timestamp(1_780_000_000 + seconds, 0);
            let header = Header::here(began, Settings::default());
            Writer::create(&segment_path(dir.path(), began), &header).unwrap()
        };
        write(90_000).finish(&[]).unwrap();
        let writer = write(600);
        let present = || segment(dir.path(), None).unwrap();
        assert!(present().path.ends_with(writer.path().file_name().unwrap()));
        writer.finish(&[]).unwrap();
        assert!(present().began.0 > system::timestamp(1_780_080_000, 0).0);
    }
}
