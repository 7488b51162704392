//! The docker command that looks at the same thing: shown and copied, never run.

use crate::core::Core;
use crate::event::{Bytes, ContainerId};
use crate::tui::rows::RowKey;
use crate::tui::ui::Ui;

/// The command that says more of a row, quoted for a shell; `None` where there is none.
pub(super) fn docker(core: &Core, ui: &Ui, key: &RowKey) -> Option<String> {
    let state = &core.state;
    let of = |owner: &Option<ContainerId>| owner.clone().or_else(|| ui.at.container.clone());
    match key {
        RowKey::Container(id) => Some(format!("docker inspect {}", id.as_str())),
        RowKey::Process(pid) => {
            let owner = of(&state.processes.get(pid)?.owner)?;
            Some(format!(
                "docker top {} -eo pid,ppid,user,args",
                owner.as_str()
            ))
        }
        RowKey::Incident(id) => {
            let incident = core.incident(*id)?;
            let container = incident.container.as_str();
            Some(format!("docker pause {container}"))
        }
        RowKey::Finding(id) => {
            let finding = core.detector.findings().iter().find(|f| f.id == *id)?;
            Some(format!(
                "docker logs --timestamps --since {} {}",
                finding.first,
                of(&finding.container)?.as_str()
            ))
        }
        RowKey::Connection(key) => {
            let owner = of(&key.owner)?;
            Some(format!(
                "docker inspect --format '{{{{json .NetworkSettings}}}}' {}",
                owner.as_str()
            ))
        }
        RowKey::File(key) => {
            let owner = of(&key.owner)?;
            Some(match quoted(owner.as_str(), &key.path) {
                Some(from) => format!("docker cp {from} -"),
                None => format!("docker diff {}", owner.as_str()),
            })
        }
        RowKey::Image(_) | RowKey::Since(_) | RowKey::Machine | RowKey::FileTree => None,
        RowKey::Event(_) => None,
    }
}

/// `ID:PATH` in a shell's words; `None` for a path that a terminal should not be pasted.
fn quoted(id: &str, path: &Bytes) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    // Whatever is escaped when it is shown could act when it is pasted.
    if Bytes::from(path).escaped().to_string() != path {
        return None;
    }
    let word = format!("{id}:{path}");
    shlex::try_quote(&word)
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_left_out() {
        let quote = |path: &str| quoted("ab", &path.into());
        assert_eq!(quote("/etc/passwd").unwrap(), "ab:/etc/passwd");
        assert_eq!(quote("/tmp/a b;reboot").unwrap(), "'ab:/tmp/a b;reboot'");
        assert_eq!(quote("/tmp/$(id)").unwrap(), "'ab:/tmp/$(id)'");
        assert_eq!(quote("/tmp/a\nb"), None);
        assert_eq!(quote("/tmp/\u{202e}x"), None);
        assert_eq!(quoted("ab", &Bytes::new(b"/tmp/\xff")), None);
    }
}
