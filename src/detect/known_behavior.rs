//! Known behavior of a container, by which rules decide whether something is new.
//!
//! It is learned from the container itself while it starts up, and, for one that was found running,
//! during the first minute. A normal behavior of the image that was learned elsewhere belongs here,
//! too.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::rule_memory::RuleMemory;
use super::seen_set::SeenSet;

/// Maximum number of remembered ports.
const MAX_PORTS: usize = 4096;

/// One kind of behavior.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behavior<'a> {
    /// Connects to this address.
    Address(IpAddr),
    /// Connects to an address named in this domain.
    Domain(&'a [u8]),
    /// Looks up names in this domain.
    LookedUp(&'a [u8]),
    /// Listens on this port.
    Port(u16),
}

/// Known behavior of one container. Bounded: the oldest entry is dropped first.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownBehavior {
    seen: SeenSet,
    ports: BTreeSet<u16>,
}

impl KnownBehavior {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.seen.len() + self.ports.len()
    }

    /// The behavior is known.
    pub(crate) fn knows(&self, behavior: Behavior<'_>) -> bool {
        match behavior {
            Behavior::Address(ip) => self.seen.contains(ip),
            Behavior::Domain(name) => self.seen.contains(name),
            Behavior::LookedUp(name) => self.seen.contains((b"asked", name)),
            Behavior::Port(port) => self.ports.contains(&port),
        }
    }

    /// Adds a behavior; true when it was not known.
    pub(crate) fn learn(&mut self, behavior: Behavior<'_>) -> bool {
        match behavior {
            Behavior::Address(ip) => self.seen.insert(ip),
            Behavior::Domain(name) => self.seen.insert(name),
            Behavior::LookedUp(name) => self.seen.insert((b"asked", name)),
            Behavior::Port(port) if self.ports.len() < MAX_PORTS => self.ports.insert(port),
            Behavior::Port(port) => !self.ports.contains(&port),
        }
    }
}

impl RuleMemory for KnownBehavior {
    fn heap_bytes(&self) -> usize {
        self.len() * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_behavior_is_known_separately_and_bounded() {
        let mut known = KnownBehavior::default();
        assert!(known.learn(Behavior::Domain(b"example.org")));
        assert!(!known.learn(Behavior::Domain(b"example.org")));
        assert!(known.learn(Behavior::LookedUp(b"example.org")));
        assert!(known.learn(Behavior::Port(80)) && !known.learn(Behavior::Port(80)));
        for port in 1..=u16::MAX {
            known.learn(Behavior::Port(port));
        }
        assert_eq!(known.ports.len(), MAX_PORTS);
        for n in 0..100_000_u32 {
            known.learn(Behavior::Address(IpAddr::V4(n.into())));
        }
        // The oldest was dropped.
        assert!(known.learn(Behavior::Domain(b"example.org")));
    }
}
