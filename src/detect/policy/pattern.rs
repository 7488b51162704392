//! Patterns of text, and networks.

use std::net::IpAddr;

/// `*` stands for any bytes, `?` for one; everything else for itself.
#[must_use]
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the latest `*` takes one byte more.
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

/// An address or a network (`10.0.0.0/8`): its address and the bits that count.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits)),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().ok()?;
    let all = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|b| *b <= all)?,
        None => all,
    };
    Some((ip, bits))
}

fn contains(net: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let value = |a: IpAddr| match a {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    };
    net.is_ipv4() == ip.is_ipv4()
        && (bits == 0 || (value(net) ^ value(ip)) >> (128 - u32::from(bits)) == 0)
}

/// `text` is a network that holds the address.
pub(super) fn holds(text: &str, ip: IpAddr) -> bool {
    network(text).is_some_and(|(net, bits)| contains(net, bits, ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*b*c", "aXbXXc", true),
            ("a*b*c", "aXbXX", false),
            ("nginx:?", "nginx:1", true),
            ("nginx:?", "nginx:12", false),
            ("/a/*", "/a/b/c", true),
            ("", "x", false),
            ("**x", "aax", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
    }
}
