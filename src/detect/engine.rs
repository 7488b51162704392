//! The rule engine: hands each event to the rules that look at its kind.

use std::sync::Arc;

use super::case::Case;
use super::memory::Memory;
use super::rule::Look;
use super::stories::Stories;
use super::{Fact, Finding, Rule, Settings, rules};
use crate::event::{ContainerId, Event, Kind};
use crate::state::State;

type Looks<T> = Vec<(&'static Rule, fn(&mut Case<'_>, &T))>;

/// The rules by the kind of event they look at, blind ones left out.
#[derive(Default)]
struct Table {
    exec: Looks<crate::event::Exec>,
    file: Looks<crate::event::File>,
    connect: Looks<crate::event::Connect>,
    listen: Looks<crate::event::Listen>,
    dns: Looks<crate::event::Dns>,
    compare: Looks<crate::event::Compare>,
    privilege: Looks<crate::event::Privilege>,
    capability: Looks<crate::event::Capability>,
    container: Looks<crate::event::ContainerEvent>,
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
                    Look::File(f) => table.file.push((rule, f)),
                    Look::Connect(f) => table.connect.push((rule, f)),
                    Look::Listen(f) => table.listen.push((rule, f)),
                    Look::Dns(f) => table.dns.push((rule, f)),
                    Look::Compare(f) => table.compare.push((rule, f)),
                    Look::Privilege(f) => table.privilege.push((rule, f)),
                    Look::Capability(f) => table.capability.push((rule, f)),
                    Look::Container(f) => table.container.push((rule, f)),
                    Look::Tick(f) => table.tick.push((rule, f)),
                }
            }
        }
        table
    }
}

/// The first fact a rule needs that this host cannot give.
#[must_use]
pub(crate) fn blind(rule: &Rule, settings: &Settings) -> Option<Fact> {
    rule.info
        .needs
        .iter()
        .copied()
        .find(|fact| settings.missing.contains(fact))
}

/// The rule engine and its findings.
#[derive(Clone)]
pub struct Detector {
    settings: Settings,
    table: Arc<Table>,
    memory: Memory,
    stories: Stories,
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
        }
    }

    /// What it was set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Ids of the rules that are blind on this host, with the fact each misses.
    #[must_use]
    pub fn blind(&self) -> Vec<(&'static str, Fact)> {
        rules::ALL
            .iter()
            .filter_map(|rule| Some((rule.info.id, blind(rule, &self.settings)?)))
            .collect()
    }

    /// Looks at one event, after `state` applied it.
    pub fn apply(&mut self, state: &State, event: &Event) {
        self.memory.observe(event);
        self.stories.touched();
        let table = Arc::clone(&self.table);
        match &event.kind {
            Kind::Exec(k) if !k.runtime => self.look(&table.exec, state, event, &**k),
            Kind::File(k) => self.look(&table.file, state, event, &**k),
            Kind::Connect(k) => self.look(&table.connect, state, event, &**k),
            Kind::Listen(k) => self.look(&table.listen, state, event, k),
            Kind::Dns(k) => self.look(&table.dns, state, event, &**k),
            Kind::Compare(k) => self.look(&table.compare, state, event, &**k),
            Kind::Privilege(k) if !k.runtime => self.look(&table.privilege, state, event, &**k),
            Kind::Capability(k) => self.look(&table.capability, state, event, k),
            Kind::Container(k) => self.look(&table.container, state, event, &**k),
            Kind::Tick(k) => {
                for (id, container) in &state.containers {
                    if container.running {
                        self.look_for(&table.tick, state, event, &**k, id);
                    }
                }
            }
            _ => {}
        }
        if !self.settings.policy.silence.is_empty() {
            self.apply_silences(state, event);
        }
    }

    /// Marks what the policy accepts: findings that changed, and all of a container about which
    /// facts arrived.
    fn apply_silences(&mut self, state: &State, event: &Event) {
        let arrived = match &event.kind {
            Kind::Container(change) if change.info.is_some() => event.container.as_ref(),
            _ => None,
        };
        let mut places: Vec<usize> = Vec::new();
        if arrived.is_some() {
            let findings = self.stories.findings().iter().enumerate();
            places.extend(
                findings
                    .filter(|(_, f)| f.container.as_ref() == arrived)
                    .map(|(place, _)| place),
            );
        }
        places.extend(self.stories.touched());
        for place in places {
            let Some(finding) = self.stories.findings().get(place) else {
                continue;
            };
            let info = state.container(&finding.container).map(|c| &c.info);
            let mut silences = self.settings.policy.silence.iter();
            let reason = silences
                .find(|s| s.covers(finding, info, event.ts))
                .map(|s| s.reason.as_str());
            self.stories.silence(place, reason);
        }
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
        let container = state.containers.get(owner);
        let process = match event.pid {
            0 => None,
            pid => state
                .processes
                .get(&pid)
                .filter(|p| p.owner.as_ref() == Some(owner)),
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
    pub fn findings(&self) -> &[Finding] {
        self.stories.findings()
    }

    /// Takes the indices of findings raised or changed since the last call, ascending.
    pub fn take_changed(&mut self) -> Vec<usize> {
        self.stories.take_changed()
    }
}
