//! Advice on a container's peers as a Cilium policy, which supports names.

use std::net::IpAddr;

use super::text::yaml;
use crate::advice::{Advice, Setting};
use crate::event::Bytes;

/// DNS, which rules with names need.
const DNS: &str = "\
  - toEndpoints:
    - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
    toPorts:
    - ports: [{port: \"53\", protocol: ANY}]
      rules: {dns: [{matchPattern: \"*\"}]}
";

pub(super) fn render(name: &str, advice: &[Advice]) -> String {
    let advised = advice.iter().filter(|advice| advice.verdict.is_advised());
    let mut peers: Option<&[Bytes]> = None;
    for advice in advised {
        match &advice.setting {
            Setting::NoNetwork | Setting::InternalNetwork => peers = Some(&[]),
            Setting::Peers(list) => peers = Some(list),
            _ => {}
        }
    }
    let Some(peers) = peers else {
        return "# nothing is advised about peers\n".to_owned();
    };
    let mut rules = String::new();
    let mut wide = Vec::new();
    for peer in peers {
        let text = String::from_utf8_lossy(peer);
        match text.rsplit_once(':').and_then(|(to, port)| rule(to, port)) {
            Some(rule) => rules.push_str(&rule),
            None => wide.push(peer.escaped().to_string()),
        }
    }
    let mut out = String::new();
    if !wide.is_empty() {
        let list = wide.join(", ");
        out.push_str(&format!("# to be added by hand: {list}\n"));
    }
    let egress = if peers.is_empty() {
        "  egress: [{}]\n".to_owned()
    } else {
        format!("  egress:\n{DNS}{rules}")
    };
    out.push_str(&format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: egress}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{app: {}}}}}\n{egress}",
        yaml(name)
    ));
    out
}

/// The rule that allows one peer; `None` for one that is not a single name or address.
fn rule(to: &str, port: &str) -> Option<String> {
    let port: u16 = port.parse().ok()?;
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
