//! Byte budget of background frames.
//!
//! Reading a terminal slowly does not slow the program down: `sshd` reads eagerly and queues.
//! Only sending less keeps a slow link answering. The response to a key is sent at once and paid
//! for by the background; only a held key is answered less often when the link falls behind.

use std::time::{Duration, Instant};

/// Bytes a second over a remote login.
const REMOTE: u32 = 2048;

/// Rate in bytes a second from which charts are shown.
const CHARTS: u32 = 1024;

/// Upper bound of the byte debt, as time at the link's rate.
const DEEPEST: Duration = Duration::from_secs(3);
/// A link with this much time left to send is behind.
const BEHIND: Duration = Duration::from_millis(500);

/// Byte rate for background frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bps {
    /// 2048 over a remote login, else unlimited.
    #[default]
    Auto,
    /// Unlimited.
    Off,
    /// This many.
    Limit(u32),
}

impl std::str::FromStr for Bps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => match text.parse() {
                Ok(limit @ 1..) => Ok(Self::Limit(limit)),
                _ => Err("write a number of bytes a second, auto or off".to_owned()),
            },
        }
    }
}

impl Bps {
    /// Whether charts are affordable: they take up to 500 bytes every five seconds.
    pub(super) fn affords_charts(self) -> bool {
        self.limit().is_none_or(|limit| limit >= CHARTS)
    }

    fn limit(self) -> Option<u32> {
        match self {
            Self::Auto => remote().then_some(REMOTE),
            Self::Off => None,
            Self::Limit(limit) => Some(limit),
        }
    }
}

/// Whether the terminal is at the other end of a remote login. `sudo` removes its variables, so the
/// ancestors of this process are examined too.
fn remote() -> bool {
    let set = |name| std::env::var_os(name).is_some();
    if set("SSH_CONNECTION") || set("SSH_TTY") {
        return true;
    }
    let mut process = procfs::process::Process::myself();
    for _ in 0..32 {
        let Ok(stat) = process.and_then(|process| process.stat()) else {
            return false;
        };
        if ["sshd", "dropbear", "mosh-server"]
            .iter()
            .any(|name| stat.comm.starts_with(name))
        {
            return true;
        }
        process = procfs::process::Process::new(stat.ppid);
    }
    false
}

/// The remaining budget.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<u32>,
    left: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(bps: Bps, now: Instant) -> Self {
        let limit = bps.limit();
        Self {
            limit,
            left: f64::from(limit.unwrap_or(0)),
            at: now,
        }
    }

    /// How long the next background frame has to wait.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let Some(limit) = self.limit.map(f64::from) else {
            return Duration::ZERO;
        };
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * limit;
        // Unused budget is saved for at most a second.
        self.left = (self.left + gained).min(limit);
        self.at = now;
        Duration::from_secs_f64((-self.left).max(0.0) / limit)
    }

    /// Accounts for a sent frame. One may overdraw: the next background frames wait longer, within
    /// a bound.
    pub(super) fn spend(&mut self, bytes: usize) {
        if let Some(limit) = self.limit {
            self.left -= f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
            self.left = self.left.max(-f64::from(limit) * DEEPEST.as_secs_f64());
        }
    }

    /// Whether so much was sent that the response to a held key would only be queued.
    pub(super) fn behind(&mut self, now: Instant) -> bool {
        self.wait(now) > BEHIND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_time_no_more_is_sent_than_allowed() {
        let start = Instant::now();
        let mut budget = Budget::new(Bps::Limit(1000), start);
        let (mut sent, mut now) = (0, start);
        while now < start + Duration::from_secs(60) {
            if budget.wait(now).is_zero() {
                budget.spend(700);
                sent += 700;
            }
            now += Duration::from_millis(50);
        }
        assert!((55_000..=62_000).contains(&sent), "{sent}");
    }

    #[test]
    fn answers_are_paid_for_and_forgiven() {
        let start = Instant::now();
        let mut budget = Budget::new(Bps::Limit(1000), start);
        budget.spend(1400);
        assert!(!budget.behind(start), "a page is sent at once");
        budget.spend(100_000);
        assert!(budget.behind(start));
        assert!(!budget.wait(start).is_zero());
        assert!(budget.wait(start + DEEPEST).is_zero());
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        let mut budget = Budget::new(Bps::Off, now);
        budget.spend(1 << 20);
        assert!(budget.wait(now).is_zero());
        assert_eq!("2400".parse(), Ok(Bps::Limit(2400)));
        assert!("0".parse::<Bps>().is_err() && "fast".parse::<Bps>().is_err());
    }
}
