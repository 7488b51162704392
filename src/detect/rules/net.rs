//! What a container connects to and listens on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use bstr::ByteSlice as _;

use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use crate::detect::attribution::suspicious;
use crate::detect::file_change::{by, graded, refused};
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{
    Bytes, Connect, ContainerEvent, Dns, Endpoint, Outcome, Privilege, Protocol, Timestamp,
};

/// Distinct long names below one domain within a minute that look like a tunnel.
const TUNNEL_NAMES: u32 = 20;
/// Length of that window.
const TUNNEL_WINDOW: Duration = Duration::from_secs(60);
/// Early uses of engine sockets remembered.
const MAX_EARLY_SOCKETS: usize = 16;
/// Domains watched at once.
const MAX_DOMAINS: usize = 64;

/// New destination.
pub(super) const DESTINATION: Rule = Rule {
    info: RuleInfo {
        id: "net.new-destination",
        title: "Connected to public addresses new for this container",
        severity: Severity::Low,
        attack: &["T1071", "T1041"],
        needs: &[Requirement::Connect],
        explain: "After start-up the container connected to a public address it had not used \
                  before. One finding a container, which lists them. Addresses whose name lies \
                  in a domain already used are not new.",
        check: "Whether the service has business there; restrict its network if not.",
    },
    handlers: &[Handler::Connect(|ctx, memory, connect| {
        destination(ctx, memory.of(), connect)
    })],
};

/// Runtime sockets.
pub(super) const RUNTIME_API: Rule = Rule {
    info: RuleInfo {
        id: "net.runtime-api",
        title: "Used a container runtime's control socket",
        severity: Severity::High,
        attack: &["T1610", "T1611"],
        needs: &[Requirement::Connect],
        explain: "A process connected to the socket or port by which containers are created: it \
                  can start one with the host's disk. Information when the socket is mounted on \
                  purpose and the container's own service uses it.",
        check: "Which requests were made; the runtime's own log tells.",
    },
    handlers: &[
        Handler::Connect(|ctx, memory, connect| runtime_api(ctx, memory.of(), connect)),
        Handler::Container(|ctx, memory, change| runtime_declared(ctx, memory.of(), change)),
    ],
};

/// Cluster control.
pub(super) const CLUSTER_API: Rule = Rule {
    info: RuleInfo {
        id: "net.cluster-api",
        title: "Used an orchestrator's control port",
        severity: Severity::Medium,
        attack: &["T1552.007", "T1613"],
        needs: &[Requirement::Connect],
        explain: "A connection to the port of a Kubernetes API server, a kubelet or etcd. Medium \
                  from a shell, a downloader or a command from outside; information from a \
                  service, for which it may be the work.",
        check: "Whether this workload needs the API, and which account it uses.",
    },
    handlers: &[Handler::Connect(|ctx, _, connect| {
        cluster_api(ctx, connect)
    })],
};

/// Raw sockets.
pub(super) const RAW: Rule = Rule {
    info: RuleInfo {
        id: "net.raw-socket",
        title: "Used a raw or packet socket",
        severity: Severity::Low,
        attack: &["T1040", "T1095"],
        needs: &[Requirement::Privilege],
        explain: "A raw socket can forge packets; a packet socket reads others' traffic and is \
                  medium. ping uses a raw one, too.",
        check: "Which program, and whether NET_RAW can be dropped.",
    },
    handlers: &[Handler::Privilege(|ctx, _, p| raw(ctx, p))],
};

/// DNS tunnel.
pub(super) const TUNNEL: Rule = Rule {
    info: RuleInfo {
        id: "net.dns-tunnel",
        title: "Names asked for look like a tunnel",
        severity: Severity::Medium,
        attack: &["T1071.004", "T1048"],
        needs: &[Requirement::Dns],
        explain: "Many different long names below one domain were asked for within a minute: \
                  data can be carried in names and their answers.",
        check: "What the names encode, and which process asked.",
    },
    handlers: &[Handler::Dns(|ctx, memory, dns| {
        tunnel(ctx, memory.of(), dns)
    })],
};

/// Addresses that are not on the public network.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(a) => {
            let [first, second, ..] = a.octets();
            a.is_private()
                || a.is_loopback()
                || a.is_link_local()
                || a.is_unspecified()
                || a.is_multicast()
                || a.is_broadcast()
                // Carrier-grade NAT.
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(a) => {
            let first = a.segments()[0];
            a.is_loopback()
                || a.is_unspecified()
                || a.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
        }
    }
}

/// The last two labels of a name, as an approximation of who owns it.
pub(super) fn domain(name: &[u8]) -> &[u8] {
    let mut dots = name.iter().enumerate().rev().filter(|(_, b)| **b == b'.');
    let second = dots.nth(1).map(|(i, _)| i + 1);
    name.get(second.unwrap_or(0)..).unwrap_or(name)
}

