//! Sockets and ports that control containers and clusters.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bstr::ByteSlice as _;

use super::caller::{REFUSED, RUNTIME_API, add_caller};
use super::port_scan::PortScans;
use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::attribution::suspicious;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, inner_engine, program_roles};
use crate::event::{Bytes, Connect, ContainerEvent, Endpoint, Outcome, Protocol};

/// Maximum number of early uses of engine sockets that are remembered.
const MAX_EARLY_SOCKETS: usize = 16;

/// Runtime sockets.
pub(super) const RUNTIME: Rule = Rule {
    info: RuleInfo {
        id: RUNTIME_API,
        title: "Used a container engine's API",
        label: "runtime API",
        severity: Severity::High,
        attack: &["T1610", "T1611"],
        needs: &[Requirement::Connect],
        explain: "A process connected to the socket or port that creates containers: with it, a \
                  container can be started that has the host's disk. Info when the socket is \
                  mounted and the container's own service uses it. Closed ports are one finding, \
                  or part of the port scan that is under way.",
        check: "Look up the requests in the engine's log. Does the container need the \
                socket?",
    },
    handlers: &[
        Handler::Connect(runtime_api),
        Handler::Container(|ctx, memory, change| runtime_declared(ctx, memory.of(), change)),
    ],
};

/// Cluster control.
pub(super) const CLUSTER: Rule = Rule {
    info: RuleInfo {
        id: "net.cluster-api",
        title: "Connected to a Kubernetes or etcd port",
        label: "cluster API",
        severity: Severity::Medium,
        attack: &["T1552.007", "T1613"],
        needs: &[Requirement::Connect],
        explain: "A process connected to the port of a Kubernetes API server, a kubelet or etcd. \
                  Medium from a shell, a downloader or an exec session; info from a service, \
                  which may need it.",
        check: "Does this workload need the API? Which account does it use?",
    },
    handlers: &[Handler::Connect(cluster_api)],
};

/// Sockets of a container engine that the container's own service used before the engine reported
/// the mounts.
#[derive(Debug, Clone, Default)]
struct EarlySockets(Vec<Bytes>);

impl RuleMemory for EarlySockets {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 64
    }
}

fn runtime_api(
    ctx: &RuleContext<'_>,
    memories: &mut RuleMemories<'_>,
    connect: &Connect,
) -> Alerts {
    let (unix, port) = match &connect.remote {
        Endpoint::Unix(path) => {
            let known = catalog::engines::SOCKETS;
            // A mount under another name is the same socket.
            let source = mounted_from(ctx, path.as_bytes());
            let real = source.as_deref().unwrap_or(path.as_bytes());
            (known.contains(&program_roles::leaf(real)), false)
        }
        Endpoint::Inet(a) => {
            let port = connect.protocol == Protocol::Tcp && matches!(a.port(), 2375 | 2376);
            (false, port)
        }
    };
    if !unix && !port {
        return Alerts::none();
    }
    let to = connect.remote.text();
    let refused = matches!(connect.outcome, Outcome::Failed(_));
    // A later event reports the outcome. The finding about a scan covers the ports that the scan
    // found closed.
    if port && (connect.outcome == Outcome::InProgress || refused && scanning(ctx, memories)) {
        return Alerts::none();
    }
    let declared = matches!(&connect.remote, Endpoint::Unix(path) if mounts(ctx, path));
    let own = !suspicious(ctx);
    // The socket of an engine that runs in this container.
    let local = unix && !declared;
    if local && inner_engine::works(ctx) {
        return Alerts::none();
    }
    let inner = local && inner_engine::runs(ctx);
    // The engine's report may come after the first connection.
    let early = unix && own && ctx.container.is_none_or(|c| c.info.image.is_empty());
    // The socket does not exist: the process only looked for it.
    let absent = unix && matches!(connect.outcome, Outcome::Failed(2));
    let severity = match (declared && own || inner, absent) {
        (true, _) => Severity::Info,
        (_, true) => Severity::Low,
        _ if port && refused => Severity::Medium,
        _ => Severity::High,
    };
    // All hosts with a closed port are one finding.
    let subject = if port && refused { REFUSED } else { &to };
    let alert = ctx
        .alert(severity, subject.as_bytes(), |explanation| {
            explanation.title = title(&to, connect.outcome);
            add_caller(ctx, explanation, connect);
        })
        .part(to.as_bytes());
    let socket = Bytes::new(to.as_bytes());
    let memory: &mut EarlySockets = memories.of();
    if early && memory.0.len() < MAX_EARLY_SOCKETS && !memory.0.contains(&socket) {
        memory.0.push(socket);
    }
    alert.into()
}

