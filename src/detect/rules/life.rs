//! Life of a container: restarts, out-of-memory kills, and its image's tag.

use std::collections::VecDeque;

use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{ContainerAction, ContainerEvent, Role, Timestamp};

/// Number of failures within [`WINDOW`] that make a restart loop.
const DEATHS: usize = 4;
/// Seconds.
const WINDOW: u64 = 600;
/// Maximum number of ends remembered of one container.
const MAX_DEATHS: usize = 16;

/// Restart loop.
pub(super) const RESTARTS: Rule = Rule {
    info: RuleInfo {
        id: "life.restart-loop",
        title: "Container keeps restarting",
        label: "keeps restarting",
        severity: Severity::Low,
        attack: &[],
        needs: &[Requirement::Engine],
        explain: "The container's init failed at least four times within ten minutes.",
        check: "Read its log and exit code.",
    },
    handlers: &[Handler::Container(|ctx, memory, change| {
        restarts(ctx, memory.of(), change)
    })],
};

/// Out of memory.
pub(super) const OOM: Rule = Rule {
    info: RuleInfo {
        id: "life.out-of-memory",
        title: "Process killed: out of memory",
        label: "out of memory",
        severity: Severity::Low,
        attack: &["T1496"],
        needs: &[Requirement::Engine],
        explain: "The kernel killed a process of the container because the container reached its \
                  memory limit: a leak, a limit too low, or work it was not meant to do.",
        check: "Which processes grew, and since when?",
    },
    handlers: &[Handler::Container(|ctx, _, change| oom(ctx, change))],
};

/// Image without a fixed version.
pub(super) const UNPINNED: Rule = Rule {
    info: RuleInfo {
        id: "life.image-unpinned",
        title: "Image without a fixed version",
        label: "unpinned image",
        severity: Severity::Info,
        attack: &["T1525"],
        needs: &[Requirement::Engine],
        explain: "The image was named without a tag, with `latest`, or by a bare id: the same \
                  name may be another image tomorrow.",
        check: "Name a version or a digest where the container is declared.",
    },
    handlers: &[Handler::Container(|ctx, _, _| unpinned(ctx))],
};

/// Times of recent failures of the container's init.
#[derive(Debug, Clone, Default)]
struct Deaths(VecDeque<Timestamp>);

impl RuleMemory for Deaths {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<Timestamp>()
    }
}

fn restarts(ctx: &RuleContext<'_>, memory: &mut Deaths, change: &ContainerEvent) -> Alerts {
    let ContainerAction::Died(code) = change.action else {
        return Alerts::none();
    };
    // Whether it was stopped on purpose: success, or ended by INT, KILL or TERM.
    if matches!(code, 0 | 130 | 137 | 143) && !oom_killed(ctx) {
        return Alerts::none();
    }
    let now = ctx.now();
    let deaths = &mut memory.0;
    deaths.push_back(now);
    while deaths
        .front()
        .is_some_and(|first| now.since(*first).as_secs() > WINDOW)
        || deaths.len() > MAX_DEATHS
    {
        deaths.pop_front();
    }
    let count = deaths.len();
    if count < DEATHS {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Low, b"restarts", |explanation| {
        explanation.title = format!("Container keeps restarting (exit code {code})");
        explanation
            .why
            .push(format!("{count} failures within {WINDOW} seconds"));
    });
    alert.into()
}

fn oom_killed(ctx: &RuleContext<'_>) -> bool {
    ctx.container.is_some_and(|c| c.oom_kills > 0)
}

fn oom(ctx: &RuleContext<'_>, change: &ContainerEvent) -> Alerts {
    if change.action != ContainerAction::Oom {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Low, b"memory", |explanation| {
        let limit = ctx.container.map_or(0, |c| c.info.limits.memory);
        if limit > 0 {
            explanation.why.push(format!("its limit is {limit} bytes"));
        }
    });
    alert.into()
}

fn unpinned(ctx: &RuleContext<'_>) -> Alerts {
    // The image of a build step is its author's choice.
    let Some(container) = ctx.container.filter(|c| c.info.role != Role::Build) else {
        return Alerts::none();
    };
    let image = container.info.image.as_bytes();
    // Without facts there is no finding; a digest is a fixed version.
    if image.is_empty() || image.find(b"@sha256:").is_some() {
        return Alerts::none();
    }
    let leaf = image.rsplit(|b| *b == b'/').next().unwrap_or(image);
    let tag = leaf
        .iter()
        .position(|b| *b == b':')
        .and_then(|i| leaf.get(i + 1..));
    let bare_id = image.starts_with(b"sha256:");
    if bare_id || tag.is_some_and(|t| t != b"latest" && !t.is_empty()) {
        return Alerts::none();
    }
    if ctx
        .findings
        .find(ctx.rule.id, Some(ctx.owner), image)
        .is_some()
    {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Info, image, |explanation| {
        let name = crate::event::escape(image);
        explanation.title = format!("Image without a fixed version: {name}");
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::ContainerAction;

    #[test]
    fn a_loop_is_distinguished_from_restarts_on_purpose() {
        let mut w = World::steady();
        for _ in 0..10 {
            w.container(ContainerAction::Died(143));
            w.container(ContainerAction::Started);
        }
        w.only(&[]);
        for _ in 0..4 {
            w.container(ContainerAction::Died(1));
            w.container(ContainerAction::Started);
            w.ticks(20);
        }
        w.only(&["life.restart-loop"]);
        let mut slow = World::steady();
        for _ in 0..6 {
            slow.container(ContainerAction::Died(1));
            slow.container(ContainerAction::Started);
            slow.ticks(400);
        }
        slow.none("life.restart-loop");
    }

    #[test]
    fn memory_kills_count() {
        let mut w = World::steady();
        w.container(ContainerAction::Oom);
        w.container(ContainerAction::Oom);
        assert_eq!(w.finding("life.out-of-memory").count, 2);
    }

    #[test]
    fn images_without_a_version() {
        for (image, flagged) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("registry.example:5000/nginx", true),
            ("nginx:1.27", false),
            ("nginx@sha256:abcd", false),
            ("registry.example:5000/nginx:1", false),
        ] {
            let mut w = World::steady();
            w.info(|i| i.image = image.into());
            w.ticks(3);
            assert_eq!(!w.all("life.image-unpinned").is_empty(), flagged, "{image}");
        }
    }
}
