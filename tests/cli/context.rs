//! The docker context of the user who called sudo chooses the engine.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use super::stderr;

/// Docker names the folder of a context by the digest of its name: of `work`.
const WORK: &str = "00e13ed7af55b27622f1d6eab5bec0147e68efe28dc2b12461117afa1a5ed40e";

/// In a mount namespace of its own, where the user database has a user with this home. Needs root.
#[test]
fn the_context_of_the_user_who_called_sudo_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    if dir.path().metadata().unwrap().uid() != 0 {
        eprintln!("not run: needs root");
        return;
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = dir.path().join("home/.docker");
    let meta = folder.join("contexts/meta").join(WORK);
    std::fs::create_dir_all(&meta).unwrap();
    let write = |path: &std::path::Path, text: &str| std::fs::write(path, text).unwrap();
    write(&folder.join("config.json"), r#"{"currentContext":"work"}"#);
    let context = r#"{"Name":"work","Endpoints":{"docker":{"Host":"unix:///nosuch/work.sock"}}}"#;
    write(&meta.join("meta.json"), context);
    let users = dir.path().join("passwd");
    let home = dir.path().join("home").display().to_string();
    write(
        &users,
        &format!("root:x:0:0::/root:/bin/sh\nann:x:4242:4242::{home}:/bin/sh\n"),
    );
    let run = |uid: &str| {
        let script = r#"mount --bind "$1" /etc/passwd && exec "$2" list"#;
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&users)
            .arg(env!("CARGO_BIN_EXE_hullwatch"))
            .env("SUDO_UID", uid)
            .env("SUDO_GID", uid)
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_CONFIG")
            .env("HOME", "/nosuch")
            .stdin(Stdio::null())
            .output();
        stderr(&output.unwrap())
    };
    let followed = "using the engine of docker context work: unix:///nosuch/work.sock";
    let anns = run("4242");
    assert!(anns.contains(followed), "{anns}");
    let nobodys = run("4243");
    assert!(!nobodys.contains("context"), "{nobodys}");
}
