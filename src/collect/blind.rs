//! Kinds of facts that this host cannot provide, and the rules that are blind without them.

use std::collections::BTreeMap;

use crate::detect::rules::catalogue;
use crate::detect::{Requirement, RuleInfo};
use crate::probe::Report;
use crate::recording::BlindRule;

/// Kinds of facts by the kernel program that provides them.
const GIVEN: &[(&str, &[Requirement])] = &[
    (
        "file_exit",
        &[
            Requirement::File,
            Requirement::Read,
            Requirement::MapExec,
            Requirement::ExecRefused,
        ],
    ),
    ("attribute_exit", &[Requirement::Attribute]),
    ("privilege_exit", &[Requirement::Privilege]),
    ("net_exit", &[Requirement::Connect, Requirement::Listen]),
    ("capability_check", &[Requirement::Capability]),
    ("dns_ingress", &[Requirement::Dns]),
];

/// Missing kinds of facts, each with the reason.
pub type Missing = BTreeMap<Requirement, String>;

/// The kinds of facts that are missing by the probes' report; `engine` is whether an engine is
/// queried.
#[must_use]
pub fn missing(report: &Report, engine: bool) -> Missing {
    let mut missing = Missing::new();
    for (program, why) in &report.refused {
        for (given, facts) in GIVEN {
            if given == program {
                let why = format!("this kernel refused the program {program}: {why}");
                missing.extend(facts.iter().map(|fact| (*fact, why.clone())));
            }
        }
    }
    if !engine {
        missing.insert(Requirement::Engine, "no engine is queried".to_owned());
    }
    missing
}

/// Why a rule is blind, if it is.
#[must_use]
pub fn why(rule: &RuleInfo, missing: &Missing) -> Option<BlindRule> {
    let (fact, why) = rule
        .needs
        .iter()
        .find_map(|fact| missing.get_key_value(fact))?;
    Some(BlindRule {
        rule: rule.id.to_owned(),
        why: format!("it needs {}: {why}", fact.name()),
    })
}

/// The rules that are blind, by id.
#[must_use]
pub fn rules(missing: &Missing) -> Vec<BlindRule> {
    let blind = catalogue().iter().filter_map(|rule| why(rule, missing));
    blind.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_program_blinds_the_rules_of_its_facts() {
        let mut report = Report::default();
        assert!(rules(&missing(&report, true)).is_empty());
        let refused = (
            "capability_check".to_owned(),
            "no such tracepoint".to_owned(),
        );
        report.refused.push(refused);
        let blind = rules(&missing(&report, true));
        let rules_named: Vec<_> = blind.iter().map(|rule| rule.rule.as_str()).collect();
        assert_eq!(rules_named, ["base.capability", "priv.capability-new"]);
        assert!(blind.iter().all(|b| b.why.contains("no such tracepoint")));
        let without = rules(&missing(&report, false));
        assert!(without.iter().any(|b| b.rule == "life.age"), "{without:?}");
    }

    /// Facts that need no kernel program beyond those without which nothing starts.
    const ALWAYS: &[Requirement] = &[Requirement::Exec, Requirement::Compare, Requirement::Engine];

    #[test]
    fn every_fact_some_rule_needs_can_be_reported_missing() {
        let needs = catalogue().iter().flat_map(|rule| rule.needs);
        for fact in needs.filter(|fact| !ALWAYS.contains(fact)) {
            let mut given = GIVEN.iter();
            assert!(given.any(|(_, facts)| facts.contains(fact)), "{fact:?}");
        }
    }

    #[test]
    fn refused_starts_come_from_the_program_of_file_operations() {
        let report = Report {
            refused: vec![("file_exit".to_owned(), "no".to_owned())],
            ..Report::default()
        };
        let blind = rules(&missing(&report, true));
        assert!(blind.iter().any(|b| b.rule == "drift.exec-refused"));
    }

    #[test]
    fn every_fact_of_a_program_is_one_some_rule_needs() {
        for fact in GIVEN.iter().flat_map(|(_, facts)| *facts) {
            let mut rules = catalogue().iter();
            assert!(rules.any(|rule| rule.needs.contains(fact)), "{fact:?}");
        }
    }
}
