//! What a container is known to do: the one place where rules ask whether something is new.
//!
//! It is learned from the container itself while it starts up, and for one that was found running
//! during the first minute. What an image does when well, learned elsewhere, belongs here, too.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::memory::Seen;
use super::rule_context::RuleContext;
use super::rule_memory::RuleMemory;

/// A container found running is learned from for so long, seconds.
const FIRST_LOOK: u64 = 60;
/// Ports remembered.
const MAX_PORTS: usize = 4096;

/// Something a container may be known to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// Connects to this address.
    Address(IpAddr),
    /// Connects to an address named in this domain.
    Domain(&'a [u8]),
    /// Asks for names in this domain.
    Asked(&'a [u8]),
    /// Listens on this port.
    Port(u16),
}

/// What is known of one container; bounded, the oldest forgotten first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    deeds: Seen,
    ports: BTreeSet<u16>,
}

impl Known {
    /// How much.
    pub(super) fn len(&self) -> usize {
        self.deeds.len() + self.ports.len()
    }

    /// Learns; true when it was not known.
    pub(crate) fn learn(&mut self, deed: Deed<'_>) -> bool {
        match deed {
            Deed::Address(ip) => self.deeds.insert(ip),
            Deed::Domain(name) => self.deeds.insert(name),
            Deed::Asked(name) => self.deeds.insert((b"asked", name)),
            Deed::Port(port) if self.ports.len() < MAX_PORTS => self.ports.insert(port),
            Deed::Port(port) => !self.ports.contains(&port),
        }
    }
}

impl RuleMemory for Known {
    fn heap_bytes(&self) -> usize {
        self.len() * 32
    }
}

impl RuleContext<'_> {
    /// Learns what the container does; true when it was not known to do it.
    pub(crate) fn learn(&mut self, deed: Deed<'_>) -> bool {
        self.own().known.learn(deed)
    }

    /// What the container does now is what it is known to do from now on: it starts up, or its
    /// past is not known. What a command from outside does is never learned from.
    #[must_use]
    pub(crate) fn learning(&self) -> bool {
        let unknown_past = self.container.is_some_and(|c| c.existing)
            && self.now().since(self.state.began).as_secs() < FIRST_LOOK
            && self.session().is_none();
        self.starting_up() || unknown_past
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_deed_is_known_by_itself_and_bounded() {
        let mut known = Known::default();
        assert!(known.learn(Deed::Domain(b"example.org")));
        assert!(!known.learn(Deed::Domain(b"example.org")));
        assert!(known.learn(Deed::Asked(b"example.org")));
        assert!(known.learn(Deed::Port(80)) && !known.learn(Deed::Port(80)));
        for port in 1..=u16::MAX {
            known.learn(Deed::Port(port));
        }
        assert_eq!(known.ports.len(), MAX_PORTS);
        for n in 0..100_000_u32 {
            known.learn(Deed::Address(IpAddr::V4(n.into())));
        }
        // The oldest gave way.
        assert!(known.learn(Deed::Domain(b"example.org")));
    }
}
