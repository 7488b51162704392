//! Names on the server: the streams, and the subjects of a host.

use std::fmt;

/// The JetStream stream with the recordings of all hosts.
pub const STREAM: &str = "hullwatch";
/// The JetStream stream with the latest summary of each host.
pub const SUMMARIES: &str = "hullwatch-summaries";
/// Subjects of all recordings, and of all summaries.
pub(super) const ALL_STREAMS: &str = "hullwatch.*.stream";
pub(super) const ALL_SUMMARIES: &str = "hullwatch.*.summary";
/// The longest host name that is used, in bytes: the kernel allows 64, a full name 253.
const LONGEST: usize = 253;

/// The name of a host. On the server it is a part of a subject, by which the server may decide who
/// publishes it, so that is what a reader believes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<[u8]>);

impl HostName {
    /// A host's name; what is longer than a name can be is cut.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        Self(name.get(..LONGEST).unwrap_or(name).into())
    }

    /// As part of a subject: bytes other than letters, digits and `-` as `=XX`.
    #[must_use]
    pub fn token(&self) -> String {
        use std::fmt::Write as _;
        let mut token = String::new();
        for byte in &self.0 {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => token.push(char::from(*byte)),
                // Writing to a string cannot fail.
                byte => drop(write!(token, "={byte:02X}")),
            }
        }
        // A subject has no empty part.
        if token.is_empty() {
            token.push('=');
        }
        token
    }

    /// The subject of its recordings.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("hullwatch.{}.stream", self.token())
    }

    /// The subject of its summary.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("hullwatch.{}.summary", self.token())
    }

    /// The host of a subject; `None` if no publisher makes such a one.
    #[must_use]
    pub fn of_subject(subject: &str) -> Option<Self> {
        let (token, _) = subject.strip_prefix("hullwatch.")?.rsplit_once('.')?;
        let mut name = Vec::new();
        let mut rest = token;
        while let Some(first) = rest.chars().next() {
            if first == '=' && rest != "=" {
                name.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
                rest = rest.get(3..)?;
            } else {
                name.extend((first != '=').then_some(u8::try_from(first).ok()?));
                rest = rest.get(1..)?;
            }
        }
        let host = Self(name.into());
        // One host has one subject.
        (host.token() == token && host.0.len() <= LONGEST).then_some(host)
    }
}

/// Escaped.
impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::event::escape(&self.0))
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_subject_whatever_its_name() {
        for (name, token) in [
            (&b"web-1"[..], "web-1"),
            (b"db.example.com", "db=2Eexample=2Ecom"),
            (b"*.> \r\n=", "=2A=2E=3E=20=0D=0A=3D"),
            (b"\xff\x1b[2J", "=FF=1B=5B2J"),
            (b"", "="),
        ] {
            let host = HostName::new(name);
            assert_eq!(host.token(), token);
            assert_eq!(HostName::of_subject(&host.stream()), Some(host.clone()));
            assert_eq!(HostName::of_subject(&host.summary()), Some(host));
        }
        for subject in [
            "hullwatch.a.b.stream",
            "hullwatch.=41.stream",
            "hullwatch.=2e.stream",
            "hullwatch.=2.stream",
            "hullwatch..stream",
            "hullwatch.é.stream",
            "other.a.stream",
            "hullwatch.a",
        ] {
            assert_eq!(HostName::of_subject(subject), None, "{subject}");
        }
        assert_eq!(HostName::new(b"\x1b[2J").to_string(), "\\x1b[2J");
        assert_eq!(HostName::new(&[b'x'; 999]).token().len(), LONGEST);
    }
}
