//! Streams of answers, cut into segments in every way.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::convert::ConvertError;
use super::convert::dns::Segment;
use super::dns_streams::{DnsStreams, Piece};
use super::{Observation, Observed};
use crate::event::{Dns, Kind, Timestamp};

const BEGIN: u32 = u32::MAX - 40;
const SECOND: i64 = 1_000_000_000;

/// An answer with this many addresses, its length in front.
fn message(name: &str, addresses: u16) -> Vec<u8> {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1];
    message.extend(addresses.to_be_bytes());
    message.extend([0; 4]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    for n in 0..addresses {
        let [high, low] = n.to_be_bytes();
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, high, low]);
    }
    framed(&message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed
}

#[derive(Default)]
struct Watched {
    streams: DnsStreams,
    reported: Vec<Dns>,
    bad: Vec<ConvertError>,
    now: i64,
}

impl Watched {
    /// A connection whose beginning was seen.
    fn connected() -> Self {
        let mut watched = Self::default();
        watched.segment(1, BEGIN, &[], (true, false), 0);
        watched
    }

    fn segment(&mut self, cookie: u64, at: u32, bytes: &[u8], ends: (bool, bool), missing: u32) {
        let piece = Piece {
            ts: Timestamp(self.now),
            cgroup: cookie % 2,
            pid: 5,
            nspid: 1,
            segment: Segment {
                cookie,
                server: IpAddr::V4(Ipv4Addr::LOCALHOST),
                seq: at,
                begins: ends.0,
                ends: ends.1,
                bytes,
                total: u32::try_from(bytes.len()).unwrap() + missing,
            },
        };
        let reported = &mut self.reported;
        let taken = self.streams.take(&piece, &mut |seen| push(reported, seen));
        self.bad.extend(taken.err());
    }

    /// The bytes `from..to` of a stream, in a segment.
    fn part(&mut self, stream: &[u8], from: usize, to: usize) {
        let at = BEGIN.wrapping_add(u32::try_from(from).unwrap());
        self.segment(1, at, &stream[from..to], (false, false), 0);
    }

    fn later(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        let reported = &mut self.reported;
        let done = self
            .streams
            .overdue(Timestamp(self.now), &mut |seen| push(reported, seen));
        self.bad.extend(done.err());
    }

    fn names(&self) -> Vec<(String, usize, bool)> {
        self.reported
            .iter()
            .map(|dns| (dns.name.escaped().to_string(), dns.addresses.len(), dns.cut))
            .collect()
    }
}

fn push(reported: &mut Vec<Dns>, observed: Observed) {
    assert_eq!((observed.pid, observed.nspid), (5, 1));
    let Observation::Event(Kind::Dns(dns)) = observed.fact else {
        panic!("{observed:?}");
    };
    reported.push(*dns);
}

fn whole(name: &str, addresses: usize) -> (String, usize, bool) {
    (name.to_owned(), addresses, false)
}

#[test]
fn the_length_in_a_separate_segment() {
    let stream = message("a.test", 2);
    let mut seen = Watched::connected();
    seen.part(&stream, 0, 2);
    assert!(seen.reported.is_empty());
    seen.part(&stream, 2, stream.len());
    assert_eq!(seen.names(), [whole("a.test", 2)]);
    // Also for a connection that existed before watching began.
    let mut seen = Watched::default();
    seen.part(&stream, 0, 2);
    seen.part(&stream, 2, stream.len());
    assert_eq!(seen.names(), [whole("a.test", 2)]);
}

#[test]
fn an_answer_in_two_segments_and_two_answers_in_one() {
    let stream = message("a.test", 121);
    let mut seen = Watched::connected();
    seen.part(&stream, 0, 900);
    seen.part(&stream, 900, stream.len());
    assert_eq!(seen.names(), [whole("a.test", 121)]);
    let stream = [message("b.test", 1), message("c.test", 3)].concat();
    let mut seen = Watched::default();
    seen.part(&stream, 0, stream.len());
    assert_eq!(seen.names(), [whole("b.test", 1), whole("c.test", 3)]);
    assert_eq!(seen.bad, []);
}

#[test]
fn segments_come_out_of_order_and_twice() {
    let stream = [message("a.test", 9), message("b.test", 9)].concat();
    let mut seen = Watched::connected();
    for (from, to) in [
        (100, 200),
        (0, 50),
        (200, stream.len()),
        (20, 120),
        (0, 300),
    ] {
        seen.part(&stream, from, to);
    }
    assert_eq!(seen.names(), [whole("a.test", 9), whole("b.test", 9)]);
}

#[test]
fn a_missing_segment_cuts_one_answer() {
    let stream = [message("a.test", 9), message("b.test", 9)].concat();
    let mut seen = Watched::connected();
    seen.part(&stream, 0, 60);
    seen.part(&stream, 90, stream.len());
    assert!(seen.reported.is_empty());
    seen.later(1);
    assert!(seen.reported.is_empty(), "it may still come");
    seen.later(6);
    assert_eq!(seen.names()[0].0, "a.test");
    assert!(seen.reported[0].cut && seen.reported[0].addresses.len() < 9);
    assert_eq!(seen.names()[1..], [whole("b.test", 9)]);
    // The bytes that did not fit into the record are missing as well.
    let stream = message("a.test", 9);
    let mut seen = Watched::connected();
    seen.segment(
        1,
        BEGIN,
        &stream[..60],
        (false, false),
        u32::try_from(stream.len()).unwrap() - 60,
    );
    seen.segment(
        1,
        BEGIN.wrapping_add(u32::try_from(stream.len()).unwrap()),
        &message("b.test", 1),
        (false, false),
        0,
    );
    assert_eq!(seen.names()[1..], [whole("b.test", 1)]);
    assert!(seen.reported[0].cut);
}

