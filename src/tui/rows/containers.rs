//! Containers: state, use, drift and the worst finding or incident of each.

use std::collections::BTreeMap;

use super::builds::{self, BuildFindings, is_step, one_by_one};
use super::processes::exact;
use super::query::Query;
use super::row::{Row, RowKey};
use super::screen::{ScreenDef, written};
use super::short::short;
use super::tally::{drifted, found};
use super::words::container_state;
use crate::core::Core;
use crate::event::{ContainerId, Role, escape};
use crate::incident::{is_chain, sentence};
use crate::state::Build;
use crate::tui::pane::Pane;
use crate::tui::spark;
use crate::tui::table::{Column, Unit};
use crate::tui::text::{bytes, coarse, count};
use crate::tui::theme::Token;

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Containers,
    name: "containers",
    title: "Containers",
    short: "Cont",
    over: "ended",
    columns: COLUMNS,
    empty: &["No containers here."],
    count: running,
    outline: rows,
    write: written,
};

const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("name", "NAME", 16, 0).main().named(),
    Column::new("state", "STATE", 6, 3).words(10),
    Column::new("age", "AGE", 5, 3).counts(Unit::Seconds),
    Column::new("drift", "DRIFT", 5, 1).counts(Unit::Count),
    Column::new("cpu", "CPU%", 5, 6)
        .right()
        .counts(Unit::PerMille),
    Column::new("cpu60", "CPU 60 s", spark::BARS as u16, 7).chart(),
    Column::new("mem", "MEM", 5, 5).right().counts(Unit::Bytes),
    Column::new("pids", "PIDS", 4, 8)
        .right()
        .counts(Unit::Count),
    Column::new("conn", "CONN", 4, 4)
        .right()
        .counts(Unit::Count),
    Column::new("writes", "WR/m", 4, 9)
        .right()
        .counts(Unit::Count),
    Column::new("image", "IMAGE", 14, 7).grow(),
    Column::new("conn60", "CONN 60 s", spark::BARS as u16, 16)
        .chart()
        .spare(),
    Column::new("exec60", "EXEC 60 s", spark::BARS as u16, 17)
        .chart()
        .spare(),
    Column::new("find", "FIND", 4, 10)
        .right()
        .counts(Unit::Count)
        .spare(),
    Column::new("exit", "EXIT", 4, 11)
        .right()
        .counts(Unit::Count)
        .spare(),
    Column::new("ready", "READY", 5, 14)
        .right()
        .counts(Unit::Count)
        .spare(),
    Column::new("pod", "POD", 20, 12).spare(),
    Column::new("runtime", "RUNTIME", 10, 13).spare(),
    Column::new("role", "ROLE", 9, 15).spare(),
    Column::new("last", "WORST FINDING", 30, 2).grow(),
];

/// Running containers.
fn running(core: &Core, _: &Query<'_>) -> Option<usize> {
    let all = core.state.containers.values();
    Some(all.filter(|c| c.running && !is_step(c)).count())
}

