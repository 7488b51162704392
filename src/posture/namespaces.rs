//! Checks of the namespaces that a container shares with the host.

use super::checks::CheckedContainer;
use super::result::CheckResult;
use crate::event::{Severity, escape};

pub(super) fn check(s: &CheckedContainer<'_>) -> Vec<CheckResult> {
    let security = &s.info.security;
    let namespaces = s.info.confinement.as_ref();
    let namespaces = namespaces.and_then(|c| c.host_namespaces.as_ref());
    let shared = |id, cis, severity, kind: &str, mode: &str| {
        let declared = if mode.is_empty() { "private" } else { mode };
        s.in_force(
            (id, cis, severity),
            namespaces.map(|shared| {
                let shared = shared.iter().any(|name| name == kind);
                let whose = if shared { "the host's" } else { "its own" };
                (shared, whose.to_owned())
            }),
            (mode == "host", escape(declared.as_bytes()).to_string()),
            "",
        )
    };
    vec![
        shared(
            "host-pid",
            "5.16",
            Severity::High,
            "pid",
            &security.pid_mode,
        ),
        shared(
            "host-net",
            "5.10",
            Severity::High,
            "net",
            &security.network_mode,
        ),
        shared(
            "host-ipc",
            "5.17",
            Severity::Medium,
            "ipc",
            &security.ipc_mode,
        ),
        shared("host-uts", "5.21", Severity::Low, "uts", &security.uts_mode),
        // The host's user namespace is the default: only a container that opted out of remapping
        // fails.
        s.result(
            ("host-user", "5.31", Severity::Medium),
            security.user_mode == "host",
            if security.user_mode.is_empty() {
                "as the engine has it".to_owned()
            } else {
                escape(security.user_mode.as_bytes()).to_string()
            },
            "",
        ),
    ]
}
