//! Responses of a person to a container, from hullwatch's screen.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A kind of response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseAction {
    /// Freeze all processes of the container.
    Pause,
    /// Resume them.
    Unpause,
    /// Disconnect it from its networks.
    Disconnect,
    /// Reconnect it.
    Reconnect,
    /// Block an address for it.
    Block,
    /// Allow that address again.
    Unblock,
    /// End one process.
    Kill,
    /// Copy files out of it.
    CopyOut,
    /// Keep its file system as an image.
    Commit,
    /// Record its packets.
    Capture,
    /// Open a shell in it.
    Shell,
    /// Stop it.
    Stop,
}

impl ResponseAction {
    /// Its name, as in a recording.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Disconnect => "disconnect",
            Self::Reconnect => "reconnect",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Kill => "kill",
            Self::CopyOut => "copy-out",
            Self::Commit => "commit",
            Self::Capture => "capture",
            Self::Shell => "shell",
            Self::Stop => "stop",
        }
    }

    /// The response that undoes it.
    #[must_use]
    pub fn undone_by(self) -> Option<Self> {
        match self {
            Self::Pause => Some(Self::Unpause),
            Self::Disconnect => Some(Self::Reconnect),
            Self::Block => Some(Self::Unblock),
            _ => None,
        }
    }
}

/// The outcome of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseOutcome {
    /// It was done.
    Done,
    /// It was tried and failed; `detail` has the reason.
    Failed,
    /// It was not tried; `detail` has the reason.
    Refused,
}

impl ResponseOutcome {
    /// As text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// An action of hullwatch on a container that a person chose and confirmed. The event belongs to
/// that container; its pid is that of the killed process, else 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The action.
    pub action: ResponseAction,
    /// Its targets other than the container: networks, addresses, files, a process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Bytes>,
    /// User id of the person: of the one who called sudo.
    pub uid: u32,
    /// User name on this host; empty unknown.
    #[serde(default)]
    pub user: Bytes,
    /// The command as a shell line.
    #[serde(default)]
    pub command: String,
    /// The line that undoes it; empty if that is impossible.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
    /// The outcome.
    pub outcome: ResponseOutcome,
    /// The result as text, or why it failed or was refused.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub detail: Bytes,
}

impl Response {
    /// One line: action, target, person and outcome. Escaped.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut words = vec![self.action.name().to_owned()];
        words.extend(self.targets.iter().take(4).map(|t| t.escaped().to_string()));
        if self.targets.len() > 4 {
            words.push(format!("and {} more", self.targets.len() - 4));
        }
        let user = if self.user.is_empty() {
            format!("user {}", self.uid)
        } else {
            self.user.escaped().to_string()
        };
        let mut line = format!("{} by {user}: {}", words.join(" "), self.outcome.name());
        if !self.detail.is_empty() {
            line = format!("{line}: {}", self.detail.escaped());
        }
        line
    }
}

fn is_empty(bytes: &Bytes) -> bool {
    bytes.is_empty()
}
