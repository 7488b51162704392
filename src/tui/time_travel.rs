//! Moving through time, in a recording and in the past of this host alike.

use std::time::Duration;

use super::action::Action;
use super::text::span;
use super::zone::Zone;
use crate::detect::FindingId;
use crate::event::Timestamp;
use crate::recording::{Player, RecordingError};

/// A target in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// To where a finding is raised.
    Finding(FindingId),
    /// To a time.
    Time(Timestamp),
    /// To the beginning.
    Start,
    /// To the end.
    End,
}

/// Parses a target: `F-0132`, `-5m`, `+30s`, `14:03`, `14:03:27`, a whole date and time, `start` or
/// `end`. Times of day are the latest such before `end`; spans count from `here`.
pub(super) fn goal(
    text: &str,
    here: Timestamp,
    end: Timestamp,
    zone: &Zone,
) -> Result<Goal, String> {
    let text = text.trim();
    match text {
        "start" => return Ok(Goal::Start),
        "end" => return Ok(Goal::End),
        _ => {}
    }
    let duration = |text: &str| {
        humantime::parse_duration(text)
            .map_err(|_| format!("{text:?} is not a time: write -5m, +30s"))
    };
    if let Some(number) = text.strip_prefix(['F', 'f']) {
        let number = number.trim_start_matches('-').parse();
        return number
            .map(|number| Goal::Finding(FindingId(number)))
            .map_err(|_| format!("{text:?} is not a finding: write F-0132"));
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
        .map_err(|_| format!("{text:?}: write 14:03, -5m, F-0132, start or end"))?;
    let at = zone.latest(time, end);
    at.map(Goal::Time)
        .ok_or_else(|| format!("{text:?} is not a time of that day"))
}

/// Whether the action moves through time.
pub(super) fn moves(action: Action) -> bool {
    matches!(
        action,
        Action::Pause
            | Action::Step(_)
            | Action::Speed(_)
            | Action::Seek(_)
            | Action::Finding(_)
            | Action::Earliest
    )
}

/// The result of moving.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    /// Another moment is shown, or the playing state changed.
    pub(super) moved: bool,
    /// The message.
    pub(super) message: Option<String>,
}

impl Went {
    /// No message.
    pub(super) fn there() -> Self {
        Self::saying(None)
    }

    fn saying(message: impl Into<Option<String>>) -> Self {
        Self {
            moved: true,
            message: message.into(),
        }
    }

    /// The moment does not change; the message has the reason.
    pub(super) fn nowhere(why: String) -> Self {
        Self {
            moved: false,
            message: Some(why),
        }
    }
}

/// Carries out an action.
pub(super) fn travel(
    player: &mut Player,
    action: Action,
    zone: &Zone,
) -> Result<Went, RecordingError> {
    let moved = match action {
        Action::Pause if !player.playing() && ended(player) => {
            go(player, Goal::Start, zone)?;
            player.set_playing(true);
            return Ok(Went::saying("from the beginning".to_owned()));
        }
        Action::Pause => {
            let playing = player.playing();
            player.set_playing(!playing);
            true
        }
        Action::Speed(by) => {
            let factor = if by > 0 { 2.0 } else { 0.5 };
            player.set_speed(player.speed() * factor);
            return Ok(Went::saying(format!("speed x{}", player.speed())));
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
            if !moved {
                let why = "no further finding in that direction".to_owned();
                return Ok(Went::nowhere(why));
            }
            true
        }
        Action::Earliest => return go(player, Goal::Start, zone),
        _ => true,
    };
    if moved {
        return Ok(Went::there());
    }
    let back = matches!(action, Action::Step(by) if by < 0)
        || matches!(action, Action::Seek(seconds) if seconds < 0);
    Ok(Went::nowhere(if back {
        beginning(player, zone)
    } else {
        end(player, zone)
    }))
}

/// Moves to a target.
pub(super) fn go(player: &mut Player, goal: Goal, zone: &Zone) -> Result<Went, RecordingError> {
    let (from, to) = player.span();
    let message = match goal {
        Goal::Finding(id) => {
            if !player.seek_finding(id)? {
                return Ok(Went::nowhere(missing(player, id, zone)));
            }
            None
        }
        // In a watch, an evicted target leads to another moment.
        Goal::Time(time) if time.seconds() < from.seconds() && player.forgets() => {
            return Ok(Went::nowhere(remembered(player, zone)));
        }
        Goal::Time(time) => {
            player.seek(time)?;
            if time.seconds() < from.seconds() {
                Some(beginning(player, zone))
            } else {
                (time > to).then(|| end(player, zone))
            }
        }
        Goal::Start => {
            player.seek(from)?;
            Some(beginning(player, zone))
        }
        Goal::End => {
            player.seek(to)?;
            Some(end(player, zone))
        }
    };
    player.set_playing(false);
    Ok(Went::saying(message))
}

