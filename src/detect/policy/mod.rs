//! Queries of the policy: about a rule, a container, a port, a destination, a path.

mod content;
mod edit;
mod parse;
mod pattern;

pub use content::Read;
pub use parse::PolicyError;
pub(crate) use pattern::glob;

use std::net::IpAddr;
use std::time::Duration;

use bstr::ByteSlice as _;

use crate::catalog::paths::PathClass;
use crate::event::{ContainerInfo, Policy, Scope, Severity};

impl Scope {
    /// Whether the scope selects the container. Without facts about the container only its id can
    /// match, so that nothing is decided before the image is known.
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
        let pod = info.and_then(|i| i.pod.as_ref());
        let by_pod = |p: &String| {
            pod.is_some_and(|pod| {
                let whole = format!("{}/{}", pod.namespace, pod.name);
                let requested = if p.contains('/') { &whole } else { &pod.name };
                glob(p.as_bytes(), requested.as_bytes())
            })
        };
        let by_namespace =
            |p: &String| pod.is_some_and(|pod| glob(p.as_bytes(), pod.namespace.as_bytes()));
        self.container.as_ref().is_none_or(by_name)
            && self.pod.as_ref().is_none_or(by_pod)
            && self.namespace.as_ref().is_none_or(by_namespace)
            && self.digest.as_ref().is_none_or(by_digest)
            && self.image.as_ref().is_none_or(by_image)
            && self.label.iter().all(|(key, pattern)| {
                info.and_then(|i| i.labels.get(key))
                    .is_some_and(|value| glob(pattern.as_bytes(), value.as_bytes()))
            })
    }
}

impl Policy {
    /// Severity of a rule's finding; `None` when the rule is off.
    #[must_use]
    pub fn grade(&self, rule: &str, severity: Severity) -> Option<Severity> {
        match self.severity.get(rule) {
            None => Some(severity),
            Some(set) => *set,
        }
    }

    /// Whether the rule is off.
    #[must_use]
    pub fn turns_off(&self, rule: &str) -> bool {
        self.severity.get(rule) == Some(&None)
    }

    /// Age limit of a container; `general` where no entry matches.
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

    /// Whether the container may listen on this port.
    #[must_use]
    pub fn may_listen(&self, id: &str, info: Option<&ContainerInfo>, port: u16) -> bool {
        self.allow
            .iter()
            .any(|a| a.listen.contains(&port) && a.scope.fits(id, info))
    }

    /// Whether the container may connect to this address or name.
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

    /// Whether the container may connect to a host of this name.
    #[must_use]
    pub fn may_resolve(&self, id: &str, info: Option<&ContainerInfo>, name: &[u8]) -> bool {
        self.allow
            .iter()
            .any(|a| a.connect.iter().any(|to| glob(to.as_bytes(), name)) && a.scope.fits(id, info))
    }

    /// Class that the policy adds to a path, if any.
    #[must_use]
    pub(crate) fn added_class(&self, path: &[u8]) -> Option<PathClass> {
        let listed = |patterns: &[String]| patterns.iter().any(|p| glob(p.as_bytes(), path));
        if listed(&self.paths.program) {
            Some(PathClass::Program)
        } else {
            listed(&self.paths.config).then_some(PathClass::EtcBelow)
        }
    }

