//! Advice as options of `docker run` and `podman run`.

use crate::advice::{Advice, Setting, WritableDirectory};
use crate::quote::quote;

use super::seccomp::FILE;

/// The command that creates the profile's file.
const PROFILE: &str = "# seccomp.json: harden … --seccomp --format seccomp > seccomp.json\n";

fn tmpfs(directory: &WritableDirectory) -> String {
    let (path, options): (&[u8], _) = (&directory.path, directory.tmpfs_options());
    let word = [path, b":", options.as_bytes()].concat();
    quote(&word).into_owned()
}

/// The options of one setting.
pub(super) fn options(engine: &str, setting: &Setting) -> Vec<String> {
    match setting {
        Setting::Capabilities(add) => {
            let mut out = vec!["--cap-drop=ALL".to_owned()];
            out.extend(add.iter().map(|name| format!("--cap-add={name}")));
            out
        }
        Setting::NoNewPrivileges => vec!["--security-opt=no-new-privileges".to_owned()],
        Setting::ReadOnly(directories) => {
            let mut out = vec!["--read-only".to_owned()];
            if engine == "podman" {
                // Podman would add a tmpfs of its own.
                out.push("--read-only-tmpfs=false".to_owned());
            }
            for directory in directories {
                if directory.volume {
                    out.push(format!("--volume {}", quote(&directory.path)));
                } else {
                    out.push(format!("--tmpfs {}", tmpfs(directory)));
                }
            }
            out
        }
        Setting::Memory(bytes) => vec![format!("--memory={}m", bytes >> 20)],
        Setting::Pids(tasks) => vec![format!("--pids-limit={tasks}")],
        Setting::User(uid) => vec![format!("--user={uid}:{uid}")],
        Setting::Seccomp(_) => vec![format!("--security-opt=seccomp={FILE}")],
        Setting::SeccompDefault => Vec::new(),
        Setting::NoNetwork => vec!["--network=none".to_owned()],
        Setting::InternalNetwork => {
            vec!["--network=NAME (made with: network create --internal NAME)".to_owned()]
        }
        Setting::Peers(_) => Vec::new(),
    }
}

pub(super) fn render(engine: &str, advice: &[Advice]) -> String {
    let mut lines = Vec::new();
    let mut notes = String::new();
    for advice in advice.iter().filter(|advice| advice.verdict.is_advised()) {
        match &advice.setting {
            Setting::InternalNetwork => {
                notes.push_str("# or on a network of its own without outside access: ");
                notes.push_str(&format!("{engine} network create --internal NAME\n"));
            }
            Setting::Peers(peers) => {
                let peers: Vec<_> = peers.iter().map(|p| p.escaped().to_string()).collect();
                notes.push_str(&format!("# it connects only to: {}\n", peers.join(", ")));
            }
            Setting::Seccomp(_) => {
                notes.push_str(PROFILE);
                lines.extend(options(engine, &advice.setting));
            }
            setting => lines.extend(options(engine, setting)),
        }
    }
    if lines.is_empty() {
        return format!("{notes}# nothing is advised\n");
    }
    format!(
        "{notes}{engine} run \\\n  {} \\\n  IMAGE\n",
        lines.join(" \\\n  ")
    )
}