fn destination(ctx: &RuleContext<'_>, memory: &mut KnownBehavior, connect: &Connect) -> Alerts {
    let Some(ip) = connect.remote.ip().filter(|ip| !is_local(*ip)) else {
        return Alerts::none();
    };
    if super::cloud_metadata::is_metadata(ip) {
        return Alerts::none();
    }
    let name = ctx.container.and_then(|c| c.names.get(&ip)).cloned();
    let new_ip = memory.learn(Behavior::Address(ip));
    let new_domain = name
        .as_ref()
        .is_none_or(|n| memory.learn(Behavior::Domain(domain(n.as_bytes()))));
    if !new_ip || !new_domain || ctx.learning() {
        return Alerts::none();
    }
    let info = ctx.container.map(|c| &c.info);
    let policy = &ctx.settings.policy;
    if policy.may_connect(
        ctx.owner.as_str(),
        info,
        ip,
        name.as_deref().map(|n| n.as_bytes()),
    ) {
        return Alerts::none();
    }
    let shown = match &name {
        Some(name) => format!("{} ({})", name.escaped(), connect.remote.text()),
        None => connect.remote.text(),
    };
    let how = match connect.outcome {
        Outcome::Failed(_) => "tried",
        _ => "connected to",
    };
    let alert = ctx.alert(Severity::Low, b"destinations", |explanation| {
        explanation.title =
            format!("Connected to a public address new for this container: {shown}");
    });
    let target = name.as_ref().map_or_else(
        || connect.remote.text().into_bytes(),
        |name| name.as_bytes().to_vec(),
    );
    let by = ctx.process.map(program_roles::of).map(crate::event::escape);
    let by = by.map(|b| format!(" by {b}")).unwrap_or_default();
    alert
        .part(target.as_slice())
        .reason(format!("{how} {shown}{by}"))
        .into()
}

/// Sockets of a container engine that the container's own service used before the engine reported
/// the mounts.
#[derive(Debug, Clone, Default)]
struct EarlySockets(Vec<Bytes>);

impl RuleMemory for EarlySockets {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 64
    }
}

