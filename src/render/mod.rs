//! Advice in the format of each tool that starts containers: one file for each target.
//!
//! Whatever comes from a container is quoted for its target: the lines are pasted into a shell.

mod apparmor;
mod cilium;
mod compose;
mod kubernetes;
mod nftables;
mod peers;
mod run;
mod seccomp;
mod text;

use serde_json::{Value, json};

use crate::advice::{Advice, Setting};
use crate::baseline::Baseline;

pub use seccomp::seccomp_profile;

/// Output formats of advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HardenFormat {
    /// Options of docker run.
    Run,
    /// An override for docker compose.
    Compose,
    /// A patch of a Kubernetes container.
    Kubernetes,
    /// Options of podman run.
    Podman,
    /// A Cilium network policy: the peers by name.
    Cilium,
    /// nftables rules: the peers by address.
    Nftables,
    /// An AppArmor profile.
    Apparmor,
    /// A seccomp profile (with --seccomp).
    Seccomp,
    /// All advice with verdicts and evidence.
    Json,
}

/// The advice to follow, in a format. `name` is the service's.
#[must_use]
pub fn render(format: HardenFormat, name: &str, baseline: &Baseline, advice: &[Advice]) -> String {
    match format {
        HardenFormat::Run => run::render("docker", advice),
        HardenFormat::Podman => run::render("podman", advice),
        HardenFormat::Compose => compose::render(name, advice),
        HardenFormat::Kubernetes => kubernetes::render(name, baseline, advice),
        HardenFormat::Cilium => cilium::render(name, advice),
        HardenFormat::Nftables => nftables::render(name, advice),
        HardenFormat::Apparmor => apparmor::render(name, baseline, advice),
        HardenFormat::Seccomp => seccomp::render(advice),
        HardenFormat::Json => json_text(baseline, advice),
    }
}

/// The setting of an advice in one line.
#[must_use]
pub fn words(setting: &Setting) -> String {
    match setting {
        Setting::SeccompDefault => "seccomp profile of the engine".to_owned(),
        Setting::Seccomp(profile) => {
            format!("custom seccomp profile: {} calls", profile.allowed.len())
        }
        Setting::InternalNetwork => "a network without outside access (internal)".to_owned(),
        Setting::Peers(_) => "outgoing connections to these peers only".to_owned(),
        setting => run::options("docker", setting).join(" "),
    }
}

fn json_text(baseline: &Baseline, advice: &[Advice]) -> String {
    let setting = |setting: &Setting| match setting {
        Setting::Capabilities(add) => json!({"drop": ["ALL"], "add": add}),
        Setting::NoNewPrivileges => json!(true),
        Setting::ReadOnly(directories) => {
            let list = directories.iter().map(|d| {
                json!({
                    "path": d.path, "kind": if d.volume { "volume" } else { "tmpfs" },
                    "exec": d.exec, "uid": d.uid, "size_mib": d.size,
                })
            });
            json!({"writable": list.collect::<Vec<_>>()})
        }
        Setting::Memory(bytes) => json!(bytes),
        Setting::Pids(tasks) => json!(tasks),
        Setting::User(uid) => json!(uid),
        Setting::Seccomp(profile) => json!({
            "allow": profile.allowed, "remove": profile.removed,
        }),
        Setting::SeccompDefault => json!("default"),
        Setting::NoNetwork => json!("none"),
        Setting::InternalNetwork => json!("internal"),
        Setting::Peers(peers) => json!({"peers": peers}),
    };
    let list: Vec<Value> = advice
        .iter()
        .map(|a| {
            json!({
                "advice": a.setting.name(),
                "verdict": a.verdict.name(),
                "setting": setting(&a.setting),
                "why": a.why,
            })
        })
        .collect();
    let all = json!({
        "image": baseline.image,
        "readiness": crate::baseline::readiness(baseline).percent,
        "advice": list,
    });
    let text = all.to_string();
    let text = crate::event::escape_json(text.as_bytes());
    format!("{}\n", String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests;