/// At the end of a recording.
fn ended(player: &Player) -> bool {
    player.at_end() && player.indexed() && !player.forgets()
}

/// The message for a finding that cannot be reached.
fn missing(player: &Player, id: FindingId, zone: &Zone) -> String {
    if player.forgets() {
        format!("{id} is out of reach: {}", remembered(player, zone))
    } else if player.indexed() {
        format!("{id} is not in this recording")
    } else {
        format!("{id} is not in the part of the recording read so far")
    }
}

/// The extent of the memory, as text.
fn remembered(player: &Player, zone: &Zone) -> String {
    let (from, to) = player.span();
    let (back, from) = (span(to.since(from)), zone.clock(from));
    format!("the history covers only the last {back}, since {from}")
}

fn beginning(player: &Player, zone: &Zone) -> String {
    if player.forgets() {
        return format!("the beginning: {}", remembered(player, zone));
    }
    format!("the beginning: {}", zone.clock(player.span().0))
}

fn end(player: &Player, zone: &Zone) -> String {
    let last = zone.clock(player.span().1);
    if player.forgets() || player.growing() {
        format!("the present: {last}")
    } else {
        format!("the end: {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::demo;

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
        assert_eq!(read("start"), Ok(Goal::Start));
        assert_eq!(read(" end "), Ok(Goal::End));
        for wrong in ["", "F-x", "-5 parsecs", "25:00"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    fn clock(at: Timestamp) -> String {
        Zone::default().clock(at)
    }

    fn recording() -> Player {
        let mut player = demo::player();
        player.wait_indexed();
        player
    }

    #[test]
    fn a_recording_has_a_beginning_and_an_end_and_plays_again() {
        let mut player = recording();
        let utc = Zone::default();
        let (from, to) = player.span();
        let went = go(&mut player, Goal::End, &utc).unwrap();
        assert_eq!(went.message.unwrap(), format!("the end: {}", clock(to)));
        let went = travel(&mut player, Action::Step(1), &utc).unwrap();
        assert!(!went.moved && went.message.unwrap().starts_with("the end"));
        // Where it ended, playing is from the beginning.
        travel(&mut player, Action::Pause, &utc).unwrap();
        assert!(player.playing() && player.position() == from);
        player.seek(to).unwrap();
        let early = Goal::Time(from.minus(Duration::from_secs(300)));
        let went = go(&mut player, early, &utc).unwrap();
        let beginning = format!("the beginning: {}", clock(from));
        assert!(went.moved && player.position() == from);
        assert_eq!(went.message.as_deref(), Some(&*beginning));
        let went = travel(&mut player, Action::Seek(-10), &utc).unwrap();
        assert_eq!(went, Went::nowhere(beginning));
        let went = go(&mut player, Goal::Finding(FindingId(9999)), &utc).unwrap();
        assert_eq!(went.message.unwrap(), "F-9999 is not in this recording");
    }

    #[test]
    fn dropped_history_is_out_of_reach() {
        let mut recorded = recording();
        let mut core = demo::empty();
        let past = std::sync::Arc::new(crate::recording::Past::new(12 << 10, &core));
        demo::replay(&mut core, |event, core| past.push(event, core));
        recorded.seek(recorded.span().1).unwrap();
        let mut player = Player::of_past(&past, recorded.header().clone(), core);
        let utc = Zone::default();
        let (here, (from, _)) = (player.position(), player.span());
        assert!(from > recorded.span().0, "nothing was forgotten");
        let early = Goal::Time(from.minus(Duration::from_secs(2)));
        let went = go(&mut player, early, &utc).unwrap();
        assert!(!went.moved && player.position() == here);
        let message = went.message.unwrap();
        assert!(
            message.starts_with("the history covers only the last ")
                && message.ends_with(&clock(from)),
            "{message}"
        );
        let went = go(&mut player, Goal::Finding(FindingId(1)), &utc).unwrap();
        assert!(
            !went.moved
                && went
                    .message
                    .unwrap()
                    .contains("F-0001 is out of reach: the history covers only the last")
        );
        travel(&mut player, Action::Earliest, &utc).unwrap();
        assert_eq!(player.position(), from);
    }
}
