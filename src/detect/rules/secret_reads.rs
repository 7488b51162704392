//! Reads of secrets that a container's rules remember: readers, kinds, and reads at start-up.

use std::collections::{BTreeSet, VecDeque};

use crate::catalog::secrets;
use crate::detect::program_roles;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::event::{Bytes, Timestamp};

/// Maximum number of reads remembered of one container.
pub(super) const MAX_READS: usize = 256;

/// Maximum number of readers remembered of one container.
const MAX_READERS: usize = 64;

/// The reads of secrets in a container.
#[derive(Debug, Clone, Default)]
pub(super) struct SecretReads {
    /// Reads of the container's own programs during start-up: program and kind of secret.
    pub(super) at_startup: BTreeSet<String>,
    /// Processes or exec sessions that read secrets, and the subject of their finding.
    readers: VecDeque<(u32, Timestamp, Bytes)>,
}

impl RuleMemory for SecretReads {
    fn heap_bytes(&self) -> usize {
        self.at_startup.len() * 96 + self.readers.len() * 96
    }
}

impl SecretReads {
    /// The subject of the finding about a read: the kind of the first secret that the process, or
    /// its exec session, read. A copy of `/etc` is one finding.
    pub(super) fn subject(&mut self, ctx: &RuleContext<'_>, kind: &[u8]) -> Bytes {
        let root = ctx.session().unwrap_or(ctx.event.pid);
        let Some(reader) = ctx.state.processes.get(&root) else {
            return Bytes::new(kind);
        };
        let known = self
            .readers
            .iter()
            .find(|(pid, started, _)| (*pid, *started) == (root, reader.started));
        if let Some((.., subject)) = known {
            return subject.clone();
        }
        if self.readers.len() >= MAX_READERS {
            self.readers.pop_front();
        }
        let kind = Bytes::new(kind);
        self.readers.push_back((root, reader.started, kind.clone()));
        kind
    }
}

/// Secrets of one kind are one finding.
pub(super) fn secret_group(path: &[u8]) -> &[u8] {
    if path.starts_with(b"/proc/") {
        return b"/proc/*/environ";
    }
    for base in [&b"/run/secrets"[..], b"/var/run/secrets"] {
        if path.starts_with(base) {
            return base;
        }
    }
    if secrets::is_password_file(path) {
        return b"/etc/shadow";
    }
    // An intruder who searches a home directory reads all of its secrets.
    home(path).unwrap_or_else(|| program_roles::directory(path))
}

/// The home directory of a path: root's, or below `/home`.
fn home(path: &[u8]) -> Option<&[u8]> {
    if path.starts_with(b"/root/") {
        return path.get(..5);
    }
    let user = path.strip_prefix(b"/home/")?;
    path.get(..6 + user.iter().position(|b| *b == b'/')?)
}
