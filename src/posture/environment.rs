//! Checks of what a container is started with and starts: variables, restarts, an SSH server.

use super::checks::{CheckedContainer, list};
use super::result::CheckResult;
use crate::baseline::{Facet, ItemField};
use crate::event::{Bytes, Severity, escape};
use crate::masking::names_secret;

pub(super) fn check(s: &CheckedContainer<'_>) -> Vec<CheckResult> {
    let secrets: Vec<String> = s
        .info
        .environment
        .iter()
        .filter(|name| names_secret(name) && !names_file(name))
        .map(|name| name.escaped().to_string())
        .collect();
    let restart = escape(s.info.restart_policy.as_bytes()).to_string();
    let is_sshd = |path: &[u8]| path == b"sshd" || path.ends_with(b"/sshd");
    let declared = s.info.command.first().is_some_and(|first| is_sshd(first));
    let programs = s.seen(Facet::Exec, ItemField::Exe);
    let seen = programs.iter().any(|exe| is_sshd(exe.as_bytes()));
    vec![
        s.result(
            ("env-secret", "", Severity::Low),
            !secrets.is_empty(),
            list(&secrets),
            "",
        ),
        s.result(
            ("restart-always", "5.15", Severity::Info),
            s.info.restart_policy == "always",
            if restart.is_empty() {
                "no".to_owned()
            } else {
                restart
            },
            "",
        ),
        s.result(
            ("sshd", "5.7", Severity::Low),
            declared || seen,
            if declared { "its command" } else { "no" },
            if seen { "an SSH server ran" } else { "" },
        ),
    ]
}

/// `DB_PASSWORD_FILE` names a file that holds the secret, which is how it should be.
fn names_file(name: &Bytes) -> bool {
    name.to_ascii_uppercase().ends_with(b"_FILE")
}
