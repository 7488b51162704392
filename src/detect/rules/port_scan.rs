//! Port scans and host scans.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::caller::{REFUSED, RUNTIME_API, add_caller};
use super::scan_tally::{ScanTally, Tried};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::reason_line::ReasonLine;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution};
use crate::event::{Connect, Endpoint, Protocol, Timestamp};

/// Distinct ports of one host within the window that make a scan.
const SCAN_PORTS: usize = 12;
/// Distinct ports of one host by datagrams within the window that make a scan.
const SCAN_DATAGRAMS: usize = 24;
/// Distinct hosts at one port within the window that make a sweep.
const SCAN_HOSTS: usize = 24;
/// Distinct ports of each of several hosts, mostly failing, that make a scan of a network.
const GRID_PORTS: usize = 3;
/// Distinct ports of each host over the long window: a cluster with unreachable peers looks
/// similar.
const SLOW_GRID_PORTS: usize = 5;
/// Number of such hosts.
const GRID_HOSTS: usize = 3;
/// Minimum number of pairs of host and port; twice as many over the long window.
const GRID_PAIRS: usize = 24;
/// Seconds without a new target after which a scan is over.
const SCAN_ENDS: u64 = 60;
/// The window, seconds.
const SCAN_WINDOW: u64 = 10;
/// Pairs remembered of one window.
const SCAN_PAIRS: usize = 512;
/// Distinct ports of one host that failed within the long window and make a slow scan.
const SLOW_PORTS: usize = 20;
/// The long window, seconds.
const SLOW_WINDOW: u64 = 600;

/// Targets listed that answered before the scan was noticed.
const LISTED: usize = 8;
/// Begins the lines about targets that answered.
const ANSWERED: &str = "answered:";

/// The single finding of a container.
const SUBJECT: &[u8] = b"scan";

/// Scan.
pub(super) const SCAN: Rule = Rule {
    info: RuleInfo {
        id: "net.scan",
        title: "Scanned ports or hosts",
        label: "scan",
        severity: Severity::High,
        attack: &["T1046"],
        needs: &[Requirement::Connect],
        explain: "Within ten seconds the container tried twelve ports of one host, one port of \
                  two dozen hosts most of which did not answer, or several ports of several \
                  hosts, 24 pairs in all, half of which failed. Slow scans count by their \
                  failures within ten minutes; datagrams count from two dozen ports on. A scan \
                  is one finding.",
        check: "Which program scans, and which targets answered?",
    },
    handlers: &[Handler::Connect(|ctx, memory, connect| {
        scan(ctx, memory.of(), connect)
    })],
};

/// Peers and ports that a container tried recently.
#[derive(Debug, Clone, Default)]
pub(super) struct PortScans {
    /// By connections.
    connections: Window,
    /// By connections that failed, over the long window.
    failures: Window,
    /// By datagrams.
    datagrams: Window,
    /// When the latest connection counted as part of a scan.
    latest: Option<Timestamp>,
    /// All that was scanned.
    tally: ScanTally,
}

impl RuleMemory for PortScans {
    fn heap_bytes(&self) -> usize {
        let windows = [&self.connections, &self.failures, &self.datagrams];
        let windows = windows.map(|window| window.pairs.len());
        (windows.iter().sum::<usize>() + self.tally.len()) * 64
    }
}

impl PortScans {
    /// Whether a scan is under way: a connection that fails now is part of it, whatever the port.
    pub(super) fn goes_on(&self, now: Timestamp) -> bool {
        self.latest
            .is_some_and(|at| now.since(at).as_secs() < SCAN_ENDS)
    }
}

/// Pairs of address and port tried since the start of a window.
#[derive(Debug, Clone, Default)]
struct Window {
    began: Option<Timestamp>,
    pairs: BTreeMap<(IpAddr, u16), Tried>,
}

