//! The policy a person writes: severities, limits, what is allowed, and what is silenced.
//!
//! A TOML file, read whole or refused with the line at fault; never half-applied.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use super::silence::Silence;
use super::{Severity, rules};
use crate::event::{ContainerInfo, Timestamp};

/// What a person decided. All of it is written into a session's header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Severity by rule; `None` turns the rule off.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub severity: BTreeMap<String, Option<Severity>>,
    /// Age limits; the first that fits a container holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub age: Vec<AgeLimit>,
    /// What containers may listen on and connect to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
    /// Further sensitive paths: patterns with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// Accepted findings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silence: Vec<Silence>,
}

/// Which containers something is about; every field that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Digest of the image, whole or its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Pattern of the image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Pattern of the container's name, or the beginning of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Labels with patterns of their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label: BTreeMap<String, String>,
}

impl Scope {
    /// The container is meant. Without facts about it only its id can fit, so that nothing is
    /// decided about an image before the image is known.
    #[must_use]
    pub fn fits(&self, id: &str, info: Option<&ContainerInfo>) -> bool {
        let by_name = |p: &String| {
            (p.len() >= 12 && id.starts_with(p.as_str()))
                || info.is_some_and(|i| glob(p.as_bytes(), i.name.as_bytes()))
        };
        let by_digest = |d: &String| {
            let bare = |t: &'_ str| t.strip_prefix("sha256:").unwrap_or(t).to_owned();
            !d.is_empty() && info.is_some_and(|i| bare(&i.image_digest).starts_with(&bare(d)))
        };
        let by_image = |p: &String| info.is_some_and(|i| glob(p.as_bytes(), i.image.as_bytes()));
        self.container.as_ref().is_none_or(by_name)
            && self.digest.as_ref().is_none_or(by_digest)
            && self.image.as_ref().is_none_or(by_image)
            && self.label.iter().all(|(key, pattern)| {
                info.and_then(|i| i.labels.get(key))
                    .is_some_and(|value| glob(pattern.as_bytes(), value.as_bytes()))
            })
    }
}

/// An age limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgeLimit {
    /// Which containers.
    pub scope: Scope,
    /// The limit; `None`: none.
    pub max: Option<Duration>,
}

