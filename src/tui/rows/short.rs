//! A finding in a few words, the fact that matters most among them: for columns of tables.

use crate::detect::Finding;

/// What each rule finds, in two or three words.
const LABELS: &[(&str, &str)] = &[
    ("base.call", "new call"),
    ("base.capability", "new capability"),
    ("base.connect", "new peer"),
    ("base.exec", "new program"),
    ("base.listen", "new port"),
    ("base.resolve", "new name"),
    ("base.secret", "new secret"),
    ("base.user", "new user"),
    ("base.write", "new write"),
    ("drift.exec-built", "built inside"),
    ("drift.exec-fileless", "no file"),
    ("drift.exec-modified", "changed program"),
    ("drift.exec-new", "new program"),
    ("drift.exec-refused", "refused program"),
    ("drift.exec-relocated", "moved program"),
    ("drift.exec-tmpfs", "tmpfs program"),
    ("drift.exec-volume", "volume program"),
    ("drift.library", "library"),
    ("drift.script", "script"),
    ("drift.snapshot", "files differ"),
    ("drift.startup", "start-up drift"),
    ("exec.compat", "32-bit code"),
    ("exec.masquerade", "disguised"),
    ("exec.miner", "miner"),
    ("exec.package-manager", "packages"),
    ("exec.pipe-to-shell", "piped to shell"),
    ("exec.session", "exec"),
    ("exec.shell-spawned", "server shell"),
    ("exec.shell-terminal", "terminal"),
    ("file.accounts", "accounts"),
    ("file.capability", "capabilities"),
    ("file.credential-read", "secret read"),
    ("file.cron", "cron"),
    ("file.etc-changed", "config"),
    ("file.host-write", "host write"),
    ("file.immutable", "immutable"),
    ("file.ld-preload", "preload"),
    ("file.loader-path", "loader path"),
    ("file.package-database", "package records"),
    ("file.package-sources", "package source"),
    ("file.pam", "PAM"),
    ("file.program-changed", "program changed"),
    ("file.service", "service"),
    ("file.setuid", "setuid"),
    ("file.shell-startup", "shell start-up"),
    ("file.ssh-access", "ssh access"),
    ("file.sudoers", "sudoers"),
    ("file.traces-cleared", "traces cleared"),
    ("file.trust-store", "trust store"),
    ("file.watched", "watched path"),
    ("file.world-writable", "world-writable"),
    ("life.age", "too old"),
    ("life.image-moved", "image moved"),
    ("life.image-unpinned", "unpinned image"),
    ("life.out-of-memory", "out of memory"),
    ("life.restart-loop", "keeps restarting"),
    ("net.cloud-metadata", "cloud metadata"),
    ("net.cluster-api", "cluster API"),
    ("net.dns-tunnel", "DNS tunnel"),
    ("net.listen-new", "listens"),
    ("net.new-destination", "new address"),
    ("net.new-name", "new name"),
    ("net.raw-socket", "raw socket"),
    ("net.reverse-shell", "reverse shell"),
    ("net.runtime-api", "runtime API"),
    ("net.scan", "scan"),
    ("priv.became-root", "became root"),
    ("priv.capability-new", "capability"),
    ("priv.device", "device"),
    ("priv.kernel", "kernel"),
    ("priv.kernel-setting", "kernel setting"),
    ("priv.memory-file", "memory file"),
    ("priv.mount", "mount"),
    ("priv.namespace", "namespace"),
    ("priv.process-access", "process access"),
    ("priv.root-changed", "root changed"),
    ("priv.runtime-overwrite", "runtime overwrite"),
    ("priv.unusual-call", "unusual call"),
];

/// `cron: /etc/cron.d/x`; a rule without a label shows its title. Escaped.
pub(in crate::tui) fn short(finding: &Finding) -> String {
    let known = LABELS.iter().find(|(rule, _)| *rule == finding.rule);
    let Some((_, label)) = known else {
        return finding.title.clone();
    };
    match fact(finding) {
        Some(fact) => format!("{label}: {fact}"),
        None => (*label).to_owned(),
    }
}

/// Its object: the part of the title after the rule's words, else the subject.
fn fact(finding: &Finding) -> Option<String> {
    if let Some((_, told)) = finding.title.split_once(": ") {
        return Some(told.to_owned());
    }
    // Some rules gather all they see under a word of their own.
    let gathers = |subject: &[u8]| subject.iter().all(u8::is_ascii_lowercase);
    let things = finding.things();
    let thing = things.first().filter(|thing| !gathers(thing))?;
    Some(match things.len() - 1 {
        0 => thing.escaped().to_string(),
        more => format!("{} +{more}", thing.escaped()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::demo;

    #[test]
    fn every_rule_has_a_label_and_every_label_a_rule() {
        let mut rules: Vec<&str> = crate::detect::rules::catalogue()
            .iter()
            .map(|rule| rule.id)
            .collect();
        let mut labels: Vec<&str> = LABELS.iter().map(|(rule, _)| *rule).collect();
        rules.sort_unstable();
        labels.sort_unstable();
        assert_eq!(rules, labels);
    }

    #[test]
    fn the_fact_that_matters_is_told() {
        let core = demo();
        let told = |rule: &str| {
            let mut findings = core.detector.findings().iter();
            short(findings.find(|finding| finding.rule == rule).unwrap())
        };
        assert_eq!(told("file.cron"), "cron: /etc/cron.d/backup");
        assert_eq!(told("drift.exec-new"), "new program: /tmp/.kworker");
        assert_eq!(
            told("net.cloud-metadata"),
            "cloud metadata: 169.254.169.254"
        );
        assert!(told("exec.session").starts_with("exec: sh -c"));
    }
}
