//! Actions of a container's service that are not in its baseline.

use crate::baseline::{
    ActingPart, BaselineItem, Facet, ItemField, ObservedAction, acting_part, observed_actions,
};
use crate::catalog::paths::{self, PathClass};
use crate::detect::alert::Alerts;
use crate::detect::baselines::ChosenBaseline;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};

/// The baseline of a container, looked up once.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerBaseline {
    /// Version of the loaded baselines at the look-up; `None`: not looked up yet.
    generation: Option<u64>,
    chosen: Option<ChosenBaseline>,
}

impl RuleMemory for ContainerBaseline {
    fn heap_bytes(&self) -> usize {
        // All containers of a baseline share it.
        0
    }
}

const CHECK: &str = "Is it a new version or setting of the service? Then accept it into the baseline. \
                     Otherwise find out why the program did it.";

const fn info(
    id: &'static str,
    title: &'static str,
    label: &'static str,
    severity: Severity,
    needs: &'static [Requirement],
    explain: &'static str,
) -> RuleInfo {
    RuleInfo {
        id,
        title,
        label,
        severity,
        attack: &[],
        needs,
        explain,
        check: CHECK,
    }
}

macro_rules! rule {
    ($name:ident, $id:literal, $title:literal, $label:literal, $severity:ident, [$($need:ident),*],
     [$($handler:ident),*] $(and $also:expr)?, $explain:literal) => {
        /// A rule about one facet.
        pub(super) const $name: Rule = Rule {
            info: info($id, $title, $label, Severity::$severity, &[$(Requirement::$need),*], $explain),
            handlers: &[
                $(Handler::$handler(|ctx, memory, _| judge(ctx, memory)),)*
                $($also,)?
            ],
        };
    };
}

rule!(
    EXEC,
    "base.exec",
    "Ran a program that is not in its baseline",
    "new program",
    Medium,
    [Exec],
    [Exec] and Handler::Container(|ctx, memory, _| look_up_again(ctx, memory)),
    "A baseline of the container is loaded. The service ran a program, a script or shell arguments that the baseline does not contain, or another parent started a known program. Exec sessions are \
     not judged. Info while the baseline is partial, lower while it learns."
);
rule!(
    WRITE,
    "base.write",
    "Changed a file that is not in its baseline",
    "new write",
    Low,
    [File],
    [File],
    "A baseline of the container is loaded. The service changed a file that the baseline does not contain. \
     Medium for programs, configuration and other places that services do not write to."
);
rule!(
    SECRET,
    "base.secret",
    "Read a secret that is not in its baseline",
    "new secret",
    Medium,
    [Read],
    [],
    "A baseline of the container is loaded. The service read a file of secrets that the baseline \
     does not contain."
);
rule!(
    CONNECT,
    "base.connect",
    "Connected to a peer that is not in its baseline",
    "new peer",
    Medium,
    [Connect],
    [Connect],
    "A baseline of the container is loaded. The service connected to a name, an address or a \
     port that the baseline does not contain. Low for private addresses and other containers."
);
rule!(
    LISTEN,
    "base.listen",
    "Listens on a port that is not in its baseline",
    "new port",
    Medium,
    [Listen],
    [Listen],
    "A baseline of the container is loaded. The service listens on a port that the baseline does \
     not contain, or on all addresses where the baseline has only loopback."
);
rule!(
    RESOLVE,
    "base.resolve",
    "Looked up a name that is not in its baseline",
    "new name",
    Info,
    [Dns],
    [Dns],
    "A baseline of the container is loaded. The container looked up a name that the baseline \
     does not contain."
);
rule!(
    CAPABILITY,
    "base.capability",
    "Used a capability that is not in its baseline",
    "new capability",
    Medium,
    [Capability],
    [Capability],
    "A baseline of the container is loaded. The service used a capability that the baseline does \
     not contain."
);
rule!(
    CALL,
    "base.call",
    "Made a privileged call that is not in its baseline",
    "new call",
    Medium,
    [Privilege],
    [Privilege],
    "A baseline of the container is loaded. The service successfully made a privileged system \
     call that the baseline does not contain."
);
rule!(
    SYSCALL,
    "base.syscall",
    "Made a system call that is not in its baseline",
    "new system call",
    Info,
    [Exec],
    [Syscall],
    "A baseline that was learned with --syscalls is loaded, and the container is watched with \
     --syscalls. The service made a system call that the baseline does not contain: a seccomp \
     profile made from the baseline would refuse the call."
);
rule!(
    USER,
    "base.user",
    "Runs as a user that is not in its baseline",
    "new user",
    Medium,
    [Exec],
    [],
    "A baseline of the container is loaded. A program of the service runs as a user that the baseline \
     does not list for it."
);

