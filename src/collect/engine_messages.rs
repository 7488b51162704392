//! Attributes what engines report about containers, and completes their facts by it.

use super::collector::Collector;
use crate::containers::{EngineKind, EngineState, RuntimeMessage, merge};
use crate::event::{ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Kind, Timestamp};

impl Collector<'_> {
    /// Handles a message of an engine.
    pub(super) fn message(&mut self, message: RuntimeMessage) {
        match message {
            RuntimeMessage::Update(kind, mut update) => {
                // containerd reports no more about an end than the kernel does, and not sooner.
                if kind == EngineKind::Docker {
                    self.lifecycle.kept_by_engine(&update.id);
                }
                self.unwatched.reported(&update.id, &update.event);
                if matches!(update.event.action, ContainerAction::Died(_))
                    && !self.lifecycle.end(&update.id)
                {
                    update.event.action = ContainerAction::Info;
                }
                if let Some(info) = &mut update.event.info {
                    self.unreported.remove(&update.id);
                    if let Some(known) = self.facts.get(&update.id) {
                        merge::complete(info, known);
                    }
                    let info = info.clone();
                    self.know(&update.id, &info);
                }
                let copied = matches!(update.event.action, ContainerAction::CopiedIn);
                if let Some(scans) = self.scans.as_mut().filter(|_| copied) {
                    scans.copied_in(&update.id, &self.facts);
                }
                let kind = Kind::Container(Box::new(update.event));
                self.push(update.ts, Some(update.id), kind);
            }
            RuntimeMessage::Names(ts, id, names) => self.only_named(ts, id, &names),
            RuntimeMessage::Client(ts, id, pid, client) => {
                self.push_of(ts, Some(id), pid, 0, Kind::Client(Box::new(client)));
            }
            RuntimeMessage::State(kind, state) => {
                if kind == EngineKind::Docker && !matches!(state, EngineState::Connected { .. }) {
                    self.lifecycle.engine_lost();
                    self.unwatched.engine_lost();
                }
                self.shared.engines.lock().insert(kind, state);
            }
            RuntimeMessage::Lost(ts, lost) => self.push(ts, None, Kind::Lost(lost)),
        }
    }

    /// An engine listed a container whose facts it did not give: its names are those of the list.
    fn only_named(&mut self, ts: Timestamp, id: ContainerId, names: &ContainerInfo) {
        let known = self.facts.get(&id).map(|known| (**known).clone());
        let mut info = known.unwrap_or_default();
        if merge::name(&mut info, &id, names) {
            self.know(&id, &info);
            let event = ContainerEvent {
                action: ContainerAction::Info,
                info: Some(Box::new(info)),
            };
            self.push(ts, Some(id), Kind::Container(Box::new(event)));
        }
    }
}
