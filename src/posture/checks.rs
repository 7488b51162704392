//! The input of a check, and how its result is made.

use super::result::{CheckResult, PostureOutcome};
use crate::baseline::{Baseline, Facet, ItemField, LearningSource};
use crate::event::{ContainerInfo, Severity, escape};

/// The input of a check.
pub(super) struct CheckedContainer<'a> {
    /// The container's facts.
    pub(super) info: &'a ContainerInfo,
    /// The learned items.
    pub(super) used: Option<&'a Baseline>,
}

impl CheckedContainer<'_> {
    /// The engine or the runtime's files report how it was started.
    pub(super) fn is_known(&self) -> bool {
        !self.info.image.is_empty() || self.info.created.is_some()
    }

    /// The observation time as text; `None` when nothing was observed.
    pub(super) fn watched(&self) -> Option<String> {
        let used = self.used?;
        let sum = |of: fn(&LearningSource) -> u64| used.sources.values().map(of).sum::<u64>();
        let starts = sum(|s| s.starts.into());
        let plural = if starts == 1 { "" } else { "s" };
        let time = match sum(|s| s.observed) {
            0 if starts == 0 => return None,
            seconds @ 0..60 => format!("{seconds} s"),
            seconds => format!("{} min", seconds / 60),
        };
        Some(format!("{time}, {starts} start{plural}"))
    }

    /// The different values of a field in a facet, escaped.
    pub(super) fn seen(&self, facet: Facet, field: ItemField) -> Vec<String> {
        let Some(used) = self.used else {
            return Vec::new();
        };
        let mut values: Vec<String> = used
            .facet(facet)
            .map(|(item, _)| escape(item.get(field)).to_string())
            .collect();
        values.sort();
        values.dedup();
        values
    }

    /// A result: failed or passed if the container's facts are known.
    pub(super) fn result(
        &self,
        (id, cis, severity): (&'static str, &'static str, Severity),
        failed: bool,
        declared: impl Into<String>,
        used: impl Into<String>,
    ) -> CheckResult {
        let outcome = match (self.is_known(), failed) {
            (false, false) => PostureOutcome::Unknown,
            (_, true) => PostureOutcome::Fail,
            (true, false) => PostureOutcome::Pass,
        };
        CheckResult {
            id,
            cis,
            severity,
            outcome,
            declared: declared.into(),
            effective: String::new(),
            used: used.into(),
        }
    }

    /// Like [`Self::result`], where `/proc` shows the setting in force: that decides, not the
    /// declaration.
    pub(super) fn in_force(
        &self,
        check: (&'static str, &'static str, Severity),
        effective: Option<(bool, String)>,
        (declared_failed, declared): (bool, String),
        used: impl Into<String>,
    ) -> CheckResult {
        let Some((failed, effective)) = effective else {
            return self.result(check, declared_failed, declared, used);
        };
        CheckResult {
            outcome: if failed {
                PostureOutcome::Fail
            } else {
                PostureOutcome::Pass
            },
            effective,
            ..self.result(check, failed, declared, used)
        }
    }
}

/// Words as a list, `none` without any.
pub(super) fn list(words: &[String]) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}
