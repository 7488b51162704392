//! Checks of rights: privileged, capabilities, user, new privileges, seccomp, AppArmor, root.

use super::checks::{CheckedContainer, list};
use super::result::CheckResult;
use crate::baseline::{Facet, ItemField};
use crate::event::{Severity, escape};

/// Docker's default set.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A capability's name without its prefix.
fn bare(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

pub(super) fn check(s: &CheckedContainer<'_>) -> Vec<CheckResult> {
    let security = &s.info.security;
    let used = s.seen(Facet::Capability, ItemField::Name);
    let watched = s.watched();
    let after = |what: String| {
        watched
            .as_ref()
            .map_or(String::new(), |watched| format!("{what} in {watched}"))
    };
    let drops: Vec<String> = security.cap_drop.iter().map(|name| bare(name)).collect();
    let adds: Vec<String> = security.cap_add.iter().map(|name| bare(name)).collect();
    let all_dropped = drops.iter().any(|name| name == "ALL");
    let kept = DEFAULT.iter().map(|name| (*name).to_owned());
    let mut granted: Vec<String> = kept
        .filter(|name| !all_dropped && !drops.contains(name))
        .chain(adds.iter().cloned())
        .collect();
    granted.sort();
    granted.dedup();
    let unused: Vec<String> = granted
        .iter()
        .filter(|name| !used.contains(name))
        .cloned()
        .collect();
    let added_unused: Vec<String> = adds
        .iter()
        .filter(|name| !used.contains(name))
        .cloned()
        .collect();
    let user = escape(&s.info.user).to_string();
    let is_root = user.is_empty() || user == "root" || user == "0" || user.starts_with("0:");
    let users = s.seen(Facet::User, ItemField::Uid);
    let profile = |name: &str| {
        if name.is_empty() {
            "default".to_owned()
        } else {
            name.to_owned()
        }
    };
    let seccomp = escape(profile(&security.seccomp).as_bytes()).to_string();
    let apparmor = escape(security.apparmor.as_bytes()).to_string();
    let writes = s.used.map_or(0, |used| {
        used.facet(Facet::Write)
            .filter(|(item, _)| crate::advice::is_in_root(used, item.get(ItemField::Path)))
            .count()
    });
    let set_id = s.used.map_or(0, |used| {
        let programs = used.facet(Facet::Exec);
        programs
            .filter(|(_, facts)| facts.how.contains(&'s'))
            .count()
    });
    vec![
        s.result(
            ("privileged", "5.5", Severity::Critical),
            security.privileged,
            security.privileged.to_string(),
            after(format!("used of 41: {}", list(&used))),
        ),
        s.result(
            ("caps-added", "5.4", Severity::High),
            !adds.is_empty(),
            list(&adds),
            after(format!("never used: {}", list(&added_unused))),
        ),
        s.result(
            ("caps-unused", "5.4", Severity::Low),
            // Without a watch nothing says that one is not used.
            watched.is_some() && !security.privileged && !unused.is_empty(),
            format!("{} granted", granted.len()),
            after(format!("never used: {}", list(&unused))),
        ),
        s.result(
            ("root", "4.1", Severity::Medium),
            is_root,
            if user.is_empty() {
                "root".to_owned()
            } else {
                user
            },
            after(format!("runs as user {}", list(&users))),
        ),
        s.result(
            ("no-new-privileges", "5.26", Severity::Low),
            !security.no_new_privileges,
            security.no_new_privileges.to_string(),
            after(format!("{set_id} set-user-id programs run")),
        ),
        s.result(
            ("seccomp-off", "5.22", Severity::High),
            security.seccomp == "unconfined" || security.privileged,
            seccomp,
            "",
        ),
        s.result(
            ("apparmor-off", "5.2", Severity::Low),
            security.apparmor.is_empty() || security.apparmor == "unconfined",
            if apparmor.is_empty() {
                "none".to_owned()
            } else {
                apparmor
            },
            "",
        ),
        s.result(
            ("root-writable", "5.13", Severity::Low),
            !security.readonly_root,
            if security.readonly_root {
                "read-only"
            } else {
                "writable"
            },
            after(format!("{writes} files or patterns of its root changed")),
        ),
    ]
}
