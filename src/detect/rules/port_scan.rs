//! Looking for open ports and hosts.

use crate::detect::alert::{Alert, Alerts};
use std::collections::BTreeSet;

use super::control_api::add_caller;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution};
use crate::event::{Connect, Endpoint, Outcome, Protocol, Timestamp};

/// Distinct ports of one host within the window that make a scan.
const SCAN_PORTS: usize = 12;
/// The same by datagrams.
const SCAN_DATAGRAMS: usize = 24;
/// Distinct hosts at one port within the window that make a sweep.
const SCAN_HOSTS: usize = 24;
/// The window, seconds.
const SCAN_WINDOW: u64 = 10;
/// Pairs remembered of one window.
const SCAN_PAIRS: usize = 512;
/// Distinct ports of one host that failed within the long window and make a slow scan.
const SLOW_PORTS: usize = 20;
/// The long window, seconds.
const SLOW_WINDOW: u64 = 600;

/// Scan.
pub(super) const SCAN: Rule = Rule {
    info: RuleInfo {
        id: "net.scan",
        title: "Scanned ports or hosts",
        severity: Severity::High,
        attack: &["T1046"],
        needs: &[Requirement::Connect],
        explain: "Within ten seconds one process family tried twelve ports of one host, or one \
                  port of two dozen hosts most of which did not answer; or twenty ports of one \
                  host failed within ten minutes. Datagrams count from two dozen ports on. One \
                  finding, however long it goes on.",
        check: "Which program scans, and which of the targets answered.",
    },
    handlers: &[Handler::Connect(|ctx, memory, connect| {
        scan(ctx, memory.of(), connect)
    })],
};

/// Peers and ports that a container tried lately.
#[derive(Debug, Clone, Default)]
struct PortScans {
    /// By connections.
    scan: Option<Tried>,
    /// By connections that failed, over the long window.
    failures: Option<Tried>,
    /// By datagrams.
    datagrams: Option<Tried>,
}

impl RuleMemory for PortScans {
    fn heap_bytes(&self) -> usize {
        let windows = [&self.scan, &self.failures, &self.datagrams];
        let pairs = windows.into_iter().flatten().map(|(_, pairs)| pairs.len());
        pairs.sum::<usize>() * 64
    }
}

/// Pairs of address and port tried since the start of a window.
type Tried = (Timestamp, BTreeSet<(std::net::IpAddr, u16)>);

fn scan(ctx: &RuleContext<'_>, memory: &mut PortScans, connect: &Connect) -> Alerts {
    let Endpoint::Inet(to) = connect.remote else {
        return Alerts::none();
    };
    if to.ip().is_loopback() {
        return Alerts::none();
    }
    let (ip, port) = (to.ip().to_canonical(), to.port());
    let now = ctx.now();
    match connect.protocol {
        Protocol::Tcp => {}
        Protocol::Udp => {
            // Datagrams to many resolvers or peers are ordinary, to many ports of one are not.
            let pairs = tried(&mut memory.datagrams, now, SCAN_WINDOW);
            let ports = new_ports(pairs, (ip, port), SCAN_DATAGRAMS);
            if let Some(ports) = ports {
                let line = format!("{ports} ports of {ip} by datagrams within {SCAN_WINDOW} s");
                return alert(ctx, connect, format!("{ip}:*"), line).into();
            }
            return Alerts::none();
        }
        _ => return Alerts::none(),
    }
    let mut alerts = Alerts::none();
    if matches!(connect.outcome, Outcome::Failed(_)) {
        let pairs = tried(&mut memory.failures, now, SLOW_WINDOW);
        if let Some(ports) = new_ports(pairs, (ip, port), SLOW_PORTS) {
            let line = format!("{ports} ports of {ip} failed within {SLOW_WINDOW} s");
            alerts.push(alert(ctx, connect, format!("{ip}:*"), line));
        }
    }
    let pairs = tried(&mut memory.scan, now, SCAN_WINDOW);
    if pairs.len() >= SCAN_PAIRS || !pairs.insert((ip, port)) || pairs.len() < SCAN_PORTS {
        return alerts;
    }
    let ports = pairs.range((ip, 0)..=(ip, u16::MAX)).count();
    let hosts = pairs.iter().filter(|(_, p)| *p == port).count();
    let failing = ctx
        .state
        .connections
        .iter()
        .filter(|(key, row)| {
            key.owner.as_ref() == Some(ctx.owner)
                && matches!(&key.endpoint, Endpoint::Inet(a) if a.port() == port)
                && row.failed > 0
        })
        .take(SCAN_HOSTS)
        .count();
    let sweep = hosts >= SCAN_HOSTS && (failing * 2 >= hosts || attribution::suspicious(ctx));
    if ports < SCAN_PORTS && !sweep {
        return alerts;
    }
    let (thing, line) = if sweep {
        (
            format!("*:{port}"),
            format!("port {port} of at least {SCAN_HOSTS} hosts within {SCAN_WINDOW} s"),
        )
    } else {
        (
            format!("{ip}:*"),
            format!("at least {SCAN_PORTS} ports of {ip} within {SCAN_WINDOW} s"),
        )
    };
    alerts.push(alert(ctx, connect, thing, line));
    alerts
}

