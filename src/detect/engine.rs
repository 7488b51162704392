//! The rule engine: passes each event to the rules that handle its kind.

use std::sync::Arc;
use std::time::Duration;

use super::baselines::{LoadedBaseline, LoadedBaselines};
use super::finding::FindingIndex;
use super::finding_store::FindingStore;
use super::memory::Memory;
use super::rule::{Handler, HandlerFn};
use super::rule_context::RuleContext;
use super::rule_memory::{RuleMemories, RuleMemoryTable};
use super::{Finding, FindingId, Requirement, Rule, Settings, rules};
use super::{build_artifacts, correlation, joining};
use crate::event::{ContainerAction, ContainerId, Event, Kind, Timestamp};
use crate::state::{Container, State};

type Handlers<T> = Vec<(&'static Rule, HandlerFn<T>)>;

/// The handlers by kind of event, without those of blind rules.
#[derive(Default)]
pub(super) struct Table {
    exec: Handlers<crate::event::Exec>,
    exec_refused: Handlers<crate::event::ExecRefused>,
    file: Handlers<crate::event::File>,
    connect: Handlers<crate::event::Connect>,
    listen: Handlers<crate::event::Listen>,
    dns: Handlers<crate::event::Dns>,
    compare: Handlers<crate::event::Compare>,
    scan: Handlers<crate::event::DriftScan>,
    privilege: Handlers<crate::event::Privilege>,
    capability: Handlers<crate::event::Capability>,
    syscall: Handlers<crate::event::Syscall>,
    container: Handlers<crate::event::ContainerEvent>,
    client: Handlers<crate::event::Client>,
    tick: Handlers<crate::event::Tick>,
    found: Handlers<crate::event::Process>,
}

impl Table {
    fn new(settings: &Settings) -> Self {
        let mut table = Self::default();
        for rule in rules::ALL {
            if blind(rule, settings).is_some() {
                continue;
            }
            for handler in rule.handlers {
                match *handler {
                    Handler::Exec(f) => table.exec.push((rule, f)),
                    Handler::ExecRefused(f) => table.exec_refused.push((rule, f)),
                    Handler::File(f) => table.file.push((rule, f)),
                    Handler::Connect(f) => table.connect.push((rule, f)),
                    Handler::Listen(f) => table.listen.push((rule, f)),
                    Handler::Dns(f) => table.dns.push((rule, f)),
                    Handler::Compare(f) => table.compare.push((rule, f)),
                    Handler::DriftScan(f) => table.scan.push((rule, f)),
                    Handler::Privilege(f) => table.privilege.push((rule, f)),
                    Handler::Capability(f) => table.capability.push((rule, f)),
                    Handler::Syscall(f) => table.syscall.push((rule, f)),
                    Handler::Container(f) => table.container.push((rule, f)),
                    Handler::Client(f) => table.client.push((rule, f)),
                    Handler::Tick(f) => table.tick.push((rule, f)),
                    Handler::Found(f) => table.found.push((rule, f)),
                }
            }
        }
        table
    }
}

/// Whether a process acts in a container that has just appeared and has run no program of its own:
/// only the runtime can. Where the container has a cgroup of its own, the kernel programs detect
/// this by the cgroup.
fn set_up(container: &Container, event: &Event) -> bool {
    /// The event of a later first program was lost.
    const SET_UP: Duration = Duration::from_secs(10);
    let acts = matches!(
        event.kind,
        Kind::Privilege(_) | Kind::File(_) | Kind::Capability(_)
    );
    let untouched = !container.existing && container.first_exec.is_none();
    acts && untouched && event.pid != 0 && event.ts.since(container.first_seen) <= SET_UP
}

/// The first required kind of fact that this host cannot provide.
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
    pub(super) rule_memories: RuleMemoryTable,
    pub(super) baselines: LoadedBaselines,
    pub(super) findings: FindingStore,
    /// When the next silence of the policy expires.
    pub(super) silence_ends: Option<Timestamp>,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector")
            .field("settings", &self.settings)
            .field("findings", &self.findings.all().len())
            .finish_non_exhaustive()
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Detector {
    /// An engine with every rule whose required facts are available.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let memory = settings.memory;
        Self {
            table: Arc::new(Table::new(&settings)),
            settings,
            memory: Memory::default(),
            rule_memories: RuleMemoryTable::default(),
            baselines: LoadedBaselines::default(),
            findings: FindingStore::within(memory),
            // Found at the first event.
            silence_ends: Some(Timestamp(0)),
        }
    }

    /// The loaded baseline that applies to a container.
    pub(crate) fn baseline_of(&self, container: &Container) -> Option<Arc<LoadedBaseline>> {
        if self.baselines.is_empty() {
            return None;
        }
        self.baselines.of(container).map(|chosen| chosen.loaded)
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Ids of the rules that are blind on this host, each with the missing fact.
    #[must_use]
    pub fn blind(&self) -> Vec<(&'static str, Requirement)> {
        rules::ALL
            .iter()
            .filter_map(|rule| Some((rule.info.id, blind(rule, &self.settings)?)))
            .collect()
    }

    /// The event with its paths resolved through the links that containers made. `state` is the
    /// state before it.
    pub(crate) fn see_through(&mut self, state: &State, event: &Event) -> Option<Event> {
        self.memory.links.see_through(state, event)
    }

    /// Runs the handlers for one event, after `state` applied it.
    pub fn apply(&mut self, state: &State, event: &Event) {
        self.memory
            .observe(&self.settings.policy.programs, state, event);
        self.forget_containers(state, event);
        self.findings.begin_event();
        let table = Arc::clone(&self.table);
        match &event.kind {
            Kind::Exec(k) if !k.runtime => self.run(&table.exec, state, event, &**k),
            Kind::ExecRefused(k) => self.run(&table.exec_refused, state, event, &**k),
            Kind::File(k) => {
                if let (Some(owner), Some((first, _))) = (&event.container, table.file.first())
                    && let Some((mut ctx, _)) = self.context(state, event, owner, first)
                {
                    build_artifacts::observe(&mut ctx, k);
                }
                self.run(&table.file, state, event, &**k);
            }
            Kind::Connect(k) => self.run(&table.connect, state, event, &**k),
            Kind::Listen(k) => self.run(&table.listen, state, event, k),
            Kind::Dns(k) => self.run(&table.dns, state, event, &**k),
            Kind::DriftScan(k) => self.run(&table.scan, state, event, &**k),
            Kind::Compare(k) => self.run(&table.compare, state, event, &**k),
            Kind::Privilege(k) if !k.runtime => self.run(&table.privilege, state, event, &**k),
            Kind::Baseline(change) => self.baselines.apply(change),
            Kind::Capability(k) => self.run(&table.capability, state, event, k),
            Kind::Syscall(k) => self.run(&table.syscall, state, event, k),
            Kind::Container(k) => self.run(&table.container, state, event, &**k),
            Kind::Client(k) => self.run(&table.client, state, event, &**k),
            Kind::Process(k) => self.run(&table.found, state, event, &**k),
            Kind::Tick(k) => {
                for (id, container) in &state.containers {
                    if container.running {
                        self.run_for(&table.tick, state, event, &**k, id);
                    }
                }
            }
            _ => {}
        }
        self.judge(state, event);
        if !self.memory.may_join.is_empty() && joining::join(&mut self.memory, &mut self.findings) {
            self.judge(state, event);
        }
    }

    /// Drops what rules remember of containers that no longer exist.
    fn forget_containers(&mut self, state: &State, event: &Event) {
        match (&event.kind, &event.container) {
            (Kind::Container(change), Some(id)) if change.action == ContainerAction::Removed => {
                self.rule_memories.forget(id);
            }
            (Kind::Tick(_), _) if self.rule_memories.len() > state.containers.len() => {
                self.rule_memories
                    .retain(|id| state.containers.contains_key(id));
            }
            _ => {}
        }
    }

    fn run<T>(&mut self, handlers: &Handlers<T>, state: &State, event: &Event, fact: &T) {
        // Rules examine containers; the host's own processes are only shown.
        if let Some(owner) = &event.container {
            self.run_for(handlers, state, event, fact, owner);
        }
    }

    fn run_for<T>(
        &mut self,
        handlers: &Handlers<T>,
        state: &State,
        event: &Event,
        fact: &T,
        owner: &ContainerId,
    ) {
        let first = handlers.first().map(|(rule, _)| *rule);
        let Some((mut ctx, mut memories)) =
            first.and_then(|first| self.context(state, event, owner, first))
        else {
            return;
        };
        for (rule, handler) in handlers {
            ctx.rule = &rule.info;
            let alerts = handler(&ctx, &mut memories, fact);
            if !alerts.is_empty() {
                correlation::record(&mut ctx, alerts);
            }
        }
    }

    /// The context of an event in a container, and the rules' memory of that container. `None` when
    /// the runtime acts: its set-up inside a container is not an attack.
    fn context<'a>(
        &'a mut self,
        state: &'a State,
        event: &'a Event,
        owner: &'a ContainerId,
        rule: &'static Rule,
    ) -> Option<(RuleContext<'a>, RuleMemories<'a>)> {
        let process = match event.pid {
            0 => None,
            pid => state
                .processes
                .get(&pid)
                .filter(|p| p.owner.as_ref() == Some(owner))
                .map(Arc::as_ref),
        };
        let container = state.containers.get(owner).map(Arc::as_ref);
        if process.is_some_and(|p| p.runtime) || container.is_some_and(|c| set_up(c, event)) {
            return None;
        }
        let ctx = RuleContext {
            state,
            event,
            settings: &self.settings,
            owner,
            container,
            process,
            memory: &mut self.memory,
            baselines: &self.baselines,
            findings: &mut self.findings,
            rule: &rule.info,
        };
        Some((ctx, self.rule_memories.of(owner)))
    }

    /// All findings, oldest first; never removed, only updated. One that has become a part of
    /// another keeps its place.
    #[must_use]
    pub fn findings(&self) -> &[Arc<Finding>] {
        self.findings.all()
    }

    /// A finding by its number, or the finding that it has become a part of.
    #[must_use]
    pub fn finding(&self, id: FindingId) -> Option<&Finding> {
        id.0.checked_sub(1)?;
        self.findings.get(FindingIndex::of(id)).map(Arc::as_ref)
    }

    /// Number of alerts dropped because there were too many findings.
    #[must_use]
    pub fn unreported(&self) -> u64 {
        self.findings.not_kept()
    }

    /// Indexes of the findings that the latest event raised or changed.
    pub(crate) fn latest(&self) -> &[FindingIndex] {
        self.findings.latest()
    }
}
