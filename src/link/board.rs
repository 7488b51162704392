//! The state of a link, as the screen shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::event::escape;

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
    /// The word for the means by which the host is reached.
    pub means: &'static str,
    /// What arrives stays in a file.
    pub recorded: bool,
    state: Arc<Mutex<LinkState>>,
    /// The screen was closed.
    left: Arc<AtomicBool>,
    /// The thread that receives has ended.
    over: Arc<AtomicBool>,
}

impl LinkBoard {
    /// A link by ssh to this host that carries data.
    #[must_use]
    pub fn new(name: &str, recorded: bool) -> Self {
        Self {
            name: name.into(),
            means: "ssh",
            recorded,
            state: Arc::new(Mutex::new(LinkState::Up)),
            left: Arc::default(),
            over: Arc::default(),
        }
    }

    /// The same host, by a server between.
    #[must_use]
    pub fn of_fleet(self) -> Self {
        Self {
            means: "fleet",
            ..self
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

    /// It is lost, since the first such report. The reason may come from the other host.
    pub fn lost(&self, why: String) {
        let mut state = self.state.lock();
        let since = match &*state {
            LinkState::Lost(since, _) => *since,
            LinkState::Up | LinkState::Ended(_) => Instant::now(),
        };
        *state = LinkState::Lost(since, shown(&why));
    }

    /// It ended for good. The reason may come from the other host.
    pub fn ended(&self, why: String) {
        *self.state.lock() = LinkState::Ended(shown(&why));
    }

    /// The screen was closed: the collector there is to end.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// As [`Self::leave`]; waits at most `time` until it was told.
    pub fn leave_within(&self, time: Duration) {
        self.leave();
        let until = Instant::now() + time;
        while !self.over.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    pub(crate) fn over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A reason as it may be shown: escaped, and not longer than a line.
fn shown(why: &str) -> String {
    const MOST: usize = 200;
    let short: String = why.chars().take(MOST).collect();
    escape(short.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_from_another_host_cannot_act_on_the_terminal() {
        let board = LinkBoard::new("box", false);
        board.lost(format!("\u{1b}[2J\u{202e}{}", "x".repeat(9000)));
        let LinkState::Lost(_, why) = board.state() else {
            panic!()
        };
        assert!(
            why.starts_with("\\x1b[2J\\u{202e}xx") && why.len() < 300,
            "{why}"
        );
        board.ended("a\nb".to_owned());
        assert_eq!(board.state(), LinkState::Ended("a\\nb".to_owned()));
    }

    #[test]
    fn leaving_waits_for_the_collector_and_not_forever() {
        let board = LinkBoard::new("box", false);
        board.leave_within(Duration::from_millis(1));
        assert!(board.left());
        board.over();
        board.leave_within(Duration::from_secs(3600));
    }
}