impl Window {
    /// Adds a pair to the window that `now` is in; false when the pair is known.
    fn add(&mut self, now: Timestamp, seconds: u64, pair: (IpAddr, u16), tried: Tried) -> bool {
        let over = |began: Timestamp| now.since(began).as_secs() >= seconds;
        if self.began.is_none_or(over) {
            self.began = Some(now);
            self.pairs.clear();
        }
        if self.pairs.len() >= SCAN_PAIRS && !self.pairs.contains_key(&pair) {
            return false;
        }
        match self.pairs.insert(pair, tried) {
            None => true,
            Some(before) => tried == Tried::Failed && before != Tried::Failed,
        }
    }

    /// Different ports of a host.
    fn ports(&self, ip: IpAddr) -> usize {
        self.pairs.range((ip, 0)..=(ip, u16::MAX)).count()
    }

    /// Hosts at a port, and how many of them failed.
    fn hosts(&self, port: u16) -> (usize, usize) {
        let at_port = self.pairs.iter().filter(|((_, p), _)| *p == port);
        at_port.fold((0, 0), |(all, failed), (_, f)| {
            (all + 1, failed + usize::from(*f == Tried::Failed))
        })
    }

    /// Hosts of which several ports were tried, the number of pairs, and how many of them failed.
    fn grid(&self, several: usize) -> (usize, usize, usize) {
        let mut per_host: BTreeMap<IpAddr, (usize, usize)> = BTreeMap::new();
        for ((ip, _), tried) in &self.pairs {
            let host = per_host.entry(*ip).or_default();
            host.0 += 1;
            host.1 += usize::from(*tried == Tried::Failed);
        }
        per_host.retain(|_, (ports, _)| *ports >= several);
        let pairs = per_host.values().map(|(ports, _)| ports).sum();
        let failed = per_host.values().map(|(_, failed)| failed).sum();
        (per_host.len(), pairs, failed)
    }
}

/// Notes the pairs of a window that belong to a target.
fn note(tally: &mut ScanTally, window: &Window, target: &ScanTarget) {
    let of_target = window.pairs.iter().filter(|(pair, _)| match target {
        ScanTarget::Host(ip, _) => pair.0 == *ip,
        ScanTarget::Port(port, _) => pair.1 == *port,
        ScanTarget::Network(_) => window.ports(pair.0) >= GRID_PORTS,
    });
    for (pair, outcome) in of_target {
        tally.add(*pair, *outcome == Tried::Answered);
    }
}

fn scan(ctx: &RuleContext<'_>, memory: &mut PortScans, connect: &Connect) -> Alerts {
    let Endpoint::Inet(to) = connect.remote else {
        return Alerts::none();
    };
    if to.ip().is_loopback() {
        return Alerts::none();
    }
    let pair = (to.ip().to_canonical(), to.port());
    let now = ctx.now();
    let tried = Tried::of(&connect.outcome);
    let found = match connect.protocol {
        Protocol::Tcp => {
            let failed = tried == Tried::Failed;
            let slow = failed && memory.failures.add(now, SLOW_WINDOW, pair, tried);
            let slow = slow.then(|| by_failures(&memory.failures, pair)).flatten();
            let fast = memory.connections.add(now, SCAN_WINDOW, pair, tried);
            let fast = fast.then(|| by_connections(ctx, &memory.connections, pair));
            [
                slow.map(|target| (&memory.failures, target)),
                fast.flatten().map(|target| (&memory.connections, target)),
            ]
        }
        Protocol::Udp => {
            // Datagrams to many resolvers or peers are ordinary, datagrams to many ports of one are
            // not.
            let new = memory.datagrams.add(now, SCAN_WINDOW, pair, Tried::Open);
            let many = new && memory.datagrams.ports(pair.0) == SCAN_DATAGRAMS;
            let line = format!(
                "{SCAN_DATAGRAMS} ports of {} by datagrams within {SCAN_WINDOW} s",
                pair.0
            );
            let target = ScanTarget::Host(pair.0, line);
            [many.then_some((&memory.datagrams, target)), None]
        }
        _ => return Alerts::none(),
    };
    let goes_on = memory.goes_on(now);
    let answered = tried == Tried::Answered && connect.protocol == Protocol::Tcp;
    let mut changed = false;
    for (window, target) in found.iter().flatten() {
        note(&mut memory.tally, window, target);
        if connect.protocol == Protocol::Udp {
            memory.tally.without_answers();
        }
        changed = true;
    }
    if goes_on && (tried == Tried::Failed || memory.tally.has_host(pair.0)) {
        changed |= memory.tally.add(pair, answered);
    }
    if !changed {
        return Alerts::none();
    }
    let mut alerts = Alerts::none();
    let targets: Vec<ScanTarget> = found
        .into_iter()
        .flatten()
        .map(|(_, target)| target)
        .collect();
    for target in &targets {
        alerts.push(alert(ctx, connect, target, &memory.tally));
    }
    if targets.is_empty() {
        alerts.extend(sum_up(ctx, &memory.tally));
    } else {
        if !goes_on {
            alerts.extend(probed_engines(ctx));
        }
        memory.latest = Some(now);
    }
    if answered && memory.tally.has(pair) {
        alerts.extend(answer(ctx, to));
    }
    alerts
}

