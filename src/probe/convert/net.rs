//! Socket records: connect, first datagram, accept, listen, close, raw sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hullwatch_abi::net::{NAME_MAX, NetRecord, family, flag, kind, op};

use super::{ConvertError, fixed, take, until_nul};
use crate::event::{
    Accept, Bytes, Close, Connect, Endpoint, Kind, Listen, Outcome, Privilege, Protocol, Via,
};

const KIND: &str = "net";
const EINPROGRESS: u16 = 115;
const TCP: u16 = 6;
const UDP: u16 = 17;

/// Decodes the bytes behind the record's header.
///
/// # Errors
/// When the record is cut or carries an operation or address family this program does not know.
pub fn decode(body: &[u8]) -> Result<Kind, ConvertError> {
    let (record, mut rest) = fixed::<NetRecord>(KIND, body)?;
    let name = take(KIND, &mut rest, record.name_len)?;
    let comm = until_nul(&record.comm);
    let via = (record.flags & flag::RING != 0).then_some(Via::IoUring);
    Ok(match record.op {
        op::CONNECT | op::SEND => Kind::Connect(Box::new(Connect {
            protocol: protocol(&record),
            local: local(&record)?,
            remote: match record.family {
                family::UNIX => Endpoint::Unix(unix_name(name)),
                _ => Endpoint::Inet(remote(&record)?),
            },
            outcome: match record.errno {
                0 => Outcome::Established,
                EINPROGRESS => Outcome::InProgress,
                errno => Outcome::Failed(errno),
            },
            cookie: record.cookie,
            comm,
            fd: record.fd,
            via,
        })),
        op::ACCEPT => Kind::Accept(Box::new(Accept {
            protocol: protocol(&record),
            local: address(&record, record.local, record.local_port)?,
            remote: remote(&record)?,
            cookie: record.cookie,
            comm,
            via,
        })),
        op::LISTEN => Kind::Listen(Listen {
            protocol: protocol(&record),
            local: address(&record, record.local, record.local_port)?,
            comm,
            via,
        }),
        op::CLOSE => Kind::Close(Box::new(Close {
            local: address(&record, record.local, record.local_port)?,
            remote: remote(&record)?,
            tx_bytes: record.tx_bytes,
            rx_bytes: record.rx_bytes,
            lasted_ns: record.lasted_ns,
            cookie: record.cookie,
            inbound: record.flags & flag::INBOUND != 0,
        })),
        op::SOCKET => Kind::Privilege(Box::new(Privilege {
            call: "socket".to_owned(),
            args: vec![record.tx_bytes, record.rx_bytes, record.lasted_ns],
            detail: Bytes::from(socket_detail(&record).as_str()),
            errno: record.errno,
            ret: if record.errno == 0 {
                record.fd.into()
            } else {
                0
            },
            uid: record.uid,
            comm,
            runtime: false,
        })),
        other => {
            return Err(ConvertError::Unknown {
                kind: KIND,
                field: "operation",
                value: other.into(),
            });
        }
    })
}

fn protocol(record: &NetRecord) -> Protocol {
    match (record.family, record.kind, record.protocol) {
        (family::UNIX, ..) => Protocol::Unix,
        (_, kind::RAW, _) => Protocol::Raw,
        (_, kind::STREAM, TCP) => Protocol::Tcp,
        (_, kind::DGRAM, UDP) => Protocol::Udp,
        _ => Protocol::Other,
    }
}

fn local(record: &NetRecord) -> Result<Option<SocketAddr>, ConvertError> {
    if record.flags & flag::LOCAL == 0 || record.family == family::UNIX {
        return Ok(None);
    }
    address(record, record.local, record.local_port).map(Some)
}

fn remote(record: &NetRecord) -> Result<SocketAddr, ConvertError> {
    address(record, record.remote, record.remote_port)
}

fn address(record: &NetRecord, bytes: [u8; 16], port: u16) -> Result<SocketAddr, ConvertError> {
    let ip = match record.family {
        family::INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        // An IPv4 peer of an IPv6 socket is shown as what it is on the wire.
        family::INET6 => Ipv6Addr::from(bytes).to_canonical(),
        other => {
            return Err(ConvertError::Unknown {
                kind: KIND,
                field: "address family",
                value: other.into(),
            });
        }
    };
    Ok(SocketAddr::new(ip, port))
}

