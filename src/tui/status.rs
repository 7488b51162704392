//! The content of the first line and the timeline: host, engine, moment, and background activity.

use std::collections::BTreeMap;

use super::text::{bytes, distance, span};
use super::timeline::Timeline;
use crate::collect::Live;
use crate::containers::{EngineKind, EngineState};
use crate::event::Timestamp;
use crate::link::{LinkBoard, LinkState};
use crate::recording::Player;

/// The kind of time that is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    /// The present of this host.
    #[default]
    Live,
    /// It is paused.
    Paused,
    /// The past is playing.
    Replay,
}

/// The content of the first line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Host name.
    pub host: String,
    /// Engine and its state.
    pub engine: String,
    /// The observer, e.g. `core`, or its missing parts.
    pub tier: String,
    /// The kind of time: the present, a stopped or a recorded one.
    pub time: Shown,
    /// The time as text.
    pub mode: String,
    /// Background activity: recording, comparing.
    pub doing: String,
    /// Failed background activity in a few words, and the reason.
    pub trouble: Option<(&'static str, String)>,
    /// Which containers are not watched, as text; empty when all are.
    pub unwatched: String,
    /// The engine or a probe is missing.
    pub degraded: bool,
    /// The moment shown, unless it is the present.
    pub clock: Option<Timestamp>,
    /// The target of the key for the present, as a word; `None`: the present is shown.
    pub present: Option<&'static str>,
    /// The timeline, where it is shown.
    pub timeline: Option<Timeline>,
}

const LIVE: &str = "LIVE";
const REC_FAILED: &str = "REC FAILED";
const REC_WAITS: &str = "REC WAITS: DISK FULL";
const SINK_FAILED: &str = "NOT DELIVERED";
const LINK_LOST: &str = "LINK LOST";
const LINK_ENDED: &str = "LINK ENDED";

/// The moment shown of a host that is still being watched, with its text.
fn moment(player: &Player) -> (Shown, String) {
    if player.following() {
        return (Shown::Live, LIVE.to_owned());
    }
    let (_, end) = player.span();
    let behind = distance(end.since(player.position()));
    if player.playing() {
        (Shown::Replay, format!("PLAY x{} -{behind}", player.speed()))
    } else {
        (Shown::Paused, format!("PAUSED -{behind}"))
    }
}

/// The engine and its state as text, and whether it is incomplete.
fn engine(engines: &BTreeMap<EngineKind, EngineState>) -> (String, bool) {
    let containerd = engines.get(&EngineKind::Containerd);
    match (engines.get(&EngineKind::Docker).cloned(), containerd) {
        (None | Some(EngineState::Absent), Some(EngineState::Connected { version, .. })) => {
            (format!("containerd {version}"), false)
        }
        (state, _) => docker(state),
    }
}

fn docker(state: Option<EngineState>) -> (String, bool) {
    match state {
        None => ("no engine queried".to_owned(), false),
        Some(EngineState::Connecting) => ("docker …".to_owned(), false),
        // Without layers a file's content cannot be compared.
        Some(EngineState::Connected { version, driver }) if !driver.starts_with("overlay") => (
            format!("docker {version} ({driver}: drift by time only)"),
            true,
        ),
        Some(EngineState::Connected { version, .. }) => (format!("docker {version}"), false),
        Some(EngineState::Unreachable { .. }) => ("docker unreachable".to_owned(), true),
        Some(EngineState::Absent) => ("no engine".to_owned(), false),
    }
}

/// Text about containers that are not watched: `count` that an engine reported, or older ones.
fn unwatched(count: usize, older: bool) -> String {
    match (count, older) {
        (0, false) => String::new(),
        (0, true) => "older containers not watched".to_owned(),
        (1, _) => "1 container not watched".to_owned(),
        (count, _) => format!("{count} containers not watched"),
    }
}

