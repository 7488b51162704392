//! The system's log: the journal with fields of its own, or syslog.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::{document, line};
use super::message::Message;
use super::worker::{Delivery, DeliveryError};
use crate::event::Severity;

/// Where journald takes entries (systemd: Native Journal Protocol).
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog takes messages.
const SYSLOG: &str = "/dev/log";
/// Time after which a logger that accepts nothing counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a line of syslog (RFC 3164 allows 1,024 in all).
const SYSLOG_MOST: usize = 900;
/// Bytes of the document in a journal entry: a datagram has room for about twice that.
const DOCUMENT_MOST: usize = 64 << 10;
/// Facility `daemon` of syslog.
const DAEMON: u8 = 3;

/// The priority of syslog: critical 2, error 3, warning 4, notice 5, informational 6.
fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

fn send(to: &Path, datagram: &[u8]) -> Result<(), DeliveryError> {
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.send_to(datagram, to)
    });
    sent.map(drop)
        .map_err(|error| DeliveryError::passing(format!("{}: {error}", to.display())))
}

/// Writes into the journal.
#[derive(Debug)]
pub struct JournalSink {
    socket: PathBuf,
    host: String,
}

impl JournalSink {
    /// Into this host's journal.
    #[must_use]
    pub fn new(host: String) -> Self {
        Self {
            socket: PathBuf::from(JOURNAL),
            host,
        }
    }
}

/// A field of an entry: its length precedes a value that may hold newlines.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

impl Delivery for JournalSink {
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
        for message in messages {
            let mut entry = Vec::new();
            let mut put = |name: &str, value: &str| field(&mut entry, name, value);
            put("MESSAGE", &line(&self.host, message, missed, true));
            put("PRIORITY", &priority(message.severity()).to_string());
            put("SYSLOG_IDENTIFIER", "hullwatch");
            put("HULLWATCH_ID", &message.id());
            put("HULLWATCH_TYPE", message.kind());
            put("HULLWATCH_SEVERITY", &message.severity().to_string());
            if let Some(container) = &message.container {
                // The names that Docker's journald driver uses.
                put("CONTAINER_ID_FULL", &container.id);
                put("CONTAINER_NAME", container.title());
                put("IMAGE_NAME", &container.image);
            }
            let document = document(&self.host, message, missed, true).to_string();
            if document.len() <= DOCUMENT_MOST {
                put("HULLWATCH_DOCUMENT", &document);
            }
            send(&self.socket, &entry)?;
        }
        Ok(())
    }
}

/// Writes to syslog.
#[derive(Debug)]
pub struct SyslogSink {
    socket: PathBuf,
    host: String,
}

impl SyslogSink {
    /// To this host's syslog.
    #[must_use]
    pub fn new(host: String) -> Self {
        Self {
            socket: PathBuf::from(SYSLOG),
            host,
        }
    }
}

impl Delivery for SyslogSink {
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
        for message in messages {
            let mut text = line(&self.host, message, missed, true);
            if text.len() > SYSLOG_MOST {
                text.truncate(text.floor_char_boundary(SYSLOG_MOST));
                text.push_str(" [cut]");
            }
            let code = DAEMON * 8 + priority(message.severity());
            let pid = std::process::id();
            // The receiver adds the time.
            let datagram = format!("<{code}>hullwatch[{pid}]: {text}");
            send(&self.socket, datagram.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Core;
    use crate::detect::{Finding, FindingId};
    use crate::event::{Bytes, Timestamp};

    fn message() -> Arc<Message> {
        let finding = Finding {
            id: FindingId(7),
            rule: "net.reverse-shell".to_owned(),
            severity: Severity::Critical,
            container: None,
            subject: Bytes::new(b"x"),
            parts: Vec::new(),
            more_parts: false,
            title: "Shell connected".to_owned(),
            why: Vec::new(),
            more_why: 0,
            chain: Vec::new(),
            attack: Vec::new(),
            already_since: None,
            first: Timestamp(0),
            last: Timestamp(0),
            count: 1,
            ancestry: Vec::new(),
            part_of: None,
            silenced: None,
            evidence: vec![5],
        };
        Arc::new(Message::of_finding(
            &Core::default(),
            &Arc::new(finding),
            false,
        ))
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = vec![0; 1 << 17];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn entries_have_priorities_and_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut journal = JournalSink {
            socket: path.clone(),
            host: "node".to_owned(),
        };
        // A logger that is not there is tried again.
        assert!(journal.deliver(&[message()], 0).unwrap_err().retry);
        let socket = UnixDatagram::bind(&path).unwrap();
        journal.deliver(&[message()], 0).unwrap();
        let entry = received(&socket);
        for wanted in [
            "MESSAGE=CRITICAL finding F-0007 on node: Shell connected\n",
            "PRIORITY=2\n",
            "HULLWATCH_ID=F-0007\n",
            "\"rule\":\"net.reverse-shell\"",
        ] {
            assert!(entry.contains(wanted), "{entry}");
        }
        let mut syslog = SyslogSink {
            socket: path,
            host: "node".to_owned(),
        };
        syslog.deliver(&[message()], 4).unwrap();
        let text = received(&socket);
        assert!(text.starts_with("<26>hullwatch["), "{text}");
        assert!(text.contains("[4 messages before"), "{text}");
        // A value with a newline has its length before it.
        let mut entry = Vec::new();
        field(&mut entry, "A", "x\ny");
        assert_eq!(entry, b"A\n\x03\0\0\0\0\0\0\0x\ny\n");
    }
}
