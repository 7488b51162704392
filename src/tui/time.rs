//! Moving through time: the same in a recording and in the past of this host.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::action::Action;
use super::text::span;
use crate::detect::FindingId;
use crate::event::Timestamp;
use crate::session::{Player, SessionError};

/// The zone in which times are shown and typed: UTC, as the recording has them, or this
/// machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// UTC where it was this machine's own, and the other way round; what to say about it.
    pub(super) fn turn(&mut self) -> String {
        if self.0 == TimeZone::UTC {
            self.0 = TimeZone::system();
            let name = self.0.iana_name().unwrap_or("this machine's own time");
            format!("times are {name}")
        } else {
            self.0 = TimeZone::UTC;
            "times are UTC".to_owned()
        }
    }

    /// A time, as `strftime` writes it.
    pub(super) fn write(&self, at: Timestamp, format: &str) -> String {
        let at = at.to_jiff().to_zoned_datetime(self.0.clone());
        at.strftime(format).to_string()
    }

    /// What stands behind a time: `Z`, or the zone's short name.
    fn suffix(&self, at: Timestamp) -> String {
        if self.0 == TimeZone::UTC {
            "Z".to_owned()
        } else {
            self.write(at, " %Z")
        }
    }

    /// A time of day, to the second.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        self.write(at, "%H:%M:%S") + &self.suffix(at)
    }

    /// A date and time, to the millisecond.
    pub(super) fn exact(&self, at: Timestamp) -> String {
        self.write(at, "%F %T%.3f") + &self.suffix(at)
    }

    /// The latest moment not after `end` at that time of day.
    fn latest(&self, time: jiff::civil::Time, end: Timestamp) -> Option<Timestamp> {
        let end = end.to_jiff();
        let mut date = self.0.to_datetime(end).date();
        // A day may lack that time of day; the day before has it.
        for _ in 0..3 {
            let at = self.0.to_timestamp(date.to_datetime(time)).ok()?;
            if at <= end {
                let nanoseconds = at.as_nanosecond();
                return Some(Timestamp(i64::try_from(nanoseconds).ok()?));
            }
            date = date.yesterday().ok()?;
        }
        None
    }
}

/// Where to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// To where a finding is raised.
    Finding(FindingId),
    /// To a time.
    Time(Timestamp),
}

/// Reads where to go: `F-0132`, `-5m`, `+30s`, `14:03`, `14:03:27`, or a whole date and time.
/// Times of day are the latest such before `end`; spans count from `here`.
pub(super) fn goal(
    text: &str,
    here: Timestamp,
    end: Timestamp,
    zone: &Zone,
) -> Result<Goal, String> {
    let text = text.trim();
    let duration = |text: &str| {
        humantime::parse_duration(text).map_err(|_| format!("{text:?} is no time: write -5m, +30s"))
    };
    if let Some(number) = text.strip_prefix(['F', 'f']) {
        let number = number.trim_start_matches('-').parse();
        return number
            .map(|number| Goal::Finding(FindingId(number)))
            .map_err(|_| format!("{text:?} is no finding: write F-0132"));
    }
    if let Some(back) = text.strip_prefix('-') {
        return Ok(Goal::Time(here.minus(duration(back)?)));
    }
    if let Some(on) = text.strip_prefix('+') {
        return Ok(Goal::Time(here.plus(duration(on)?)));
    }
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(Goal::Time(time));
    }
    let time: jiff::civil::Time = text
        .parse()
        .map_err(|_| format!("{text:?}: write 14:03, -5m or F-0132"))?;
    let at = zone.latest(time, end);
    at.map(Goal::Time)
        .ok_or_else(|| format!("{text:?} is no time of that day"))
}

/// True when the action moves through time.
pub(super) fn moves(action: Action) -> bool {
    matches!(
        action,
        Action::Pause | Action::Step(_) | Action::Speed(_) | Action::Seek(_) | Action::Finding(_)
    )
}

/// Does it; what to say about it.
pub(super) fn travel(player: &mut Player, action: Action) -> Result<Option<String>, SessionError> {
    let moved = match action {
        Action::Pause => {
            let playing = player.playing();
            player.set_playing(!playing);
            return Ok(None);
        }
        Action::Speed(by) => {
            let factor = if by > 0 { 2.0 } else { 0.5 };
            player.set_speed(player.speed() * factor);
            return Ok(Some(format!("speed x{}", player.speed())));
        }
        Action::Step(by) => {
            player.set_playing(false);
            if by > 0 {
                player.step()
            } else {
                player.step_back()?
            }
        }
        Action::Seek(seconds) => {
            let by = Duration::from_secs(u64::from(seconds.unsigned_abs()));
            let here = player.position();
            let to = if seconds > 0 {
                here.plus(by)
            } else {
                here.minus(by)
            };
            player.seek(to)?;
            player.position() != here
        }
        Action::Finding(by) => {
            player.set_playing(false);
            let moved = if by > 0 {
                player.next_finding()?
            } else {
                player.previous_finding()?
            };
            return Ok((!moved).then(|| "no further finding that way".to_owned()));
        }
        _ => true,
    };
    Ok((!moved).then(|| edge(player)))
}

/// Goes there; what to say about it.
pub(super) fn go(player: &mut Player, goal: Goal) -> Result<Option<String>, SessionError> {
    player.set_playing(false);
    match goal {
        Goal::Finding(id) if player.seek_finding(id)? => Ok(None),
        Goal::Finding(id) => Ok(Some(format!("{id} is not in reach: {}", edge(player)))),
        Goal::Time(time) => {
            player.seek(time)?;
            let (begin, end) = player.span();
            Ok((time < begin || time > end).then(|| edge(player)))
        }
    }
}

/// How far time reaches.
fn edge(player: &Player) -> String {
    let (begin, end) = player.span();
    format!(
        "there is {} from {} to {}",
        span(end.since(begin)),
        clock(begin),
        clock(end)
    )
}

/// The time of day, UTC: `14:03:27Z`.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_jiff().strftime("%H:%M:%SZ").to_string()
}

/// A distance in time: `00:12`, `1:02:03`.
pub(super) fn distance(by: Duration) -> String {
    let seconds = by.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read_as_people_write_them() {
        let at = |text| Timestamp::parse(text).unwrap();
        let here = at("2026-11-24T10:00:00Z");
        let end = at("2026-11-24T10:30:00Z");
        let read = |text| goal(text, here, end, &Zone::default());
        assert_eq!(read("F-0132"), Ok(Goal::Finding(FindingId(132))));
        assert_eq!(read("-5m"), Ok(Goal::Time(at("2026-11-24T09:55:00Z"))));
        assert_eq!(read("+30s"), Ok(Goal::Time(at("2026-11-24T10:00:30Z"))));
        assert_eq!(read("10:15"), Ok(Goal::Time(at("2026-11-24T10:15:00Z"))));
        assert_eq!(read("23:59:01"), Ok(Goal::Time(at("2026-11-23T23:59:01Z"))));
        assert_eq!(
            read("2026-11-20T01:02:03Z"),
            Ok(Goal::Time(at("2026-11-20T01:02:03Z")))
        );
        for wrong in ["", "F-x", "-5 parsecs", "25:00"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
