//! Silences: match findings by chosen facts, in a scope, with a reason and an optional end.

use bstr::ByteSlice as _;

use super::Finding;
use super::policy::glob;
use crate::event::{Bytes, ContainerInfo, Scope, Silence, Timestamp};

impl Silence {
    /// Whether it covers the finding at the time `now`.
    #[must_use]
    pub fn covers(
        &self,
        finding: &Finding,
        info: Option<&ContainerInfo>,
        hash: Option<&str>,
        now: Timestamp,
    ) -> bool {
        let fits = |pattern: &Option<String>, text: &[u8]| {
            pattern.as_ref().is_none_or(|p| glob(p.as_bytes(), text))
        };
        let id = finding.container.as_ref().map_or("", |c| c.as_str());
        self.means(&finding.rule)
            && self.expires.is_none_or(|end| now < end)
            && self.is_about(finding)
            && (self.exe.is_none()
                || finding
                    .ancestry
                    .first()
                    .is_some_and(|a| fits(&self.exe, a.exe.as_bytes())))
            && (self.parent.is_none()
                || finding
                    .ancestry
                    .iter()
                    .skip(1)
                    .any(|a| fits(&self.parent, a.exe.as_bytes())))
            && self
                .sha256
                .as_ref()
                .is_none_or(|h| hash.is_some_and(|own| own.starts_with(h.as_str())))
            && self.scope.fits(id, info)
    }

    /// Every subject of the finding matches. Subjects that are added later are checked again: a
    /// silence for a change of one file does not cover the next file.
    fn is_about(&self, finding: &Finding) -> bool {
        let fits = |thing: &Bytes| {
            let mut patterns = self.subject.iter();
            patterns.any(|pattern| glob(pattern.as_bytes(), thing.as_bytes()))
        };
        self.subject.is_empty() || (!finding.more_parts && finding.things().iter().all(fits))
    }

    /// Whether it is about this rule.
    #[must_use]
    pub fn means(&self, rule: &str) -> bool {
        match self.rule.strip_suffix('*') {
            Some(family) => rule.starts_with(family),
            None => rule == self.rule,
        }
    }

    /// The narrowest silence for a finding: its rule and subject, for this image's digest where
    /// that is known, else for the container.
    #[must_use]
    pub fn narrow(finding: &Finding, info: Option<&ContainerInfo>, reason: &str) -> Self {
        let digest = info
            .map(|i| i.image_digest.clone())
            .filter(|d| !d.is_empty());
        let container = match &digest {
            Some(_) => None,
            None => finding.container.as_ref().map(|c| c.short().to_owned()),
        };
        Self {
            rule: finding.rule.clone(),
            subject: exactly(finding),
            scope: Scope {
                digest,
                container,
                ..Scope::default()
            },
            reason: reason.to_owned(),
            ..Self::default()
        }
    }

    /// The silence as an entry of a policy file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        use std::fmt::Write as _;
        let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut out = String::from("[[silence]]\n");
        let mut line = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {}", quote(value));
            }
        };
        line("rule", &Some(self.rule.clone()));
        match self.subject.as_slice() {
            [] => {}
            [one] => line("subject", &Some(one.clone())),
            many => {
                let many: Vec<String> = many.iter().map(|pattern| quote(pattern)).collect();
                let _ = writeln!(out, "subject = [{}]", many.join(", "));
            }
        }
        let mut line = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {}", quote(value));
            }
        };
        line("exe", &self.exe);
        line("parent", &self.parent);
        line("digest", &self.scope.digest);
        line("image", &self.scope.image);
        line("container", &self.scope.container);
        line("pod", &self.scope.pod);
        line("namespace", &self.scope.namespace);
        line("reason", &Some(self.reason.clone()));
        line(
            "expires",
            &self
                .expires
                .map(|e| e.to_string().replace(".000000000Z", "Z")),
        );
        if !self.scope.label.is_empty() {
            let labels: Vec<String> = self
                .scope
                .label
                .iter()
                .map(|(k, v)| format!("{} = {}", quote(k), quote(v)))
                .collect();
            let _ = writeln!(out, "label = {{ {} }}", labels.join(", "));
        }
        out
    }
}

