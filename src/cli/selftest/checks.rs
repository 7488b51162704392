//! The events that each action of the test container must cause in the stream.

use super::fact_check::{FactCheck, check};
use super::{actions, file_actions, stage};
use crate::event::{CompareClass, ContainerAction, Event, Kind, Origin, Outcome};

/// Every fact.
pub(super) fn all() -> impl Iterator<Item = &'static FactCheck> {
    CHECKS.iter().chain(file_actions::CHECKS)
}

/// The facts that are not about files.
const CHECKS: &[FactCheck] = &[
    check(
        "container appears",
        "",
        |e| matches!(&e.kind, Kind::Container(c) if c.action == ContainerAction::Appeared),
    ),
    check("first exec", "", |e| {
        matches!(&e.kind, Kind::Exec(x) if x.exe == "/bin/selftest"
            && x.argv.iter().any(|a| *a == "actions"))
    }),
    check("fork", "", |e| matches!(e.kind, Kind::Fork(_))),
    check("exec of a new binary", "new-binary", |e| {
        matches!(&e.kind, Kind::Exec(x) if x.exe == "/tmp/dropped"
            && x.file.origin() == Origin::Upper)
    }),
    check(
        "exit with its code",
        "new-binary",
        |e| matches!(&e.kind, Kind::Exit(x) if x.code == Some(actions::NEW_CODE)),
    ),
    check(
        "image file only touched: its content compared",
        "drift",
        |e| compared(e, stage::TOUCHED, |class| *class == CompareClass::CopiedUp),
    ),
    check("image file changed: its content compared", "drift", |e| {
        compared(e, stage::CHANGED, |class| *class == CompareClass::Modified)
    }),
    check("image file copied: its content compared", "drift", |e| {
        compared(e, actions::MOVED, |class| {
            matches!(class, CompareClass::Relocated(_))
        })
    }),
    check(
        "file new to the image: its content compared",
        "drift",
        |e| compared(e, actions::NEW, |class| *class == CompareClass::New),
    ),
    check(
        "exec from memory",
        "memfd",
        |e| matches!(&e.kind, Kind::Exec(x) if x.file.origin() == Origin::Memfd),
    ),
    check("memfd_create", "memfd", |e| call(e, "memfd_create", false)),
    check("listen", "tcp", |e| matches!(e.kind, Kind::Listen(_))),
    check(
        "connection established",
        "tcp",
        |e| matches!(&e.kind, Kind::Connect(c) if c.outcome == Outcome::Established),
    ),
    check("accept", "tcp", |e| matches!(e.kind, Kind::Accept(_))),
    check(
        "close with its bytes",
        "tcp",
        |e| matches!(&e.kind, Kind::Close(c) if c.tx_bytes == 4),
    ),
    check("connection refused", "refused", |e| {
        matches!(&e.kind, Kind::Connect(c) if c.outcome == Outcome::Failed(111)
            && matches!(&c.remote, crate::event::Endpoint::Inet(a) if a.port() == actions::REFUSED))
    }),
    check(
        "DNS answer",
        "dns",
        |e| matches!(&e.kind, Kind::Dns(d) if d.name == actions::NAME && !d.addresses.is_empty()),
    ),
    check("setuid", "deny", |e| call(e, "setuid", false)),
    check("refused mount", "deny", |e| call(e, "mount", true)),
    check("refused unshare", "deny", |e| call(e, "unshare", true)),
    check("capability used", "", |e| {
        matches!(e.kind, Kind::Capability(_))
    }),
    check(
        "container ends",
        "",
        |e| matches!(&e.kind, Kind::Container(c) if c.action == ContainerAction::Gone),
    ),
];

fn compared(event: &Event, path: &str, class: fn(&CompareClass) -> bool) -> bool {
    matches!(&event.kind, Kind::Compare(c) if c.path == path && class(&c.class))
}

fn call(event: &Event, name: &str, refused: bool) -> bool {
    matches!(&event.kind, Kind::Privilege(p)
        if p.call == name && !p.runtime && (p.errno != 0) == refused)
}
