//! The worst open finding about each file and each peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bstr::ByteSlice as _;

use crate::core::Core;
use crate::detect::Severity;
use crate::event::{Bytes, Endpoint};
use crate::state::{Connection, ConnectionKey, FileKey, Owner};

/// Severities by the subjects of findings, with their container.
#[derive(Debug, Default)]
pub(in crate::tui) struct FlaggedTargets<'a> {
    /// Paths and names as in findings.
    texts: BTreeMap<(&'a Owner, &'a [u8]), Severity>,
    /// Peers at any port.
    hosts: BTreeMap<(&'a Owner, IpAddr), Severity>,
    /// Peers at one port, and listening sockets.
    sockets: BTreeMap<(&'a Owner, SocketAddr), Severity>,
}

impl<'a> FlaggedTargets<'a> {
    /// From all findings that are not silenced.
    pub(in crate::tui) fn new(core: &'a Core) -> Self {
        let mut flagged = Self::default();
        let findings = core.detector.findings().iter();
        for finding in findings.filter(|finding| finding.is_open()) {
            for thing in finding.things() {
                flagged.add(&finding.container, thing, finding.severity);
            }
        }
        flagged
    }

    fn add(&mut self, owner: &'a Owner, thing: &'a Bytes, severity: Severity) {
        let text = thing.to_str().unwrap_or_default();
        // A service is written as an address with or without a port.
        let worst = if let Ok(host) = text.parse() {
            self.hosts.entry((owner, host)).or_insert(severity)
        } else if let Ok(socket) = text.parse() {
            self.sockets.entry((owner, socket)).or_insert(severity)
        } else {
            self.texts.entry((owner, thing)).or_insert(severity)
        };
        *worst = severity.max(*worst);
    }

    /// The worst severity about a file.
    pub(in crate::tui) fn file(&self, key: &FileKey) -> Option<Severity> {
        self.texts.get(&(&key.owner, &key.path)).copied()
    }

    /// The worst severity about a peer: by its address, its address and port, its name or its path.
    pub(in crate::tui) fn connection(
        &self,
        key: &ConnectionKey,
        row: &Connection,
    ) -> Option<Severity> {
        let owner = &key.owner;
        let text = |text: &Bytes| self.texts.get(&(owner, &**text)).copied();
        let named = row.name.as_ref().and_then(text);
        let at = match &key.endpoint {
            Endpoint::Unix(path) => text(path),
            Endpoint::Inet(socket) => {
                let host = self.hosts.get(&(owner, socket.ip())).copied();
                host.max(self.sockets.get(&(owner, *socket)).copied())
            }
        };
        named.max(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::demo;

    #[test]
    fn the_flagged_files_and_peers_are_found_and_no_others() {
        let core = demo();
        let flagged = FlaggedTargets::new(&core);
        let files = core.state.files.keys();
        let paths: Vec<String> = files
            .filter(|key| flagged.file(key).is_some())
            .map(|key| key.path.escaped().to_string())
            .collect();
        assert!(paths.contains(&"/etc/passwd".to_owned()), "{paths:?}");
        assert!(paths.contains(&"/tmp/.kworker".to_owned()), "{paths:?}");
        assert!(!paths.contains(&"/tmp/page".to_owned()), "{paths:?}");
        let peers = core.state.connections.iter();
        let peers: Vec<String> = peers
            .filter(|(key, row)| flagged.connection(key, row).is_some())
            .map(|(key, _)| super::super::words::endpoint(&key.endpoint))
            .collect();
        assert_eq!(peers, ["169.254.169.254:80"]);
    }
}
