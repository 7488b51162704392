//! Where the picture comes from: this host, or a recording.

use std::io;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::terminal;
use super::text::distance;
use super::timeline::Timeline;
use super::wait::Waker;
use crate::collect::{Live, give_up_privileges};
use crate::containers::EngineState;
use crate::core::Core;
use crate::event::Timestamp;
use crate::recording::{Player, RecordingError, RecordingSummary};

/// Begins to watch; in words why it could not.
pub type Attach = Box<dyn FnOnce() -> Result<Live, String> + Send>;

/// Where the picture comes from.
#[derive(Debug)]
pub enum Source {
    /// This host, once the probes are attached.
    Attaching(Box<Core>, Receiver<Result<Live, String>>),
    /// This host.
    Live(Box<Live>),
    /// A recording.
    Replay(Box<Player>),
}

/// Which time is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    /// The present of this host.
    #[default]
    Live,
    /// It stands still.
    Paused,
    /// The past goes on.
    Replay,
}

/// What the first line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Host name.
    pub host: String,
    /// Engine and its state.
    pub engine: String,
    /// What observes, e.g. `core`, or how much of it.
    pub tier: String,
    /// Which time is shown: the present, a stopped or a recorded one.
    pub time: Shown,
    /// The same in words.
    pub mode: String,
    /// What goes on besides: recording, comparing.
    pub doing: String,
    /// What does not go on although it was asked for, in a few words, and why.
    pub trouble: Option<(&'static str, String)>,
    /// The engine or a probe is missing.
    pub degraded: bool,
    /// The moment shown, unless it is the present.
    pub clock: Option<Timestamp>,
    /// Where the key for the present leads, in a word; `None`: one is there.
    pub present: Option<&'static str>,
    /// Time as a picture, where it is shown.
    pub timeline: Option<Timeline>,
}

const LIVE: &str = "LIVE";
const REC_FAILED: &str = "REC FAILED";

/// Which moment of a host that is still being watched is shown, and in words.
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

fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

impl Source {
    /// Has `attach` done on another thread, which wakes the loop after it.
    pub(super) fn attach(attach: Attach, waker: Waker) -> io::Result<Self> {
        let (done, result) = bounded(1);
        std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody waits any more: the watch ends with what is dropped here.
                let _ = done.send(attach());
                waker.wake();
            })?;
        Ok(Self::Attaching(Box::default(), result))
    }

    /// Goes over to watching when the probes are attached; true when they just were.
    ///
    /// # Errors
    /// Why watching cannot begin.
    pub(super) fn attached(&mut self) -> Result<bool, String> {
        let Self::Attaching(_, result) = self else {
            return Ok(false);
        };
        let live = match result.try_recv() {
            Ok(done) => done?,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => return Err("attaching failed".to_owned()),
        };
        // The thread that attached has done so for itself and those it began.
        give_up_privileges();
        terminal::at_last(Box::new(live.finisher()));
        *self = Self::Live(Box::new(live));
        Ok(true)
    }

    /// Ends the watch, and its recording if one runs: how that went.
    pub(super) fn end(self) -> Option<Result<RecordingSummary, RecordingError>> {
        match self {
            // What still attaches is let go of when it is done.
            Self::Attaching(..) | Self::Replay(_) => None,
            Self::Live(live) => live.stop(),
        }
    }

    /// What the first line says; `past` is where one went back to.
    pub(super) fn status(&self, past: Option<&Player>) -> Status {
        match self {
            Self::Attaching(..) => Status {
                host: host_name(),
                mode: "attaching…".to_owned(),
                ..Status::default()
            },
            Self::Live(live) => {
                let status = live.status();
                let (engine, engine_down) = match status.engine {
                    None => ("no engine asked".to_owned(), false),
                    Some(EngineState::Connecting) => ("docker …".to_owned(), false),
                    // Without layers a file's content has nothing to be compared with.
                    Some(EngineState::Connected { version, driver })
                        if !driver.starts_with("overlay") =>
                    {
                        (
                            format!("docker {version} ({driver}: drift by time only)"),
                            true,
                        )
                    }
                    Some(EngineState::Connected { version, .. }) => {
                        (format!("docker {version}"), false)
                    }
                    Some(EngineState::Unreachable { .. }) => {
                        ("docker unreachable".to_owned(), true)
                    }
                    Some(EngineState::Absent) => ("no engine".to_owned(), false),
                };
                let refused = status.report.refused.len();
                let mut trouble = None;
                let recording = status.recording.and_then(|recording| {
                    trouble = recording.error.map(|error| (REC_FAILED, error));
                    // The file was named when it began.
                    let running = trouble.is_none();
                    running.then(|| format!("● REC {}", super::text::bytes(recording.bytes)))
                });
                let (time, mode) = past.map_or((Shown::Live, LIVE.to_owned()), moment);
                let scanning = live
                    .scanning()
                    .map(|(id, count)| format!("COMPARING {} {count}", id.short()));
                Status {
                    host: status.host,
                    engine,
                    tier: if refused == 0 {
                        "core".to_owned()
                    } else {
                        format!("core -{refused}")
                    },
                    time,
                    mode,
                    doing: [scanning, recording]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(" "),
                    trouble,
                    degraded: engine_down || refused > 0,
                    clock: past.map(Player::position),
                    ..Status::default()
                }
            }
            Self::Replay(player) if player.growing() || player.following() => {
                let shown = past.unwrap_or(player);
                let (time, mode) = moment(shown);
                Status {
                    host: player.header().host.clone(),
                    engine: player.name(),
                    tier: String::new(),
                    time,
                    mode,
                    doing: "● REC".to_owned(),
                    trouble: None,
                    degraded: !player.gaps().is_empty(),
                    clock: (!shown.following()).then(|| shown.position()),
                    ..Status::default()
                }
            }
            Self::Replay(player) => {
                let (from, to) = player.span();
                let at = player.position();
                let (time, state) = if player.at_end() {
                    (Shown::Paused, "END")
                } else if player.playing() {
                    (Shown::Replay, "PLAY")
                } else {
                    (Shown::Paused, "PAUSED")
                };
                Status {
                    host: player.header().host.clone(),
                    engine: player.name(),
                    tier: format!("{:.10}", at.to_string()),
                    time,
                    mode: format!(
                        "{state} x{} {}/{}",
                        player.speed(),
                        super::text::span(at.since(from)),
                        super::text::span(to.since(from))
                    ),
                    degraded: !player.gaps().is_empty(),
                    clock: Some(at),
                    ..Status::default()
                }
            }
        }
    }

    /// Reads the core.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        match self {
            Self::Attaching(core, _) => read(core),
            Self::Live(live) => read(&live.core().lock()),
            Self::Replay(player) => read(player.core()),
        }
    }
}
