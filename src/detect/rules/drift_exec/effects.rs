//! Later actions of drifted programs and their children, added to the finding about them.

use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::event::{Connect, File, FileOp, Outcome};

pub(super) fn connect(ctx: &RuleContext<'_>, connect: &Connect) -> Alerts {
    let Some(&index) = ctx.memory.marks.get(&ctx.event.pid) else {
        return Alerts::none();
    };
    let how = match connect.outcome {
        Outcome::Failed(_) => "then tried to connect to",
        _ => "then connected to",
    };
    let line = format!("{how} {}", connect.remote.text());
    Alert::addition(index).effect(line).into()
}

/// Only changes of sensitive files count.
pub(super) fn file(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(&index) = ctx.memory.marks.get(&ctx.event.pid) else {
        return Alerts::none();
    };
    let path = match (file.op, &file.target) {
        (FileOp::Rename | FileOp::Link, Some(target)) => target,
        _ => &file.path,
    };
    if matches!(file.op, FileOp::MapExec | FileOp::Load) || ctx.path_class(path).is_none() {
        return Alerts::none();
    }
    let how = match (file.op, file.errno) {
        (FileOp::Read, _) => "then read",
        (_, 0) => "then changed",
        _ => "then tried to change",
    };
    let line = format!("{how} {}", path.escaped());
    Alert::addition(index).effect(line).into()
}