fn rule_of(facet: Facet) -> &'static RuleInfo {
    match facet {
        Facet::Exec => &EXEC.info,
        Facet::Write => &WRITE.info,
        Facet::Secret => &SECRET.info,
        Facet::Connect => &CONNECT.info,
        Facet::Listen => &LISTEN.info,
        Facet::Resolve => &RESOLVE.info,
        Facet::Capability => &CAPABILITY.info,
        Facet::Call => &CALL.info,
        Facet::User => &USER.info,
        Facet::Syscall => &SYSCALL.info,
    }
}

/// The baseline of the event's container.
fn chosen<'m>(
    ctx: &RuleContext<'_>,
    memory: &'m mut ContainerBaseline,
) -> Option<&'m ChosenBaseline> {
    let generation = Some(ctx.baselines.generation);
    if memory.generation != generation {
        *memory = ContainerBaseline {
            generation,
            chosen: ctx.baselines.of(ctx.container?),
        };
    }
    memory.chosen.as_ref()
}

/// New facts about the container: another baseline may apply.
fn look_up_again(ctx: &RuleContext<'_>, memory: &mut RuleMemories<'_>) -> Alerts {
    if !ctx.baselines.is_empty() {
        memory.of::<ContainerBaseline>().generation = None;
    }
    Alerts::none()
}

/// The container's baseline, for actions of its own service.
fn of_service(ctx: &RuleContext<'_>) -> Option<ChosenBaseline> {
    if ctx.baselines.is_empty() || ctx.session().is_some() {
        return None;
    }
    ctx.baselines.of(ctx.container?)
}

/// Whether the container's baseline contains this name.
pub(super) fn knows_name(ctx: &RuleContext<'_>, name: &[u8]) -> bool {
    let item = BaselineItem::new(Facet::Resolve, [(ItemField::Name, name)]);
    of_service(ctx).is_some_and(|chosen| chosen.loaded.matcher.knows(&item))
}

/// Whether the container's baseline contains this port, on all addresses.
pub(super) fn knows_port(ctx: &RuleContext<'_>, port: u16) -> bool {
    let port = port.to_string();
    let port = port.as_bytes();
    of_service(ctx).is_some_and(|chosen| {
        chosen
            .loaded
            .matcher
            .has(Facet::Listen, ItemField::Port, port)
    })
}