fn rows(core: &Core, query: &Query<'_>) -> Vec<Row> {
    let mut processes: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for process in core.state.processes.values() {
        if let (Some(id), None) = (&process.owner, process.exited) {
            *processes.entry(id).or_default() += 1;
        }
    }
    let mut open: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for (key, row) in &core.state.connections {
        if let Some(id) = &key.owner {
            *open.entry(id).or_default() += u64::from(row.open);
        }
    }
    let incidents = core.incidents.by_container(&core.detector);
    let found = found(core, &incidents);
    let drifted = drifted(core);
    let steps = COLUMNS.iter().position(|column| column.name == "role");
    let steps = steps.is_some_and(|column| one_by_one(query, column));
    let mut rows: Vec<Row> = core
        .state
        .containers
        .values()
        .filter(|container| {
            let image = query.image.as_ref();
            image.is_none_or(|image| image.holds(&container.info)) && (steps || !is_step(container))
        })
        .map(|container| {
            let found = found.get(&container.id).copied().unwrap_or_default();
            let at = found.latest.map_or(container.first_seen, |f| f.last);
            let mut row = Row::new(RowKey::Container(container.id.clone()), at);
            let began = container.started().unwrap_or(container.first_seen);
            row.seen = Some((began, container.ended.unwrap_or(core.state.now)));
            row.faded = !container.running;
            row.letter(found.worst);
            row.text(container.display_name());
            let state = container_state(container);
            match state.as_str() {
                "up" | "exited" | "created" => {}
                "paused" | "starting" => row.toned("state", Token::Medium),
                _ => row.toned("state", Token::High),
            }
            row.text(state);
            match (container.started(), container.ended) {
                // How long it ran, as of a process that ended.
                (Some(started), Some(ended)) if !container.running => {
                    let ran = ended.since(started);
                    row.number(ran.as_secs(), format!("x{}", exact(ran)));
                }
                _ if !container.running => row.text("x"),
                (Some(started), _) => row.age(core, started),
                (None, _) => row.text("?"),
            }
            let drift = drifted.get(&container.id).copied().unwrap_or(0);
            row.number(
                drift,
                if drift == 0 {
                    ".".to_owned()
                } else {
                    format!("Δ{drift}")
                },
            );
            if drift > 0 {
                row.toned("drift", Token::Changed);
            }
            let limits = &container.info.limits;
            let cpu = u64::from(container.cpu_milli);
            // Without a limit, one core counts as full.
            let cores = match u64::from(limits.cpu_milli) {
                0 => 1000,
                limit => limit,
            };
            row.near("cpu", cpu, cores);
            row.near("mem", container.memory, limits.memory);
            row.number(cpu, format!("{}.{}", cpu / 10, cpu % 10));
            let bars = spark::bars(container.cpu_history.iter().copied(), core.state.now);
            let percents: Vec<u64> = bars.iter().map(|b| b / 10).collect();
            row.text(numbers(&percents));
            row.charts.push((bars, spark::cpu_limit(container)));
            row.number(container.memory, bytes(container.memory));
            row.count(processes.get(&container.id).copied().unwrap_or(0));
            row.count(open.get(&container.id).copied().unwrap_or(0));
            let writes = u64::from(container.writes_per_minute());
            row.number(writes, count(writes));
            row.text(container.info.image.escaped().to_string());
            for rate in [&container.connects, &container.execs] {
                let bars = spark::bars(rate.counts(), core.state.now);
                let most = bars.iter().max().copied().unwrap_or(0);
                row.text(numbers(&bars));
                row.charts.push((bars, most));
            }
            row.count(found.count);
            match container.exit_code.filter(|_| !container.running) {
                Some(code) => row.number(code.unsigned_abs(), code.to_string()),
                None => row.text(""),
            }
            match core.detector.baseline_of(container) {
                Some(known) => {
                    let percent = known.readiness.percent;
                    row.number(percent.into(), format!("{percent}%"));
                }
                None => row.text("-"),
            }
            let info = &container.info;
            let pod = info.pod.as_ref();
            row.text(pod.map_or_else(String::new, |pod| {
                escape(format!("{}/{}", pod.namespace, pod.name).as_bytes()).to_string()
            }));
            row.text(info.runtime.word());
            row.text(match info.role {
                Role::Container => "container",
                Role::Infra => "infra",
                Role::Build => "build",
            });
            let incident = incidents.get(&container.id);
            match (incident.filter(|i| is_chain(&i.stages)), found.latest) {
                // An incident's chain of stages is more informative than its worst finding.
                (Some(incident), _) => row.text(sentence(&incident.stages, "›")),
                (None, None) => row.text("-"),
                (None, Some(f)) => {
                    let ago = coarse(core.state.now.since(f.last));
                    let (whole, brief) = (&f.title, short(f));
                    row.shortened(format!("{ago} {whole}"), format!("{ago} {brief}"));
                }
            }
            row
        })
        .collect();
    let builds = match steps || query.image.is_some() {
        true => Vec::new(),
        false => core.state.builds(),
    };
    let mut ranks: BTreeMap<ContainerId, u32> = BTreeMap::new();
    for build in &builds {
        let findings = BuildFindings::of(core, build, &incidents);
        let Some(row) = build_row(core, build, &findings) else {
            continue;
        };
        if let RowKey::Build(id) = &row.key {
            ranks.insert(id.clone(), findings.rank);
        }
        rows.push(row);
    }
    // Running ones first; the likeliest break-in at the top, then the worst finding, then by name.
    let rank = |row: &Row| match &row.key {
        RowKey::Container(id) => incidents.get(id).map_or(0, |incident| incident.rank),
        RowKey::Build(id) => ranks.get(id).copied().unwrap_or(0),
        _ => 0,
    };
    rows.sort_by(|a, b| {
        let order = |row: &Row| (rank(row), row.severity);
        let by_rank = order(b).cmp(&order(a));
        a.faded
            .cmp(&b.faded)
            .then(by_rank)
            .then_with(|| a.cells[1].cmp(&b.cells[1]))
    });
    rows
}

