//! Moving between screens, containers and pages, and back.

use crate::core::Core;
use crate::detect::Finding;
use crate::event::ContainerId;

use super::location::Location;
use super::pane::Pane;
use super::rows::{self, ImageKey, RowKey};
use super::ui::Ui;

/// Maximum number of steps back.
const LONGEST: usize = 64;

impl Ui {
    pub(super) fn move_to(&mut self, to: Location) {
        if (&to.container, &to.image) != (&self.at.container, &self.at.image) {
            // Other rows: the index of the selected one has no meaning among them.
            self.tables.all.iter_mut().for_each(|table| table.at = 0);
        }
        self.at = to;
        self.drawn.current = None;
        self.dialog.help = false;
        self.dialog.picker = None;
        self.found.clear();
    }

    /// Opens a location; going back returns here.
    fn push(&mut self, to: Location) {
        let here = self.at.clone();
        if here == to {
            return;
        }
        if self.route.trail.len() >= LONGEST {
            self.route.trail.remove(0);
        }
        self.route.trail.push(here.clone());
        self.route.before = Some(here);
        self.move_to(to);
    }

    /// The screen without a scope.
    pub(super) fn show(&mut self, pane: Pane) {
        self.route.before = Some(self.at.clone());
        self.route.trail.clear();
        self.move_to(Location::of(pane));
    }

    /// The next view, or inside a container its next tab.
    pub(super) fn turn(&mut self, by: isize) {
        let tabs: &[Pane] = if self.at.container.is_some() {
            &Pane::INSIDE
        } else {
            &Pane::ALL
        };
        let count = isize::try_from(tabs.len()).unwrap_or(1);
        let now = tabs
            .iter()
            .position(|pane| *pane == self.at.pane)
            .unwrap_or(0);
        let to = (isize::try_from(now).unwrap_or(0) + by).rem_euclid(count);
        self.tab(tabs[usize::try_from(to).unwrap_or(0)]);
    }

    /// To a screen, or inside a container to one of its tabs.
    pub(super) fn tab(&mut self, pane: Pane) {
        if self.at.container.is_none() {
            self.show(pane);
            return;
        }
        self.route.before = Some(self.at.clone());
        let (container, image) = (self.at.container.clone(), self.at.image.clone());
        self.move_to(Location {
            pane,
            container,
            image,
            detail: None,
            scroll: 0,
        });
    }

    /// Opens the page of a row on this screen.
    pub(super) fn open(&mut self, key: RowKey) {
        let to = match key {
            RowKey::Container(id) => Location {
                pane: Pane::Overview,
                container: Some(id),
                image: None,
                detail: None,
                scroll: 0,
            },
            RowKey::Image(image) => Location {
                pane: Pane::Containers,
                container: None,
                image: Some(image),
                detail: None,
                scroll: 0,
            },
            key => Location {
                detail: Some(key),
                scroll: 0,
                ..self.at.clone()
            },
        };
        self.push(to);
    }

    /// Goes to the row of another screen.
    fn select(&mut self, pane: Pane, container: Option<ContainerId>, key: RowKey) {
        self.push(Location {
            pane,
            container,
            image: None,
            detail: None,
            scroll: 0,
        });
        let table = self.table_mut();
        table.by_hand = true;
        table.selected = Some(key);
        table.lit = false;
    }

    /// Whether going back is possible before the program is left.
    #[must_use]
    pub fn inside(&self) -> bool {
        self.dialog.help
            || self.dialog.picker.is_some()
            || self.at.detail.is_some()
            || !self.route.trail.is_empty()
    }

    /// Closes the innermost open thing.
    pub(super) fn back(&mut self) {
        if self.dialog.help {
            self.dialog.help = false;
            self.at.scroll = 0;
        } else if self.listing() && !self.filter().is_empty() {
            self.table_mut().filter = super::filter::Filter::default();
        } else if self.display.zoom {
            self.display.zoom = false;
        } else if let Some(spot) = self.route.trail.pop() {
            self.move_to(spot);
        } else if self.at.container.is_some() || self.at.image.is_some() || self.at.detail.is_some()
        {
            self.show(Pane::Containers);
        }
    }

    pub(super) fn last_view(&mut self) {
        if let Some(before) = self.route.before.take() {
            let here = self.at.clone();
            self.move_to(before);
            self.route.before = Some(here);
        } else {
            self.message = Some("there is no previous view".to_owned());
        }
    }

    /// The container of a row.
    pub(super) fn container_of(&self, core: &Core) -> Option<ContainerId> {
        let inside = self.at.container.clone();
        let of_row = self.subject().and_then(|key| rows::container_of(core, key));
        of_row.or(inside)
    }

