//! Checks of rights: privileged, capabilities, user, new privileges, seccomp, AppArmor, root.

use super::checks::{CheckedContainer, list};
use super::result::{CheckResult, PostureOutcome};
use crate::baseline::{Facet, ItemField};
use crate::event::{CAPABILITIES, Confinement, Severity, escape};

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

/// The names of a set of capabilities.
fn capability_names(bits: u64) -> Vec<String> {
    let all = CAPABILITIES.iter().enumerate();
    all.filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// The number of capabilities that a container's processes may have.
fn of_all(confinement: &Confinement) -> String {
    let count = confinement.bounding.count_ones();
    format!("{count} of {}", CAPABILITIES.len())
}

fn seccomp_word(mode: u8) -> &'static str {
    match mode {
        0 => "none",
        1 => "strict",
        _ => "filter",
    }
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
    let confined = s.info.confinement.as_ref();
    let bounding = confined.map(|c| capability_names(c.bounding));
    let declared_count = format!("{} granted", granted.len());
    // The capabilities of a process, by the kernel; else by the options.
    let granted = bounding.clone().unwrap_or(granted);
    let beyond = bounding.as_ref().map(|all| {
        let beyond = all.iter().filter(|name| !DEFAULT.contains(&name.as_str()));
        beyond.cloned().collect::<Vec<_>>()
    });
    let is_all = |c: &Confinement| capability_names(c.bounding).len() >= CAPABILITIES.len();
    let unused: Vec<String> = granted
        .iter()
        .filter(|name| !used.contains(name))
        .cloned()
        .collect();
    let added = beyond.as_ref().unwrap_or(&adds);
    let added_unused: Vec<String> = added
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
    let gaining = s.used.map_or(0, |used| {
        let programs = used.facet(Facet::Exec);
        programs
            .filter(|(_, facts)| facts.how.contains(&'s') || facts.how.contains(&'f'))
            .count()
    });
    let caps_unused = s.in_force(
        ("caps-unused", "5.4", Severity::Low),
        confined.map(|c| (!unused.is_empty(), of_all(c))),
        (!security.privileged && !unused.is_empty(), declared_count),
        after(format!("never used: {}", list(&unused))),
    );
    vec![
        s.in_force(
            ("privileged", "5.5", Severity::Critical),
            confined.map(|c| (is_all(c) || security.privileged, of_all(c))),
            (security.privileged, security.privileged.to_string()),
            after(format!("used of 41: {}", list(&used))),
        ),
        s.in_force(
            ("caps-added", "5.4", Severity::High),
            beyond
                .as_ref()
                .map(|names| (!names.is_empty(), list(names))),
            (!adds.is_empty(), list(&adds)),
            after(format!("never used: {}", list(&added_unused))),
        ),
        match (&watched, caps_unused.outcome) {
            // Without observation a capability cannot be called unused.
            (None, PostureOutcome::Fail) => CheckResult {
                outcome: PostureOutcome::Unknown,
                ..caps_unused
            },
            _ => caps_unused,
        },
        s.in_force(
            ("root", "4.1", Severity::Medium),
            confined.map(|c| (c.uid == 0 || is_root, format!("user {} of the host", c.uid))),
            (
                is_root,
                if user.is_empty() {
                    "root".to_owned()
                } else {
                    user
                },
            ),
            after(format!("runs as user {}", list(&users))),
        ),
        s.in_force(
            ("no-new-privileges", "5.26", Severity::Low),
            confined.map(|c| (!c.no_new_privileges, c.no_new_privileges.to_string())),
            (
                !security.no_new_privileges,
                security.no_new_privileges.to_string(),
            ),
            after(format!(
                "{gaining} programs with set-user-id or file capabilities run"
            )),
        ),
        s.in_force(
            ("seccomp-off", "5.22", Severity::High),
            confined.map(|c| (c.seccomp == 0, seccomp_word(c.seccomp).to_owned())),
            (
                security.seccomp == "unconfined" || security.privileged,
                seccomp,
            ),
            "",
        ),
        s.in_force(
            ("apparmor-off", "5.2", Severity::Low),
            confined.map(|c| {
                let label = escape(c.apparmor.as_bytes()).to_string();
                let off = label.is_empty() || label == "unconfined";
                (
                    off,
                    if label.is_empty() {
                        "none".to_owned()
                    } else {
                        label
                    },
                )
            }),
            (
                security.apparmor.is_empty() || security.apparmor == "unconfined",
                if apparmor.is_empty() {
                    "none".to_owned()
                } else {
                    apparmor
                },
            ),
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
