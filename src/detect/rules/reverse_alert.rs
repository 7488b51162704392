//! The alert about a shell that reads its commands from the network.

use super::data_sources::fetches;
use crate::catalog;
use crate::detect::alert::Alert;
use crate::detect::memory::Outbound;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Severity, program_roles};

pub(super) fn reverse_alert(ctx: &RuleContext<'_>, out: &Outbound, command: &str) -> Alert {
    let subject = out.to.to_string();
    let alert = ctx.alert(Severity::Critical, subject.as_bytes(), |explanation| {
        explanation.title = format!("Reverse shell to {}", out.to);
        explanation.why.push(format!("shell: {command}"));
        explanation.why.push(format!("connected to {}", out.to));
    });
    alert.evidence(ctx.now(), out.seq).follows(ctx.event.pid)
}

/// The sibling fetches data instead of commands: the rule on pipes reports it.
pub(super) fn is_fetch(ctx: &RuleContext<'_>, pid: u32) -> bool {
    ctx.state.processes.get(&pid).is_some_and(|p| {
        let name = program_roles::of(p);
        let fetcher = catalog::programs::FETCHERS.contains(&name);
        fetcher && !program_roles::is_relay(name, &p.argv) || fetches(ctx.names(), name, &p.argv)
    })
}
