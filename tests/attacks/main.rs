//! Attacks in real containers: each must be one finding of the right rule and severity, with
//! nothing else at medium or above. The scenarios are the TOML files in this directory.

#![allow(clippy::unwrap_used)]

mod build;
mod incident;
#[path = "../scenarios/mod.rs"]
mod scenarios;

use hullwatch::detect::Severity;
use scenarios::batch::Ran;
use scenarios::report::{Table, line};

/// Checks an attack: each expected finding exists once, and no other at medium or above.
fn check(table: &mut Table, ran: &Ran) {
    let mut faults = Vec::new();
    let expected = &ran.scenario.expect;
    for wanted in expected {
        let all: Vec<_> = ran
            .findings
            .iter()
            .filter(|f| f.rule == wanted.rule)
            .collect();
        match all.as_slice() {
            [] => {
                table.missed += 1;
                faults.push(format!("missed {} {}", wanted.severity, wanted.rule));
            }
            [one] if one.severity != wanted.severity => {
                table.missed += 1;
                faults.push(format!("not {}: {}", wanted.severity, line(one)));
            }
            [one] => {
                let missing = wanted.missing_facts(one);
                if missing.is_empty() {
                    table.flagged += 1;
                } else {
                    table.missed += 1;
                    let why = one.why.join("\n");
                    faults.push(format!("{} lacks {missing:?}:\n{why}", one.rule));
                }
            }
            many => {
                table.extra += many.len() - 1;
                let all: Vec<_> = many.iter().map(|f| line(f)).collect();
                faults.push(format!("{} findings: {}", many.len(), all.join("; ")));
            }
        }
    }
    for finding in ran
        .findings
        .iter()
        .filter(|f| f.severity >= Severity::Medium)
    {
        if !expected.iter().any(|e| e.rule == finding.rule) {
            table.extra += 1;
            faults.push(format!("extra {}", line(finding)));
        }
    }
    table.row(ran, &faults);
}

#[test]
fn every_attack_is_one_finding() {
    if !scenarios::ready() {
        return;
    }
    let mut table = Table::default();
    for ran in scenarios::batch::run(scenarios::load("attacks")) {
        check(&mut table, &ran);
    }
    table.finish("attacks");
}
