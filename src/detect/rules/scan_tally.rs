//! Counts the hosts and ports that the port scans of a container tried, and those that answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::event::Outcome;

/// Maximum number of remembered pairs of host and port.
const MAX_PAIRS: usize = 4096;

/// The outcome of a connection, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Open,
    Answered,
    Failed,
}

impl Tried {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Established => Self::Answered,
            Outcome::InProgress => Self::Open,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

/// Pairs of host and port that scans tried, and whether each answered.
#[derive(Debug, Clone, Default)]
pub(super) struct ScanTally {
    pairs: BTreeMap<(IpAddr, u16), bool>,
    hosts: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    answered: usize,
    /// The scans tried more pairs than are remembered.
    more: bool,
    /// The scans also sent datagrams, whose answers are not seen.
    without_answers: bool,
}

impl ScanTally {
    /// Adds a pair; true if that changes the text.
    pub(super) fn add(&mut self, pair: (IpAddr, u16), answered: bool) -> bool {
        if let Some(known) = self.pairs.get_mut(&pair) {
            let changed = answered && !*known;
            *known |= answered;
            self.answered += usize::from(changed);
            return changed;
        }
        if self.pairs.len() >= MAX_PAIRS {
            return !std::mem::replace(&mut self.more, true);
        }
        self.pairs.insert(pair, answered);
        self.hosts.insert(pair.0);
        self.ports.insert(pair.1);
        self.answered += usize::from(answered);
        true
    }

    /// Notes that answers may be missing: "none answered" would be wrong.
    pub(super) fn without_answers(&mut self) {
        self.without_answers = true;
    }

    /// Whether a pair of this host was tried.
    pub(super) fn has_host(&self, ip: IpAddr) -> bool {
        self.hosts.contains(&ip)
    }

    /// The pairs that answered.
    pub(super) fn answered(&self) -> impl Iterator<Item = SocketAddr> {
        let answered = self.pairs.iter().filter(|(_, answered)| **answered);
        answered.map(|((ip, port), _)| SocketAddr::new(*ip, *port))
    }

    /// Whether the pair belongs to a scan.
    pub(super) fn has(&self, pair: (IpAddr, u16)) -> bool {
        self.pairs.contains_key(&pair)
    }

    /// Number of remembered pairs, hosts and ports.
    pub(super) fn len(&self) -> usize {
        self.pairs.len() + self.hosts.len() + self.ports.len()
    }

    /// The sum as one line, e.g. `Scanned 108 ports of 12 hosts, 3 answered`.
    pub(super) fn text(&self) -> String {
        let least = if self.more { "more than " } else { "" };
        let pairs = self.pairs.len();
        let (hosts, ports) = (&self.hosts, &self.ports);
        let what = match (hosts.first(), hosts.len(), ports.first(), ports.len()) {
            (Some(host), 1, ..) => format!("{least}{pairs} ports of {host}"),
            (_, hosts, Some(port), 1) => format!("{least}{hosts} hosts for port {port}"),
            (_, hosts, ..) => format!("{least}{pairs} ports of {hosts} hosts"),
        };
        let answers = match self.answered {
            0 if self.without_answers => String::new(),
            0 => ", none answered".to_owned(),
            answered => format!(", {answered} answered"),
        };
        format!("Scanned {what}{answers}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(hosts: u8, ports: u16) -> ScanTally {
        let mut tally = ScanTally::default();
        for host in 1..=hosts {
            for port in 1..=ports {
                tally.add(([10, 0, 0, host].into(), port), false);
            }
        }
        tally
    }

    #[test]
    fn the_sum_names_what_is_single() {
        let host = scanned(1, 20).text();
        assert_eq!(host, "Scanned 20 ports of 10.0.0.1, none answered");
        let port = scanned(30, 1).text();
        assert_eq!(port, "Scanned 30 hosts for port 1, none answered");
        let mut grid = scanned(12, 9);
        assert!(!grid.add(([10, 0, 0, 1].into(), 1), false));
        assert!(grid.add(([10, 0, 0, 1].into(), 1), true));
        assert!(!grid.add(([10, 0, 0, 1].into(), 1), true));
        assert_eq!(grid.text(), "Scanned 108 ports of 12 hosts, 1 answered");
    }

    #[test]
    fn a_sweep_of_everything_is_bounded() {
        let mut tally = scanned(2, 3000);
        assert_eq!(tally.pairs.len(), MAX_PAIRS);
        assert!(tally.text().starts_with("Scanned more than 4096 ports"));
        assert!(
            !tally.add(([10, 0, 0, 9].into(), 1), false),
            "nothing new to say"
        );
    }
}
