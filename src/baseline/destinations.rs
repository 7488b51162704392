//! Generalizes peers and names: many names of a domain, many addresses of a kind become one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::join::Join;

/// Number of names of a domain that become `*.domain`.
const NAMES: usize = 3;
/// Addresses without a name on a port; more become their kind.
const ADDRESSES: usize = 8;
/// Second levels below which countries register domains.
const REGISTRIES: &[&[u8]] = &[
    b"co", b"com", b"org", b"net", b"gov", b"edu", b"ac", b"or", b"ne",
];

/// Private addresses.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn address(to: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(to).ok()?.parse().ok()
}

/// The domain of a name that can be one of many; `None` if such a domain is too general.
#[must_use]
pub(super) fn parent(name: &[u8]) -> Option<&[u8]> {
    if name.contains(&b':') || address(name).is_some() {
        return None;
    }
    let at = name.iter().position(|b| *b == b'.')?;
    let domain = name.get(at + 1..)?;
    let labels: Vec<_> = domain.split(|b| *b == b'.').collect();
    match labels.as_slice() {
        [] | [_] => None,
        [second, top] if top.len() == 2 && REGISTRIES.contains(second) => None,
        labels if labels.iter().any(|label| label.is_empty()) => None,
        _ => Some(domain),
    }
}

/// Joins many peers, among those of one program, port and transport.
pub(super) fn generalise<A: Join>(peers: BTreeMap<Vec<u8>, A>) -> BTreeMap<Vec<u8>, A> {
    let mut names: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let (mut private, mut public) = (0, 0);
    for to in peers.keys() {
        if let Some(ip) = address(to) {
            *(if is_private(ip) {
                &mut private
            } else {
                &mut public
            }) += 1;
        } else if let Some(domain) = parent(to) {
            let all = to.starts_with(b"*.");
            *names.entry(domain.to_vec()).or_default() += if all { NAMES } else { 1 };
        }
    }
    let wide: BTreeSet<Vec<u8>> = names
        .into_iter()
        .filter(|(_, count)| *count >= NAMES)
        .map(|(domain, _)| domain)
        .collect();
    let private = private > ADDRESSES || peers.contains_key(&b"private"[..]);
    let public = public > ADDRESSES || peers.contains_key(&b"public"[..]);
    let mut out = BTreeMap::new();
    for (to, facts) in peers {
        let general = match address(&to) {
            Some(ip) if is_private(ip) && private => b"private".to_vec(),
            Some(ip) if !is_private(ip) && public => b"public".to_vec(),
            Some(_) => to,
            None => match parent(&to) {
                Some(domain) if wide.contains(domain) => [b"*.", domain].concat(),
                _ => to,
            },
        };
        super::join::add(&mut out, general, &facts);
    }
    out
}

/// Whether a peer of a baseline covers this one.
#[must_use]
pub fn covers(general: &[u8], to: &[u8]) -> bool {
    if general == to {
        return true;
    }
    match (general, address(to)) {
        (b"private", Some(ip)) => is_private(ip),
        (b"public", Some(ip)) => !is_private(ip),
        (_, Some(_)) => false,
        (general, None) => general
            .strip_prefix(b"*.")
            .is_some_and(|domain| parent(to) == Some(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_of_registries_is_none() {
        assert_eq!(parent(b"a.example.org"), Some(&b"example.org"[..]));
        assert_eq!(parent(b"example.org"), None);
        assert_eq!(parent(b"a.co.uk"), None);
        assert_eq!(parent(b"a.b.co.uk"), Some(&b"b.co.uk"[..]));
        assert_eq!(parent(b"192.0.2.1"), None);
        assert_eq!(parent(b"service:a.b.c"), None);
    }

    #[test]
    fn a_peer_covers_its_kind() {
        assert!(covers(b"*.example.org", b"x.example.org"));
        assert!(!covers(b"*.example.org", b"x.y.example.org"));
        assert!(covers(b"public", b"192.0.2.1") && !covers(b"public", b"10.0.0.1"));
        assert!(covers(b"private", b"10.0.0.1") && !covers(b"private", b"x.org"));
    }
}
