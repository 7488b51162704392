//! Image builds: the containers that a builder runs as steps, one build after the other.

use std::time::Duration;

use super::{Container, State};
use crate::event::{ContainerId, Role, Runtime, Timestamp};

/// A step that begins later than this after the one before belongs to another build. Between two
/// steps the builder stores a layer.
const PAUSE: Duration = Duration::from_secs(60);

/// An image build. No builder reports the build of a step: consecutive steps of one runtime are one
/// build, so concurrent builds are one, too.
#[derive(Debug)]
pub struct Build<'a> {
    runtime: Runtime,
    /// Its steps that ran something, the earliest first; never empty.
    pub steps: Vec<&'a Container>,
    /// When its latest step ended; the present while one runs.
    pub last: Timestamp,
}

impl Build<'_> {
    /// Its first step, which identifies it.
    #[must_use]
    pub fn id(&self) -> Option<&ContainerId> {
        self.steps.first().map(|step| &step.id)
    }

    /// Whether a step of it runs.
    #[must_use]
    pub fn running(&self) -> bool {
        self.steps.iter().any(|step| step.running)
    }
}

impl State {
    /// The known image builds, the earliest first.
    #[must_use]
    pub fn builds(&self) -> Vec<Build<'_>> {
        let all = self.containers.values().map(|container| &**container);
        let mut steps: Vec<&Container> = all.filter(|c| c.info.role == Role::Build).collect();
        steps.sort_by_key(|step| (step.first_seen, &step.id));
        let mut builds: Vec<Build<'_>> = Vec::new();
        for step in steps {
            let last = match step.running {
                true => self.now,
                false => step.ended.unwrap_or(step.first_seen),
            };
            let runtime = step.info.runtime;
            let same = |build: &&mut Build<'_>| {
                build.runtime == runtime && step.first_seen.since(build.last) <= PAUSE
            };
            match builds.iter_mut().rev().find(same) {
                Some(build) => {
                    build.steps.push(step);
                    build.last = build.last.max(last);
                }
                None => builds.push(Build {
                    runtime,
                    steps: vec![step],
                    last,
                }),
            }
        }
        builds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_without_a_pause_between_them_are_one_build() {
        let mut state = State::default();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        let mut step = |name: &str, from: i64, to: i64, role: Role| {
            let id = ContainerId::new(name);
            let mut container = Container::new(id.clone(), at(from));
            container.info.role = role;
            container.running = false;
            container.ended = Some(at(to));
            state.containers.insert(id, std::sync::Arc::new(container));
        };
        step("b", 100, 110, Role::Build);
        step("a", 112, 300, Role::Build);
        step("c", 340, 341, Role::Build);
        step("web", 341, 342, Role::Container);
        step("d", 500, 501, Role::Build);
        let builds = state.builds();
        let ids = |build: &Build<'_>| {
            let ids = build.steps.iter().map(|step| step.id.as_str().to_owned());
            ids.collect::<Vec<String>>()
        };
        let all: Vec<Vec<String>> = builds.iter().map(ids).collect();
        assert_eq!(all, [vec!["b", "a", "c"], vec!["d"]]);
        assert!(!builds[0].running());
    }
}
