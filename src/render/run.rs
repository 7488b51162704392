//! Advice as options of `docker run` and `podman run`.

use bstr::ByteSlice as _;

use crate::advice::{Advice, Setting, WritableDirectory};

/// A word for a POSIX shell. A word with control characters is written so that a terminal shows
/// them: `$'…'`, as bash and zsh read it.
pub(super) fn quote(word: &[u8]) -> String {
    if word.iter().any(|b| b.is_ascii_control()) || word.to_str().is_err() {
        let mut out = "$'".to_owned();
        for byte in word {
            match byte {
                b'\'' | b'\\' => {
                    out.push('\\');
                    out.push(char::from(*byte));
                }
                b' '..=b'~' => out.push(char::from(*byte)),
                byte => out.push_str(&format!("\\x{byte:02x}")),
            }
        }
        out.push('\'');
        return out;
    }
    let text = String::from_utf8_lossy(word);
    // A word without control characters has no NUL byte, so that it can be quoted.
    shlex::try_quote(&text).map_or_else(|_| String::new(), |quoted| quoted.into_owned())
}

fn tmpfs(directory: &WritableDirectory) -> String {
    let mut word = quote(&directory.path);
    word.push_str(&format!(":size={}m", directory.size));
    if directory.exec {
        word.push_str(",exec");
    }
    if let Some(uid) = directory.uid {
        word.push_str(&format!(",uid={uid},mode=0750"));
    }
    word
}

/// The options that one setting is.
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
                // Podman would add tmpfs of its own.
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
                notes.push_str("# or on a network of its own without a way out: ");
                notes.push_str(&format!("{engine} network create --internal NAME\n"));
            }
            Setting::Peers(peers) => {
                let peers: Vec<_> = peers.iter().map(|p| p.escaped().to_string()).collect();
                notes.push_str(&format!("# it connects only to: {}\n", peers.join(", ")));
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
