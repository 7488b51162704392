//! Advice as an override file for `docker compose`.

use super::seccomp::FILE;
use super::text::{path, yaml};
use crate::advice::{Advice, Setting};

pub(super) fn render(name: &str, advice: &[Advice]) -> String {
    let mut out = format!(
        "# docker compose -f compose.yaml -f this-file up\n# Lists are added to those of the \
         base file: a cap_add there remains.\nservices:\n  {}:\n",
        yaml(name)
    );
    let mut volumes = Vec::new();
    let mut options = Vec::new();
    let before = out.len();
    for advice in advice.iter().filter(|advice| advice.verdict.is_advised()) {
        match &advice.setting {
            Setting::Capabilities(add) => {
                out.push_str("    cap_drop: [ALL]\n");
                if !add.is_empty() {
                    out.push_str(&format!("    cap_add: [{}]\n", add.join(", ")));
                }
            }
            Setting::NoNewPrivileges => options.push("no-new-privileges:true".to_owned()),
            Setting::Seccomp(_) => options.push(format!("seccomp:./{FILE}")),
            Setting::ReadOnly(directories) => {
                out.push_str("    read_only: true\n");
                let mut head = "    tmpfs:\n";
                for d in directories.iter().filter(|d| !d.volume) {
                    out.push_str(head);
                    head = "";
                    let exec = if d.exec { ",exec" } else { "" };
                    let uid = d
                        .uid
                        .map_or(String::new(), |uid| format!(",uid={uid},mode=0750"));
                    let line = format!("{}:size={}m{exec}{uid}", path(d), d.size);
                    out.push_str(&format!("      - {}\n", yaml(&line)));
                }
                volumes.extend(directories.iter().filter(|d| d.volume));
            }
            Setting::Memory(bytes) => out.push_str(&format!("    mem_limit: {}m\n", bytes >> 20)),
            Setting::Pids(tasks) => out.push_str(&format!("    pids_limit: {tasks}\n")),
            Setting::User(uid) => out.push_str(&format!("    user: \"{uid}:{uid}\"\n")),
            Setting::NoNetwork => out.push_str("    network_mode: none\n"),
            Setting::InternalNetwork => {
                out.push_str("    # or on a network with `internal: true`\n");
            }
            Setting::Peers(peers) => {
                let peers: Vec<_> = peers.iter().map(|p| p.escaped().to_string()).collect();
                out.push_str(&format!(
                    "    # it connects only to: {}\n",
                    peers.join(", ")
                ));
            }
            Setting::SeccompDefault => {}
        }
    }
    if !options.is_empty() {
        let options: Vec<String> = options.iter().map(|option| yaml(option)).collect();
        out.push_str(&format!("    security_opt: [{}]\n", options.join(", ")));
    }
    if !volumes.is_empty() {
        out.push_str("    volumes:\n");
        for d in volumes {
            out.push_str(&format!("      - {}\n", yaml(&path(d))));
        }
    }
    if out.len() == before {
        out.push_str("    {}\n");
    }
    out
}