/// The finding, with the sum so far as its title.
fn sum_up(ctx: &RuleContext<'_>, tally: &ScanTally) -> Option<Alert> {
    let index = ctx.findings.find(SCAN.info.id, Some(ctx.owner), SUBJECT)?;
    Some(Alert::addition(index).title(tally.text()))
}

/// Adds the target that answered to the finding.
fn answer(ctx: &RuleContext<'_>, to: SocketAddr) -> Option<Alert> {
    let index = ctx.findings.find(SCAN.info.id, Some(ctx.owner), SUBJECT)?;
    let line = ReasonLine::of(ANSWERED, to).weighty(true);
    Some(Alert::addition(index).effect(line))
}

/// Closed engine ports that were tried just before turn out to be part of the scan.
fn probed_engines(ctx: &RuleContext<'_>) -> Option<Alert> {
    let (rule, subject) = (RUNTIME_API, REFUSED.as_bytes());
    let index = ctx.findings.find(rule, Some(ctx.owner), subject)?;
    let finding = ctx.findings.get(index)?;
    let lately = ctx.now().since(finding.first).as_secs() < SLOW_WINDOW;
    let alert = Alert::addition(index)
        .revise_severity(Severity::Low)
        .reason("part of a port scan");
    lately.then_some(alert)
}

/// The target of a scan.
enum ScanTarget {
    /// Many ports of a host.
    Host(IpAddr, String),
    /// A port of many hosts.
    Port(u16, String),
    /// Several ports of several hosts.
    Network(String),
}

/// A slow scan: many ports failed.
fn by_failures(window: &Window, pair: (IpAddr, u16)) -> Option<ScanTarget> {
    let ports = window.ports(pair.0);
    if ports == SLOW_PORTS {
        let line = format!(
            "{ports} ports of {} that failed within {SLOW_WINDOW} s",
            pair.0
        );
        return Some(ScanTarget::Host(pair.0, line));
    }
    let (hosts, pairs, _) = window.grid(SLOW_GRID_PORTS);
    (hosts >= GRID_HOSTS && pairs >= 2 * GRID_PAIRS).then(|| {
        let least = 2 * GRID_PAIRS;
        ScanTarget::Network(format!(
            "at least {least} ports of several hosts that failed within {SLOW_WINDOW} s"
        ))
    })
}

/// A scan within the short window.
fn by_connections(
    ctx: &RuleContext<'_>,
    window: &Window,
    pair: (IpAddr, u16),
) -> Option<ScanTarget> {
    if window.pairs.len() < SCAN_PORTS {
        return None;
    }
    let (ip, port) = pair;
    let (hosts, failing) = window.hosts(port);
    if hosts >= SCAN_HOSTS && (failing * 2 >= hosts || attribution::suspicious(ctx)) {
        let line = format!("port {port} of at least {SCAN_HOSTS} hosts within {SCAN_WINDOW} s");
        return Some(ScanTarget::Port(port, line));
    }
    if window.ports(ip) >= SCAN_PORTS {
        let line = format!("at least {SCAN_PORTS} ports of {ip} within {SCAN_WINDOW} s");
        return Some(ScanTarget::Host(ip, line));
    }
    let (hosts, pairs, failed) = window.grid(GRID_PORTS);
    let line = || format!("at least {GRID_PAIRS} ports of several hosts within {SCAN_WINDOW} s");
    let unanswered = failed * 2 >= pairs || attribution::suspicious(ctx);
    (hosts >= GRID_HOSTS && pairs >= GRID_PAIRS && unanswered).then(|| ScanTarget::Network(line()))
}

