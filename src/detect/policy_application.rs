//! Applies the policy to findings: their severity, and whether they are silenced.
//!
//! After each event it looks at the findings the event changed; at all of them when the policy
//! changes or a silence ends.

use super::Detector;
use super::finding::FindingIndex;
use crate::event::{Event, Kind, PolicySettings, Silence, Timestamp};
use crate::state::State;

/// The reason by which findings of a rule that was turned off later are hidden.
const OFF: &str = "the policy turns this rule off";

impl Detector {
    /// Applies the policy to the findings that `event` concerns.
    pub(super) fn judge(&mut self, state: &State, event: &Event) {
        let mut all = false;
        if let Kind::Policy(change) = &event.kind
            && let Some(rules) = &change.rules
        {
            self.adopt(rules.clone());
            all = true;
        }
        let ended = self.silence_ends.is_some_and(|end| event.ts >= end);
        if ended {
            self.silence_ends = self.next_end(event.ts);
        }
        all |= ended;
        let policy = &self.settings.policy;
        if !all && policy.silence.is_empty() && policy.severity.is_empty() {
            return;
        }
        // New facts about a container can change which silences match its findings.
        let arrived = match &event.kind {
            Kind::Container(change) if change.info.is_some() => event.container.as_ref(),
            _ => None,
        };
        if !all && arrived.is_none() {
            for index in self.findings.touched() {
                self.judge_one(state, event.ts, index);
            }
            return;
        }
        for index in (0..self.findings.all().len()).map(FindingIndex::new) {
            if self.findings.resolve(index) != index {
                continue;
            }
            let concerned = all
                || self
                    .findings
                    .get(index)
                    .is_some_and(|f| f.container.as_ref() == arrived);
            if concerned {
                self.judge_one(state, event.ts, index);
            }
        }
    }

    fn adopt(&mut self, rules: PolicySettings) {
        self.settings.max_age = rules.max_age;
        self.settings.startup_grace = rules.startup_grace;
        self.settings.policy = rules.policy;
        self.silence_ends = Some(Timestamp(0));
    }

    fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let silences = self.settings.policy.silence.iter();
        silences
            .filter_map(|s| s.expires)
            .filter(|end| *end > now)
            .min()
    }

    fn judge_one(&mut self, state: &State, now: Timestamp, index: FindingIndex) {
        let Some(finding) = self.findings.get(index) else {
            return;
        };
        let policy = &self.settings.policy;
        let grade = policy.severity.get(&finding.rule).copied();
        let info = state.container(&finding.container).map(|c| &c.info);
        let hash = self.memory.hash_of(finding);
        let accepted = policy
            .silence
            .iter()
            .find(|s| s.covers(finding, info, hash, now))
            .map(|s| s.reason.as_str());
        let reason = if grade == Some(None) {
            Some(OFF)
        } else {
            accepted
        };
        self.findings.set_silenced(index, reason);
        self.findings.override_severity(index, grade.flatten());
    }

    /// The number of occurrences that a silence would hide, and the number of all occurrences of
    /// its rule.
    #[must_use]
    pub fn would_hide(&self, state: &State, silence: &Silence) -> (u64, u64) {
        let (mut hidden, mut all) = (0, 0);
        for finding in self.findings.all() {
            if finding.part_of.is_some() || !silence.means(&finding.rule) {
                continue;
            }
            all += finding.count;
            let info = state.container(&finding.container).map(|c| &c.info);
            let hash = self.memory.hash_of(finding);
            if silence.covers(finding, info, hash, state.now) {
                hidden += finding.count;
            }
        }
        (hidden, all)
    }

    /// SHA-256 of the file a finding is about, where a comparison found it.
    #[must_use]
    pub fn hash_of(&self, finding: &super::Finding) -> Option<&str> {
        self.memory.hash_of(finding)
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::detect::{Policy, Settings, Severity};
    use crate::event::{Kind, PolicyChange};

    fn change(world: &mut World, policy: &str) {
        let mut settings = Settings::default();
        settings.adopt(Policy::parse(policy).unwrap());
        let change = PolicyChange {
            file: "policy.toml".to_owned(),
            rules: Some(settings.policy_settings()),
            refused: None,
        };
        world.emit(0, 0, Kind::Policy(Box::new(change)));
    }

    #[test]
    fn a_changed_policy_applies_to_earlier_and_later_findings() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        assert_eq!(w.highest(), Severity::High);
        change(&mut w, "[severity]\n\"drift.exec-new\" = \"low\"");
        assert_eq!(w.highest(), Severity::Low);
        w.exec_new(init, "/opt/agent");
        w.exec_new(init, "/opt/other");
        assert_eq!(w.highest(), Severity::Low);
        // Without the override both have their earlier values.
        change(&mut w, "");
        let all = w.all("drift.exec-new");
        assert!(all.iter().all(|f| f.severity == Severity::High), "{all:?}");
    }

    #[test]
    fn a_rule_turned_off_hides_what_it_found_and_finds_no_more() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        change(&mut w, "[severity]\n\"drift.exec-new\" = \"off\"");
        w.exec_new(init, "/opt/other");
        let all = w.all("drift.exec-new");
        assert_eq!(all.len(), 1);
        assert!(all[0].silenced.is_some());
        change(&mut w, "");
        assert_eq!(w.finding("drift.exec-new").silenced, None);
    }

    #[test]
    fn a_silence_follows_the_policy() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        change(&mut w, "[[silence]]\nrule = \"drift.*\"\nreason = \"ours\"");
        assert_eq!(
            w.finding("drift.exec-new").silenced.as_deref(),
            Some("ours")
        );
        change(&mut w, "");
        assert_eq!(w.finding("drift.exec-new").silenced, None);
    }

    #[test]
    fn a_refused_edit_changes_nothing() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        change(&mut w, "[[silence]]\nrule = \"drift.*\"\nreason = \"ours\"");
        let refused = PolicyChange {
            file: "policy.toml".to_owned(),
            rules: None,
            refused: Some("line 1: no".to_owned()),
        };
        w.emit(0, 0, Kind::Policy(Box::new(refused)));
        assert!(w.finding("drift.exec-new").silenced.is_some());
    }

    #[test]
    fn a_hash_follows_the_content_and_not_the_path() {
        let mut w = World::steady();
        let init = w.init();
        let hash = "ab".repeat(32);
        change(
            &mut w,
            &format!("[[silence]]\nrule = \"drift.*\"\nsha256 = \"{hash}\"\nreason = \"ours\""),
        );
        w.exec_new(init, "/opt/other");
        let file = w.changed_now(crate::detect::testkit::upper(5));
        w.exec_file(init, "/opt/agent", &["agent"], file);
        w.compare("/opt/agent", 5, crate::event::CompareClass::New);
        let of = |path: &str| {
            let all = w.all("drift.exec-new");
            all.iter()
                .find(|f| f.subject == path)
                .unwrap()
                .silenced
                .clone()
        };
        assert_eq!(of("/opt/agent").as_deref(), Some("ours"));
        assert_eq!(of("/opt/other"), None);
    }
}
