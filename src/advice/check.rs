//! The hold-out test: which actions of another recording the advice would have refused.

use super::capabilities::used;
use super::model::{Advice, Setting};
use super::read_only::changed;
use crate::baseline::{Baseline, Facet, ItemField, covers};
use crate::event::escape;

/// A peer and its port.
fn split(peer: &[u8]) -> (&[u8], &[u8]) {
    let at = peer.iter().rposition(|b| *b == b':').unwrap_or(0);
    (&peer[..at], peer.get(at + 1..).unwrap_or_default())
}

/// The actions that the advice would have refused, one line each: the setting, and the action.
#[must_use]
pub fn check(advice: &[Advice], other: &Baseline) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    for advice in advice.iter().filter(|advice| advice.verdict.is_advised()) {
        let mut refuse = |what: String| broken.push((advice.setting.name(), what));
        match &advice.setting {
            Setting::Capabilities(kept) => {
                for (name, by) in used(other) {
                    if !kept.contains(&name) {
                        let by: Vec<_> = by.into_iter().collect();
                        refuse(format!("{name}, used by {}", by.join(", ")));
                    }
                }
            }
            Setting::NoNewPrivileges => {
                for (item, facts) in other.facet(Facet::Exec) {
                    if facts.how.contains(&'s') {
                        refuse(format!("the set-user-id program {item}"));
                    }
                }
            }
            Setting::ReadOnly(directories) => {
                for (item, _) in other.facet(Facet::Write) {
                    let Some(path) = changed(other, item) else {
                        continue;
                    };
                    let inside = directories.iter().any(|d| {
                        let rest = path.strip_prefix(&**d.path as &[u8]);
                        rest.is_some_and(|rest| rest.starts_with(b"/"))
                    });
                    if !inside {
                        refuse(format!("the change of {item}"));
                    }
                }
            }
            Setting::Memory(limit) => {
                let peak = other.sources.values().map(|s| s.memory).max().unwrap_or(0);
                if peak > *limit {
                    refuse(format!("memory of {} MiB", peak >> 20));
                }
            }
            Setting::Pids(limit) => {
                let peak = other.sources.values().map(|s| s.tasks).max().unwrap_or(0);
                if peak > *limit {
                    refuse(format!("{peak} tasks"));
                }
            }
            Setting::User(_) => {
                for (name, _) in used(other) {
                    refuse(format!("{name}, which only root can use"));
                }
            }
            Setting::NoNetwork | Setting::InternalNetwork => {
                for (item, _) in other.facet(Facet::Connect) {
                    let to = item.get(ItemField::To);
                    if to != b"self" && !to.starts_with(b"unix:") {
                        refuse(format!("the connection to {}", item.subject()));
                    }
                }
            }
            Setting::Peers(peers) => {
                for (item, _) in other.facet(Facet::Connect) {
                    let to = item.get(ItemField::To);
                    let peer = [to, b":", item.get(ItemField::Port)].concat();
                    let known = peers.iter().any(|p| {
                        let (of, port) = split(p);
                        port == item.get(ItemField::Port) && covers(of, to)
                    });
                    if to != b"self" && !to.starts_with(b"unix:") && !known {
                        refuse(format!("the connection to {}", escape(&peer)));
                    }
                }
            }
            Setting::Seccomp(profile) => {
                for (item, _) in other.facet(Facet::Syscall) {
                    let name = item.get(ItemField::Name);
                    // Others are refused by the default as well.
                    if profile.removed.iter().any(|call| call.as_bytes() == name) {
                        refuse(format!("the call {}", escape(name)));
                    }
                }
            }
            Setting::SeccompDefault => {}
        }
    }
    broken
}
