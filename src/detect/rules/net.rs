//! Connections to public addresses that are new for a container.

use std::net::IpAddr;

use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Connect, Outcome};

/// New destination.
pub(super) const DESTINATION: Rule = Rule {
    info: RuleInfo {
        id: "net.new-destination",
        title: "Connected to a new public address",
        label: "new address",
        severity: Severity::Low,
        attack: &["T1071", "T1041"],
        needs: &[Requirement::Connect],
        explain: "After start-up the container connected to a public address that it had not used \
                  before. One finding for the container lists them. Addresses whose name is in a \
                  domain already used are not new.",
        check: "Does the service need that address? If not, restrict its network.",
    },
    handlers: &[Handler::Connect(|ctx, memory, connect| {
        destination(ctx, memory.of(), connect)
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

/// The last two labels of a name, as an approximation of its owner.
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
        let action = match connect.outcome {
            Outcome::Failed(_) => "Tried",
            _ => "Connected to",
        };
        explanation.title = format!("{action} a new public address: {shown}");
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

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

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
}
