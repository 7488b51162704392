//! Containers that run for longer than they should.

use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Tick;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "life.age",
        title: "Container is older than its limit",
        label: "too old",
        severity: Severity::Low,
        attack: &[],
        needs: &[Requirement::Engine],
        explain: "The container was created longer ago than the limit allows: its image lacks the \
                  fixes since, and changes inside it have piled up.",
        check: "Replace it with a container of a current image.",
    },
    handlers: &[Handler::Tick(|ctx, _, tick| examine(ctx, tick))],
};

fn examine(ctx: &RuleContext<'_>, _tick: &Tick) -> Alerts {
    let Some(container) = ctx.container else {
        return Alerts::none();
    };
    let settings = ctx.settings;
    let limit = settings
        .policy
        .max_age(ctx.owner.as_str(), &container.info, settings.max_age);
    let created = container.info.created.or_else(|| container.started());
    let (Some(limit), Some(created)) = (limit, created) else {
        return Alerts::none();
    };
    let age = ctx.now().since(created);
    if age <= limit
        || ctx
            .findings
            .find(ctx.rule.id, Some(ctx.owner), b"age")
            .is_some()
    {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Low, b"age", |explanation| {
        let limit = humantime::format_duration(limit);
        explanation.title = format!("Container is older than {limit}");
        let whole = std::time::Duration::from_secs(age.as_secs());
        explanation.why.push(format!(
            "created {} ago, at {created}",
            humantime::format_duration(whole)
        ));
        explanation.why.push(format!("the limit is {limit}"));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::detect::Settings;
    use crate::detect::testkit::World;

    #[test]
    fn flagged_once_when_the_limit_passes() {
        let mut w = World::with(Settings {
            max_age: Some(Duration::from_secs(100)),
            ..Settings::default()
        });
        w.ticks(30);
        w.none("life.age");
        w.ticks(200);
        assert_eq!(w.finding("life.age").count, 1);
    }

    #[test]
    fn no_limit_no_finding() {
        let mut w = World::with(Settings {
            max_age: None,
            ..Settings::default()
        });
        w.ticks(3000);
        w.none("life.age");
    }
}