/// The values of a chart as text.
fn numbers(bars: &[u64]) -> String {
    let texts: Vec<String> = bars.iter().map(u64::to_string).collect();
    texts.join(" ")
}

/// The row of an image build.
fn build_row(core: &Core, build: &Build<'_>, findings: &BuildFindings<'_>) -> Option<Row> {
    let first = build.steps.first()?;
    let latest = build.steps.last()?;
    let at = findings.worst.map_or(first.first_seen, |f| f.last);
    let mut row = Row::new(RowKey::Build(build.id()?.clone()), at);
    row.seen = Some((first.first_seen, build.last));
    row.faded = !build.running();
    row.letter(findings.severity);
    row.text(builds::title(build));
    row.text(if build.running() { "builds" } else { "done" });
    match build.running() {
        true => row.age(core, first.first_seen),
        false => {
            let took = build.last.since(first.first_seen);
            row.number(took.as_secs(), format!("x{}", exact(took)));
        }
    }
    // Changes, use and processes of the steps count for the build.
    for _ in ["drift", "cpu", "cpu60", "mem", "pids", "conn", "writes"] {
        row.text("");
    }
    row.text(first.info.image.escaped().to_string());
    for _ in ["conn60", "exec60"] {
        row.text("");
    }
    row.count(findings.count);
    for _ in ["exit", "ready", "pod"] {
        row.text("");
    }
    row.text(latest.info.runtime.word());
    row.text("build");
    findings.write(core, &mut row);
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Severity;
    use crate::tui::rows::image::images;
    use crate::tui::rows::tally;
    use crate::tui::ui::Ui;

    #[test]
    fn a_container_is_as_severe_as_its_worst_finding_and_its_worst_incident() {
        let core = crate::tui::tests::demo();
        let incidents = core.incidents.by_container(&core.detector);
        let findings = tally::found(&core, &BTreeMap::new());
        let ui = Ui::default();
        let rows = rows(&core, &ui.query_of(Pane::Containers));
        let mut graver = 0;
        for row in &rows {
            let RowKey::Container(id) = &row.key else {
                continue;
            };
            let finding = findings.get(id).and_then(|tally| tally.worst);
            let incident = incidents.get(id).map(|incident| incident.severity);
            assert_eq!(row.severity, finding.max(incident), "{id:?}");
            graver += usize::from(incident > finding);
        }
        assert!(graver > 0, "no incident is worse than its findings");
        let worst = images(&core).into_values().filter_map(|image| image.worst);
        assert_eq!(worst.max(), Some(Severity::Critical));
    }
}
