//! Which steps of Docker's classic builder belong to one build. It runs one step after the other: a step
//! continues the result of the one before, or begins the next stage right after it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{ContainerId, Timestamp};

/// Maximum number of steps that are remembered.
const MAX_STEPS: usize = 256;
/// A stage begins sooner than this after the stage before.
const STAGE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct ClassicStep {
    id: ContainerId,
    /// The first step of its build.
    build: ContainerId,
    /// Another step continues its result.
    followed: bool,
    ended: Option<Timestamp>,
    /// Its build ended: the result has a name.
    named: bool,
}

/// The recent steps of the classic builder, the latest last.
#[derive(Debug, Default)]
pub(super) struct ClassicBuilds {
    steps: VecDeque<ClassicStep>,
}

impl ClassicBuilds {
    /// Whether a container is a remembered step.
    pub(super) fn knows(&self, id: &ContainerId) -> bool {
        self.steps.iter().any(|step| step.id == *id)
    }

    /// Remembers a step that continues the result of the step `before`; returns the first step of its
    /// build.
    pub(super) fn begin(
        &mut self,
        id: &ContainerId,
        before: Option<&ContainerId>,
        now: Timestamp,
    ) -> ContainerId {
        if let Some(known) = self.steps.iter().find(|step| step.id == *id) {
            return known.build.clone();
        }
        // A result that has been continued, or has a name, comes from the cache of results.
        let continued = before.and_then(|before| {
            let mut steps = self.steps.iter_mut();
            let step = steps.find(|step| step.id == *before && !step.followed && !step.named)?;
            step.followed = true;
            Some(step.build.clone())
        });
        let build = continued.or_else(|| self.between_stages(now));
        let build = build.unwrap_or_else(|| id.clone());
        if self.steps.len() >= MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(ClassicStep {
            id: id.clone(),
            build: build.clone(),
            followed: false,
            ended: None,
            named: false,
        });
        build
    }

    /// The build whose stage ended last and which may begin another one.
    fn between_stages(&self, now: Timestamp) -> Option<ContainerId> {
        let idle = self.steps.iter().filter(|step| {
            let ended = step.ended.is_some_and(|ended| now.since(ended) <= STAGE);
            ended && !step.named && !self.runs(&step.build)
        });
        Some(idle.max_by_key(|step| step.ended)?.build.clone())
    }

    fn runs(&self, build: &ContainerId) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.build == *build && step.ended.is_none())
    }

    /// A container ended.
    pub(super) fn ended(&mut self, id: &ContainerId, at: Timestamp) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.id == *id) {
            step.ended.get_or_insert(at);
        }
    }

    /// An image got a name: the builds of which no step runs have ended.
    pub(super) fn named(&mut self) {
        let running: Vec<ContainerId> = self
            .steps
            .iter()
            .filter(|step| step.ended.is_none())
            .map(|step| step.build.clone())
            .collect();
        for step in &mut self.steps {
            step.named |= !running.contains(&step.build);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds whose steps are one letter each.
    #[derive(Default)]
    struct Builder(ClassicBuilds, i64);

    impl Builder {
        fn now(&mut self) -> Timestamp {
            self.1 += 1;
            Timestamp(self.1 * 1_000_000_000)
        }

        fn begin(&mut self, id: &str, before: &str) -> String {
            let now = self.now();
            let before = (!before.is_empty()).then(|| ContainerId::new(before));
            let build = self.0.begin(&ContainerId::new(id), before.as_ref(), now);
            build.as_str().to_owned()
        }

        fn end(&mut self, id: &str) {
            let now = self.now();
            self.0.ended(&ContainerId::new(id), now);
        }

        fn step(&mut self, id: &str, before: &str) -> String {
            let build = self.begin(id, before);
            self.end(id);
            build
        }
    }

    #[test]
    fn builds_at_the_same_time_are_told_apart_by_the_results_their_steps_continue() {
        let mut builder = Builder::default();
        assert_eq!(builder.begin("a1", ""), "a1");
        assert_eq!(builder.begin("b1", ""), "b1");
        builder.end("a1");
        builder.end("b1");
        assert_eq!(builder.begin("a2", "a1"), "a1");
        assert_eq!(builder.begin("b2", "b1"), "b1");
        // Asked again, the answer is the same.
        assert_eq!(builder.begin("a2", "a1"), "a1");
    }

    #[test]
    fn stages_are_one_build_until_the_result_has_a_name() {
        let mut builder = Builder::default();
        assert_eq!(builder.step("a1", ""), "a1");
        assert_eq!(builder.step("a2", ""), "a1");
        builder.0.named();
        assert_eq!(builder.step("b1", ""), "b1");
        // `FROM` the result of a; the cache has a result of a.
        assert_eq!(builder.step("c1", "a2"), "b1");
        builder.1 += 11;
        assert_eq!(builder.step("d1", ""), "d1");
        // A build that failed, begun again a little later with its first step from the cache.
        assert_eq!(builder.step("d2", "d1"), "d1");
        builder.1 += 11;
        assert_eq!(builder.step("e1", "d1"), "e1");
    }

    #[test]
    fn steps_are_forgotten_in_their_order() {
        let mut builder = Builder::default();
        for n in 0..=MAX_STEPS {
            builder.begin(&n.to_string(), "");
        }
        assert_eq!(builder.0.steps.len(), MAX_STEPS);
        assert!(!builder.0.knows(&ContainerId::new("0")));
    }
}
