//! Messages on stderr about failed deliveries to sinks.

use std::time::{Duration, Instant};

use crate::sink::SinkStatus;

/// Between two messages on stderr about losses of one sink.
const INTERVAL: Duration = Duration::from_secs(10);

/// How many messages a sink did not deliver, and why.
pub(super) fn undelivered(status: &SinkStatus) -> String {
    let parts = [
        (status.withheld, "over the rate limit"),
        (status.dropped, "queue full"),
        (status.failed, "given up"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, why)| format!("{count} {why}")).collect();
    let error = status.error.as_ref();
    let what = if status.events { "events" } else { "messages" };
    format!(
        "{}: {} of {} {what} were not delivered: {}{}",
        status.name,
        status.missed(),
        status.missed() + status.sent,
        parts.join(", "),
        error.map_or_else(String::new, |why| format!("; last: {why}")),
    )
}

/// The state of each sink last reported on stderr.
#[derive(Debug, Default)]
pub(super) struct SinkReporter {
    reported: Vec<(SinkStatus, Option<Instant>)>,
}

impl SinkReporter {
    /// The lines to be reported now.
    pub(super) fn news(&mut self, statuses: &[SinkStatus], now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        self.reported
            .resize(statuses.len(), (SinkStatus::default(), None));
        for (status, (reported, at)) in statuses.iter().zip(&mut self.reported) {
            match (&reported.error, &status.error) {
                (None, Some(why)) => lines.push(format!("{}: {why}", status.name)),
                (Some(_), None) => lines.push(format!("{}: deliveries succeed again", status.name)),
                _ => {}
            }
            reported.error.clone_from(&status.error);
            let early = at.is_some_and(|at| now.duration_since(at) < INTERVAL);
            if status.missed() > reported.missed() && !early {
                lines.push(undelivered(status));
                *at = Some(now);
                *reported = status.clone();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_reported_once_and_losses_periodically() {
        let mut reporter = SinkReporter::default();
        let now = Instant::now();
        let mut status = SinkStatus {
            name: "webhook h".to_owned(),
            ..SinkStatus::default()
        };
        let mut news = |status: &SinkStatus, seconds| {
            reporter.news(
                std::slice::from_ref(status),
                now + Duration::from_secs(seconds),
            )
        };
        assert!(news(&status, 0).is_empty());
        status.error = Some("cannot connect".to_owned());
        assert_eq!(news(&status, 1), ["webhook h: cannot connect"]);
        assert!(news(&status, 2).is_empty());
        status.failed = 2;
        assert!(news(&status, 3)[0].contains("2 of 2 messages were not delivered: 2 given up"));
        status.failed = 3;
        assert!(news(&status, 4).is_empty());
        assert_eq!(news(&status, 20).len(), 1);
        status.error = None;
        assert_eq!(news(&status, 21), ["webhook h: deliveries succeed again"]);
    }
}
