//! Patterns of text, and networks.

use std::net::IpAddr;

use ipnet::IpNet;
use wildcard::WildcardBuilder;

/// Whether a pattern matches a whole text: `*` matches any bytes, `?` one byte, and every other
/// byte itself. Texts come from containers and need not be UTF-8.
#[must_use]
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    WildcardBuilder::new(pattern)
        .without_escape()
        .build()
        .is_ok_and(|wildcard| wildcard.is_match(text))
}

/// An address, or a network such as `10.0.0.0/8`.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()
}

/// Whether `text` is an address or a network that contains `ip`.
pub(super) fn holds(text: &str, ip: IpAddr) -> bool {
    network(text).is_some_and(|network| network.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_bytes() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*b*c", "aXbXXc", true),
            ("a*b*c", "aXbXX", false),
            ("nginx:?", "nginx:1", true),
            ("nginx:?", "nginx:12", false),
            ("/a/*", "/a/b/c", true),
            ("", "x", false),
            ("**x", "aax", true),
            (r"a\*", r"a\b", true),
            ("[::1]:*", "[::1]:80", true),
            ("é?", "éx", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn addresses_and_networks() {
        let holds = |text: &str, ip: &str| super::holds(text, ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.200.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3/8", "10.200.0.1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "x/8", ""] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }
}