fn judge(ctx: &RuleContext<'_>, memory: &mut RuleMemories<'_>) -> Alerts {
    if ctx.baselines.is_empty() {
        return Alerts::none();
    }
    let Some(container) = ctx.container else {
        return Alerts::none();
    };
    let name_answer = matches!(ctx.event.kind, crate::event::Kind::Dns(_));
    match acting_part(container, ctx.process, ctx.state) {
        ActingPart::Service | ActingPart::HealthCheck => {}
        ActingPart::Unknown if name_answer => {}
        ActingPart::Session | ActingPart::Unknown => return Alerts::none(),
    }
    let Some(chosen) = chosen(ctx, memory.of()) else {
        return Alerts::none();
    };
    let mut alerts = Alerts::none();
    for action in observed_actions(ctx.state, ctx.event) {
        if chosen.loaded.matcher.knows(&action.item) {
            continue;
        }
        let is_check = acting_part(container, ctx.process, ctx.state) == ActingPart::HealthCheck;
        if is_check && action.item.get(ItemField::By) == b"init" {
            let by = crate::baseline::HEALTH_CHECK;
            if chosen.loaded.matcher.knows(&action.item.done_by(by)) {
                continue;
            }
        }
        // What a file would give counts when it is used.
        if action.item.facet == Facet::Capability && action.how.is_some() {
            continue;
        }
        // The baseline was learned without system calls.
        if action.item.facet == Facet::Syscall && !chosen.loaded.has_syscalls {
            continue;
        }
        let rule = rule_of(action.item.facet);
        let severity = chosen.grade(severity(rule, &action));
        let subject = action.item.subject();
        let alert = ctx.alert_as(rule, severity, rule.id.as_bytes(), |explanation| {
            explanation.title = format!("{}: {subject}", rule.title);
            explanation.why.push(chosen.basis());
        });
        let part: &[u8] = action
            .item
            .fields
            .values()
            .next()
            .map_or(b"", |value| value);
        alerts.push(alert.part(part).reason(action.item.to_string()));
    }
    alerts
}

