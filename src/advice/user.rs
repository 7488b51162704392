//! Whether the container can run as a user other than root.

use std::collections::BTreeSet;

use super::capabilities::used;
use super::model::{Advice, Setting, Verdict, WatchedTime};
use crate::baseline::{Baseline, Facet, ItemField};

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

pub(super) fn advise(baseline: &Baseline, seen: &WatchedTime) -> Advice {
    let users: BTreeSet<u32> = baseline
        .facet(Facet::User)
        .filter_map(|(item, _)| {
            std::str::from_utf8(item.get(ItemField::Uid))
                .ok()?
                .parse()
                .ok()
        })
        .collect();
    let used = used(baseline);
    let other = users.iter().copied().find(|uid| *uid != 0);
    let (uid, verdict, why) = match (users.contains(&0), other) {
        (false, Some(uid)) => (uid, Verdict::Keep, format!("it runs as user {uid} only")),
        (false, None) => (NOBODY, Verdict::Unknown, "no user was seen".to_owned()),
        (true, Some(uid)) => {
            let names: Vec<_> = used.keys().map(String::as_str).collect();
            let why = format!(
                "as root it used {} and became user {uid}",
                if names.is_empty() {
                    "nothing".to_owned()
                } else {
                    names.join(", ")
                }
            );
            (uid, Verdict::Blocked, why)
        }
        (true, None) if used.is_empty() && !seen.nothing => {
            let why = "it runs as root and used no capability; its files must be readable and its \
                       directories writable for the user";
            (NOBODY, Verdict::Try, why.to_owned())
        }
        (true, None) => {
            let names: Vec<_> = used.keys().map(String::as_str).collect();
            let why = match names.is_empty() {
                true => "it runs as root".to_owned(),
                false => format!("it runs as root and uses {}", names.join(", ")),
            };
            let verdict = if seen.nothing {
                Verdict::Unknown
            } else {
                Verdict::Blocked
            };
            (NOBODY, verdict, why)
        }
    };
    Advice {
        setting: Setting::User(uid),
        verdict,
        why: vec![why],
    }
}
