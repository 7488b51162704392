//! A record of the ring buffer → a fact.

use hullwatch_abi::header::{ENTERED, HOST_MOUNTS, Header, RUNTIME, kind};

use super::convert::{self, ConvertError, dns::Packet};
use super::dns_streams::Piece;
use super::{Observation, Observed, Presence};
use crate::event::{FileFacts, Kind};
use crate::system::SessionClock;

/// A decoded record.
#[derive(Debug)]
pub(super) enum Decoded<'a> {
    /// A fact.
    Fact(Observed),
    /// A segment of a DNS answer over TCP.
    Piece(Piece<'a>),
    /// Not worth an event.
    Nothing,
}

/// Decodes one record.
pub(super) fn decode(bytes: &[u8], clock: SessionClock) -> Result<Decoded<'_>, ConvertError> {
    let want = size_of::<Header>();
    let (head, body) = bytes.split_at_checked(want).ok_or(ConvertError::Short {
        kind: "header",
        have: bytes.len(),
        want,
    })?;
    let header: Header = bytemuck::pod_read_unaligned(head);
    let runtime = header.flags & RUNTIME != 0;
    let presence = presence(header.flags);
    let host_files = header.flags & HOST_MOUNTS != 0;
    if header.kind == kind::FILE && host_files {
        return Ok(Decoded::Nothing);
    }
    let event = match header.kind {
        kind::EXEC => {
            let mut exec = convert::task::exec(body, header.ppid, runtime)?;
            exec.entered = presence != Presence::Own;
            if host_files {
                // A file of the host is in no layer of the container.
                exec.file = FileFacts::default();
            }
            Kind::Exec(Box::new(exec))
        }
        kind::FORK => Kind::Fork(convert::task::fork(body, header.ppid, runtime)?),
        kind::EXIT => Kind::Exit(convert::task::exit(body)?),
        kind::FILE if runtime && presence == Presence::Own => return Ok(Decoded::Nothing),
        kind::FILE if convert::file::is_exec(body) => {
            let refused = convert::file::exec_refused(body, header.nspid)?;
            Kind::ExecRefused(Box::new(refused))
        }
        kind::FILE => match convert::file::decode(body, header.nspid)? {
            Some(file) => Kind::File(Box::new(file)),
            None => return Ok(Decoded::Nothing),
        },
        kind::PRIVILEGE => Kind::Privilege(Box::new(convert::privilege::decode(body)?)),
        kind::CAPABILITY => Kind::Capability(convert::capability::decode(body)?),
        kind::SYSCALL => Kind::Syscall(convert::syscall::decode(body)?),
        kind::NET => convert::net::decode(body)?,
        kind::DNS => match convert::dns::decode(body)? {
            Packet::Answer(dns) => Kind::Dns(Box::new(dns)),
            Packet::Nothing => return Ok(Decoded::Nothing),
            Packet::Segment(segment) => {
                return Ok(Decoded::Piece(Piece {
                    ts: clock.at(header.ts),
                    cgroup: header.cgroup,
                    pid: header.pid,
                    nspid: header.nspid,
                    segment,
                }));
            }
        },
        kind::CGROUP_BORN | kind::CGROUP_GONE => {
            let (id, parent, name) = convert::task::cgroup(body)?;
            let fact = if header.kind == kind::CGROUP_BORN {
                Observation::CgroupBorn { id, parent, name }
            } else {
                Observation::CgroupGone { id }
            };
            return Ok(Decoded::Fact(Observed {
                ts: clock.at(header.ts),
                cgroup: header.cgroup,
                pid: 0,
                nspid: 0,
                presence,
                fact,
            }));
        }
        kind::ENTRY => {
            let entry = convert::entry::decode(body, header.ppid)?;
            return Ok(Decoded::Fact(Observed {
                ts: clock.at(header.ts),
                cgroup: header.cgroup,
                pid: header.pid,
                nspid: header.nspid,
                presence,
                fact: Observation::Entry(Box::new(entry)),
            }));
        }
        other => {
            return Err(ConvertError::Unknown {
                kind: "header",
                field: "kind",
                value: u32::from(other),
            });
        }
    };
    Ok(Decoded::Fact(Observed {
        ts: clock.at(header.ts),
        cgroup: header.cgroup,
        pid: header.pid,
        nspid: header.nspid,
        presence,
        fact: Observation::Event(event),
    }))
}

fn presence(flags: u32) -> Presence {
    if flags & ENTERED == 0 {
        return Presence::Own;
    }
    Presence::Entered {
        started: flags & RUNTIME == 0,
        host_files: flags & HOST_MOUNTS != 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            kind in 0_u16..13,
            body in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            let header = Header { kind, ..Header::default() };
            let mut bytes = bytemuck::bytes_of(&header).to_vec();
            bytes.extend(body);
            let _ = decode(&bytes, SessionClock::of_this_program());
            // A cut header is always refused.
            prop_assert!(decode(&bytes[..size_of::<Header>() - 1], SessionClock::of_this_program()).is_err());
        }
    }
}
