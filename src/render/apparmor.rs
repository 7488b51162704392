//! Advice as an AppArmor profile: the paths that the container was seen to write and run, and its
//! capabilities. Reads are not observed, so all of them stay allowed.

use std::collections::BTreeSet;

use crate::advice::{Advice, Setting};
use crate::baseline::{Baseline, Facet, ItemField};

/// Rules that deny access even if it was learned: the kernel's memory and the host's settings.
const DENIED: &str = "  deny mount,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny @{PROC}/sys/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
";

/// A path quoted for the parser; `None` if it cannot be expressed.
fn quoted(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    if !text.starts_with('/') || text.chars().any(|c| c.is_control() || "\"@".contains(c)) {
        return None;
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        if "?[]{}^\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Some(out)
}

/// A pattern of a baseline as one of AppArmor: its tokens become `*`, its literal signs stay
/// literal.
fn glob(pattern: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pattern).ok()?;
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' => {
                for c in chars.by_ref() {
                    if c == '>' {
                        break;
                    }
                }
                out.push('*');
            }
            // An escaped character of a pattern is literal; AppArmor cannot express a literal star.
            '\\' => match chars.next()? {
                '*' => out.push('?'),
                c => out.push(c),
            },
            c => out.push(c),
        }
    }
    let quoted = quoted(out.as_bytes())?;
    // A wildcard for one character.
    Some(quoted.replace("\\?", "?"))
}

fn word(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().map(keep).collect()
}

pub(super) fn render(name: &str, baseline: &Baseline, advice: &[Advice]) -> String {
    let mut rules: BTreeSet<String> = BTreeSet::new();
    let mut left_out = 0;
    for (item, _) in baseline.facet(Facet::Write) {
        match glob(item.get(ItemField::Path)) {
            Some(path) => rules.insert(format!("  {path} rwkl,\n")),
            None => {
                left_out += 1;
                false
            }
        };
    }
    for (item, _) in baseline.facet(Facet::Exec) {
        for field in [ItemField::Exe, ItemField::Script] {
            let path = item.get(field);
            if path.is_empty() {
                continue;
            }
            match quoted(path) {
                Some(path) => rules.insert(format!("  {path} ix,\n")),
                None => {
                    left_out += 1;
                    false
                }
            };
        }
    }
    let kept = advice.iter().find_map(|advice| match &advice.setting {
        Setting::Capabilities(kept) if advice.verdict.is_advised() => Some(kept),
        _ => None,
    });
    let capabilities = match kept {
        Some(kept) => kept
            .iter()
            .map(|name| format!("  capability {},\n", name.to_ascii_lowercase()))
            .collect(),
        None => "  capability,\n".to_owned(),
    };
    let profile = format!("hullwatch-{}", word(name));
    let mut out = format!(
        "# apparmor_parser -r this-file; then --security-opt apparmor={profile}\n# It only \
         reports: remove complain when nothing is reported any more.\n"
    );
    for facet in [Facet::Write, Facet::Exec] {
        if baseline.too_large.contains(&facet) {
            out.push_str(&format!("# {facet}: too many items were seen; add them\n"));
        }
    }
    if left_out > 0 {
        out.push_str(&format!(
            "# {left_out} paths cannot be expressed here; add them\n"
        ));
    }
    let rules: String = rules.into_iter().collect();
    out.push_str(&format!(
        "abi <abi/3.0>,\ninclude <tunables/global>\nprofile {profile} \
         flags=(attach_disconnected,mediate_deleted,complain) {{\n  include <abstractions/base>\n  \
         network,\n  umount,\n{capabilities}  /** rm,\n{rules}  signal (receive) \
         peer=unconfined,\n  signal (receive) peer=runc,\n  signal (receive) peer=crun,\n  signal \
         (send, receive) peer={profile},\n  ptrace (trace, read, tracedby, readby) \
         peer={profile},\n{DENIED}}}\n"
    ));
    out
}
