//! What a policy means for a rule, a container, a port, a destination, a path.

mod edit;
mod parse;
mod pattern;

pub use parse::{PolicyError, Read};
pub(crate) use pattern::glob;

use std::net::IpAddr;
use std::time::Duration;

use bstr::ByteSlice as _;

use crate::event::{ContainerInfo, Policy, Scope, Severity};

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

impl Policy {
    /// The severity a rule's finding gets: `None` when the rule is off.
    #[must_use]
    pub fn grade(&self, rule: &str, severity: Severity) -> Option<Severity> {
        match self.severity.get(rule) {
            None => Some(severity),
            Some(set) => *set,
        }
    }

    /// The rule finds nothing any more.
    #[must_use]
    pub fn turns_off(&self, rule: &str) -> bool {
        self.severity.get(rule) == Some(&None)
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
            a.connect
                .iter()
                .any(|to| pattern::holds(to, ip) || name.is_some_and(|n| glob(to.as_bytes(), n)))
                && a.scope.fits(id, info)
        })
    }

    /// The container may connect to whatever has this name.
    #[must_use]
    pub fn may_resolve(&self, id: &str, info: Option<&ContainerInfo>, name: &[u8]) -> bool {
        self.allow
            .iter()
            .any(|a| a.connect.iter().any(|to| glob(to.as_bytes(), name)) && a.scope.fits(id, info))
    }

    /// The path is one the policy calls sensitive.
    #[must_use]
    pub fn is_sensitive(&self, path: &[u8]) -> bool {
        self.sensitive.iter().any(|p| glob(p.as_bytes(), path))
    }
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
        assert_eq!(
            p.severity["file.cron"],
            Some(crate::event::Severity::Medium)
        );
        assert!(p.turns_off("life.image-unpinned") && !p.turns_off("file.cron"));
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
}