/// A path ends at its first NUL; an abstract name has none of that and gets an `@`.
fn unix_name(name: &[u8]) -> Bytes {
    let name = name.get(..NAME_MAX).unwrap_or(name);
    match name.split_first() {
        Some((0, abstract_name)) => {
            let mut shown = Vec::with_capacity(name.len());
            shown.push(b'@');
            shown.extend_from_slice(abstract_name);
            Bytes::from(shown)
        }
        _ => until_nul(name),
    }
}

/// Family, type and protocol of `socket`.
fn socket_detail(record: &NetRecord) -> String {
    let family = match record.family {
        family::INET => "AF_INET".to_owned(),
        family::INET6 => "AF_INET6".to_owned(),
        family::PACKET => "AF_PACKET".to_owned(),
        other => format!("family {other}"),
    };
    let kind = match record.kind {
        kind::STREAM => "SOCK_STREAM".to_owned(),
        kind::DGRAM => "SOCK_DGRAM".to_owned(),
        kind::RAW => "SOCK_RAW".to_owned(),
        other => format!("type {other}"),
    };
    let protocol = match (record.family, record.protocol) {
        (family::INET | family::INET6, 1) => "IPPROTO_ICMP".to_owned(),
        (family::INET | family::INET6, 6) => "IPPROTO_TCP".to_owned(),
        (family::INET | family::INET6, 17) => "IPPROTO_UDP".to_owned(),
        (family::INET | family::INET6, 58) => "IPPROTO_ICMPV6".to_owned(),
        (family::INET | family::INET6, 255) => "IPPROTO_RAW".to_owned(),
        // Packet sockets number theirs in network order.
        (family::PACKET, number) => match u16::from_be(number) {
            3 => "ETH_P_ALL".to_owned(),
            0x800 => "ETH_P_IP".to_owned(),
            0x806 => "ETH_P_ARP".to_owned(),
            other => format!("{other:#06x}"),
        },
        (_, other) => format!("protocol {other}"),
    };
    format!("{family} {kind} {protocol}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(op: u8) -> NetRecord {
        let mut record = NetRecord {
            cookie: 7,
            local_port: 40000,
            remote_port: 443,
            family: family::INET,
            protocol: TCP,
            fd: 3,
            kind: kind::STREAM,
            op,
            flags: flag::LOCAL,
            ..Default::default()
        };
        record.local[..4].copy_from_slice(&[10, 0, 0, 2]);
        record.remote[..4].copy_from_slice(&[192, 0, 2, 1]);
        record.comm[..4].copy_from_slice(b"curl");
        record
    }

    fn connect(record: NetRecord, name: &[u8]) -> Connect {
        let mut bytes = bytemuck::bytes_of(&NetRecord {
            name_len: u16::try_from(name.len()).unwrap(),
            ..record
        })
        .to_vec();
        bytes.extend_from_slice(name);
        match decode(&bytes).unwrap() {
            Kind::Connect(connect) => *connect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn connect_reports_both_ends_and_how_it_went() {
        let done = connect(tcp(op::CONNECT), b"");
        assert_eq!(done.protocol, Protocol::Tcp);
        assert_eq!(done.local.unwrap().to_string(), "10.0.0.2:40000");
        assert_eq!(
            done.remote,
            Endpoint::Inet("192.0.2.1:443".parse().unwrap())
        );
        assert_eq!(done.outcome, Outcome::Established);
        assert_eq!((done.cookie, done.fd), (7, 3));
        assert_eq!(done.comm, "curl");
        let errno = |errno| {
            connect(
                NetRecord {
                    errno,
                    ..tcp(op::CONNECT)
                },
                b"",
            )
            .outcome
        };
        assert_eq!(errno(111), Outcome::Failed(111));
        assert_eq!(errno(115), Outcome::InProgress);
    }

    #[test]
    fn a_mapped_peer_is_the_ipv4_address_it_is() {
        let mut record = tcp(op::CONNECT);
        record.family = family::INET6;
        record.remote = "::ffff:192.0.2.9".parse::<Ipv6Addr>().unwrap().octets();
        record.local = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        let mapped = connect(record, b"");
        assert_eq!(
            mapped.remote,
            Endpoint::Inet("192.0.2.9:443".parse().unwrap())
        );
        assert_eq!(mapped.local.unwrap().to_string(), "[2001:db8::1]:40000");
    }

    #[test]
    fn unix_names_keep_hostile_bytes_and_mark_abstract_ones() {
        let record = NetRecord {
            family: family::UNIX,
            kind: kind::STREAM,
            op: op::CONNECT,
            flags: flag::LOCAL,
            ..Default::default()
        };
        let name = |name: &[u8]| {
            let got = connect(record, name);
            assert_eq!(got.protocol, Protocol::Unix);
            assert_eq!(got.local, None);
            match got.remote {
                Endpoint::Unix(name) => name.to_vec(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(name(b"/var/run/docker.sock\0junk"), b"/var/run/docker.sock");
        assert_eq!(name(b"\0a\0\xff\x1b[2J"), b"@a\0\xff\x1b[2J");
        assert_eq!(name(b""), b"");
    }

    #[test]
    fn close_accept_and_listen() {
        let record = NetRecord {
            tx_bytes: 10,
            rx_bytes: 20,
            lasted_ns: 30,
            flags: flag::INBOUND,
            ..tcp(op::CLOSE)
        };
        let Kind::Close(close) = decode(bytemuck::bytes_of(&record)).unwrap() else {
            panic!("no close");
        };
        assert_eq!(
            (close.tx_bytes, close.rx_bytes, close.lasted_ns),
            (10, 20, 30)
        );
        assert!(close.inbound);
        let Kind::Accept(accept) = decode(bytemuck::bytes_of(&tcp(op::ACCEPT))).unwrap() else {
            panic!("no accept");
        };
        assert_eq!(accept.remote.port(), 443);
        let mut bound = tcp(op::LISTEN);
        (bound.kind, bound.protocol) = (kind::DGRAM, UDP);
        let Kind::Listen(listen) = decode(bytemuck::bytes_of(&bound)).unwrap() else {
            panic!("no listen");
        };
        assert_eq!(listen.protocol, Protocol::Udp);
        assert_eq!(listen.local.port(), 40000);
    }

    #[test]
    fn a_packet_socket_is_a_privilege() {
        let record = NetRecord {
            op: op::SOCKET,
            family: family::PACKET,
            kind: kind::RAW,
            protocol: 3u16.to_be(),
            errno: 1,
            uid: 1000,
            tx_bytes: 17,
            rx_bytes: 3,
            ..Default::default()
        };
        let Kind::Privilege(raw) = decode(bytemuck::bytes_of(&record)).unwrap() else {
            panic!("no privilege");
        };
        assert_eq!(raw.call, "socket");
        assert_eq!(raw.detail, "AF_PACKET SOCK_RAW ETH_P_ALL");
        assert_eq!((raw.errno, raw.ret, raw.uid), (1, 0, 1000));
    }

    #[test]
    fn cut_and_unknown_records_are_refused() {
        let whole = bytemuck::bytes_of(&tcp(op::CONNECT)).to_vec();
        for len in 0..whole.len() {
            assert!(matches!(
                decode(&whole[..len]),
                Err(ConvertError::Short { .. })
            ));
        }
        let unknown = NetRecord { op: 99, ..tcp(0) };
        assert!(decode(bytemuck::bytes_of(&unknown)).is_err());
        let unknown = NetRecord {
            family: 40,
            ..tcp(op::ACCEPT)
        };
        assert!(decode(bytemuck::bytes_of(&unknown)).is_err());
        let long = NetRecord {
            name_len: 5,
            ..tcp(op::CONNECT)
        };
        assert!(decode(bytemuck::bytes_of(&long)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(
            raw in proptest::collection::vec(any::<u8>(), 0..256),
            op in 0u8..8,
        ) {
            let mut raw = raw;
            if let Some(byte) = raw.get_mut(std::mem::offset_of!(NetRecord, op)) {
                *byte = op;
            }
            let _ = decode(&raw);
        }
    }
}