impl Status {
    /// While the probes are being attached.
    pub(super) fn attaching() -> Self {
        let name = rustix::system::uname();
        Self {
            host: name.nodename().to_string_lossy().into_owned(),
            mode: "attaching…".to_owned(),
            ..Self::default()
        }
    }

    /// Status of this host, at its present or where `past` is.
    pub(super) fn of_host(live: &Live, past: Option<&Player>) -> Self {
        let status = live.status();
        let (engine, engine_down) = engine(&status.engines);
        let refused = status.report.refused.len();
        let mut trouble = None;
        let recording = status.recording.and_then(|recording| {
            let waits = recording.waits.map(|why| (REC_WAITS, why));
            trouble = recording.error.map(|error| (REC_FAILED, error)).or(waits);
            // The file was named when the recording began.
            let running = trouble.is_none();
            running.then(|| format!("● REC {}", bytes(recording.bytes)))
        });
        let undelivered = status.sinks.iter().find_map(|sink| {
            let missed = match sink.missed() {
                0 => String::new(),
                missed => format!("{missed} messages not delivered"),
            };
            let why = sink
                .error
                .iter()
                .cloned()
                .chain(Some(missed).filter(|m| !m.is_empty()));
            let why: Vec<String> = why.collect();
            (!why.is_empty()).then(|| (SINK_FAILED, format!("{}: {}", sink.name, why.join("; "))))
        });
        let trouble = trouble.or(undelivered);
        let (time, mode) = past.map_or((Shown::Live, LIVE.to_owned()), moment);
        let comparing = live
            .scanning()
            .map(|(id, count)| format!("COMPARING {} {count}", id.short()));
        let doing: Vec<_> = [comparing, recording].into_iter().flatten().collect();
        Self {
            host: status.host,
            engine,
            tier: if refused == 0 {
                "core".to_owned()
            } else {
                format!("core -{refused}")
            },
            time,
            mode,
            doing: doing.join(" "),
            trouble,
            unwatched: unwatched(status.unwatched, status.older_unwatched),
            degraded: engine_down || refused > 0,
            clock: past.map(Player::position),
            ..Self::default()
        }
    }

    /// Status of a recording that is still being written, where `shown` is.
    pub(super) fn of_recorder(recording: &Player, shown: &Player) -> Self {
        let (time, mode) = moment(shown);
        Self {
            host: recording.header().host.clone(),
            engine: recording.name(),
            time,
            mode,
            doing: "● REC".to_owned(),
            degraded: !recording.gaps().is_empty(),
            clock: (!shown.following()).then(|| shown.position()),
            ..Self::default()
        }
    }

    /// Adds the link by which the recording arrives.
    pub(super) fn with_link(mut self, link: &LinkBoard) -> Self {
        self.engine = format!("{} {}", link.means, link.name());
        if !link.recorded {
            self.doing.clear();
        }
        match link.state() {
            LinkState::Up => {}
            LinkState::Lost(since, why) => {
                if self.time == Shown::Live {
                    self.time = Shown::Paused;
                    self.mode = format!("BEHIND {}", distance(since.elapsed()));
                }
                self.trouble = Some((LINK_LOST, format!("trying again ({why})")));
            }
            LinkState::Ended(why) => self.trouble = Some((LINK_ENDED, why)),
        }
        self
    }

    /// Status of a recording that has ended.
    pub(super) fn of_recording(player: &Player) -> Self {
        let (from, to) = player.span();
        let at = player.position();
        let (time, state) = if player.at_end() {
            (Shown::Paused, "END")
        } else if player.playing() {
            (Shown::Replay, "PLAY")
        } else {
            (Shown::Paused, "PAUSED")
        };
        Self {
            host: player.header().host.clone(),
            engine: player.name(),
            tier: format!("{:.10}", at.to_string()),
            time,
            mode: format!(
                "{state} x{} {}/{}",
                player.speed(),
                span(at.since(from)),
                span(to.since(from))
            ),
            degraded: !player.gaps().is_empty(),
            clock: Some(at),
            ..Self::default()
        }
    }
}
