//! Advice as the parts of a Kubernetes pod's specification, and a network policy.

use super::seccomp::FILE;
use super::text::{path, yaml};
use crate::advice::{Advice, Setting, Verdict};
use crate::baseline::{Baseline, Facet, ItemField};

pub(super) fn render(name: &str, baseline: &Baseline, advice: &[Advice]) -> String {
    let mut security = String::new();
    let mut mounts = String::new();
    let mut volumes = String::new();
    let mut limits = String::new();
    let mut notes = Vec::new();
    let mut policy = None;
    let mut seccomp = "{type: RuntimeDefault}".to_owned();
    // A pod must declare itself that its image does not run as root.
    let taken = |advice: &&Advice| {
        let is_user = matches!(advice.setting, Setting::User(_));
        advice.verdict.is_advised() || (is_user && advice.verdict == Verdict::Keep)
    };
    for advice in advice.iter().filter(taken) {
        match &advice.setting {
            Setting::Capabilities(add) => {
                security.push_str("      capabilities:\n        drop: [ALL]\n");
                if !add.is_empty() {
                    security.push_str(&format!("        add: [{}]\n", add.join(", ")));
                }
            }
            Setting::NoNewPrivileges => {
                security.push_str("      allowPrivilegeEscalation: false\n");
            }
            Setting::ReadOnly(directories) => {
                security.push_str("      readOnlyRootFilesystem: true\n");
                for (place, d) in directories.iter().enumerate() {
                    let volume = format!("writable-{place}");
                    mounts.push_str(&format!(
                        "    - name: {volume}\n      mountPath: {}\n",
                        yaml(&path(d))
                    ));
                    if d.volume {
                        notes.push(format!(
                            "{}: an initContainer must copy the image's files there",
                            yaml(&path(d))
                        ));
                        volumes.push_str(&format!("- name: {volume}\n  emptyDir: {{}}\n"));
                    } else {
                        volumes.push_str(&format!(
                            "- name: {volume}\n  emptyDir: {{medium: Memory, sizeLimit: {}Mi}}\n",
                            d.size
                        ));
                    }
                }
            }
            Setting::Memory(bytes) => {
                limits.push_str(&format!("        memory: {}Mi\n", bytes >> 20))
            }
            Setting::User(uid) => security.push_str(&format!(
                "      runAsNonRoot: true\n      runAsUser: {uid}\n      runAsGroup: {uid}\n"
            )),
            Setting::Pids(_) => {
                notes.push("tasks are limited by the kubelet (podPidsLimit)".to_owned());
            }
            Setting::NoNetwork | Setting::InternalNetwork => policy = Some(Vec::new()),
            Setting::Peers(peers) => policy = Some(peers.clone()),
            Setting::Seccomp(_) => {
                notes.push(format!(
                    "{FILE} must be in the kubelet's seccomp directory on each node"
                ));
                seccomp = format!("{{type: Localhost, localhostProfile: {FILE}}}");
            }
            Setting::SeccompDefault => {}
        }
    }
    let low_port = |item: &crate::baseline::BaselineItem| {
        let port = std::str::from_utf8(item.get(ItemField::Port)).ok();
        port.and_then(|p| p.parse::<u16>().ok())
            .is_some_and(|p| p < 1024)
    };
    if baseline
        .facet(Facet::Listen)
        .any(|(item, _)| low_port(item))
    {
        notes.push(
            "it listens on a port below 1024, which needs NET_BIND_SERVICE on some runtimes \
             (CRI-O, containerd before 2.0) though not with Docker"
                .to_owned(),
        );
    }
    let mut out = String::new();
    for note in notes {
        out.push_str(&format!("# {note}\n"));
    }
    let name = yaml(name);
    out.push_str("# spec.template.spec of a Deployment\ncontainers:\n");
    out.push_str(&format!(
        "  - name: {name}\n    securityContext:\n{security}"
    ));
    out.push_str(&format!("      seccompProfile: {seccomp}\n"));
    if !limits.is_empty() {
        out.push_str(&format!("    resources:\n      limits:\n{limits}"));
    }
    if !mounts.is_empty() {
        out.push_str(&format!("    volumeMounts:\n{mounts}volumes:\n{volumes}"));
    }
    if let Some(peers) = policy {
        out.push_str(&network_policy(&name, &peers));
    }
    out
}

/// A policy that allows the observed peers: a NetworkPolicy does not support names.
fn network_policy(name: &str, peers: &[crate::event::Bytes]) -> String {
    let mut rules = String::new();
    let mut names = Vec::new();
    for peer in peers {
        let text = String::from_utf8_lossy(peer);
        let Some((to, port)) = text.rsplit_once(':') else {
            continue;
        };
        match (to.parse::<std::net::IpAddr>(), port.parse::<u16>()) {
            (Ok(ip), Ok(port)) => {
                let bits = if ip.is_ipv4() { 32 } else { 128 };
                rules.push_str(&format!(
                    "  - to: [{{ipBlock: {{cidr: {ip}/{bits}}}}}]\n    ports: [{{port: {port}}}]\n"
                ));
            }
            _ => names.push(peer.escaped().to_string()),
        }
    }
    let mut out = "---\n".to_owned();
    if !names.is_empty() {
        out.push_str(&format!(
            "# to be added by hand or as names with Cilium: {}\n",
            names.join(", ")
        ));
    }
    out.push_str(&format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: egress}}\nspec:\n  \
         podSelector: {{matchLabels: {{app: {name}}}}}\n  policyTypes: [Egress]\n  egress:\n  - ports: \
         [{{port: 53, protocol: UDP}}, {{port: 53, protocol: TCP}}]\n{rules}"
    ));
    out
}