/// "Used the Docker API at ADDRESS", or the words for an attempt.
fn title(to: &str, outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(2) => format!("Looked for a container engine's socket: {to}"),
        Outcome::Failed(111) => format!("Tried the Docker API at {to}: refused"),
        Outcome::Failed(_) => format!("Tried the Docker API at {to}: failed"),
        Outcome::InProgress | Outcome::Established => {
            format!("Used a container engine's API: {to}")
        }
    }
}

/// Whether a socket is in a mount of the container.
fn mounts(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.container.is_some_and(|c| {
        let mut mounts = c.info.mounts.iter();
        mounts.any(|m| run_path(path).starts_with(run_path(m.destination.as_bytes())))
    })
}

/// The engine reported the mounts: a socket mounted on purpose is no finding.
fn runtime_declared(
    ctx: &RuleContext<'_>,
    memory: &mut EarlySockets,
    _change: &ContainerEvent,
) -> Alerts {
    if ctx.container.is_none_or(|c| c.info.image.is_empty()) {
        return Alerts::none();
    }
    let mut alerts = Alerts::none();
    for socket in std::mem::take(&mut memory.0) {
        let found = ctx.findings.find(ctx.rule.id, Some(ctx.owner), &socket);
        if let Some(index) = found.filter(|_| mounts(ctx, &socket)) {
            let line = "the socket is mounted into the container on purpose";
            let addition = Alert::addition(index).revise_severity(Severity::Info);
            alerts.push(addition.reason(line));
        }
    }
    alerts
}

/// Path on the host of a path below a mount.
fn mounted_from(ctx: &RuleContext<'_>, path: &[u8]) -> Option<Vec<u8>> {
    let mounts = ctx.container?.info.mounts.iter();
    let found = mounts.filter_map(|m| {
        let rest = path.strip_prefix(m.destination.as_bytes())?;
        let inside = rest.is_empty() || rest.starts_with(b"/");
        (inside && !m.source.as_bytes().is_empty()).then_some((m, rest))
    });
    let (mount, rest) = found.max_by_key(|(m, _)| m.destination.len())?;
    Some([mount.source.as_bytes(), rest].concat())
}

/// `/var/run` is a link to `/run`: both name the same place.
fn run_path(path: &[u8]) -> &Path {
    let shown = path
        .strip_prefix(b"/var")
        .filter(|rest| *rest == b"/run" || rest.starts_with(b"/run/"));
    Path::new(OsStr::from_bytes(shown.unwrap_or(path)))
}

/// Whether the container scans ports: closed ones then belong to the finding about the scan.
fn scanning(ctx: &RuleContext<'_>, memories: &RuleMemories<'_>) -> bool {
    let scans = memories.get::<PortScans>();
    scans.is_some_and(|scans| scans.goes_on(ctx.now()))
}

