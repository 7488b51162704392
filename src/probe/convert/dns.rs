//! Answers to DNS queries. The sender of the packet controls every byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hullwatch_abi::dns::{DnsRecord, flag};
use simple_dns::Name;
use simple_dns::rdata::RData;

use super::{ConvertError, fixed, take};
use crate::event::{Bytes, Dns};

const KIND: &str = "dns";
const HEADER: usize = 12;
const TCP: u8 = 6;
/// Smallest resource record: root name, type, class, time to live, length.
const SMALLEST_RECORD: usize = 11;
/// The header's bit for a message truncated by the server.
const TRUNCATED: u8 = 0x02;
/// Maximum number of addresses of one answer.
const ADDRESSES_MAX: usize = 256;

/// The content of a packet from port 53.
#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    /// An answer over UDP.
    Answer(Dns),
    /// No answer: a query that came from port 53.
    Nothing,
    /// A piece of a TCP stream.
    Segment(Segment<'a>),
}

/// A piece of a TCP stream from port 53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment<'a> {
    /// The connection.
    pub cookie: u64,
    /// The sender.
    pub server: IpAddr,
    /// Number of its first byte in the stream.
    pub seq: u32,
    /// The stream begins with it.
    pub begins: bool,
    /// The stream ends after it, or was aborted.
    pub ends: bool,
    /// Its first bytes, up to [`hullwatch_abi::dns::MESSAGE_MAX`].
    pub bytes: &'a [u8],
    /// Number of its bytes.
    pub total: u32,
}

/// Decodes the bytes behind the record's header.
///
/// # Errors When the record is cut, or a resolver would not accept the message as an answer.
pub fn decode(body: &[u8]) -> Result<Packet<'_>, ConvertError> {
    let (record, mut rest) = fixed::<DnsRecord>(KIND, body)?;
    let bytes = take(KIND, &mut rest, record.len)?;
    let s = record.server;
    let server = match record.version {
        4 => IpAddr::V4(Ipv4Addr::new(s[0], s[1], s[2], s[3])),
        6 => Ipv6Addr::from(s).to_canonical(),
        other => {
            return Err(ConvertError::Unknown {
                kind: KIND,
                field: "IP version",
                value: other.into(),
            });
        }
    };
    if record.protocol == TCP {
        let begins = record.flags & flag::SYN != 0;
        return Ok(Packet::Segment(Segment {
            cookie: record.cookie,
            server,
            seq: record.seq.wrapping_add(begins.into()),
            begins,
            ends: record.flags & (flag::FIN | flag::RST) != 0,
            bytes,
            total: record.total.max(record.len.into()),
        }));
    }
    let dns = answer(bytes, server)?;
    Ok(dns.map_or(Packet::Nothing, Packet::Answer))
}

/// The error about a message that was not read.
pub fn malformed(what: &'static str) -> ConvertError {
    ConvertError::Malformed { kind: KIND, what }
}

/// Whether these first bytes of a message are those of an answer to one question; `None` when they
/// are too few to decide.
#[must_use]
pub fn is_answer(message: &[u8]) -> Option<bool> {
    let &[_, _, flags, _, qd_high, qd_low] = message.first_chunk()?;
    Some(flags & 0x80 != 0 && qd_high == 0 && qd_low == 1)
}

/// Reads one message. A message that was cut, or goes wrong somewhere behind the question, still
/// gives the name and the addresses up to there. `None` for one that is no answer.
///
/// # Errors When not even its question can be read, or a resolver would not accept it as an answer.
pub fn answer(message: &[u8], server: IpAddr) -> Result<Option<Dns>, ConvertError> {
    let mut message = message.to_vec();
    let Some(
        &[
            _,
            _,
            flags_high,
            flags_low,
            qd_high,
            qd_low,
            an_high,
            an_low,
            ..,
        ],
    ) = message.first_chunk::<HEADER>()
    else {
        return Err(malformed("shorter than a header"));
    };
    if flags_high & 0x80 == 0 {
        return Ok(None);
    }
    if u16::from_be_bytes([qd_high, qd_low]) != 1 {
        return Err(malformed("not one question"));
    }
    let type_at = question_type(&message).ok_or(malformed("question cut"))?;
    let &[type_high, type_low, class_high, class_low] = message
        .get(type_at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .ok_or(malformed("question cut"))?;
    let qtype = u16::from_be_bytes([type_high, type_low]);
    if class_high & 0x7f != 0 || class_low != 1 {
        return Err(malformed("not of the class IN"));
    }
    // The parser refuses query types and a header bit that are irrelevant here, and the sections
    // after the answers are not needed: only the required parts are kept.
    message[type_at..type_at + 2].copy_from_slice(&1u16.to_be_bytes());
    message[3] = flags_low & !0x70;
    message[8..HEADER].fill(0);
    let claimed = usize::from(u16::from_be_bytes([an_high, an_low]));
    let possible = claimed.min((message.len() - HEADER) / SMALLEST_RECORD);
    let packet = longest(&mut message, possible).ok_or(malformed("question unreadable"))?;
    let question = packet
        .questions
        .first()
        .ok_or(malformed("question unreadable"))?;
    let mut addresses: Vec<IpAddr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
            RData::AAAA(a) => Some(IpAddr::V6(Ipv6Addr::from(a.address))),
            _ => None,
        })
        .collect();
    let too_many = addresses.len() > ADDRESSES_MAX;
    addresses.truncate(ADDRESSES_MAX);
    let by_server = flags_high & TRUNCATED != 0;
    Ok(Some(Dns {
        name: text(&question.qname),
        qtype: type_name(qtype),
        rcode: flags_low & 15,
        addresses,
        cut: packet.answers.len() < claimed || too_many || by_server,
        server: Some(server),
    }))
}