/// Patterns that match exactly the finding's subjects. Subjects that are not text cannot be written
/// as a pattern, and subjects that are not kept cannot be named: then the other parts of the
/// silence must suffice.
#[must_use]
pub(crate) fn exactly(finding: &Finding) -> Vec<String> {
    let things = finding.things().iter();
    let patterns: Option<Vec<String>> = things
        .map(|thing| thing.to_str().ok().filter(|t| !t.is_empty()).map(literal))
        .collect();
    patterns.filter(|_| !finding.more_parts).unwrap_or_default()
}

/// A pattern that matches only this text: its own `*` become `?`, which matches one byte.
fn literal(text: &str) -> String {
    text.replace('*', "?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testkit::World;
    use crate::detect::{Policy, Settings, Severity};
    use crate::event::FileOp;

    fn with(policy: &str) -> World {
        let policy = Policy::parse(policy).unwrap().policy;
        World::with(Settings {
            policy,
            ..Settings::default()
        })
    }

    #[test]
    fn a_silenced_finding_is_kept_and_marked() {
        let mut w = with(
            "[[silence]]\nrule = \"drift.*\"\nsubject = \"/opt/*\"\nimage = \"web:*\"\nreason = \
             \"own updater\"",
        );
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        w.exec_new(init, "/srv/agent");
        assert_eq!(
            w.all("drift.exec-new")[0].silenced.as_deref(),
            Some("own updater")
        );
        assert_eq!(w.all("drift.exec-new")[1].silenced, None);
        // Under another image's name it is not covered.
        w.info(|i| i.image = "other:1".into());
        assert_eq!(w.all("drift.exec-new")[0].silenced, None);
    }

    #[test]
    fn a_silence_ends_when_it_expires() {
        let mut w = with(
            "[[silence]]\nrule = \"drift.exec-new\"\nreason = \"x\"\nexpires = \
             \"2023-11-14T22:20:00Z\"",
        );
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        assert!(w.finding("drift.exec-new").silenced.is_some());
        w.ticks(600);
        w.exec_new(init, "/opt/agent");
        assert_eq!(w.finding("drift.exec-new").silenced, None);
    }

    #[test]
    fn the_narrow_silence_covers_just_its_finding() {
        let mut w = with("");
        let init = w.init();
        w.exec_new(init, "/opt/a*");
        w.exec_new(init, "/opt/ab");
        w.exec_new(init, "/opt/abc");
        w.exec_new(init, "/opt/abc");
        let all = w.all("drift.exec-new");
        let silence = Silence::narrow(all[2], None, "say \"why\"");
        assert_eq!(w.detector.would_hide(&w.state, &silence), (2, 4));
        let read = Policy::parse(&silence.to_toml()).unwrap();
        assert_eq!(read.policy.silence, [silence]);
    }

    #[test]
    fn a_silence_does_not_cover_a_subject_that_is_added_later() {
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        w.file(s, FileOp::Write, "/etc/passwd");
        let silence = Silence::narrow(w.finding("file.accounts"), None, "known");
        assert_eq!(silence.subject, ["/etc/passwd"]);
        let mut w = with(&silence.to_toml());
        w.ticks(60);
        let s = w.session(&["sh"]);
        w.file(s, FileOp::Write, "/etc/passwd");
        assert!(w.finding("file.accounts").silenced.is_some());
        w.file(s, FileOp::Write, "/etc/shadow");
        let finding = w.finding("file.accounts");
        assert_eq!(finding.silenced, None, "{finding:?}");
        // Both together are accepted by name.
        let both = Silence::narrow(finding, None, "known");
        assert_eq!(both.subject, ["/etc/passwd", "/etc/shadow"]);
        let read = Policy::parse(&both.to_toml()).unwrap();
        assert_eq!(read.policy.silence, [both]);
    }

    #[test]
    fn severities_and_rules_turned_off() {
        let mut w =
            with("[severity]\n\"drift.exec-new\" = \"low\"\n\"drift.exec-tmpfs\" = \"off\"");
        let init = w.init();
        w.exec_new(init, "/opt/a");
        w.exec_file(init, "/dev/shm/x", &["x"], crate::detect::testkit::tmpfs(4));
        w.only(&["drift.exec-new"]);
        assert_eq!(w.highest(), Severity::Low);
    }
}
