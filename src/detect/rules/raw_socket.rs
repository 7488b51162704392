//! Raw and packet sockets.

use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::file_change::{by, graded, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Privilege;

/// Raw sockets.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.raw-socket",
        title: "Used a raw or packet socket",
        label: "raw socket",
        severity: Severity::Low,
        attack: &["T1040", "T1095"],
        needs: &[Requirement::Privilege],
        explain: "A raw socket can forge packets; a packet socket reads the traffic of others and \
                  is medium. ping uses a raw socket, too.",
        check: "Which program? Can NET_RAW be dropped?",
    },
    handlers: &[Handler::Privilege(|ctx, _, p| raw(ctx, p))],
};

fn raw(ctx: &RuleContext<'_>, p: &Privilege) -> Alerts {
    if p.call != "socket" || ctx.starting_up() {
        return Alerts::none();
    }
    let packet = p.detail.contains_str("AF_PACKET");
    // A netlink socket is raw by name only.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

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
}