/// The message with as many answers as can be parsed. Since a parser stops at the first invalid
/// one, their number is found by bisection.
fn longest(message: &mut [u8], most: usize) -> Option<simple_dns::Packet<'_>> {
    let with = |count: usize, message: &mut [u8]| {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        message[6..8].copy_from_slice(&count.to_be_bytes());
        simple_dns::Packet::parse(message).is_ok()
    };
    let (mut good, mut bad) = (0, most + 1);
    if with(most, message) {
        good = most;
    } else if !with(0, message) {
        return None;
    } else {
        bad = most;
    }
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if with(middle, message) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    with(good, message);
    simple_dns::Packet::parse(message).ok()
}

/// Offset of the first question's type.
fn question_type(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            // A compression pointer in the first name has no earlier name to point to.
            _ => return None,
        }
    }
}

/// Lower case, without the final dot. A dot or backslash inside a label is escaped, as in zone
/// files, so that no label can be taken for two.
fn text(name: &Name<'_>) -> Bytes {
    let mut out = Vec::new();
    for (i, label) in name.as_bytes().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        for byte in label {
            if matches!(byte, b'.' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte.to_ascii_lowercase());
        }
    }
    Bytes::from(out)
}

/// The name of a query type; `TYPE` and its number if it has none here (RFC 3597).
fn type_name(number: u16) -> String {
    let name = match number {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        39 => "DNAME",
        43 => "DS",
        44 => "SSHFP",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        52 => "TLSA",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        257 => "CAA",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::rdata::{A, AAAA, CNAME, NULL};
    use simple_dns::{
        CLASS, Packet as Message, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
    };

    fn reply(name: &'static str, qtype: TYPE, answers: Vec<RData<'static>>) -> Message<'static> {
        let mut packet = Message::new_reply(7);
        packet.set_flags(PacketFlag::RESPONSE);
        packet.questions.push(Question::new(
            Name::new_unchecked(name),
            QTYPE::TYPE(qtype),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        for rdata in answers {
            packet.answers.push(ResourceRecord::new(
                Name::new_unchecked(name),
                CLASS::IN,
                60,
                rdata,
            ));
        }
        packet
    }

    fn record(message: &[u8], protocol: u8) -> Vec<u8> {
        let mut record = DnsRecord {
            total: u32::try_from(message.len()).unwrap(),
            len: u16::try_from(message.len()).unwrap(),
            version: 4,
            protocol,
            ..Default::default()
        };
        record.server[..4].copy_from_slice(&[127, 0, 0, 11]);
        let mut bytes = bytemuck::bytes_of(&record).to_vec();
        bytes.extend_from_slice(message);
        bytes
    }

    fn decoded(record: &[u8]) -> Result<Dns, ConvertError> {
        match decode(record)? {
            Packet::Answer(dns) => Ok(dns),
            other => panic!("{other:?}"),
        }
    }

    fn udp(message: &[u8]) -> Dns {
        decoded(&record(message, 17)).unwrap()
    }

    fn chain() -> Message<'static> {
        reply(
            "WWW.Example.org",
            TYPE::A,
            vec![
                RData::CNAME(CNAME(Name::new_unchecked("cdn.example.net"))),
                RData::A(A::from(Ipv4Addr::new(192, 0, 2, 1))),
                RData::AAAA(AAAA::from(Ipv6Addr::LOCALHOST)),
            ],
        )
    }

    #[test]
    fn addresses_come_through_cnames() {
        let dns = udp(&chain().build_bytes_vec_compressed().unwrap());
        assert_eq!(dns.name, "www.example.org");
        assert_eq!(dns.qtype, "A");
        assert_eq!(dns.rcode, 0);
        assert_eq!(
            dns.addresses,
            [
                "192.0.2.1".parse::<IpAddr>().unwrap(),
                "::1".parse().unwrap()
            ]
        );
        assert_eq!(dns.server, Some("127.0.0.11".parse().unwrap()));
    }

    #[test]
    fn a_segment_is_reported_unchanged() {
        let mut segment = record(b"abc", TCP);
        // 0x0102_0304, behind the cookie, the server and the total; SYN and FIN in the last word.
        segment[28..32].copy_from_slice(&0x0102_0304_u32.to_ne_bytes());
        segment[36] = flag::SYN | flag::FIN;
        let Packet::Segment(segment) = decode(&segment).unwrap() else {
            panic!("a segment");
        };
        assert_eq!((segment.seq, segment.total), (0x0102_0305, 3));
        assert_eq!(segment.bytes, b"abc");
        assert!(segment.begins && segment.ends);
    }

    #[test]
    fn no_such_name_is_an_answer_and_a_query_is_none() {
        let mut packet = reply("nowhere.test", TYPE::AAAA, vec![]);
        *packet.rcode_mut() = RCODE::NameError;
        let dns = udp(&packet.build_bytes_vec().unwrap());
        assert_eq!((dns.rcode, dns.qtype.as_str()), (3, "AAAA"));
        assert_eq!(dns.name, "nowhere.test");
        let mut query = packet.build_bytes_vec().unwrap();
        query[2] &= 0x7f;
        assert_eq!(decode(&record(&query, 17)).unwrap(), Packet::Nothing);
    }

    #[test]
    fn a_cut_message_keeps_its_first_part() {
        let whole = chain().build_bytes_vec().unwrap();
        let mut seen = Vec::new();
        for len in 0..whole.len() {
            if let Ok(dns) = decoded(&record(&whole[..len], 17)) {
                assert_eq!(dns.name, "www.example.org");
                assert!(dns.cut, "{len} bytes are not all");
                seen.push(dns.addresses.len());
            }
        }
        assert!(seen.is_sorted());
        assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&1)));
        assert!(!udp(&whole).cut);
        let mut by_server = whole;
        by_server[2] |= TRUNCATED;
        assert!(udp(&by_server).cut);
    }

    #[test]
    fn dropped_addresses_are_reported() {
        let answer = |count: u16| {
            let addresses = (0..count).map(|n| {
                let [high, low] = n.to_be_bytes();
                RData::A(A::from(Ipv4Addr::new(192, 0, high, low)))
            });
            let packet = reply("many.test", TYPE::A, addresses.collect());
            let dns = udp(&packet.build_bytes_vec_compressed().unwrap());
            (dns.addresses.len(), dns.cut)
        };
        assert_eq!(answer(121), (121, false));
        assert_eq!(answer(256), (256, false));
        assert_eq!(answer(257), (256, true));
    }

    #[test]
    fn unusual_query_types_and_bits_do_not_hide_the_name() {
        let rdata = RData::NULL(65399, NULL::new(b"x").unwrap());
        let mut message = reply("t.example.org", TYPE::A, vec![rdata])
            .build_bytes_vec()
            .unwrap();
        let at = question_type(&message).unwrap();
        message[at..at + 2].copy_from_slice(&65399u16.to_be_bytes());
        message[3] |= 0x40;
        // Claims sections it does not have.
        message[8..12].fill(0xff);
        let dns = udp(&message);
        assert_eq!(dns.qtype, "TYPE65399");
        assert_eq!(dns.name, "t.example.org");
    }

    #[test]
    fn hostile_names_keep_their_bytes() {
        let mut message = vec![0, 7, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
        message.extend_from_slice(b"\x05a.b\\\x1b\x02\xff\n\0\0\x10\0\x01");
        // An answer whose name points at itself.
        message.extend_from_slice(b"\xc0\x20\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04");
        let dns = udp(&message);
        assert_eq!(&**dns.name, b"a\\.b\\\\\x1b.\xff\n");
        assert_eq!(dns.qtype, "TXT");
        assert!(dns.addresses.is_empty());
    }

    #[test]
    fn messages_that_are_no_answers_are_refused() {
        let refused = |message: &[u8]| {
            assert!(
                matches!(
                    decode(&record(message, 17)),
                    Err(ConvertError::Malformed { .. })
                ),
                "{message:x?}"
            );
        };
        refused(b"");
        refused(b"\xff\xff\xff\xffany other protocol");
        // A question that points at itself, two questions, none, another class.
        refused(&[0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]);
        refused(&[0, 7, 0x80, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        refused(&[0, 7, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        refused(&[0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9]);
        let whole = record(&chain().build_bytes_vec().unwrap(), 17);
        assert!(matches!(
            decode(&whole[..whole.len() - 1]),
            Err(ConvertError::Short { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_packet_decodes_or_is_refused(
            tail in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..8),
        ) {
            let mut raw = vec![0, 7, 0x80, 0, 0, 1, 0, 9, 0, 0, 0, 0];
            raw.extend_from_slice(&tail);
            let _ = decode(&record(&raw, 17));
            let mut mutated = chain().build_bytes_vec_compressed().unwrap();
            for (at, byte) in changes {
                if let Some(slot) = mutated.get_mut(at) {
                    *slot = byte;
                }
            }
            let _ = decode(&record(&mutated, 17));
            let _ = decode(&record(&mutated, 6));
        }
    }
}
