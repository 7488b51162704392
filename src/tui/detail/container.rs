//! Facts of a container: identity, security, storage, networks, exec sessions, image drift.

use super::line::{DetailLine, fact, heading};
use crate::core::Core;
use crate::event::{Bytes, ContainerId, ContainerInfo, escape};
use crate::state::{Container, Lineage};
use crate::tui::rows::{self, Query};
use crate::tui::text::{bytes, span, things};

/// Labels of Compose and Kubernetes come first: project, service, pod.
const PART_OF: &[&str] = &["com.docker.compose.", "io.kubernetes."];

/// Facts of a container; `None` when it is gone.
pub(super) fn facts(core: &Core, query: &Query<'_>, id: &ContainerId) -> Option<Vec<DetailLine>> {
    let container: &Container = core.state.containers.get(id)?;
    let info = &container.info;
    let mut facts = identity(core, query, container);
    facts.extend(security(info));
    facts.extend(surroundings(info));
    facts.extend(sessions(core, id));
    let used: Vec<_> = container.capabilities.iter().cloned().collect();
    facts.push(fact("capabilities used", used.join(" ")));
    if let Some((at, scan)) = container.scan() {
        facts.push(heading("Compared with the image"));
        facts.push(fact("when", query.zone.exact(at)));
        facts.push(fact("outcome", scan.headline()));
        facts.extend(
            scan.packages
                .iter()
                .map(|p| fact("package", crate::drift::package_line(p))),
        );
        facts.extend(scan.problems.iter().map(|p| fact("problem", p.clone())));
        facts.extend(scan.entries.iter().map(|entry| {
            fact(
                entry.class.title(),
                format!("{} {}", rows::word(&entry.difference), entry.path.escaped()),
            )
        }));
        if scan.unlisted > 0 {
            facts.push(fact(
                "",
                format!("{} more: hullwatch drift lists them", scan.unlisted),
            ));
        }
    }
    facts.retain(|line| !line.blank());
    // Facts from the engine may come from the image.
    for line in &mut facts {
        if let Some(text) = &mut line.text {
            *text = escape(text.as_bytes()).to_string();
        }
    }
    Some(facts)
}

fn list(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|w| w.escaped().to_string()).collect();
    words.join(" ")
}

/// Its identity, times, use and limits.
fn identity(core: &Core, query: &Query<'_>, container: &Container) -> Vec<DetailLine> {
    let info = &container.info;
    let time =
        |t: Option<crate::event::Timestamp>| t.map_or_else(String::new, |t| query.zone.exact(t));
    let age = container
        .started()
        .map_or_else(String::new, |t| span(core.state.now.since(t)));
    let ended = container.ended.map_or_else(String::new, |at| {
        let code = container.exit_code;
        let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
        format!("{}{code}", query.zone.exact(at))
    });
    let limits = &info.limits;
    let mut limited = Vec::new();
    if limits.cpu_milli > 0 {
        limited.push(format!("{:.2} cores", f64::from(limits.cpu_milli) / 1000.0));
    }
    if limits.memory > 0 {
        limited.push(format!("{} memory", bytes(limits.memory)));
    }
    if limits.pids > 0 {
        limited.push(things(limits.pids.into(), "task"));
    }
    let cpu = container.cpu_milli;
    let used = format!(
        "CPU {}.{} %, memory {}, {}",
        cpu / 10,
        cpu % 10,
        bytes(container.memory),
        things(container.pids.into(), "task")
    );
    vec![
        fact("id", container.id.as_str()),
        fact("state", rows::container_state(container)),
        fact("runtime", rows::word(&info.runtime)),
        fact("image", info.image.escaped().to_string()),
        fact("digest", info.image_digest.clone()),
        fact("command", list(&info.command)),
        fact("started", format!("{} ({age} ago)", time(info.started))),
        fact("ended", ended),
        fact("created", time(info.created)),
        fact("restarts", info.restarts.to_string()),
        fact("restart policy", info.restart_policy.clone()),
        fact("health", info.health.clone()),
        fact("uses", used),
        fact("limits", limited.join(", ")),
        fact("lost events", container.lost.to_string()),
    ]
}

fn security(info: &ContainerInfo) -> Vec<DetailLine> {
    let security = &info.security;
    vec![
        fact("user", info.user.escaped().to_string()),
        fact("privileged", security.privileged.to_string()),
        fact("capabilities added", security.cap_add.join(" ")),
        fact("capabilities dropped", security.cap_drop.join(" ")),
        fact("seccomp", security.seccomp.clone()),
        fact("AppArmor", security.apparmor.clone()),
        fact("read-only root", security.readonly_root.to_string()),
        fact("no new privileges", security.no_new_privileges.to_string()),
        fact("pid namespace", security.pid_mode.clone()),
        fact("IPC namespace", security.ipc_mode.clone()),
        fact("UTS namespace", security.uts_mode.clone()),
        fact("user namespace", security.user_mode.clone()),
        fact("devices", list(&security.devices)),
        fact("shared mounts", list(&security.shared_mounts)),
    ]
}

/// Storage, mounts, networks, ports and labels.
fn surroundings(info: &ContainerInfo) -> Vec<DetailLine> {
    let mut facts = vec![
        fact("storage", info.storage.driver.clone()),
        fact("upper directory", info.storage.upper.escaped().to_string()),
    ];
    let lower = info.storage.lower.iter();
    facts.extend(lower.map(|layer| fact("layer", layer.escaped().to_string())));
    facts.extend(info.mounts.iter().map(|m| {
        let mode = if m.writable { "rw" } else { "ro" };
        fact(
            "mount",
            format!(
                "{} ← {} {mode}",
                m.destination.escaped(),
                m.source.escaped()
            ),
        )
    }));
    facts.push(fact("network mode", info.security.network_mode.clone()));
    facts.extend(info.networks.iter().map(|(n, a)| {
        fact(
            "network",
            format!("{} {}", escape(n.as_bytes()), escape(a.as_bytes())),
        )
    }));
    facts.extend(
        info.ports
            .iter()
            .map(|p| fact("port", format!("{} → {}", p.host, p.container))),
    );
    let (first, other): (Vec<_>, Vec<_>) = info
        .labels
        .iter()
        .partition(|(key, _)| PART_OF.iter().any(|start| key.starts_with(start)));
    facts.extend(first.into_iter().chain(other).map(|(key, value)| {
        let key = escape(key.as_bytes());
        fact("label", format!("{key}={}", value.escaped()))
    }));
    facts
}

/// Exec sessions: commands started in it from the host, such as `docker exec`.
fn sessions(core: &Core, id: &ContainerId) -> Vec<DetailLine> {
    let inside = core.state.processes.values().filter(|p| {
        p.owner.as_ref() == Some(id)
            && p.exited.is_none()
            && p.lineage == Lineage::ExecSession(p.pid)
    });
    let line = |p: &crate::state::ProcessEntry| {
        let since = span(core.state.now.since(p.started));
        fact(
            "exec session",
            format!("{since}  {} (host pid {})", rows::command(p), p.pid),
        )
    };
    inside.map(|process| line(process)).collect()
}