#[test]
fn an_answer_that_does_not_go_on_is_reported_as_cut() {
    let stream = message("a.test", 9);
    for ending in 0..3 {
        let mut seen = Watched::connected();
        seen.part(&stream, 0, 90);
        match ending {
            0 => seen.later(6),
            1 => seen.segment(1, BEGIN.wrapping_add(90), &[], (false, true), 0),
            _ => {
                let reported = &mut seen.reported;
                seen.streams.finish(&mut |one| push(reported, one)).unwrap();
            }
        }
        assert_eq!(seen.reported.len(), 1);
        assert!(seen.reported[0].cut && seen.reported[0].name == "a.test");
        assert_eq!(seen.bad, []);
    }
}

#[test]
fn an_answer_beyond_what_is_kept_is_cut_and_the_next_one_is_not() {
    let stream = [message("large.test", 4000), message("b.test", 1)].concat();
    let mut seen = Watched::connected();
    let steps: Vec<usize> = (0..stream.len())
        .step_by(1400)
        .chain([stream.len()])
        .collect();
    for step in steps.windows(2) {
        seen.part(&stream, step[0], step[1]);
    }
    assert_eq!(
        seen.names(),
        [("large.test".to_owned(), 256, true), whole("b.test", 1)]
    );
}

#[test]
fn answers_behind_what_is_kept_of_a_packet_are_counted_as_lost() {
    let (first, second) = (message("a.test", 9), message("b.test", 1));
    let mut seen = Watched::connected();
    // A packet of a large segment: its end was not kept, with answers in it.
    let missing = u32::try_from(second.len()).unwrap();
    seen.segment(1, BEGIN, &first, (false, false), missing);
    assert_eq!(seen.names(), [whole("a.test", 9)]);
    assert_eq!(seen.bad.len(), 1, "{:?}", seen.bad);
    // The next packet begins with an answer.
    let next = u32::try_from(first.len()).unwrap() + missing;
    let third = message("c.test", 1);
    seen.segment(1, BEGIN.wrapping_add(next), &third, (false, false), 0);
    assert_eq!(seen.names()[1..], [whole("c.test", 1)]);
    assert_eq!(seen.bad.len(), 1);
}

#[test]
fn other_protocols_are_no_loss_and_take_no_memory() {
    let mut seen = Watched::connected();
    let mut at = BEGIN;
    for text in [
        "id\n",
        "uid=0(root) gid=0(root) groups=0(root)\n",
        "ls /\n",
        "\0\0\0\0\0\0\0\0",
    ] {
        seen.segment(1, at, text.as_bytes(), (false, false), 0);
        at = at.wrapping_add(u32::try_from(text.len()).unwrap());
        seen.later(6);
    }
    seen.segment(1, at, b"", (false, true), 0);
    assert_eq!((seen.reported.len(), seen.bad.len()), (0, 0));
}

#[test]
fn one_container_with_many_connections_does_not_end_anothers() {
    let stream = message("a.test", 9);
    let mut seen = Watched::connected();
    seen.part(&stream, 0, 90);
    for cookie in 0..2000 {
        seen.segment(2 * cookie + 2, 0, &stream[..30], (true, false), 0);
    }
    assert!(
        seen.reported.iter().all(|dns| dns.cut),
        "others are reported as cut"
    );
    seen.reported.clear();
    seen.part(&stream, 90, stream.len());
    assert_eq!(seen.names(), [whole("a.test", 9)]);
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_answers_are_reported(
        cuts in proptest::collection::vec(0_usize..1200, 0..40),
        order in any::<u64>(),
    ) {
        let stream = [message("a.test", 9), message("b.test", 30), message("c.test", 0)].concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<_> = cuts.windows(2).map(|w| (w[0], w[1])).collect();
        // Some adjacent packets change places.
        for n in (1..parts.len()).filter(|n| order >> (n % 64) & 1 == 1) {
            parts.swap(n - 1, n);
        }
        let mut seen = Watched::connected();
        for (from, to) in parts {
            seen.part(&stream, from, to);
        }
        prop_assert_eq!(seen.names(), [whole("a.test", 9), whole("b.test", 30), whole("c.test", 0)]);
    }

    #[test]
    fn any_input_is_accepted(
        segments in proptest::collection::vec(
            (0_u32..200, proptest::collection::vec(any::<u8>(), 0..40), any::<(bool, bool)>(), 0_u32..70_000),
            0..40,
        ),
    ) {
        let mut seen = Watched::connected();
        for (at, bytes, ends, missing) in segments {
            seen.segment(1, BEGIN.wrapping_add(at), &bytes, ends, missing);
            seen.later(2);
        }
    }
}
