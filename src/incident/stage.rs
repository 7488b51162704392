//! The attack stage of a finding, and how strongly it indicates a break-in.

use serde::Serialize;

use crate::detect::{ChainLink, Finding, Planted, planted};
use crate::event::Severity;

/// An attack stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Short name in the trade's terms, e.g. `reverse shell`.
    pub name: &'static str,
    /// How strongly a critical finding of this stage indicates that an intruder controls the
    /// container: 0 (context only) to 100.
    #[serde(skip)]
    pub weight: u32,
}

/// From this weight on the stage alone indicates that an intruder controls the container.
const DECISIVE: u32 = 50;

/// Rules without a stage: their findings never belong to an incident.
const OUTSIDE: &[&str] = &[
    "drift.exec-built",
    "drift.startup",
    "exec.package-manager",
    "file.package-database",
    "file.watched",
    "life.",
    "net.new-",
    "priv.capability-new",
];

/// Stages of rules that are not listed in [`STAGES`], by the beginning of their id.
const FAMILIES: &[(&str, Stage)] = &[
    ("base.", stage("deviation", 10)),
    ("drift.", stage("changed files", 30)),
    ("exec.", stage("unexpected program", 20)),
    ("file.", stage("file change", 15)),
    ("net.", stage("network activity", 15)),
    ("priv.", stage("privileged call", 20)),
];

/// Stages by rule id.
const STAGES: &[(&str, Stage)] = &[
    ("exec.shell-spawned", stage("server shell", 60)),
    ("net.reverse-shell", stage("reverse shell", 100)),
    ("exec.miner", stage("miner", 90)),
    ("drift.exec-fileless", stage("fileless program", 80)),
    ("drift.exec-new", stage("dropped program", 70)),
    ("drift.exec-modified", stage("changed program", 70)),
    ("drift.exec-tmpfs", stage("dropped program", 70)),
    ("drift.exec-volume", stage("dropped program", 50)),
    ("drift.exec-relocated", stage("copied program", 40)),
    ("drift.exec-refused", stage("refused program", 20)),
    ("drift.script", stage("dropped script", 30)),
    ("drift.library", stage("injected library", 60)),
    ("drift.snapshot", stage("changed files", 30)),
    ("exec.pipe-to-shell", stage("piped script", 50)),
    ("exec.masquerade", stage("disguised program", 50)),
    ("exec.shell-terminal", stage("interactive shell", 40)),
    ("exec.session", stage("exec session", 0)),
    ("file.cron", stage("cron job", 60)),
    ("file.service", stage("service", 40)),
    ("file.shell-startup", stage("shell start-up file", 40)),
    ("file.ssh-access", stage("SSH key", 60)),
    ("file.accounts", stage("account", 50)),
    ("file.sudoers", stage("sudo rights", 50)),
    ("file.pam", stage("login check", 60)),
    ("file.ld-preload", stage("preloaded library", 80)),
    ("file.loader-path", stage("library path", 50)),
    ("file.package-sources", stage("package source", 20)),
    ("file.program-changed", stage("program file", 30)),
    ("file.setuid", stage("setuid program", 50)),
    ("file.traces-cleared", stage("cleared logs", 40)),
    ("file.world-writable", stage("file permissions", 15)),
    ("file.host-write", stage("write to the host", 60)),
    ("file.credential-read", stage("credential read", 15)),
    ("file.many-replaced", stage("replaced files", 80)),
    ("file.many-destroyed", stage("destroyed files", 81)),
    ("file.etc-changed", stage("configuration", 10)),
    ("net.scan", stage("port scan", 50)),
    ("net.cloud-metadata", stage("cloud metadata", 30)),
    ("net.cluster-api", stage("cluster API", 20)),
    ("net.runtime-api", stage("runtime API", 50)),
    ("net.dns-tunnel", stage("DNS tunnel", 30)),
    ("net.listen-new", stage("new listener", 20)),
    ("net.raw-socket", stage("raw socket", 15)),
    ("net.tunnel", stage("tunnel", 40)),
    ("priv.became-root", stage("became root", 50)),
    ("priv.device", stage("raw device", 60)),
    ("priv.kernel", stage("kernel code", 80)),
    ("priv.kernel-setting", stage("kernel setting", 60)),
    ("priv.memory-file", stage("kernel memory", 60)),
    ("priv.mount", stage("mount", 40)),
    ("priv.namespace", stage("namespace", 30)),
    ("priv.process-access", stage("process injection", 60)),
    ("priv.root-changed", stage("root change", 40)),
    ("priv.runtime-overwrite", stage("runtime overwrite", 100)),
    ("priv.unusual-call", stage("unusual call", 10)),
];