    /// Whether the policy lists the path as sensitive.
    #[must_use]
    pub fn is_sensitive(&self, path: &[u8]) -> bool {
        self.sensitive.iter().any(|p| glob(p.as_bytes(), path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Settings;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn a_pod_is_selected_by_its_name_its_namespace_or_both() {
        let info = ContainerInfo {
            name: "nginx".into(),
            pod: Some(crate::event::Pod {
                namespace: "shop".to_owned(),
                name: "front-7".to_owned(),
                ..crate::event::Pod::default()
            }),
            ..ContainerInfo::default()
        };
        let fits = |keys: &str, info: &ContainerInfo| {
            let text = format!("[[allow]]\nlisten = [80]\n{keys}\n");
            let read = Policy::parse(&text).unwrap_or_else(|e| panic!("{keys}: {e}"));
            read.policy.may_listen("0123456789ab", Some(info), 80)
        };
        for (keys, expected) in [
            ("pod = \"front-*\"", true),
            ("pod = \"shop/front-*\"", true),
            ("pod = \"shop/*\"", true),
            ("namespace = \"shop\"", true),
            ("namespace = \"shop\"\ncontainer = \"nginx\"", true),
            ("pod = \"other/front-*\"", false),
            ("pod = \"shop\"", false),
            ("namespace = \"sho\"", false),
            ("pod = \"front-*\"\ncontainer = \"log\"", false),
        ] {
            assert_eq!(fits(keys, &info), expected, "{keys}");
            let outside = ContainerInfo {
                pod: None,
                ..info.clone()
            };
            assert!(!fits(keys, &outside), "no pod: {keys}");
        }
        assert!(Policy::parse("[[allow]]\nlisten = [80]\npod = \"\"").is_err());
    }

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

    fn with(text: &str) -> World {
        World::with(Settings {
            policy: Policy::parse(text).unwrap().policy,
            ..Settings::default()
        })
    }

    #[test]
    fn a_program_of_the_policy_has_its_role_in_the_rules() {
        // A process connects and becomes a shell.
        let reverse_shell = |text: &str| {
            let mut w = with(text);
            let init = w.init();
            let p = w.fork(init);
            w.connect(p, "10.9.8.7:4444");
            w.exec_as(p, init, "/usr/bin/opsh2", &["opsh2", "-i"], |_| {});
            w.all("net.reverse-shell").len()
        };
        assert_eq!(reverse_shell(""), 0);
        assert_eq!(reverse_shell("[programs]\nshell = [\"opsh2\"]"), 1);
        // Files written by a build tool or a package manager belong to its work.
        for role in ["builder", "package_manager"] {
            let mut w = with(&format!("[programs]\n{role} = [\"forge\"]"));
            let init = w.init();
            let forge = w.exec(init, "/usr/bin/forge", &["forge", "install"]);
            w.create(forge, "/srv/out");
            w.exit(forge);
            w.exec_new(init, "/srv/out");
            assert!(w.all("drift.exec-new").is_empty(), "{role}");
        }
        let mut w = with("");
        let init = w.init();
        let forge = w.exec(init, "/usr/bin/forge", &["forge", "install"]);
        w.create(forge, "/srv/out");
        w.exit(forge);
        w.exec_new(init, "/srv/out");
        assert_eq!(w.all("drift.exec-new").len(), 1);
    }

    #[test]
    fn paths_of_the_policy_have_their_class_in_the_rules() {
        let mut w = with("[paths]\nprogram = [\"/srv/app/bin/*\"]\nconfig = [\"/srv/app/conf/*\"]");
        let init = w.init();
        w.create(init, "/srv/app/x");
        w.only(&[]);
        w.create(init, "/srv/app/bin/x");
        w.only(&["file.program-changed"]);
        w.create(init, "/srv/app/conf/x");
        w.only(&["file.etc-changed", "file.program-changed"]);
    }

    #[test]
    fn a_read_of_a_sensitive_path_of_the_policy_is_a_finding() {
        let mut w = with("[paths]\nsensitive = [\"/srv/app/keys/*\"]");
        let init = w.init();
        w.file(init, FileOp::Read, "/srv/app/keys/token");
        assert_eq!(w.all("file.watched").len(), 1);
    }

    #[test]
    fn a_policy_of_an_older_recording_has_no_additions() {
        let old: Policy = serde_json::from_str("{\"sensitive\":[\"/a\"]}").unwrap();
        assert!(old.paths.is_empty() && old.programs.is_empty());
        let text = "[programs]\nshell = [\"a\"]\n[paths]\nprogram = [\"/a/*\"]";
        let policy = Policy::parse(text).unwrap().policy;
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }
}