fn severity(rule: &RuleInfo, action: &ObservedAction) -> Severity {
    let item = &action.item;
    match item.facet {
        Facet::Write => match paths::of(item.get(ItemField::Path)) {
            None
            | Some(
                PathClass::Log
                | PathClass::ShellHistory
                | PathClass::Managed
                | PathClass::Names
                | PathClass::LoaderCache,
            ) => rule.severity,
            Some(_) => Severity::Medium,
        },
        Facet::Connect => {
            let to = item.get(ItemField::To);
            let ip = std::str::from_utf8(to).ok().and_then(|to| to.parse().ok());
            let near = to.starts_with(b"service:") || to == b"self" || to.starts_with(b"unix:");
            if near || ip.is_some_and(crate::baseline::is_private) {
                Severity::Low
            } else {
                rule.severity
            }
        }
        _ => rule.severity,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::baseline::{Learner, write};
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image};
    use crate::event::{BaselineChange, Confinement, FileOp, IdRange, Kind};

    fn load(w: &mut World, content: Option<String>, refused: Option<&str>) {
        let change = BaselineChange {
            file: "web.baseline.toml".to_owned(),
            content,
            refused: refused.map(str::to_owned),
            ..BaselineChange::default()
        };
        w.emit(0, 0, Kind::Baseline(Box::new(change)));
    }

    /// The baseline of a container that only runs /app, made by hand.
    fn baseline(state: &str) -> String {
        format!(
            "baseline = 1\nimage = \"web\"\nstate = \"{state}\"\nsources = []\n[facets]\n\
             exec = [ {{ exe = \"/app\", by = \"init\" }} ]\n\
             user = [ {{ uid = 0, by = \"/app\" }}, {{ uid = 0, by = \"/bin/ls\" }} ]\n\
             write = [ {{ path = \"/var/lib/app/*\", by = \"/app\" }} ]\n\
             listen = [ {{ port = 9000, proto = \"tcp\", on = \"any\", by = \"/app\" }} ]\n\
             resolve = [ {{ name = \"*.example.org\" }} ]\n"
        )
    }

    #[test]
    fn facts_that_arrive_later_choose_the_baseline_again() {
        let mut w = World::steady();
        let of_image = "state = \"frozen\"\ndigests = [\"sha256:aa\"]";
        let text = baseline("frozen").replace("state = \"frozen\"", of_image);
        load(&mut w, Some(text), None);
        let init = w.init();
        w.exec(init, "/bin/cat", &["cat"]);
        assert_eq!(w.finding("base.exec").severity, Severity::Low);
        w.info(|info| info.image_digest = "sha256:aa".into());
        w.listen(init, "0.0.0.0:4444");
        assert_eq!(w.finding("base.listen").severity, Severity::Medium);
    }

    #[test]
    fn deviations_are_found_and_exec_sessions_are_ignored() {
        let mut w = World::steady();
        load(&mut w, Some(baseline("frozen")), None);
        let init = w.init();
        w.file_as(init, FileOp::Create, "/var/lib/app/x", |_| {});
        w.listen(init, "0.0.0.0:9000");
        w.session(&["ls"]);
        assert!(w.all("base.exec").is_empty() && w.all("base.write").is_empty());
        assert!(w.all("base.listen").is_empty() && w.all("net.listen-new").is_empty());
        w.exec(init, "/bin/ls", &["ls"]);
        w.exec(init, "/bin/ls", &["ls"]);
        let found = w.finding("base.exec");
        assert_eq!((found.severity, found.count), (Severity::Medium, 2));
        w.file_as(init, FileOp::Create, "/usr/bin/x", |_| {});
        assert_eq!(w.finding("base.write").severity, Severity::Medium);
        w.listen(init, "0.0.0.0:4444");
        assert_eq!(w.finding("base.listen").severity, Severity::Medium);
        assert_eq!(w.all("net.listen-new").len(), 1);
    }

    #[test]
    fn a_partial_baseline_informs_only_and_a_refused_file_changes_nothing() {
        let mut w = World::steady();
        load(&mut w, Some(baseline("partial")), None);
        load(&mut w, None, Some("line 3: no"));
        let init = w.init();
        w.exec(init, "/bin/ls", &["ls"]);
        assert_eq!(w.finding("base.exec").severity, Severity::Info);
        load(&mut w, None, None);
        w.exec(init, "/bin/id", &["id"]);
        assert_eq!(w.finding("base.exec").count, 1);
    }

    #[test]
    fn a_mapped_user_id_is_judged_as_the_container_has_it() {
        let found = |uid: u32| {
            let mut w = World::steady();
            w.info(|info| {
                let ids = vec![IdRange {
                    inside: 0,
                    outside: 165_536,
                    count: 65_536,
                }];
                info.confinement = Some(Confinement {
                    ids,
                    ..Confinement::default()
                });
            });
            load(&mut w, Some(baseline("frozen")), None);
            let init = w.init();
            let p = w.fork(init);
            w.exec_as(p, init, "/bin/ls", &["ls"], |e| e.uid = uid);
            w.all("base.user").len()
        };
        assert_eq!((found(165_536), found(165_569)), (0, 1));
    }

    #[test]
    fn drift_is_found_whatever_the_baseline_says() {
        let mut w = World::steady();
        let text = baseline("frozen").replace("/app\", by = \"init", "/opt/agent\", by = \"/app");
        load(&mut w, Some(text), None);
        let init = w.init();
        w.exec_new(init, "/opt/agent");
        assert_eq!(w.finding("drift.exec-new").severity, Severity::High);
    }

    #[test]
    fn learned_items_are_no_deviation() {
        let mut w = World::starting();
        let mut learner = Learner::new(std::time::Duration::from_secs(10));
        let act = |w: &mut World, learner: &mut Learner| {
            let init = w.init();
            let child = w.exec_file(init, "/bin/ls", &["ls"], image(3));
            w.look(learner);
            w.file_as(child, FileOp::Create, "/tmp/a", |_| {});
            w.look(learner);
            w.dns("x.example.org", "A", &["192.0.2.1"]);
            w.look(learner);
        };
        w.ticks(30);
        act(&mut w, &mut learner);
        let id = learner.containers().next().unwrap().0.clone();
        let learned = learner.baseline(&id).unwrap();
        assert!(learned.items.len() >= 4, "{learned:?}");
        let mut learned = learned;
        learned.image = "web".into();
        learned.frozen = true;
        load(&mut w, Some(write(&learned)), None);
        act(&mut w, &mut learner);
        for rule in ["base.exec", "base.write", "base.resolve", "base.user"] {
            assert!(w.all(rule).is_empty(), "{rule}");
        }
    }
}
