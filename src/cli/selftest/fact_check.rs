//! A fact that must arrive in the stream.

use crate::event::Event;

/// A fact that must arrive.
pub(super) struct FactCheck {
    /// The fact, as shown to people.
    pub(super) fact: &'static str,
    /// The action that causes it; empty for what the container's life itself causes.
    pub(super) action: &'static str,
    pub(super) seen: fn(&Event) -> bool,
}

pub(super) const fn check(
    fact: &'static str,
    action: &'static str,
    seen: fn(&Event) -> bool,
) -> FactCheck {
    FactCheck { fact, action, seen }
}
