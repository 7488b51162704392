//! Containers whose image tag was moved to another image.

use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "life.image-moved",
        title: "The image tag was moved",
        label: "image moved",
        severity: Severity::Info,
        attack: &["T1525"],
        needs: &[Requirement::Engine],
        explain: "Since the container was created, a pull, a build or a tag command moved the \
                  tag of its image to another image on this host. A container that is created by \
                  that name would run the other image. Removed tags, and images named by digest, \
                  are not flagged.",
        check: "Which of the two images is intended? Replace the container, or find out who moved \
                the tag.",
    },
    handlers: &[Handler::Container(|ctx, _, _| moved(ctx))],
};

fn moved(ctx: &RuleContext<'_>) -> Alerts {
    let Some(container) = ctx.container.filter(|c| !c.info.image_now.is_empty()) else {
        return Alerts::none();
    };
    let info = &container.info;
    let subject = info.image_now.as_bytes();
    if ctx
        .findings
        .find(ctx.rule.id, Some(ctx.owner), subject)
        .is_some()
    {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Info, subject, |explanation| {
        let name = info.image.escaped();
        explanation.title = format!("Image tag {name} was moved to another image");
        explanation
            .why
            .push(format!("the container runs {}", info.image_digest));
        explanation
            .why
            .push(format!("{name} is now {}", info.image_now));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;

    #[test]
    fn reported_once_for_each_image_the_name_moves_to() {
        let mut w = World::steady();
        w.info(|i| i.image = "web:1".into());
        w.only(&[]);
        w.info(|i| i.image_now = "sha256:bb".to_owned());
        w.info(|_| {});
        assert_eq!(w.finding("life.image-moved").count, 1);
        w.info(|i| i.image_now = "sha256:cc".to_owned());
        // And back: nothing to report.
        w.info(|i| i.image_now = String::new());
        assert_eq!(w.all("life.image-moved").len(), 2);
    }
}
