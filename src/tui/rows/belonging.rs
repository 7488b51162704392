//! The pod, namespace and runtime of a row's container: what the filter words `pod=`, `ns=` and
//! `runtime=` compare, on every screen.

use super::row::{Belonging, RowKey};
use crate::core::Core;
use crate::event::{ContainerId, escape};

/// The words, in the order of [`Belonging`]'s texts.
pub(in crate::tui) const WORDS: [&str; 3] = ["pod", "ns", "runtime"];

/// The container of a row.
pub(in crate::tui) fn container_of(core: &Core, key: &RowKey) -> Option<ContainerId> {
    match key {
        RowKey::Container(id) | RowKey::Build(id) => Some(id.clone()),
        RowKey::Incident(id) => core.incident(*id).map(|i| i.container),
        RowKey::Finding(id) => {
            let finding = core.detector.finding(*id);
            finding.and_then(|finding| finding.container.clone())
        }
        RowKey::Process(pid) => {
            let process = core.state.processes.get(pid);
            process.and_then(|process| process.owner.clone())
        }
        RowKey::Connection(key) => key.owner.clone(),
        RowKey::File(key) => key.owner.clone(),
        RowKey::Event(seq) => {
            let event = core.state.recent.event(*seq);
            event.and_then(|event| event.container.clone())
        }
        RowKey::Image(_) | RowKey::Since(_) | RowKey::Machine | RowKey::FileTree => None,
    }
}

/// The pod, namespace and runtime of a row's container.
pub(in crate::tui) fn belonging(core: &Core, key: &RowKey) -> Belonging {
    let container = container_of(core, key);
    let container = container.and_then(|id| core.state.containers.get(&id));
    let Some(info) = container.map(|container| &container.info) else {
        return Belonging::default();
    };
    let shown = |text: &str| escape(text.as_bytes()).to_string().to_lowercase();
    let pod = info.pod.as_ref();
    [
        pod.map_or_else(String::new, |pod| {
            shown(&format!("{}/{}", pod.namespace, pod.name))
        }),
        pod.map_or_else(String::new, |pod| shown(&pod.namespace)),
        info.runtime.word().to_owned(),
    ]
}
