//! Image builds: the containers that a builder runs as steps, one build after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Container, State};
use crate::event::{Bytes, ContainerId, Role, Runtime, Timestamp};

/// A step of which neither the build nor the layers are known belongs to another build when it begins
/// later than this after the step before. Between two steps the builder stores a layer.
const PAUSE: Duration = Duration::from_secs(60);
/// A step on layers that no step wrote begins a stage of a build that runs or ended this recently.
const STAGE: Duration = Duration::from_secs(3);

/// An image build: its steps have the builder's mark, or the layers of one another; steps without either
/// follow one another closely, so of them concurrent builds are one.
#[derive(Debug)]
pub struct Build<'a> {
    runtime: Runtime,
    /// Its steps, the earliest first; never empty.
    pub steps: Vec<&'a Container>,
    /// When its latest step ended; the present while one runs.
    pub last: Timestamp,
    /// Whether it may be several: a step was counted to it by time alone while another one ran.
    pub several: bool,
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
        // The build by its mark, and by the layer that a step wrote.
        let mut marked: BTreeMap<&str, usize> = BTreeMap::new();
        let mut written: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for step in steps {
            let last = match step.running {
                true => self.now,
                false => step.ended.unwrap_or(step.first_seen),
            };
            let storage = &step.info.storage;
            let mut layers = storage.lower.iter().chain([&storage.upper]);
            let known = marked.get(step.info.build.as_str()).copied();
            let known = known.or_else(|| layers.find_map(|layer| written.get(layer).copied()));
            let at = known.or_else(|| {
                if !step.info.build.is_empty() {
                    return None;
                }
                let pause = if storage.upper.is_empty() {
                    PAUSE
                } else {
                    STAGE
                };
                let runtime = step.info.runtime;
                builds.iter().rposition(|build| {
                    build.runtime == runtime && step.first_seen.since(build.last) <= pause
                })
            });
            let at = at.unwrap_or(builds.len());
            match builds.get_mut(at) {
                Some(build) => {
                    build.several |= known.is_none() && step.first_seen < build.last;
                    build.steps.push(step);
                    build.last = build.last.max(last);
                }
                None => builds.push(Build {
                    runtime: step.info.runtime,
                    steps: vec![step],
                    last,
                    several: false,
                }),
            }
            if !step.info.build.is_empty() {
                marked.insert(&step.info.build, at);
            }
            if !storage.upper.is_empty() {
                written.insert(&storage.upper, at);
            }
        }
        builds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ContainerInfo;

    /// Adds a step that ran from `from` to `to`.
    fn step(state: &mut State, name: &str, (from, to): (i64, i64), info: ContainerInfo) {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        let id = ContainerId::new(name);
        let mut container = Container::new(id.clone(), at(from));
        container.info = info;
        container.running = false;
        container.ended = Some(at(to));
        state.containers.insert(id, std::sync::Arc::new(container));
    }

    fn of_build(build: &str, lower: &[&str], upper: &str) -> ContainerInfo {
        let mut info = ContainerInfo {
            role: Role::Build,
            build: build.to_owned(),
            ..ContainerInfo::default()
        };
        info.storage.lower = lower.iter().map(|layer| Bytes::from(*layer)).collect();
        info.storage.upper = upper.into();
        info
    }

    fn ids(state: &State) -> Vec<Vec<String>> {
        let ids = |build: &Build<'_>| {
            let ids = build.steps.iter().map(|step| step.id.as_str().to_owned());
            ids.collect()
        };
        state.builds().iter().map(ids).collect()
    }

    #[test]
    fn steps_without_a_pause_between_them_are_one_build() {
        let mut state = State::default();
        let build = || of_build("", &[], "");
        step(&mut state, "b", (100, 110), build());
        step(&mut state, "a", (112, 300), build());
        step(&mut state, "c", (340, 341), build());
        step(&mut state, "web", (341, 342), ContainerInfo::default());
        step(&mut state, "d", (500, 501), build());
        assert_eq!(ids(&state), [vec!["b", "a", "c"], vec!["d"]]);
        assert!(!state.builds()[0].running() && !state.builds()[0].several);
        // One that begins beside another's step may be another build's.
        step(&mut state, "e", (500, 502), build());
        assert_eq!(ids(&state), [vec!["b", "a", "c"], vec!["d", "e"]]);
        assert!(state.builds()[1].several);
    }

    #[test]
    fn builds_at_the_same_time_are_told_apart_by_their_marks() {
        let mut state = State::default();
        step(
            &mut state,
            "a1",
            (100, 110),
            of_build("a", &["/base"], "/1"),
        );
        step(
            &mut state,
            "b1",
            (101, 110),
            of_build("b", &["/base"], "/2"),
        );
        step(
            &mut state,
            "a2",
            (111, 112),
            of_build("a", &["/x", "/base"], "/3"),
        );
        step(
            &mut state,
            "b2",
            (111, 113),
            of_build("b", &["/y", "/base"], "/4"),
        );
        step(
            &mut state,
            "c1",
            (114, 115),
            of_build("c", &["/base"], "/5"),
        );
        assert_eq!(
            ids(&state),
            [vec!["a1", "a2"], vec!["b1", "b2"], vec!["c1"]]
        );
    }

    #[test]
    fn a_step_on_the_layer_of_another_continues_its_build() {
        let mut state = State::default();
        step(&mut state, "a1", (100, 110), of_build("", &["/base"], "/1"));
        // The second build, some seconds after the first; a stage beside it.
        step(&mut state, "b1", (115, 120), of_build("", &["/base"], "/2"));
        step(
            &mut state,
            "b2",
            (116, 118),
            of_build("", &["/other"], "/3"),
        );
        // The first continues: a step took its time to be stored.
        step(
            &mut state,
            "a2",
            (119, 130),
            of_build("", &["/copied", "/1", "/base"], "/4"),
        );
        step(
            &mut state,
            "a3",
            (131, 132),
            of_build("", &["/4", "/copied", "/1", "/base"], "/5"),
        );
        // A later stage begins at once.
        step(&mut state, "a4", (134, 135), of_build("", &["/base"], "/6"));
        assert_eq!(
            ids(&state),
            [vec!["a1", "a2", "a3", "a4"], vec!["b1", "b2"]]
        );
    }
}
