//! The rule engine: hands each event to the rules that look at its kind.

use std::sync::Arc;

use super::case::Case;
use super::memory::Memory;
use super::rule::Look;
use super::stories::Stories;
use super::{Finding, FindingId, Requirement, Rule, Settings, rules};
use crate::event::{ContainerId, Event, Kind, Timestamp};
use crate::state::State;

type Looks<T> = Vec<(&'static Rule, fn(&mut Case<'_>, &T))>;

/// The rules by the kind of event they look at, blind ones left out.
#[derive(Default)]
pub(super) struct Table {
    exec: Looks<crate::event::Exec>,
    exec_refused: Looks<crate::event::ExecRefused>,
    file: Looks<crate::event::File>,
    connect: Looks<crate::event::Connect>,
    listen: Looks<crate::event::Listen>,
    dns: Looks<crate::event::Dns>,
    compare: Looks<crate::event::Compare>,
    scan: Looks<crate::event::DriftScan>,
    privilege: Looks<crate::event::Privilege>,
    capability: Looks<crate::event::Capability>,
    container: Looks<crate::event::ContainerEvent>,
    client: Looks<crate::event::Client>,
    tick: Looks<crate::event::Tick>,
}

impl Table {
    fn new(settings: &Settings) -> Self {
        let mut table = Self::default();
        for rule in rules::ALL {
            if blind(rule, settings).is_some() {
                continue;
            }
            for look in rule.looks {
                match *look {
                    Look::Exec(f) => table.exec.push((rule, f)),
                    Look::ExecRefused(f) => table.exec_refused.push((rule, f)),
                    Look::File(f) => table.file.push((rule, f)),
                    Look::Connect(f) => table.connect.push((rule, f)),
                    Look::Listen(f) => table.listen.push((rule, f)),
                    Look::Dns(f) => table.dns.push((rule, f)),
                    Look::DriftScan(f) => table.scan.push((rule, f)),
                    Look::Compare(f) => table.compare.push((rule, f)),
                    Look::Privilege(f) => table.privilege.push((rule, f)),
                    Look::Capability(f) => table.capability.push((rule, f)),
                    Look::Container(f) => table.container.push((rule, f)),
                    Look::Client(f) => table.client.push((rule, f)),
                    Look::Tick(f) => table.tick.push((rule, f)),
                }
            }
        }
        table
    }
}

/// The first fact a rule needs that this host cannot give.
#[must_use]
pub(crate) fn blind(rule: &Rule, settings: &Settings) -> Option<Requirement> {
    rule.info
        .needs
        .iter()
        .copied()
        .find(|fact| settings.missing.contains(fact))
}

/// The rule engine and its findings.
#[derive(Clone)]
pub struct Detector {
    pub(super) settings: Settings,
    pub(super) table: Arc<Table>,
    pub(super) memory: Memory,
    pub(super) stories: Stories,
    /// When the next silence of the policy ends.
    pub(super) silence_ends: Option<Timestamp>,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector")
            .field("settings", &self.settings)
            .field("findings", &self.stories.findings().len())
            .finish_non_exhaustive()
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Detector {
    /// An engine with every rule whose facts are there.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            table: Arc::new(Table::new(&settings)),
            settings,
            memory: Memory::default(),
            stories: Stories::default(),
            // Looked up at the first event.
            silence_ends: Some(Timestamp(0)),
        }
    }

    /// What it was set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Ids of the rules that are blind on this host, with the fact each misses.
    #[must_use]
    pub fn blind(&self) -> Vec<(&'static str, Requirement)> {
        rules::ALL
            .iter()
            .filter_map(|rule| Some((rule.info.id, blind(rule, &self.settings)?)))
            .collect()
    }

    /// The event with the paths that its words lead to, where these are others. `state` is the
    /// world before it.
    pub(crate) fn see_through(&mut self, state: &State, event: &Event) -> Option<Event> {
        self.memory.links.see_through(state, event)
    }

    /// Looks at one event, after `state` applied it.
    pub fn apply(&mut self, state: &State, event: &Event) {
        self.memory
            .observe(&self.settings.policy.programs, state, event);
        self.stories.begin_event();
        let table = Arc::clone(&self.table);
        match &event.kind {
            Kind::Exec(k) if !k.runtime => self.look(&table.exec, state, event, &**k),
            Kind::ExecRefused(k) => self.look(&table.exec_refused, state, event, &**k),
            Kind::File(k) => self.look(&table.file, state, event, &**k),
            Kind::Connect(k) => self.look(&table.connect, state, event, &**k),
            Kind::Listen(k) => self.look(&table.listen, state, event, k),
            Kind::Dns(k) => self.look(&table.dns, state, event, &**k),
            Kind::DriftScan(k) => self.look(&table.scan, state, event, &**k),
            Kind::Compare(k) => self.look(&table.compare, state, event, &**k),
            Kind::Privilege(k) if !k.runtime => self.look(&table.privilege, state, event, &**k),
            Kind::Capability(k) => self.look(&table.capability, state, event, k),
            Kind::Container(k) => self.look(&table.container, state, event, &**k),
            Kind::Client(k) => self.look(&table.client, state, event, &**k),
            Kind::Tick(k) => {
                for (id, container) in &state.containers {
                    if container.running {
                        self.look_for(&table.tick, state, event, &**k, id);
                    }
                }
            }
            _ => {}
        }
        self.judge(state, event);
    }

    fn look<T>(&mut self, looks: &Looks<T>, state: &State, event: &Event, fact: &T) {
        // Rules are about containers; the host's own processes are only shown.
        if let Some(owner) = &event.container {
            self.look_for(looks, state, event, fact, owner);
        }
    }

    fn look_for<T>(
        &mut self,
        looks: &Looks<T>,
        state: &State,
        event: &Event,
        fact: &T,
        owner: &ContainerId,
    ) {
        let container = state.containers.get(owner).map(Arc::as_ref);
        let process = match event.pid {
            0 => None,
            pid => state
                .processes
                .get(&pid)
                .filter(|p| p.owner.as_ref() == Some(owner))
                .map(Arc::as_ref),
        };
        // What the runtime itself does inside a container is no one's attack.
        if process.is_some_and(|p| p.runtime) {
            return;
        }
        for (rule, look) in looks {
            let mut case = Case {
                state,
                event,
                settings: &self.settings,
                owner,
                container,
                process,
                memory: &mut self.memory,
                stories: &mut self.stories,
                rule: &rule.info,
            };
            look(&mut case, fact);
        }
    }

    /// All findings, oldest first; never removed, only updated.
    #[must_use]
    pub fn findings(&self) -> &[Arc<Finding>] {
        self.stories.findings()
    }

    /// A finding by its number.
    #[must_use]
    pub fn finding(&self, id: FindingId) -> Option<&Finding> {
        let at = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.findings().get(at).map(Arc::as_ref)
    }

    /// How often something found no place among the findings, of which there are too many.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.stories.untold()
    }

    /// Places among the findings of those that the latest event raised or changed.
    pub(crate) fn latest(&self) -> &[usize] {
        self.stories.latest()
    }

    /// Takes the indices of findings raised or changed since the last call, ascending.
    pub fn take_changed(&mut self) -> Vec<usize> {
        self.stories.take_changed()
    }
}
