//! Where the picture comes from: this host, or a recording.

use crate::collect::Live;
use crate::containers::EngineState;
use crate::core::Core;
use crate::session::Player;

/// Where the picture comes from.
#[derive(Debug)]
pub enum Source {
    /// This host.
    Live(Box<Live>),
    /// A recording.
    Replay(Box<Player>),
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
    /// Recording, replaying, paused.
    pub mode: String,
    /// The engine or a probe is missing.
    pub degraded: bool,
}

impl Source {
    /// What the first line says; `paused` is the picture's own.
    pub(super) fn status(&self, paused: bool) -> Status {
        match self {
            Self::Live(live) => {
                let status = live.status();
                let (engine, engine_down) = match status.engine {
                    None => ("no engine asked".to_owned(), false),
                    Some(EngineState::Connecting) => ("docker …".to_owned(), false),
                    Some(EngineState::Connected { version, .. }) => {
                        (format!("docker {version}"), false)
                    }
                    Some(EngineState::Unreachable { .. }) => {
                        ("docker unreachable".to_owned(), true)
                    }
                    Some(EngineState::Absent) => ("no engine".to_owned(), false),
                };
                let refused = status.report.refused.len();
                let recording = status.recording.map(|recording| match recording.error {
                    Some(error) => format!("REC FAILED: {error}"),
                    None => format!(
                        "● REC {} {}",
                        recording.path.display(),
                        super::text::bytes(recording.bytes)
                    ),
                });
                let paused = paused.then(|| "PAUSED".to_owned());
                Status {
                    host: status.host,
                    engine,
                    tier: if refused == 0 {
                        "core".to_owned()
                    } else {
                        format!("core -{refused}")
                    },
                    mode: [paused, recording]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(" "),
                    degraded: engine_down || refused > 0,
                }
            }
            Self::Replay(player) => {
                let (from, to) = player.span();
                let at = player.position();
                let state = if player.at_end() {
                    "END"
                } else if player.playing() {
                    "PLAY"
                } else {
                    "PAUSED"
                };
                Status {
                    host: player.header().host.clone(),
                    engine: player.name(),
                    tier: format!("{:.10}", at.to_string()),
                    mode: format!(
                        "{state} x{} {}/{}",
                        player.speed(),
                        super::text::span(at.since(from)),
                        super::text::span(to.since(from))
                    ),
                    degraded: !player.gaps().is_empty(),
                }
            }
        }
    }

    /// Reads the core.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        match self {
            Self::Live(live) => read(&live.core().lock()),
            Self::Replay(player) => read(player.core()),
        }
    }
}
