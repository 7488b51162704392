//! A host of a test that publishes: the demo's events, replayed.

use std::time::{Duration, Instant};

use hullwatch::event::{Event, Timestamp};
use hullwatch::fleet::{HostName, NatsServer, PublishLimits, Publisher};
use hullwatch::recording::Header;
use hullwatch::sink::{SinkBoard, SinkStatus};

use crate::replayed::{ReplayedHost, demo, is_tick};

/// Time after which a test counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A host that publishes the demo.
pub struct Publishing {
    pub host: ReplayedHost,
    publisher: Publisher,
    board: SinkBoard,
    pub events: Vec<Event>,
}

/// Segments of a second, so that a test sees several. The server reserves the bytes.
pub fn limits() -> PublishLimits {
    PublishLimits {
        segment: Duration::from_secs(1),
        max_bytes: Some(64 << 20),
        ..PublishLimits::default()
    }
}

pub fn plain(url: &str) -> NatsServer {
    NatsServer::new(url).unwrap()
}

impl Publishing {
    pub fn start(server: NatsServer, name: &str, limits: PublishLimits) -> Self {
        let (header, events) = demo();
        Self::start_of(server, name, limits, &header, events)
    }

    pub fn start_of(
        server: NatsServer,
        name: &str,
        limits: PublishLimits,
        header: &Header,
        events: Vec<Event>,
    ) -> Self {
        let host = ReplayedHost::new(header);
        let mut board = SinkBoard::default();
        let counters = board.add_of_events("publish".to_owned());
        let name = HostName::new(name.as_bytes());
        let source = host.source();
        let publisher = Publisher::start(server, name, limits, source, counters).unwrap();
        // The first segment begins before the first event.
        std::thread::sleep(Duration::from_millis(200));
        Self {
            host,
            publisher,
            board,
            events,
        }
    }

    /// Publishes this many events, so many a second; after the demo's last it begins anew.
    pub fn feed(&self, count: usize, rate: u32) {
        let begun = Instant::now();
        for number in 0..count {
            let due = Duration::from_secs(1) * u32::try_from(number).unwrap() / rate;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            let at = usize::try_from(self.host.last()).unwrap();
            let event = &self.events[at % self.events.len()];
            let lap = Timestamp(i64::try_from(at / self.events.len()).unwrap() * 3_600_000_000_000);
            self.host.event(event, Timestamp(event.ts.0 + lap.0));
        }
    }

    /// A tick: what came before it is sent.
    pub fn tick(&self) {
        let tick = self.events.iter().rfind(|event| is_tick(event)).unwrap();
        self.host.event(tick, tick.ts);
    }

    pub fn all(&self) {
        self.feed(self.events.len(), 1_000_000);
    }

    pub fn status(&self) -> SinkStatus {
        self.board.statuses().remove(0)
    }

    pub fn wait(&self, what: &str, done: impl Fn(&SinkStatus) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(&self.status()) {
            assert!(Instant::now() < until, "{what}: {:?}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; returns its status, and how long that took.
    pub fn end(mut self) -> (SinkStatus, Duration) {
        let begun = Instant::now();
        self.host.end();
        let deadline = begun + PATIENCE;
        self.publisher.close(deadline);
        self.publisher.join(deadline);
        (self.status(), begun.elapsed())
    }
}