fn cluster_api(
    ctx: &RuleContext<'_>,
    memories: &mut RuleMemories<'_>,
    connect: &Connect,
) -> Alerts {
    let Endpoint::Inet(to) = connect.remote else {
        return Alerts::none();
    };
    if connect.protocol != Protocol::Tcp || to.ip().is_loopback() {
        return Alerts::none();
    }
    let named = ctx
        .container
        .and_then(|c| c.names.get(&to.ip().to_canonical()))
        .is_some_and(|n| n.starts_with(b"kubernetes.default"));
    if !named && !matches!(to.port(), 6443 | 10250 | 10255 | 2379) {
        return Alerts::none();
    }
    if matches!(connect.outcome, Outcome::Failed(_)) && scanning(ctx, memories) {
        return Alerts::none();
    }
    let severity = if suspicious(ctx) {
        Severity::Medium
    } else {
        Severity::Info
    };
    let alert = ctx.alert(severity, to.to_string().as_bytes(), |explanation| {
        explanation.title = match connect.outcome {
            Outcome::Failed(_) => format!("Tried a Kubernetes or etcd port: {to}"),
            _ => format!("Connected to a Kubernetes or etcd port: {to}"),
        };
        add_caller(ctx, explanation, connect);
    });
    alert.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{Endpoint, Outcome, Protocol};

    #[test]
    fn a_runtime_socket_is_high_unless_declared() {
        let socket = || Endpoint::Unix("/var/run/docker.sock".into());
        let mut w = World::steady();
        let init = w.init();
        w.connect_as(init, Protocol::Unix, socket(), Outcome::Established);
        assert_eq!(w.finding("net.runtime-api").severity, Severity::High);
        let mut w = World::steady();
        w.mount("/var/run/dock");
        let init = w.init();
        w.connect_as(init, Protocol::Unix, socket(), Outcome::Established);
        assert_eq!(w.highest(), Severity::High);
        let mut w = World::steady();
        w.mount("/run/docker.sock");
        let init = w.init();
        w.connect_as(init, Protocol::Unix, socket(), Outcome::Established);
        assert_eq!(w.highest(), Severity::Info);
        let s = w.session(&["sh"]);
        w.connect_as(s, Protocol::Unix, socket(), Outcome::Established);
        assert_eq!(w.finding("net.runtime-api").severity, Severity::High);
        let mut w = World::steady();
        let init = w.init();
        w.connect_as(
            init,
            Protocol::Unix,
            Endpoint::Unix("/run/mysqld.sock".into()),
            Outcome::Established,
        );
        w.only(&[]);
    }

    #[test]
    fn a_mounted_socket_is_no_finding_although_the_engine_reports_later() {
        for (mount, highest) in [("/engine", Severity::Info), ("/data", Severity::High)] {
            let mut w = World::starting();
            w.info(|i| i.image = "".into());
            let init = w.init();
            let socket = Endpoint::Unix("/engine/docker.sock".into());
            for _ in 0..3 {
                w.connect_as(init, Protocol::Unix, socket.clone(), Outcome::Established);
            }
            assert_eq!(w.finding("net.runtime-api").severity, Severity::High);
            w.info(|i| {
                i.image = "agent:1".into();
                i.mounts.push(crate::event::Mount {
                    destination: mount.into(),
                    ..crate::event::Mount::default()
                });
            });
            w.connect_as(init, Protocol::Unix, socket, Outcome::Established);
            assert_eq!(w.finding("net.runtime-api").severity, highest, "{mount}");
        }
    }

    #[test]
    fn a_runtime_socket_is_known_by_where_it_comes_from() {
        for (source, flagged) in [("/run/docker.sock", true), ("/run/mysqld.sock", false)] {
            let mut w = World::steady();
            w.info(|i| {
                i.mounts.push(crate::event::Mount {
                    kind: "bind".into(),
                    source: source.into(),
                    destination: "/tmp/app.sock".into(),
                    writable: true,
                });
            });
            let s = w.session(&["sh"]);
            let socket = Endpoint::Unix("/tmp/app.sock".into());
            w.connect_as(s, Protocol::Unix, socket, Outcome::Established);
            assert_eq!(!w.all("net.runtime-api").is_empty(), flagged, "{source}");
        }
    }
}