/// The rule on shells of servers: what its links name are scripts that such a shell wrote.
const SERVER_SHELL: &str = "exec.shell-spawned";
/// The rule on scripts that are not in the image.
const SCRIPT: &str = "drift.script";
/// The rule on differences from the image whose author is unknown.
const SNAPSHOT: &str = "drift.snapshot";
/// A sensitive file of that rule at no special path: a program, script or library.
const PLANTED: Stage = stage("dropped program", 60);
/// A file that a web server runs for a request.
const WEB_SCRIPT: Stage = stage("web script", 60);

const fn stage(name: &'static str, weight: u32) -> Stage {
    Stage { name, weight }
}

impl Stage {
    /// The stage of a finding; `None` without one.
    #[must_use]
    pub fn of(finding: &Finding) -> Option<Self> {
        if finding.rule != SNAPSHOT || finding.severity < Severity::High {
            return Self::of_rule(&finding.rule);
        }
        // A file planted before watching began counts like one seen to be planted.
        let thing = finding.things().first();
        Some(match thing.map_or(Planted::Code, |thing| planted(thing)) {
            Planted::AsBy(rule) => return Self::of_rule(rule),
            Planted::WebScript => WEB_SCRIPT,
            Planted::Code => PLANTED,
        })
    }

    /// The stage of a later action of a finding's processes; `None` without one.
    #[must_use]
    pub(super) fn of_link(link: &ChainLink) -> Option<Self> {
        if link.rule != SERVER_SHELL {
            return Self::of_rule(&link.rule);
        }
        match planted(&link.subject) {
            Planted::WebScript => Some(WEB_SCRIPT),
            Planted::AsBy(rule) => Self::of_rule(rule),
            Planted::Code => Self::of_rule(SCRIPT),
        }
    }

    /// The stage of findings of `rule`.
    #[must_use]
    fn of_rule(rule: &str) -> Option<Self> {
        if OUTSIDE.iter().any(|prefix| rule.starts_with(prefix)) {
            return None;
        }
        let listed = STAGES.iter().find(|(id, _)| *id == rule);
        let family = || FAMILIES.iter().find(|(prefix, _)| rule.starts_with(prefix));
        listed.or_else(family).map(|(_, stage)| *stage)
    }

    /// The contribution of a finding of this stage to an incident's rank, in hundredths of a
    /// weight.
    #[must_use]
    pub(super) fn score(self, severity: Severity) -> u32 {
        let share = match severity {
            Severity::Critical => 100,
            Severity::High => 80,
            Severity::Medium => 30,
            Severity::Low => 5,
            Severity::Info => 0,
        };
        self.weight * share
    }

    /// Whether a finding of this stage alone makes an intruder likely.
    #[must_use]
    pub(super) fn decisive(self, severity: Severity) -> bool {
        self.weight >= DECISIVE && severity >= Severity::High
    }
}

/// The stages as one line, e.g. `server shell › reverse shell › miner`.
#[must_use]
pub fn sentence(stages: &[Stage], arrow: &str) -> String {
    let names: Vec<&str> = stages.iter().map(|stage| stage.name).collect();
    names.join(&format!(" {arrow} "))
}

/// Whether there are at least two different stages other than context.
#[must_use]
pub fn is_chain(stages: &[Stage]) -> bool {
    stages.iter().filter(|stage| stage.weight > 0).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::rules;

    #[test]
    fn every_listed_rule_exists() {
        let known: Vec<&str> = rules::catalogue().iter().map(|info| info.id).collect();
        for (id, _) in STAGES {
            assert!(known.contains(id), "no rule {id}");
        }
        for prefix in OUTSIDE {
            assert!(
                known.iter().any(|id| id.starts_with(prefix)),
                "no rule {prefix}"
            );
        }
    }

    #[test]
    fn many_weak_findings_do_not_outweigh_a_decisive_one() {
        let reads = Stage::of_rule("file.credential-read").map(|s| s.score(Severity::High));
        let shell = Stage::of_rule("net.reverse-shell").map(|s| s.score(Severity::High));
        assert!(reads < shell);
    }
}
