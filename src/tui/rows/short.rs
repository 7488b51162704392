//! A finding in a few words, with its most important fact: for columns of tables.

use crate::detect::{Finding, rules};

/// `cron: /etc/cron.d/x`; one of a rule that this version does not have shows its title. Escaped.
pub(in crate::tui) fn short(finding: &Finding) -> String {
    let Some(label) = rules::info(&finding.rule).map(|rule| rule.label) else {
        return finding.title.clone();
    };
    match fact(finding) {
        Some(fact) => format!("{label}: {fact}"),
        None => label.to_owned(),
    }
}

/// Its object: the part of the title after the rule's words, else the subject.
fn fact(finding: &Finding) -> Option<String> {
    if let Some((_, object)) = finding.title.split_once(": ") {
        return Some(object.to_owned());
    }
    // Some rules collect all subjects under a word of their own.
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
    fn the_fact_that_matters_is_reported() {
        let core = demo();
        let object = |rule: &str| {
            let mut findings = core.detector.findings().iter();
            short(findings.find(|finding| finding.rule == rule).unwrap())
        };
        assert_eq!(object("file.cron"), "cron: /etc/cron.d/backup");
        assert_eq!(object("drift.exec-new"), "new program: /tmp/.kworker");
        assert_eq!(
            object("net.cloud-metadata"),
            "cloud metadata: 169.254.169.254"
        );
        assert!(object("exec.session").starts_with("exec: sh -c"));
    }
}