fn runtime_api(ctx: &RuleContext<'_>, memory: &mut EarlySockets, connect: &Connect) -> Alerts {
    let (unix, port) = match &connect.remote {
        Endpoint::Unix(path) => {
            let known = catalog::programs::ENGINE_SOCKETS;
            // Mounted under another name it is the same socket.
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
    let declared = matches!(&connect.remote, Endpoint::Unix(path) if mounts(ctx, path));
    let own = !suspicious(ctx);
    // What the engine tells may come after the first connection.
    let early = unix && own && ctx.container.is_none_or(|c| c.info.image.is_empty());
    // The socket is not there: a look, no use.
    let absent = unix && matches!(connect.outcome, Outcome::Failed(2));
    let severity = match (declared && own, absent) {
        (true, _) => Severity::Info,
        (_, true) => Severity::Low,
        _ if port && matches!(connect.outcome, Outcome::Failed(_)) => Severity::Medium,
        _ => Severity::High,
    };
    let alert = ctx.alert(severity, to.as_bytes(), |explanation| {
        explanation.title = format!("{}: {to}", ctx.rule.title);
        add_caller(ctx, explanation, connect);
    });
    let socket = Bytes::new(to.as_bytes());
    if early && memory.0.len() < MAX_EARLY_SOCKETS && !memory.0.contains(&socket) {
        memory.0.push(socket);
    }
    alert.into()
}

/// A socket lies in a mount of the container.
fn mounts(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.container.is_some_and(|c| {
        let mut mounts = c.info.mounts.iter();
        mounts.any(|m| run_path(path).starts_with(run_path(m.destination.as_bytes())))
    })
}

/// The engine told of the mounts: what turns out to be mounted on purpose was no finding.
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

/// Where a path below a mount lies on the host.
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

pub(super) fn add_caller(
    ctx: &RuleContext<'_>,
    explanation: &mut crate::detect::finding_store::Explanation,
    connect: &Connect,
) {
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

fn cluster_api(ctx: &RuleContext<'_>, connect: &Connect) -> Alerts {
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
    let severity = if suspicious(ctx) {
        Severity::Medium
    } else {
        Severity::Info
    };
    let alert = ctx.alert(severity, to.to_string().as_bytes(), |explanation| {
        explanation.title = format!("{}: {to}", ctx.rule.title);
        add_caller(ctx, explanation, connect);
    });
    alert.into()
}

fn raw(ctx: &RuleContext<'_>, p: &Privilege) -> Alerts {
    if p.call != "socket" || ctx.starting_up() {
        return Alerts::none();
    }
    let packet = p.detail.contains_str("AF_PACKET");
    // A netlink socket is of the raw kind by name only.
    if !packet && (!p.detail.contains_str("SOCK_RAW") || p.detail.contains_str("NETLINK")) {
        return Alerts::none();
    }
    let weight = if packet {
        Severity::Medium
    } else {
        Severity::Low
    };
    let subject = ctx
        .process
        .map_or_else(|| p.comm.clone(), |process| process.exe.clone());
    let line = format!("socket {}{}", p.detail.escaped(), refused(p.errno));
    let severity = graded(weight, p.errno);
    let alert = ctx.alert(severity, &subject, |explanation| {
        explanation.title = format!("{}: {}", ctx.rule.title, subject.escaped());
        explanation.why.push(by(ctx, &p.comm));
    });
    alert.reason(line).into()
}

/// Long names asked for below each domain, to recognise data carried in names.
#[derive(Debug, Clone, Default)]
struct LongNames {
    seen: SeenSet,
    /// Start of the window and different names in it, by domain.
    windows: BTreeMap<Vec<u8>, (Timestamp, u32)>,
}

impl RuleMemory for LongNames {
    fn heap_bytes(&self) -> usize {
        self.seen.len() * 32 + self.windows.len() * 192
    }
}

impl LongNames {
    /// Adds a name; how many different ones there are in the window, if this one is new.
    fn add(&mut self, now: Timestamp, base: &[u8], name: &[u8]) -> Option<u32> {
        let new = self.seen.insert(name);
        if self.windows.len() > MAX_DOMAINS {
            self.windows.pop_first();
        }
        let window = self.windows.entry(base.to_vec()).or_insert((now, 0));
        if now.since(window.0) >= TUNNEL_WINDOW {
            *window = (now, 0);
        }
        window.1 += u32::from(new);
        new.then_some(window.1)
    }
}

fn tunnel(ctx: &RuleContext<'_>, memory: &mut LongNames, dns: &Dns) -> Alerts {
    let name = dns.name.as_bytes();
    let base = domain(name);
    let below = name.len().saturating_sub(base.len());
    // Service discovery inside a cluster has long names, too, but few of them.
    if below < 32 || name.ends_with(b".local") || name.ends_with(b".arpa") {
        return Alerts::none();
    }
    let count = memory.add(ctx.now(), base, name);
    let Some(count) = count.filter(|count| *count >= TUNNEL_NAMES) else {
        return Alerts::none();
    };
    let alert = ctx.alert(Severity::Medium, base, |explanation| {
        let base = crate::event::escape(base);
        explanation.title = format!("Names below {base} look like a tunnel");
        let line = format!("{count} different long names within a minute");
        explanation.why.push(line);
        explanation.why.push(format!(
            "for instance {} ({})",
            dns.name.escaped(),
            crate::event::escape(dns.qtype.as_bytes())
        ));
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
    fn new_public_destinations_are_one_finding() {
        let mut w = World::starting();
        let init = w.init();
        w.connect(init, "198.51.100.7:443");
        w.dns("a.cdn.example", "A", &["198.51.100.20"]);
        w.connect(init, "198.51.100.20:443");
        w.ticks(60);
        w.connect(init, "198.51.100.7:443");
        w.connect(init, "10.0.0.5:5432");
        w.dns("b.cdn.example", "A", &["198.51.100.21"]);
        w.connect(init, "198.51.100.21:443");
        w.only(&[]);
        w.connect(init, "203.0.113.9:443");
        w.connect(init, "203.0.113.10:443");
        let f = w.finding("net.new-destination");
        assert_eq!((f.severity, f.count), (Severity::Low, 2));
    }

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
    fn a_mounted_socket_is_no_finding_although_the_engine_tells_later() {
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

    #[test]
    fn raw_and_packet_sockets() {
        let mut w = World::steady();
        let init = w.init();
        w.privilege(init, "socket", "AF_NETLINK SOCK_RAW NETLINK_ROUTE", 0);
        w.only(&[]);
        w.privilege(init, "socket", "AF_INET SOCK_RAW IPPROTO_ICMP", 0);
        assert_eq!(w.finding("net.raw-socket").severity, Severity::Low);
        w.privilege(init, "socket", "AF_PACKET SOCK_RAW ETH_P_ALL", 0);
        assert_eq!(w.finding("net.raw-socket").severity, Severity::Medium);
    }

    #[test]
    fn tunnels_have_many_long_names() {
        let mut w = World::steady();
        for n in 0..40 {
            w.dns(&format!("{n:0>40x}.t.evil.example"), "TXT", &[]);
        }
        assert_eq!(w.all("net.dns-tunnel").len(), 1);
        let mut w = World::steady();
        for n in 0..200 {
            w.dns(
                "a-very-long-name-of-a-load-balancer-0123456789.eu.cloud.example",
                "A",
                &[],
            );
            w.dns(&format!("{n}.pool.ntp.example"), "A", &[]);
        }
        // New domains, and no tunnel.
        w.only(&["net.new-name"]);
    }
}
