//! Code shared by the rules on connections: the connecting program, and the finding about closed
//! engine ports.

use crate::detect::finding_store::Explanation;
use crate::detect::program_roles;
use crate::detect::rule_context::RuleContext;
use crate::event::{Connect, Outcome};

/// Id of the rule on engines' control sockets.
pub(super) const RUNTIME_API: &str = "net.runtime-api";
/// Subject of its finding about closed ports.
pub(super) const REFUSED: &str = "refused";

/// Reasons that name the connecting program.
pub(super) fn add_caller(ctx: &RuleContext<'_>, explanation: &mut Explanation, connect: &Connect) {
    if let Outcome::Failed(errno) = connect.outcome {
        explanation
            .why
            .push(format!("the connection failed (errno {errno})"));
    }
    if let Some(p) = ctx.process {
        let command = program_roles::command_line(&p.argv, &p.exe, 160);
        explanation.why.push(format!("by: {command}"));
    }
}
