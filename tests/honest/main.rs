//! Honest workloads in real containers: none may raise anything at medium or above. The scenarios
//! are the TOML files beside this one.

#![allow(clippy::unwrap_used)]

#[path = "../scenarios/mod.rs"]
mod scenarios;

use hullwatch::detect::Severity;
use scenarios::batch::Ran;
use scenarios::report::{Table, line};

/// An honest workload: nothing at medium or above, and at most one line after start-up,
/// which is information unless the scenario expects it to be more.
fn judge(table: &mut Table, ran: &Ran) {
    let mut faults = ran.failed.clone();
    let mut later = 0;
    for finding in &ran.findings {
        let accepted = ran.scenario.expect.iter().any(|e| {
            e.rule == finding.rule && finding.severity <= e.severity && e.untold(finding).is_empty()
        });
        later += usize::from(finding.first > ran.steady);
        if !accepted && (finding.severity > Severity::Info || later > 1) {
            table.extra += 1;
            faults.push(format!("extra {}", line(finding)));
        }
    }
    table.row(ran, &faults);
}

#[test]
fn honest_workloads_are_quiet() {
    if !scenarios::ready() {
        return;
    }
    let mut table = Table::default();
    for ran in scenarios::batch::run(scenarios::load("honest")) {
        judge(&mut table, &ran);
    }
    table.finish("honest");
}
