//! Image builds in the tables: one row each in Containers, and one for their minor findings in
//! Findings.

use std::collections::BTreeMap;

use super::query::Query;
use super::row::{Row, RowKey};
use super::short::short;
use crate::core::Core;
use crate::detect::{Finding, Severity};
use crate::event::{ContainerId, Role};
use crate::incident::{ByContainer, is_chain, sentence};
use crate::state::{Build, Container};
use crate::tui::text::{coarse, count};

/// Steps of builds have rows of their own when the filter selects their role.
pub(super) fn one_by_one(query: &Query<'_>, role_column: usize) -> bool {
    query.filter.asks(role_column)
}

/// Whether a container has a row of its own: all but the steps of a build.
pub(super) fn is_step(container: &Container) -> bool {
    container.info.role == Role::Build
}

/// The name of a build.
pub(super) fn title(build: &Build<'_>) -> String {
    match build.steps.len() {
        1 => "image build, 1 step".to_owned(),
        steps if build.several => format!("image build(s), {steps} steps"),
        steps => format!("image build, {steps} steps"),
    }
}

/// The findings of a build: the worst of its steps, and its incident.
#[derive(Debug, Default)]
pub(super) struct BuildFindings<'a> {
    pub(super) count: u64,
    pub(super) worst: Option<&'a Finding>,
    /// The worst of its findings and incidents.
    pub(super) severity: Option<Severity>,
    pub(super) rank: u32,
    chain: Option<String>,
}

impl<'a> BuildFindings<'a> {
    pub(super) fn of(core: &'a Core, build: &Build<'_>, incidents: &ByContainer) -> Self {
        let mut all = Self::default();
        for finding in open_findings(core, build) {
            all.count += 1;
            let order = |finding: &Finding| (finding.severity, finding.last);
            if all.worst.is_none_or(|worst| order(finding) >= order(worst)) {
                all.worst = Some(finding);
            }
        }
        let incidents = build
            .steps
            .iter()
            .filter_map(|step| incidents.get(&step.id));
        let of_incidents = incidents.clone().map(|incident| incident.severity).max();
        all.severity = of_incidents.max(all.worst.map(|finding| finding.severity));
        if let Some(incident) = incidents.max_by_key(|incident| incident.rank) {
            all.rank = incident.rank;
            let chain = is_chain(&incident.stages);
            all.chain = chain.then(|| sentence(&incident.stages, "›"));
        }
        all
    }

    /// The text of the column for the worst finding.
    pub(super) fn write(&self, core: &Core, row: &mut Row) {
        match (&self.chain, self.worst) {
            (Some(chain), _) => row.text(chain.clone()),
            (None, None) => row.text("-"),
            (None, Some(f)) => {
                let ago = coarse(core.state.now.since(f.last));
                let brief = short(f);
                row.shortened(format!("{ago} {}", f.title), format!("{ago} {brief}"));
            }
        }
    }
}

/// Findings of a build's steps that are not silenced.
pub(in crate::tui) fn open_findings<'a>(
    core: &'a Core,
    build: &Build<'_>,
) -> impl Iterator<Item = &'a Finding> {
    let steps: Vec<&ContainerId> = build.steps.iter().map(|step| &step.id).collect();
    let all = core.detector.findings().iter().map(|finding| &**finding);
    all.filter(move |finding| {
        let of_step = finding
            .container
            .as_ref()
            .is_some_and(|id| steps.contains(&id));
        of_step && finding.is_open()
    })
}

/// Minor findings of builds, by the build's id: one row for each build.
#[derive(Debug, Default)]
pub(super) struct LittleFindings<'a> {
    /// The build of each step.
    steps: BTreeMap<&'a ContainerId, &'a ContainerId>,
    folded: BTreeMap<&'a ContainerId, Vec<&'a Finding>>,
}

impl<'a> LittleFindings<'a> {
    pub(super) fn new(builds: &'a [Build<'a>]) -> Self {
        let of = |build: &'a Build<'a>| {
            let id = build.id();
            let steps = build.steps.iter();
            steps.filter_map(move |step| Some((&step.id, id?)))
        };
        Self {
            steps: builds.iter().flat_map(of).collect(),
            folded: BTreeMap::new(),
        }
    }

    /// Adds a finding that has no row of its own.
    pub(super) fn fold(&mut self, finding: &'a Finding) -> bool {
        let step = finding.container.as_ref();
        let little = finding.severity < Severity::Medium && finding.is_open();
        let build = step.and_then(|id| self.steps.get(id)).filter(|_| little);
        if let Some(build) = build {
            self.folded.entry(build).or_default().push(finding);
        }
        build.is_some()
    }

    /// The rows of the folded findings.
    pub(super) fn rows(&self, core: &Core, builds: &[Build<'_>]) -> Vec<Row> {
        let folded = builds.iter().filter_map(|build| {
            let findings = self.folded.get(build.id()?)?;
            let last = findings.iter().map(|finding| finding.last).max()?;
            let first = findings.iter().map(|finding| finding.first).min()?;
            let mut row = Row::new(RowKey::Build(build.id()?.clone()), last);
            row.seen = Some((first, last));
            row.letter(findings.iter().map(|finding| finding.severity).max());
            row.age(core, last);
            row.text("(build)");
            let total: u64 = findings.iter().map(|finding| finding.count).sum();
            let first = findings.first()?;
            let text = match findings.len() {
                1 => format!("{}: {}", title(build), first.title),
                kinds => format!("{}: {} and {} more", title(build), first.title, kinds - 1),
            };
            row.shortened(text, format!("{}: {} notes", title(build), count(total)));
            row.text("");
            row.count(total);
            row.text("");
            row.text("open");
            Some(row)
        });
        folded.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::core::Core;
    use crate::event::{
        ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Event, Kind, Role, Timestamp,
    };
    use crate::tui::export::{Format, WantedRows, listing};
    use crate::tui::pane::Pane;

    #[test]
    fn a_build_is_one_row_unless_the_filter_selects_its_steps() {
        let mut core = Core::default();
        for (seq, name, role) in [
            (1, "web", Role::Container),
            (2, "step-one", Role::Build),
            (3, "step-two", Role::Build),
        ] {
            let info = ContainerInfo {
                name: name.into(),
                image: format!("{}:1", &name[name.len() - 3..]).as_str().into(),
                role,
                ..ContainerInfo::default()
            };
            core.apply(&Arc::new(Event {
                seq,
                ts: Timestamp(i64::try_from(seq).unwrap() * 1_000_000_000),
                container: Some(ContainerId::new(name)),
                pid: 0,
                nspid: 0,
                kind: Kind::Container(Box::new(ContainerEvent {
                    action: ContainerAction::Appeared,
                    info: Some(Box::new(info)),
                })),
            }));
        }
        let shown = |pane, filter: &str| {
            let wanted = WantedRows {
                pane,
                filter,
                since: None,
                reveal: false,
            };
            let text = listing(&core, wanted, Format::Text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let containers = shown(Pane::Containers, "");
        assert!(containers.contains("image build, 2 steps"), "{containers}");
        assert!(!containers.contains("step-two"), "{containers}");
        let steps = shown(Pane::Containers, "role=build");
        assert!(
            steps.contains("step-one") && steps.contains("step-two"),
            "{steps}"
        );
        assert!(!steps.contains("image build"), "{steps}");
        let images = shown(Pane::Images, "");
        assert!(images.contains("web:1"), "{images}");
        assert!(!images.contains("two:1"), "{images}");
    }
}