fn alert(
    ctx: &RuleContext<'_>,
    connect: &Connect,
    target: &ScanTarget,
    tally: &ScanTally,
) -> Alert {
    let (part, line) = match target {
        ScanTarget::Host(ip, line) => (format!("{ip}:*"), line),
        ScanTarget::Port(port, line) => (format!("*:{port}"), line),
        ScanTarget::Network(line) => ("*:*".to_owned(), line),
    };
    let known = ctx.findings.find(SCAN.info.id, Some(ctx.owner), SUBJECT);
    let alert = ctx.alert(Severity::High, SUBJECT, |explanation| {
        explanation.title = tally.text();
        explanation.sums_up = true;
        add_caller(ctx, explanation, connect);
        let answered = tally.answered().take(LISTED);
        (explanation.why).extend(answered.map(|to| format!("{ANSWERED} {to}")));
    });
    let alert = match known {
        Some(_) => alert.title(tally.text()),
        None => alert,
    };
    alert
        .part(part.as_bytes())
        .effect(ReasonLine::of("tried", line))
}

#[cfg(test)]
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
    fn ports_of_a_network_are_one_scan_that_includes_engine_ports() {
        const PORTS: [u16; 9] = [22, 80, 443, 2375, 2376, 3306, 5432, 6379, 8080];
        let by_hosts = |host: usize, port: usize| (host, PORTS[port]);
        let by_ports = |n: usize, port: usize| (n, PORTS[port]);
        let mut orders = [Vec::new(), Vec::new()];
        for host in 1..=12 {
            orders[0].extend((0..9).map(|port| by_hosts(host, port)));
        }
        for port in 0..9 {
            orders[1].extend((1..=12).map(|host| by_ports(host, port)));
        }
        for order in orders {
            let mut w = World::steady();
            let init = w.init();
            for (host, port) in order {
                w.connect_failed(init, &format!("10.0.0.{host}:{port}"), 111);
            }
            let f = w.finding("net.scan");
            assert_eq!(f.title, "Scanned 108 ports of 12 hosts, none answered");
            assert!(f.why.len() < 8, "{:?}", f.why);
            let requested = w.all("net.runtime-api");
            assert!(requested.len() <= 1, "{requested:?}");
        }
        // Peers of a cluster have a few ports each, and mostly answer.
        let mut w = World::steady();
        let init = w.init();
        for host in 1..=12 {
            for port in [7000, 7001, 9042, 9160] {
                w.connect(init, &format!("10.0.0.{host}:{port}"));
            }
        }
        for host in 1..=5 {
            for port in [8300, 8301, 8302] {
                w.connect_failed(init, &format!("10.0.1.{host}:{port}"), 111);
            }
        }
        w.only(&[]);
    }

    #[test]
    fn targets_that_answered_are_listed() {
        let mut w = World::steady();
        let init = w.init();
        for host in 1..=12 {
            for port in [22, 80, 443, 3306, 5432, 6379, 8080, 8443, 9200] {
                let to = format!("10.0.0.{host}:{port}");
                match (host, port) {
                    (3, 6379) | (5, 5432) | (12, 9200) => w.connect(init, &to),
                    _ => w.connect_failed(init, &to, 111),
                }
            }
        }
        // The database that it always used is no part of it.
        w.connect(init, "10.0.7.7:5432");
        let f = w.finding("net.scan");
        assert_eq!(f.title, "Scanned 108 ports of 12 hosts, 3 answered");
        for line in ["answered: 10.0.0.5:5432", "answered: 10.0.0.12:9200"] {
            assert!(
                f.why.iter().any(|known| known == line),
                "{line}: {:?}",
                f.why
            );
        }
        assert!(!f.why.iter().any(|line| line.contains("10.0.7.7")));
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
        // A retry uses the same port; a cluster's ports answer.
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
