//! Connections to the cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Connect, Outcome};

/// Addresses at which clouds serve credentials: AWS, Google, Azure, Oracle and others share the
/// first; then AWS tasks, AWS and Google over IPv6, Alibaba, Oracle.
const ADDRESSES: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.cloud-metadata",
        title: "Connected to the cloud's metadata service",
        label: "cloud metadata",
        severity: Severity::High,
        attack: &["T1552.005"],
        needs: &[Requirement::Connect],
        explain: "A process connected, or tried to connect, to the address at which the cloud serves the machine's credentials. High from a shell, a downloader, drifted code or \
                  an exec session; medium from a service, whose cloud library may need it.",
        check: "Does this workload use the cloud's identity? If not, block the address.",
    },
    handlers: &[Handler::Connect(|ctx, _, connect| examine(ctx, connect))],
};

/// Whether a cloud's metadata service has this address.
#[must_use]
pub(crate) fn is_metadata(ip: IpAddr) -> bool {
    ADDRESSES.contains(&ip)
}

fn examine(ctx: &RuleContext<'_>, connect: &Connect) -> Alerts {
    let Some(ip) = connect.remote.ip().filter(|ip| is_metadata(*ip)) else {
        return Alerts::none();
    };
    let suspicious = attribution::suspicious(ctx);
    let severity = if suspicious {
        Severity::High
    } else {
        Severity::Medium
    };
    let alert = ctx.alert(severity, ip.to_string().as_bytes(), |explanation| {
        let action = match connect.outcome {
            Outcome::Failed(_) => "Tried to reach",
            _ => "Connected to",
        };
        explanation.title = format!("{action} the cloud's metadata service at {ip}");
        explanation.why.push(match connect.outcome {
            Outcome::Failed(errno) => format!("the connection failed (errno {errno})"),
            _ => "the connection was made or started".to_owned(),
        });
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("by: {command}"));
        }
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn every_spelling_of_the_address_counts() {
        for to in [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[fd00:ec2::254]:80",
            "100.100.100.200:80",
        ] {
            let mut w = World::steady();
            let init = w.init();
            let curl = w.exec(init, "/usr/bin/curl", &["curl", "x"]);
            w.connect(curl, to);
            assert_eq!(w.finding("net.cloud-metadata").severity, Severity::High);
        }
        let mut w = World::steady();
        let init = w.init();
        w.connect_failed(init, "169.254.169.254:80", 111);
        w.connect(init, "169.254.169.254:80");
        let f = w.finding("net.cloud-metadata");
        assert_eq!((f.severity, f.count), (Severity::Medium, 2));
    }

    #[test]
    fn other_link_local_addresses_do_not() {
        let mut w = World::steady();
        let init = w.init();
        w.connect(init, "169.254.1.1:80");
        w.connect(init, "[fe80::1]:53");
        w.none("net.cloud-metadata");
    }
}
