//! The state of a link, as the screen shows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The state of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// It carries data.
    Up,
    /// It is lost since this moment, for this reason; it is tried again.
    Lost(Instant, String),
    /// It ended for good, for this reason.
    Ended(String),
}

/// The state of a link, shared with the screen.
#[derive(Debug, Clone)]
pub struct LinkBoard {
    name: Arc<str>,
    /// What arrives stays in a file.
    pub recorded: bool,
    state: Arc<Mutex<LinkState>>,
}

impl LinkBoard {
    /// A link to this host that carries data.
    #[must_use]
    pub fn new(name: &str, recorded: bool) -> Self {
        Self {
            name: name.into(),
            recorded,
            state: Arc::new(Mutex::new(LinkState::Up)),
        }
    }

    /// The host, as the user named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.lock().clone()
    }

    /// For how long it has been lost.
    #[must_use]
    pub fn lost_for(&self) -> Option<Duration> {
        match &*self.state.lock() {
            LinkState::Lost(since, _) => Some(since.elapsed()),
            LinkState::Up | LinkState::Ended(_) => None,
        }
    }

    /// It carries data.
    pub fn up(&self) {
        *self.state.lock() = LinkState::Up;
    }

    /// It is lost, since the first such report.
    pub fn lost(&self, why: String) {
        let mut state = self.state.lock();
        let since = match &*state {
            LinkState::Lost(since, _) => *since,
            LinkState::Up | LinkState::Ended(_) => Instant::now(),
        };
        *state = LinkState::Lost(since, why);
    }

    /// It ended for good.
    pub fn ended(&self, why: String) {
        *self.state.lock() = LinkState::Ended(why);
    }
}