/// What containers may do on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allow {
    /// Which containers.
    pub scope: Scope,
    /// Ports they may listen on.
    pub listen: Vec<u16>,
    /// Where they may connect: an address, a network (`10.0.0.0/8`) or a pattern of a name.
    pub connect: Vec<String>,
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PolicyError {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// A read policy with the settings it may replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The policy.
    pub policy: Policy,
    /// The age limit of every container, where the file sets one: `Some(None)` is no limit.
    pub max_age: Option<Option<Duration>>,
    /// The start-up grace, where the file sets one.
    pub startup_grace: Option<Duration>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    max_age: Option<toml::Spanned<String>>,
    startup_grace: Option<toml::Spanned<String>>,
    sensitive: Vec<String>,
    severity: BTreeMap<toml::Spanned<String>, toml::Spanned<String>>,
    age: Vec<RawAge>,
    allow: Vec<RawAllow>,
    silence: Vec<RawSilence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAge {
    max: toml::Spanned<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    label: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    #[serde(default)]
    listen: Vec<u16>,
    #[serde(default)]
    connect: Vec<toml::Spanned<String>>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    label: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilence {
    rule: toml::Spanned<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    exe: Option<String>,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    label: BTreeMap<String, String>,
    reason: toml::Spanned<String>,
    #[serde(default)]
    expires: Option<toml::Spanned<String>>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// When it is not TOML, names a key, rule, severity or time that does not exist, or leaves
    /// out what must be there: with the line.
    pub fn parse(text: &str) -> Result<Read, PolicyError> {
        let at = |span: Option<Range<usize>>, message: String| PolicyError {
            line: line_of(text, span.map_or(0, |s| s.start)),
            message,
        };
        let raw: Raw = toml::from_str(text).map_err(|e| at(e.span(), e.message().to_owned()))?;
        let duration = |s: &toml::Spanned<String>| {
            humantime::parse_duration(s.get_ref())
                .map_err(|e| at(Some(s.span()), format!("{:?}: {e}", s.get_ref())))
        };
        let limit = |s: &toml::Spanned<String>| match s.get_ref().as_str() {
            "none" | "off" => Ok(None),
            _ => duration(s).map(Some),
        };
        let known = |rule: &toml::Spanned<String>| {
            let id = rule.get_ref();
            if rules::info(id).is_some() {
                return Ok(id.clone());
            }
            let near = rules::catalogue()
                .iter()
                .map(|r| r.id)
                .min_by_key(|r| distance(r, id))
                .unwrap_or_default();
            let message = format!("no rule {id:?}; the nearest is {near:?}");
            Err(at(Some(rule.span()), message))
        };
        let mut policy = Self {
            sensitive: raw.sensitive,
            ..Self::default()
        };
        for (rule, severity) in &raw.severity {
            let value = match severity.get_ref().as_str() {
                "off" => None,
                text => Some(
                    text.parse::<Severity>()
                        .map_err(|e| at(Some(severity.span()), format!("{e}, or \"off\"")))?,
                ),
            };
            policy.severity.insert(known(rule)?, value);
        }
        for age in raw.age {
            policy.age.push(AgeLimit {
                max: limit(&age.max)?,
                scope: Scope {
                    digest: age.digest,
                    image: age.image,
                    container: age.container,
                    label: age.label,
                },
            });
        }
        for allow in raw.allow {
            let mut connect = Vec::new();
            for to in allow.connect {
                let shape = to.get_ref().split_once('/');
                if shape.is_some() && network(to.get_ref()).is_none() {
                    let message = format!("{:?} is no network", to.get_ref());
                    return Err(at(Some(to.span()), message));
                }
                connect.push(to.into_inner());
            }
            policy.allow.push(Allow {
                listen: allow.listen,
                connect,
                scope: Scope {
                    digest: allow.digest,
                    image: allow.image,
                    container: allow.container,
                    label: allow.label,
                },
            });
        }
        for s in raw.silence {
            let rule = match s.rule.get_ref().strip_suffix(".*") {
                Some(family)
                    if rules::catalogue()
                        .iter()
                        .any(|r| r.id.split('.').next() == Some(family)) =>
                {
                    s.rule.get_ref().clone()
                }
                _ => known(&s.rule)?,
            };
            if s.reason.get_ref().trim().is_empty() {
                return Err(at(Some(s.reason.span()), "a silence needs a reason".into()));
            }
            let expires = match &s.expires {
                None => None,
                Some(e) => Some(
                    instant(e.get_ref())
                        .map_err(|m| at(Some(e.span()), format!("{:?}: {m}", e.get_ref())))?,
                ),
            };
            policy.silence.push(Silence {
                rule,
                subject: s.subject,
                exe: s.exe,
                parent: s.parent,
                scope: Scope {
                    digest: s.digest,
                    image: s.image,
                    container: s.container,
                    label: s.label,
                },
                reason: s.reason.into_inner(),
                expires,
            });
        }
        Ok(Read {
            policy,
            max_age: raw.max_age.as_ref().map(limit).transpose()?,
            startup_grace: raw.startup_grace.as_ref().map(duration).transpose()?,
        })
    }

    /// The severity a rule's finding gets: `None` when the rule is off.
    #[must_use]
    pub fn grade(&self, rule: &str, severity: Severity) -> Option<Severity> {
        match self.severity.get(rule) {
            None => Some(severity),
            Some(set) => *set,
        }
    }

    /// The age limit of a container, `general` where no line fits.
    #[must_use]
    pub fn max_age(
        &self,
        id: &str,
        info: &ContainerInfo,
        general: Option<Duration>,
    ) -> Option<Duration> {
        self.age
            .iter()
            .find(|limit| limit.scope.fits(id, Some(info)))
            .map_or(general, |limit| limit.max)
    }

    /// The container may listen on this port.
    #[must_use]
    pub fn may_listen(&self, id: &str, info: Option<&ContainerInfo>, port: u16) -> bool {
        self.allow
            .iter()
            .any(|a| a.listen.contains(&port) && a.scope.fits(id, info))
    }

    /// The container may connect there.
    #[must_use]
    pub fn may_connect(
        &self,
        id: &str,
        info: Option<&ContainerInfo>,
        ip: IpAddr,
        name: Option<&[u8]>,
    ) -> bool {
        self.allow.iter().any(|a| {
            a.connect.iter().any(|to| {
                network(to).is_some_and(|(net, bits)| contains(net, bits, ip))
                    || name.is_some_and(|n| glob(to.as_bytes(), n))
            }) && a.scope.fits(id, info)
        })
    }

    /// The path is one the policy calls sensitive.
    #[must_use]
    pub fn is_sensitive(&self, path: &[u8]) -> bool {
        self.sensitive.iter().any(|p| glob(p.as_bytes(), path))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset)
        .map_or(1, |before| before.matches('\n').count() + 1)
}

/// A day, or an RFC 3339 instant.
fn instant(text: &str) -> Result<Timestamp, String> {
    if text.len() == 10 {
        return Timestamp::parse(&format!("{text}T00:00:00Z"))
            .map_err(|_| "no date; write 2026-12-31".to_owned());
    }
    Timestamp::parse(text)
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
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

/// Edit distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (place, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let above = *place;
            left = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            *place = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_policy_is_read() {
        let read = Policy::parse(
            r#"
            max-age = "90d"
            startup-grace = "30s"
            sensitive = ["/srv/keys/*"]
            [severity]
            "file.cron" = "medium"
            "life.image-unpinned" = "off"
            [[age]]
            image = "nginx:*"
            max = "7d"
            [[age]]
            label = { "keep" = "yes" }
            max = "none"
            [[allow]]
            image = "web*"
            listen = [8080]
            connect = ["10.0.0.0/8", "*.example.com", "2001:db8::1"]
            [[silence]]
            rule = "drift.exec-new"
            container = "build"
            subject = "/opt/agent/*"
            reason = "the agent updates itself"
            expires = "2026-12-31"
            "#,
        )
        .unwrap();
        assert_eq!(read.max_age, Some(Some(Duration::from_secs(90 * 86_400))));
        assert_eq!(read.startup_grace, Some(Duration::from_secs(30)));
        let p = read.policy;
        assert_eq!(p.grade("file.cron", Severity::High), Some(Severity::Medium));
        assert_eq!(p.grade("life.image-unpinned", Severity::Info), None);
        assert_eq!(p.grade("other", Severity::High), Some(Severity::High));
        assert!(p.is_sensitive(b"/srv/keys/a") && !p.is_sensitive(b"/srv/key"));
        let mut info = ContainerInfo {
            image: "nginx:1".into(),
            ..ContainerInfo::default()
        };
        let general = Some(Duration::from_secs(1));
        assert_eq!(
            p.max_age("x", &info, general),
            Some(Duration::from_secs(7 * 86_400))
        );
        info.image = "web:1".into();
        assert_eq!(p.max_age("x", &info, general), general);
        info.labels.insert("keep".into(), "yes".into());
        assert_eq!(p.max_age("x", &info, general), None);
        assert!(p.may_listen("x", Some(&info), 8080) && !p.may_listen("x", Some(&info), 80));
        assert!(!p.may_listen("x", None, 8080));
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let may = |a: &str, n: Option<&[u8]>| p.may_connect("x", Some(&info), ip(a), n);
        assert!(may("10.200.0.1", None) && may("2001:db8::1", None));
        assert!(may("192.0.2.1", Some(b"a.example.com")));
        assert!(!may("192.0.2.1", Some(b"example.org")) && !may("11.0.0.1", None));
        // It survives the header.
        let json = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), p);
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line, part) in [
            ("max-age = \"30d\"\nmax-aeg = 1\n", 2, "max-aeg"),
            ("max-age = \"soon\"", 1, "soon"),
            ("\n[severity]\n\"file.cron\" = \"bad\"", 3, "off"),
            ("[severity]\n\"file.corn\" = \"low\"", 2, "file.cron"),
            ("[[silence]]\nrule = \"file.cron\"\n", 1, "reason"),
            (
                "[[silence]]\nrule = \"file.cron\"\nreason = \" \"",
                3,
                "reason",
            ),
            ("[[silence]]\nrule = \"no.*\"\nreason = \"x\"", 2, "no rule"),
            (
                "[[silence]]\nrule = \"file.*\"\nreason = \"x\"\nexpires = \"2026-13-01\"",
                4,
                "date",
            ),
            ("[[allow]]\nconnect = [\"10.0.0.0/99\"]", 2, "network"),
            ("a = [", 1, ""),
        ] {
            let error = Policy::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }

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