    /// To the container of the selected row.
    pub(super) fn owner(&mut self, core: &Core) {
        match self.container_of(core) {
            Some(id) => self.open(RowKey::Container(id)),
            None => self.message = Some("it belongs to no container".to_owned()),
        }
    }

    /// To the baseline of the selected row's container.
    pub(super) fn baseline_of(&mut self, core: &Core) {
        match self.container_of(core) {
            Some(id) => self.push(Location {
                pane: Pane::Baseline,
                container: Some(id),
                image: None,
                detail: None,
                scroll: 0,
            }),
            None => self.message = Some("it belongs to no container".to_owned()),
        }
    }

    /// To the image of the selected row.
    pub(super) fn image_of(&mut self, core: &Core) {
        let container = self
            .container_of(core)
            .and_then(|id| core.state.containers.get(&id));
        match container.and_then(|container| ImageKey::of(&container.info)) {
            Some(image) => self.select(Pane::Images, None, RowKey::Image(image)),
            None => self.message = Some("its image is not known".to_owned()),
        }
    }

    /// To the worst finding about the selected or marked rows.
    pub(super) fn why(&mut self, core: &Core) {
        let mut subjects = self.subjects();
        if subjects.is_empty() {
            subjects.extend(self.page_of());
        }
        // On a finding: to the next related one.
        if let Some(RowKey::Finding(id)) = &self.at.detail {
            let finding = core.detector.finding(*id);
            match finding.and_then(|finding| super::detail::next_related(core, finding)) {
                Some(next) => self.open(RowKey::Finding(next)),
                None => self.message = Some("no other related finding".to_owned()),
            }
            return;
        }
        let findings = core.detector.findings().iter();
        let findings = findings.filter(|f| f.part_of.is_none());
        let about = findings.filter(|f| subjects.iter().any(|key| concerns(core, f, key)));
        let worst = about.max_by_key(|f| (f.silenced.is_none(), f.severity, f.last));
        match worst.map(|finding| finding.id) {
            Some(id) => self.open(RowKey::Finding(id)),
            None => self.message = Some("no finding is about it".to_owned()),
        }
    }

    /// The names of the locations that lead here, the outermost first.
    pub(super) fn crumbs(&self, core: &Core) -> Vec<String> {
        let mut crumbs = Vec::new();
        if let Some(image) = &self.at.image {
            crumbs.push(Pane::Images.title().to_owned());
            crumbs.push(image.title());
        } else if let Some(id) = &self.at.container {
            crumbs.push(Pane::Containers.title().to_owned());
            crumbs.push(rows::name(core, &Some(id.clone())));
        }
        if self.at.detail.is_some() || self.at.container.is_some() || self.at.image.is_some() {
            crumbs.push(self.at.pane.title().to_owned());
        }
        if let Some(key) = &self.at.detail {
            crumbs.push(super::detail::title(core, &self.query(), key));
        }
        crumbs
    }
}

/// Whether a finding is about a row.
fn concerns(core: &Core, finding: &Finding, key: &RowKey) -> bool {
    match key {
        RowKey::Finding(id) => finding.id == *id,
        RowKey::Incident(id) => core.incidents.of(finding.id) == Some(*id),
        RowKey::Container(id) => finding.container.as_ref() == Some(id),
        RowKey::Process(pid) => {
            let process = core.state.processes.get(pid);
            process.is_some_and(|process| process.owner == finding.container)
                && finding.ancestry.first().is_some_and(|p| p.pid == *pid)
        }
        RowKey::File(key) => finding.container == key.owner && finding.subject == key.path,
        RowKey::Connection(key) => {
            let peer = rows::endpoint(&key.endpoint);
            let subject = finding.subject.escaped().to_string();
            let host = peer.rsplit_once(':').map_or(&*peer, |(host, _)| host);
            finding.container == key.owner
                && (subject.contains(host) || finding.title.contains(host))
        }
        RowKey::Event(seq) => finding.evidence.contains(seq),
        RowKey::Since(then) => finding.first > *then,
        RowKey::Build(id) => {
            let builds = core.state.builds();
            let build = builds.iter().find(|build| build.id() == Some(id));
            let mut steps = build.into_iter().flat_map(|build| &build.steps);
            steps.any(|step| finding.container.as_ref() == Some(&step.id))
        }
        RowKey::Machine | RowKey::FileTree => true,
        RowKey::Image(image) => core
            .state
            .container(&finding.container)
            .is_some_and(|container| image.holds(&container.info)),
    }
}
