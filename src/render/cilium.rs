//! Advice on a container's peers as a Cilium policy, which supports names.

use std::net::IpAddr;

use super::peers::peer_rules;
use super::text::yaml;
use crate::advice::Advice;

/// DNS, which rules with names need.
const DNS: &str = "\
  - toEndpoints:
    - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
    toPorts:
    - ports: [{port: \"53\", protocol: ANY}]
      rules: {dns: [{matchPattern: \"*\"}]}
";

pub(super) fn render(name: &str, advice: &[Advice]) -> String {
    let Some(peers) = peer_rules(advice, rule) else {
        return "# nothing is advised about peers\n".to_owned();
    };
    let mut out = String::new();
    if !peers.without_rule.is_empty() {
        out.push_str(&format!("# to be added by hand: {}\n", peers.without_rule));
    }
    let egress = if peers.none {
        "  egress: [{}]\n".to_owned()
    } else {
        format!("  egress:\n{DNS}{}", peers.rules)
    };
    out.push_str(&format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: egress}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{app: {}}}}}\n{egress}",
        yaml(name)
    ));
    out
}

/// The rule that allows one peer; `None` for one that is not a single name or address.
fn rule(to: &str, port: u16) -> Option<String> {
    let peer = if let Ok(ip) = to.parse::<IpAddr>() {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        format!("toCIDR: [{ip}/{bits}]")
    } else if let Some(service) = to.strip_prefix("service:") {
        format!("toEndpoints: [{{matchLabels: {{app: {}}}}}]", yaml(service))
    } else if !to.contains('.') {
        // `private`, `public`: hundreds of unnamed addresses.
        return None;
    } else if to.starts_with("*.") {
        format!("toFQDNs: [{{matchPattern: {}}}]", yaml(to))
    } else {
        format!("toFQDNs: [{{matchName: {}}}]", yaml(to))
    };
    Some(format!(
        "  - {peer}\n    toPorts: [{{ports: [{{port: \"{port}\", protocol: ANY}}]}}]\n"
    ))
}
