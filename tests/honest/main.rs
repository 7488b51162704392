//! Honest workloads in real containers: none may raise anything at medium or above. The scenarios
//! are the TOML files in this directory.

#![allow(clippy::unwrap_used)]

#[path = "../scenarios/mod.rs"]
mod scenarios;

use hullwatch::detect::{Finding, Severity};
use scenarios::batch::Ran;
use scenarios::report::{Table, line};
use scenarios::watch::{Watch, now};

/// Checks an honest workload: no finding at medium or above, and at most one line after start-up,
/// which is information unless the scenario expects more. If watching began late it may be low, and
/// one line lists the earlier differences.
fn check(table: &mut Table, ran: &Ran) {
    let mut faults = ran.failed.clone();
    let mut later = 0;
    let (most, lines) = if ran.late {
        (Severity::Low, 2)
    } else {
        (Severity::Info, 1)
    };
    for finding in &ran.findings {
        let accepted = ran.scenario.expect.iter().any(|e| {
            e.rule == finding.rule
                && finding.severity <= e.severity
                && e.missing_facts(finding).is_empty()
        });
        later += usize::from(finding.first > ran.steady);
        if !accepted && (finding.severity > most || later > lines) {
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
        check(&mut table, &ran);
    }
    table.finish("honest");
}

/// Maximum number of lines for an honest container of the fleet.
const MAX_LINES: usize = 2;

/// Errors in a container's findings: any at medium or above, and too many lines.
fn faults_of(findings: &[Finding]) -> Vec<String> {
    let alarms = findings.iter().filter(|f| f.severity >= Severity::Medium);
    let mut faults: Vec<String> = alarms.map(|f| format!("alarm {}", line(f))).collect();
    if findings.len() > MAX_LINES {
        let lines = findings.iter().map(|f| format!("line {}", line(f)));
        faults.extend(lines);
    }
    faults
}

/// Builds an image with the classic builder; returns the findings of each step's container.
fn build(watch: &Watch) -> Vec<(String, Vec<Finding>)> {
    let context = tempfile::tempdir().unwrap();
    let steps = "FROM hullwatch-test:servers\n\
        COPY app.c /src/app.c\n\
        RUN gcc -o /usr/local/bin/app /src/app.c && app\n\
        RUN useradd -m builder && echo x >/etc/app.conf && chmod 600 /etc/app.conf\n\
        RUN python3 -m venv /opt/env && /opt/env/bin/python -c 'import ssl'\n\
        RUN printf '#!/bin/sh\\ndate\\n' >/usr/local/bin/tool && chmod +x /usr/local/bin/tool && tool\n\
        RUN rm -rf /var/log/* /src && sleep 12 && echo done >/srv/done\n";
    std::fs::write(context.path().join("Dockerfile"), steps).unwrap();
    std::fs::write(context.path().join("app.c"), "int main(){return 0;}\n").unwrap();
    let context = context.path().to_str().unwrap();
    let tag = "hullwatch-test-build";
    let network = ["--network", "none"];
    let arguments = [
        &["build", "--no-cache", "--rm", "-t", tag],
        &network[..],
        &[context],
    ];
    let out = scenarios::docker(&arguments.concat()).unwrap();
    let end = now();
    watch.passes(end, 7);
    let ids = out
        .lines()
        .filter_map(|line| line.split("Running in ").nth(1));
    let all: Vec<_> = ids
        .map(|id| (id.trim().to_owned(), watch.findings_of(id.trim())))
        .collect();
    scenarios::docker(&["rmi", "-f", tag]).unwrap();
    assert!(all.len() >= 5, "steps of the build:\n{out}");
    all
}

#[test]
fn a_fleet_of_honest_servers_and_jobs_is_quiet_for_minutes() {
    if !scenarios::ready() {
        return;
    }
    let fleet = scenarios::load("honest/fleet");
    let (all, workers) = (
        std::env::var_os("HULLWATCH_TEST_SCENARIO").is_none(),
        fleet.len(),
    );
    assert!(!all || workers >= 25, "a fleet of {workers}");
    let (ran, built) = scenarios::batch::run_beside(fleet, workers.max(1), build);
    let mut table = Table::default();
    for ran in &ran {
        let mut faults = ran.failed.clone();
        let wrong = faults_of(&ran.findings);
        table.extra += wrong.len();
        faults.extend(wrong);
        table.row(ran, &faults);
    }
    let mut wrong = Vec::new();
    for (id, findings) in built {
        let faults = faults_of(&findings);
        wrong.extend(
            faults
                .into_iter()
                .map(|fault| format!("build {id}: {fault}")),
        );
    }
    table.finish("fleet");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
