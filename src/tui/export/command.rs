//! The engine command that shows more about a row: shown and copied, never run.

use crate::core::Core;
use crate::event::{Bytes, ContainerId};
use crate::response::{Inquiry, inquire};
use crate::tui::rows::RowKey;
use crate::tui::ui::Ui;

/// The command line, quoted for a shell; `None` where there is none.
pub(super) fn engine_command(core: &Core, ui: &Ui, key: &RowKey) -> Option<String> {
    let state = &core.state;
    let of = |owner: &Option<ContainerId>| owner.clone().or_else(|| ui.at.container.clone());
    let (container, what) = match key {
        RowKey::Container(id) => (id.clone(), Inquiry::Container),
        RowKey::Process(pid) => (of(&state.processes.get(pid)?.owner)?, Inquiry::Processes),
        RowKey::Incident(id) => {
            let incident = core.incident(*id)?;
            (incident.container.clone(), Inquiry::Log(incident.first))
        }
        RowKey::Finding(id) => {
            let finding = core.detector.finding(*id)?;
            (of(&finding.container)?, Inquiry::Log(finding.first))
        }
        RowKey::Connection(key) => (of(&key.owner)?, Inquiry::Network),
        RowKey::File(key) => (of(&key.owner)?, file(&key.path)),
        RowKey::Image(_) | RowKey::Since(_) | RowKey::Machine | RowKey::FileTree => return None,
        RowKey::Event(_) | RowKey::Build(_) => return None,
    };
    let host = ui.responding.docker_host.as_deref();
    inquire(state, &container, host, &what)
}

/// The file itself; for a path that could mislead its reader, all changed files.
fn file(path: &Bytes) -> Inquiry<'_> {
    let plain = path.escaped().to_string().as_bytes() == &***path;
    if plain {
        Inquiry::File(path)
    } else {
        Inquiry::ChangedFiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_misleads_is_not_copied() {
        for path in ["/etc/passwd", "/tmp/a b;reboot", "/tmp/$(id)"] {
            let path = path.into();
            assert_eq!(file(&path), Inquiry::File(&path));
        }
        for path in [&b"/tmp/a\nb"[..], "/tmp/\u{202e}x".as_bytes(), b"/tmp/\xff"] {
            assert_eq!(file(&Bytes::new(path)), Inquiry::ChangedFiles);
        }
    }
}
