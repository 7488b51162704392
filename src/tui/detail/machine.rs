//! The page of the host that is watched, or was recorded.

use std::time::Duration;

use super::line::{DetailLine, fact, heading};
use crate::core::Core;
use crate::machine::MachineFacts;
use crate::tui::text::{bytes, span};

/// The facts of the machine; without them, those that the stream has.
pub(super) fn facts(core: &Core, machine: Option<&MachineFacts>) -> Vec<DetailLine> {
    let mut facts = Vec::new();
    match machine {
        None => facts.push(fact("", "this recording has no facts about its host")),
        Some(machine) => {
            facts.push(fact("name", machine.name.clone()));
            facts.push(fact("system", machine.system.clone()));
            let kernel = format!("{} on {}", machine.kernel, machine.architecture);
            facts.push(fact("kernel", kernel));
            let up = span(Duration::from_secs(machine.uptime));
            facts.push(fact("up for", up));
            facts.push(heading("Use"));
            let [one, five, fifteen] = machine.load;
            let load = format!(
                "{one:.2} {five:.2} {fifteen:.2} over 1, 5 and 15 min, {} processors",
                machine.processors
            );
            facts.push(fact("load", load));
            if let Some(busy) = machine.busy {
                facts.push(fact("processors", format!("{busy:.0} % busy")));
            }
            facts.push(used("memory", machine.memory_used, machine.memory));
            if machine.swap > 0 {
                facts.push(used("swap", machine.swap_used, machine.swap));
            }
            if let Some(disk) = machine.disk {
                let text = format!("{} free of {}", bytes(disk.free), bytes(disk.size));
                facts.push(fact("recordings' disk", text));
            }
        }
    }
    let state = &core.state;
    let running = state.containers.values().filter(|c| c.running).count();
    facts.push(heading("Watched"));
    facts.push(fact("containers", format!("{running} running")));
    facts.push(fact("events", state.totals.events.to_string()));
    facts.push(fact("lost", state.totals.lost.to_string()));
    if let Some(step) = state.clock_set() {
        let text = format!("{step} since watching began; times here ignore that step");
        facts.push(fact("clock set", text));
    }
    facts
}

fn used(name: &str, used: u64, all: u64) -> DetailLine {
    let percent = used.saturating_mul(100) / all.max(1);
    let text = format!("{} of {} used ({percent} %)", bytes(used), bytes(all));
    fact(name, text)
}
