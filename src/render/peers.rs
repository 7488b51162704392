//! The peers that advice lets a container connect to, for targets that are rules of a network.

use super::text::split;
use crate::advice::{Advice, Setting};
use crate::event::Bytes;

/// The rules of one target.
pub(super) struct PeerRules {
    /// One after the other, as text.
    pub(super) rules: String,
    /// Peers for which the target has no rule, escaped and joined by commas; empty: none.
    pub(super) without_rule: String,
    /// Nothing may be connected to.
    pub(super) none: bool,
}

/// `rule` makes the rule of one peer and its port, `None` when the target cannot express it. `None`
/// when nothing is advised about peers.
pub(super) fn peer_rules(
    advice: &[Advice],
    rule: impl Fn(&str, u16) -> Option<String>,
) -> Option<PeerRules> {
    let peers = advised(advice)?;
    let mut rules = String::new();
    let mut without_rule = Vec::new();
    for peer in peers {
        match split(peer).and_then(|(to, port)| rule(&to, port)) {
            Some(rule) => rules.push_str(&rule),
            None => without_rule.push(peer.escaped().to_string()),
        }
    }
    Some(PeerRules {
        rules,
        without_rule: without_rule.join(", "),
        none: peers.is_empty(),
    })
}

/// The peers; empty when the container needs no network or an internal one.
fn advised(advice: &[Advice]) -> Option<&[Bytes]> {
    advice
        .iter()
        .filter(|advice| advice.verdict.is_advised())
        .filter_map(|advice| match &advice.setting {
            Setting::NoNetwork | Setting::InternalNetwork => Some(&[][..]),
            Setting::Peers(list) => Some(&list[..]),
            _ => None,
        })
        .next_back()
}
