//! Advice on a container's peers as a separate nftables table, in addition to the engine's rules.

use std::net::IpAddr;

use super::peers::peer_rules;
use crate::advice::Advice;

/// Private and link-local addresses.
const PRIVATE: [(&str, &str); 2] = [
    (
        "ip",
        "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16",
    ),
    ("ip6", "fc00::/7, fe80::/10"),
];

/// Letters, digits and `_` of a name, as nft allows.
fn word(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(keep).collect()
}

pub(super) fn render(name: &str, advice: &[Advice]) -> String {
    let Some(peers) = peer_rules(advice, rule) else {
        return "# nothing is advised about peers\n".to_owned();
    };
    let rules = peers.rules;
    let dns = if peers.none {
        ""
    } else {
        "    meta l4proto { tcp, udp } th dport 53 accept\n"
    };
    let mut out =
        "# nft -f this-file; delete the table to undo it. The rules apply to traffic that leaves \
         the host or\n# goes to another network, not to traffic on the container's bridge.\n"
            .to_owned();
    if !peers.without_rule.is_empty() {
        out.push_str(&format!(
            "# nftables matches addresses, not names: add the addresses of {}\n",
            peers.without_rule
        ));
    }
    let table = format!("hullwatch_{}", word(name));
    out.push_str(&format!(
        "# The container's address: docker inspect -f '{{{{range \
         .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' NAME\n\
         define container = 192.0.2.1\n\
         table inet {table} {{\n  chain forward {{\n    type filter hook forward priority -1; policy \
         accept;\n    ip saddr $container jump egress\n  }}\n  chain egress {{\n    ct state \
         established,related accept\n{dns}{rules}    reject\n  }}\n}}\n"
    ));
    out
}

/// The rule that allows one peer; `None` for one without known addresses.
fn rule(to: &str, port: u16) -> Option<String> {
    let ports = format!("meta l4proto {{ tcp, udp }} th dport {port} accept");
    if let Ok(ip) = to.parse::<IpAddr>() {
        let family = if ip.is_ipv4() { "ip" } else { "ip6" };
        return Some(format!("    {family} daddr {ip} {ports}\n"));
    }
    match to {
        "private" => {
            let of = |(family, list)| format!("    {family} daddr {{ {list} }} {ports}\n");
            Some(PRIVATE.map(of).concat())
        }
        "public" => Some(format!("    {ports}\n")),
        _ => None,
    }
}
