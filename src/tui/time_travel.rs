//! Moving through time: the same in a recording and in the past of this host.

use std::time::Duration;

use super::action::Action;
use super::text::span;
use super::zone::Zone;
use crate::detect::FindingId;
use crate::event::Timestamp;
use crate::recording::{Player, RecordingError};

/// Where to go.
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

/// Reads where to go: `F-0132`, `-5m`, `+30s`, `14:03`, `14:03:27`, a whole date and time, `start`
/// or `end`.
/// Times of day are the latest such before `end`; spans count from `here`.
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
        .map_err(|_| format!("{text:?}: write 14:03, -5m, F-0132, start or end"))?;
    let at = zone.latest(time, end);
    at.map(Goal::Time)
        .ok_or_else(|| format!("{text:?} is no time of that day"))
}

/// True when the action moves through time.
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

/// What came of going somewhere.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    /// Another moment is shown, or time runs in another way.
    pub(super) moved: bool,
    /// What to say about it.
    pub(super) said: Option<String>,
}

impl Went {
    /// Nothing to say.
    pub(super) fn there() -> Self {
        Self::saying(None)
    }

    fn saying(said: impl Into<Option<String>>) -> Self {
        Self {
            moved: true,
            said: said.into(),
        }
    }

    /// One stays where one is, and why.
    pub(super) fn nowhere(why: String) -> Self {
        Self {
            moved: false,
            said: Some(why),
        }
    }
}

/// Does it.
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
                let why = "no further finding that way".to_owned();
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

/// Goes there.
pub(super) fn go(player: &mut Player, goal: Goal, zone: &Zone) -> Result<Went, RecordingError> {
    let (from, to) = player.span();
    let said = match goal {
        Goal::Finding(id) => {
            if !player.seek_finding(id)? {
                return Ok(Went::nowhere(missing(player, id, zone)));
            }
            None
        }
        // Of a watch what was forgotten is another moment than the one asked for.
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
    Ok(Went::saying(said))
}

/// At the end of a recording, where nothing more comes.
fn ended(player: &Player) -> bool {
    player.at_end() && player.indexed() && !player.forgets()
}

/// That a finding cannot be gone to.
fn missing(player: &Player, id: FindingId, zone: &Zone) -> String {
    if player.forgets() {
        format!("{id} is not in reach: {}", remembered(player, zone))
    } else if player.indexed() {
        format!("{id} is not in this recording")
    } else {
        format!("{id} is not in the part of the recording that was read so far")
    }
}

/// How far memory reaches.
fn remembered(player: &Player, zone: &Zone) -> String {
    let (from, to) = player.span();
    let (back, from) = (span(to.since(from)), zone.clock(from));
    format!("only the last {back} are remembered, since {from}")
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

    static DEMO: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

    fn clock(at: Timestamp) -> String {
        Zone::default().clock(at)
    }

    fn recording() -> Player {
        let mut player = Player::from_memory("demo", DEMO).unwrap();
        player.wait_indexed();
        player
    }

    #[test]
    fn a_recording_has_a_beginning_and_an_end_and_plays_again() {
        let mut player = recording();
        let utc = Zone::default();
        let (from, to) = player.span();
        let went = go(&mut player, Goal::End, &utc).unwrap();
        assert_eq!(went.said.unwrap(), format!("the end: {}", clock(to)));
        let went = travel(&mut player, Action::Step(1), &utc).unwrap();
        assert!(!went.moved && went.said.unwrap().starts_with("the end"));
        // Where it ended, playing is from the beginning.
        travel(&mut player, Action::Pause, &utc).unwrap();
        assert!(player.playing() && player.position() == from);
        player.seek(to).unwrap();
        let early = Goal::Time(from.minus(Duration::from_secs(300)));
        let went = go(&mut player, early, &utc).unwrap();
        let beginning = format!("the beginning: {}", clock(from));
        assert!(went.moved && player.position() == from);
        assert_eq!(went.said.as_deref(), Some(&*beginning));
        let went = travel(&mut player, Action::Seek(-10), &utc).unwrap();
        assert_eq!(went, Went::nowhere(beginning));
        let went = go(&mut player, Goal::Finding(FindingId(9999)), &utc).unwrap();
        assert_eq!(went.said.unwrap(), "F-9999 is not in this recording");
    }

    #[test]
    fn what_a_watch_forgot_is_not_gone_to() {
        let mut recorded = recording();
        let mut core = crate::core::Core::new(recorded.header().settings.clone());
        let past = std::sync::Arc::new(crate::recording::Past::new(12 << 10, &core));
        let mut reader = crate::recording::RecordingReader::from_memory("demo", DEMO).unwrap();
        while let Some(item) = reader.next_item() {
            if let crate::recording::RecordedItem::Event(event) = item {
                let event = std::sync::Arc::from(event);
                core.apply(&event);
                past.push(&event, &core);
            }
        }
        recorded.seek(recorded.span().1).unwrap();
        let mut player = Player::of_past(&past, recorded.header().clone(), core);
        let utc = Zone::default();
        let (here, (from, _)) = (player.position(), player.span());
        assert!(from > recorded.span().0, "nothing was forgotten");
        let early = Goal::Time(from.minus(Duration::from_secs(2)));
        let went = go(&mut player, early, &utc).unwrap();
        assert!(!went.moved && player.position() == here);
        let said = went.said.unwrap();
        assert!(
            said.starts_with("only the last ") && said.ends_with(&clock(from)),
            "{said}"
        );
        let went = go(&mut player, Goal::Finding(FindingId(1)), &utc).unwrap();
        assert!(
            !went.moved
                && went
                    .said
                    .unwrap()
                    .contains("F-0001 is not in reach: only the last")
        );
        travel(&mut player, Action::Earliest, &utc).unwrap();
        assert_eq!(player.position(), from);
    }
}
