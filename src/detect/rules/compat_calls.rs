//! System calls of the 32-bit ABI, which few containers make.

use crate::detect::alert::Alerts;
use crate::detect::file_change::by;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Privilege;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.compat",
        title: "Runs 32-bit code",
        label: "32-bit code",
        severity: Severity::Info,
        attack: &["T1562"],
        needs: &[Requirement::Privilege],
        explain: "A process made a 32-bit system call. 32-bit programs do so, as do 64-bit \
                  programs that evade a filter for 64-bit calls. The rules treat these calls like \
                  all others. One finding per container.",
        check: "Is the image meant to contain 32-bit programs?",
    },
    handlers: &[Handler::Privilege(|ctx, _, call| examine(ctx, call))],
};

fn examine(ctx: &RuleContext<'_>, call: &Privilege) -> Alerts {
    if call.call != "compat" {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Info, b"32-bit", |explanation| {
        explanation.title = "Runs 32-bit code".to_owned();
        explanation.why.push(by(ctx, &call.comm));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn the_first_32_bit_call_is_one_line() {
        let mut w = World::steady();
        let init = w.init();
        w.privilege(init, "compat", "", 0);
        w.privilege(init, "compat", "", 0);
        assert_eq!(w.finding("exec.compat").severity, Severity::Info);
        w.only(&["exec.compat"]);
    }

    #[test]
    fn other_calls_are_not() {
        let mut w = World::steady();
        let init = w.init();
        w.privilege(init, "personality", "", 0);
        assert!(w.all("exec.compat").is_empty());
    }
}
