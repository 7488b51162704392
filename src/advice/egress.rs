//! The network that a container needs, by its connections and listening ports.

use std::collections::BTreeSet;

use super::model::{Advice, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet, ItemField};
use crate::event::{Bytes, escape};

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let outside = |to: &[u8]| to != b"self" && !to.starts_with(b"unix:");
    let peers: BTreeSet<Bytes> = baseline
        .facet(Facet::Connect)
        .map(|(item, _)| (item.get(ItemField::To), item.get(ItemField::Port)))
        .filter(|(to, _)| outside(to))
        .map(|(to, port)| Bytes::from([to, b":", port].concat()))
        .collect();
    let listens = baseline
        .facet(Facet::Listen)
        .any(|(item, _)| item.get(ItemField::On) != b"loopback");
    let asks = baseline.facet(Facet::Resolve).next().is_some();
    let none = peers.is_empty() && !asks;
    let (setting, verdict, why) = if none && !listens {
        let why = format!("no connection and no listening port in {}", seen.text());
        (Setting::NoNetwork, seen.verdict(), vec![why])
    } else if none {
        let why = format!(
            "it made no connection in {}; only if its ports need not be published",
            seen.text()
        );
        let verdict = if seen.nothing {
            Verdict::Unknown
        } else {
            Verdict::Try
        };
        (Setting::InternalNetwork, verdict, vec![why])
    } else {
        let mut why: Vec<String> = peers.iter().map(|p| escape(p).to_string()).collect();
        why.truncate(12);
        let verdict = if seen.nothing {
            Verdict::Unknown
        } else {
            Verdict::Try
        };
        (Setting::Peers(peers.into_iter().collect()), verdict, why)
    };
    Advice {
        setting,
        verdict,
        why,
    }
}