/// The pairs tried in the window that `now` falls into.
fn tried(
    window: &mut Option<Tried>,
    now: Timestamp,
    seconds: u64,
) -> &mut BTreeSet<(std::net::IpAddr, u16)> {
    let window = window.get_or_insert_with(|| (now, BTreeSet::new()));
    if now.since(window.0).as_secs() >= seconds {
        *window = (now, BTreeSet::new());
    }
    &mut window.1
}

/// Adds a pair; how many ports of its host were tried, once these are many.
fn new_ports(
    pairs: &mut BTreeSet<(std::net::IpAddr, u16)>,
    pair: (std::net::IpAddr, u16),
    many: usize,
) -> Option<usize> {
    if pairs.len() >= SCAN_PAIRS || !pairs.insert(pair) {
        return None;
    }
    let ports = pairs.range((pair.0, 0)..=(pair.0, u16::MAX)).count();
    (ports == many).then_some(ports)
}

/// `target` is a host with all its ports, or a port of all hosts.
fn alert(ctx: &RuleContext<'_>, connect: &Connect, target: String, line: String) -> Alert {
    let alert = ctx.alert(Severity::High, b"scan", |explanation| {
        explanation.title = match target.strip_prefix("*:") {
            Some(port) => format!("Scanned many hosts at port {port}"),
            None => format!("Scanned many ports of {}", target.trim_end_matches(":*")),
        };
        add_caller(ctx, explanation, connect);
    });
    alert.part(target.as_bytes()).reason(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::{Endpoint, Outcome, Protocol};

    #[test]
    fn a_scan_is_one_finding_and_a_pool_is_none() {
        let mut w = World::steady();
        let init = w.init();
        for port in 1..300 {
            w.connect_failed(init, &format!("10.0.0.5:{port}"), 111);
        }
        assert_eq!(w.all("net.scan").len(), 1);
        let mut w = World::steady();
        let init = w.init();
        for host in 1..60 {
            w.connect_failed(init, &format!("10.0.0.{host}:22"), 113);
        }
        w.only(&["net.scan"]);
        let mut w = World::steady();
        let init = w.init();
        for _ in 0..20 {
            for host in 1..40 {
                w.connect(init, &format!("10.0.0.{host}:9100"));
            }
            for _ in 0..100 {
                w.connect(init, "10.0.0.5:5432");
            }
            w.ticks(15);
        }
        w.only(&[]);
    }

    #[test]
    fn a_slow_scan_is_known_by_its_failures() {
        let mut w = World::steady();
        let init = w.init();
        for port in 1..30 {
            w.connect_failed(init, &format!("10.0.0.5:{port}"), 111);
            w.ticks(5);
        }
        w.only(&["net.scan"]);
        // Somebody who tries again tries the same port; a cluster's ports answer.
        let mut w = World::steady();
        let init = w.init();
        for port in 1..100 {
            w.connect_failed(init, "10.0.0.5:5432", 111);
            w.connect(init, &format!("10.0.0.6:{}", 30_000 + port));
            w.ticks(5);
        }
        w.only(&[]);
    }

    #[test]
    fn datagrams_to_many_ports_of_one_host() {
        let send = |w: &mut World, pid, to: String| {
            let to = Endpoint::Inet(to.parse().unwrap());
            w.connect_as(pid, Protocol::Udp, to, Outcome::Established);
        };
        let mut w = World::steady();
        let init = w.init();
        for port in 1..60 {
            send(&mut w, init, format!("10.0.0.5:{port}"));
        }
        w.only(&["net.scan"]);
        let mut w = World::steady();
        let init = w.init();
        for n in 1..60 {
            send(&mut w, init, format!("10.0.0.{n}:53"));
            send(&mut w, init, format!("10.0.0.5:{}", 8000 + n % 9));
        }
        w.only(&[]);
    }
}
