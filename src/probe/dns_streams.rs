//! DNS answers over TCP: reassembles the segments of each connection, within bounds. The sender
//! controls every byte, and need not speak DNS.

use std::time::Duration;

use hullwatch_abi::dns::MESSAGE_MAX;
use rustc_hash::FxHashMap;

use super::convert::ConvertError;
use super::convert::dns::{self, Segment};
use super::{Observation, Observed, Presence};
use crate::event::{Kind, Timestamp};

/// Maximum number of connections. When there are more, a connection of the cgroup with most is
/// dropped.
const MAX_STREAMS: usize = 256;
/// Maximum bytes and segments of a connection that wait for an earlier one.
const MAX_AHEAD_BYTES: usize = 16 << 10;
const MAX_AHEAD: usize = 64;
/// Time after which a missing segment counts as lost, and an incomplete answer as cut.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval of the check for overdue ones.
const PERIOD: Duration = Duration::from_secs(1);
/// A length precedes each message.
const LENGTH: usize = 2;
/// Bytes of a header, the minimum of a message.
const HEADER: usize = 12;

/// A segment with its owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Time of arrival.
    pub(super) ts: Timestamp,
    /// Cgroup of the container.
    pub(super) cgroup: u64,
    /// Host pid of the connecting process; 0 when not known.
    pub(super) pid: u32,
    /// Its pid in its own namespace.
    pub(super) nspid: u32,
    pub(super) segment: Segment<'a>,
}

/// The followed connections.
#[derive(Default)]
pub(super) struct DnsStreams {
    streams: FxHashMap<u64, DnsStream>,
    /// Time of the next check for overdue ones.
    look: Option<Timestamp>,
}

impl DnsStreams {
    /// Adds a segment, and passes the answers that it completes to `sink`.
    ///
    /// # Errors For an invalid message.
    pub(super) fn take(
        &mut self,
        piece: &Piece<'_>,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let segment = &piece.segment;
        let (cookie, ends) = (segment.cookie, segment.ends);
        let known = self.streams.contains_key(&cookie);
        if !known && !segment.begins && (ends || segment.total == 0) {
            // A segment of a connection that is not followed.
            return Ok(());
        }
        let mut result = Ok(());
        if !known && self.streams.len() >= MAX_STREAMS {
            result = self.make_room(sink);
        }
        let stream = self
            .streams
            .entry(cookie)
            .or_insert_with(|| DnsStream::new(piece));
        let taken = stream.take(piece, sink);
        if stream.ended {
            self.streams.remove(&cookie);
        } else {
            self.look.get_or_insert(piece.ts);
        }
        result.and(taken)
    }

    /// Drops overdue segments: an incomplete answer is reported as cut.
    ///
    /// # Errors When not even its question arrived.
    pub(super) fn overdue(
        &mut self,
        now: Timestamp,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let mut result = Ok(());
        if self.look.is_none_or(|look| now < look) {
            return result;
        }
        self.look = (!self.streams.is_empty()).then(|| now.plus(PERIOD));
        for stream in self.streams.values_mut().filter(|stream| stream.waits()) {
            if now.since(stream.since) >= PATIENCE {
                result = result.and(stream.give_up(sink));
            }
        }
        self.streams.retain(|_, stream| !stream.ended);
        result
    }

    /// Reports incomplete answers when watching ends.
    ///
    /// # Errors
    /// As [`Self::overdue`].
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut result = Ok(());
        for (_, mut stream) in self.streams.drain() {
            result = result.and(stream.finish(sink));
        }
        result
    }

    /// Drops the connection that was silent for longest, of those of the cgroup with most.
    fn make_room(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut of_cgroup: FxHashMap<u64, usize> = FxHashMap::default();
        for stream in self.streams.values() {
            *of_cgroup.entry(stream.cgroup).or_default() += 1;
        }
        let least = self
            .streams
            .iter()
            .max_by_key(|(cookie, stream)| {
                let has = of_cgroup[&stream.cgroup];
                (has, std::cmp::Reverse((stream.since, **cookie)))
            })
            .map(|(cookie, _)| *cookie);
        match least.and_then(|cookie| self.streams.remove(&cookie)) {
            Some(mut stream) => stream.finish(sink),
            None => Ok(()),
        }
    }
}

/// The position in the stream of messages.
#[derive(Debug, PartialEq)]
enum Framing {
    /// In a message, or between two.
    Known,
    /// Unknown: waits for a segment that looks like the beginning of an answer.
    Lost,
}

struct DnsStream {
    cgroup: u64,
    pid: u32,
    nspid: u32,
    server: std::net::IpAddr,
    framing: Framing,
    /// Number of the next byte.
    next: u32,
    /// The current message after its length, up to the maximum that is parsed.
    message: Vec<u8>,
    /// Number of its bytes that arrived, including those that were not kept.
    passed: usize,
    /// Some of its bytes never arrived: the bytes after them are not kept.
    hole: bool,
    /// Segments that arrived too early.
    ahead: Vec<Early>,
    /// The time of its latest segment.
    since: Timestamp,
    ended: bool,
}

/// A segment that arrived before an earlier one.
struct Early {
    seq: u32,
    total: u32,
    bytes: Vec<u8>,
    ends: bool,
}

impl DnsStream {
    fn new(piece: &Piece<'_>) -> Self {
        Self {
            cgroup: piece.cgroup,
            pid: piece.pid,
            nspid: piece.nspid,
            server: piece.segment.server,
            framing: if piece.segment.begins {
                Framing::Known
            } else {
                Framing::Lost
            },
            next: piece.segment.seq,
            message: Vec::new(),
            passed: 0,
            hole: false,
            ahead: Vec::new(),
            since: piece.ts,
            ended: false,
        }
    }

    /// Whether a message is incomplete, or segments wait.
    fn waits(&self) -> bool {
        self.passed > 0 || !self.ahead.is_empty()
    }

    fn take(
        &mut self,
        piece: &Piece<'_>,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let segment = &piece.segment;
        self.since = piece.ts;
        if piece.pid != 0 {
            (self.pid, self.nspid) = (piece.pid, piece.nspid);
        }
        let distance = self.place_of(segment.seq);
        if self.framing == Framing::Known && distance > 0 {
            self.ahead.push(Early {
                seq: segment.seq,
                total: segment.total,
                bytes: segment.bytes.to_vec(),
                ends: segment.ends,
            });
            let waiting: usize = self.ahead.iter().map(|early| early.bytes.len()).sum();
            if waiting <= MAX_AHEAD_BYTES && self.ahead.len() <= MAX_AHEAD {
                return Ok(());
            }
            return self.skip_to_ahead(sink);
        }
        let result = self.segment(
            segment.seq,
            segment.bytes,
            segment.total,
            segment.ends,
            sink,
        );
        result.and(self.catch_up(sink))
    }

    /// Distance of a sequence number to the next byte; negative when it is earlier.
    fn place_of(&self, seq: u32) -> i32 {
        seq.wrapping_sub(self.next).cast_signed()
    }

    /// Adds a segment that does not begin after the next byte. Its `total` bytes begin with
    /// `bytes`.
    fn segment(
        &mut self,
        seq: u32,
        bytes: &[u8],
        total: u32,
        ends: bool,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let result = if self.framing == Framing::Lost {
            self.next = seq.wrapping_add(total);
            if begins_answer(bytes, total) {
                self.framing = Framing::Known;
                self.bytes(bytes, total, sink)
            } else {
                Ok(())
            }
        } else {
            // Bytes that arrived before are not added twice.
            let old = self.next.wrapping_sub(seq);
            if old < total {
                let kept = bytes.get(old as usize..).unwrap_or_default();
                self.next = seq.wrapping_add(total);
                self.bytes(kept, total - old, sink)
            } else {
                Ok(())
            }
        };
        if ends && seq.wrapping_add(total) == self.next {
            return result.and(self.finish(sink));
        }
        result
    }

    /// Adds the next `total` bytes of the stream, of which the first are `bytes`.
    fn bytes(
        &mut self,
        mut bytes: &[u8],
        total: u32,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let mut missing = total as usize - bytes.len().min(total as usize);
        let mut result = Ok(());
        while !bytes.is_empty() && self.framing == Framing::Known {
            // First to the length, then to the message.
            let wanted = self.length().unwrap_or(LENGTH) - self.passed;
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            self.passed += now.len();
            if !self.hole {
                let room = (LENGTH + MESSAGE_MAX).saturating_sub(self.message.len());
                self.message.extend_from_slice(&now[..now.len().min(room)]);
            }
            result = result.and(self.complete(sink));
        }
        while missing > 0 && self.framing == Framing::Known {
            self.hole = true;
            let Some(length) = self.length() else {
                // The beginning of the next message is not known any more.
                self.lose();
                return result.and(Err(dns::malformed(
                    "answers behind its first 8 KiB not read",
                )));
            };
            let now = (length - self.passed).min(missing);
            missing -= now;
            self.passed += now;
            result = result.and(self.complete(sink));
        }
        result
    }

    /// Size of the current message and its length field; `None` until that has arrived.
    fn length(&self) -> Option<usize> {
        let length = self.message.first_chunk::<LENGTH>()?;
        Some(LENGTH + usize::from(u16::from_be_bytes(*length)))
    }

    /// Reports the current message when it is complete. A message that is not an answer to one
    /// question may be anything, and its length field no length.
    fn complete(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let Some(length) = self.length() else {
            return Ok(());
        };
        let message = self.message.get(LENGTH..).unwrap_or_default();
        let is_answer = dns::is_answer(message);
        if length < LENGTH + HEADER || is_answer == Some(false) {
            self.lose();
            return Ok(());
        }
        if self.passed < length {
            return Ok(());
        }
        self.report(sink)
    }

    /// Reports the received part of the current message, and drops it.
    fn report(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let message = std::mem::take(&mut self.message);
        (self.passed, self.hole) = (0, false);
        let message = message.get(LENGTH..).unwrap_or_default();
        let Some(dns) = dns::answer(message, self.server)? else {
            return Ok(());
        };
        sink(Observed {
            ts: self.since,
            cgroup: self.cgroup,
            pid: self.pid,
            nspid: self.nspid,
            presence: Presence::default(),
            fact: Observation::Event(Kind::Dns(Box::new(dns))),
        });
        Ok(())
    }

    /// The beginnings of messages are not known any more.
    fn lose(&mut self) {
        self.framing = Framing::Lost;
        self.message = Vec::new();
        (self.passed, self.hole) = (0, false);
    }

    /// Adds the early segments that are next in order.
    fn catch_up(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut result = Ok(());
        while !self.ended {
            let turn =
                |early: &Early| self.framing == Framing::Lost || self.place_of(early.seq) <= 0;
            let Some(at) = self.ahead.iter().position(turn) else {
                break;
            };
            let early = self.ahead.remove(at);
            result =
                result.and(self.segment(early.seq, &early.bytes, early.total, early.ends, sink));
        }
        result
    }

    /// Counts the bytes before the earliest of the waiting segments as lost.
    fn skip_to_ahead(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let Some(gap) = self
            .ahead
            .iter()
            .map(|early| self.place_of(early.seq))
            .min()
        else {
            return Ok(());
        };
        let gap = u32::try_from(gap).unwrap_or(0);
        self.next = self.next.wrapping_add(gap);
        let result = if self.passed == 0 {
            self.lose();
            Ok(())
        } else {
            self.bytes(&[], gap, sink)
        };
        result.and(self.catch_up(sink))
    }

    /// The missing bytes did not arrive in time.
    fn give_up(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut result = Ok(());
        while !self.ahead.is_empty() && !self.ended {
            result = result.and(self.skip_to_ahead(sink));
        }
        result.and(self.cut(sink))
    }

    /// Reports the received part of the current message, marked as cut.
    fn cut(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        if self.passed == 0 {
            return Ok(());
        }
        let message = self.message.get(LENGTH..).unwrap_or_default();
        let result = match dns::is_answer(message) {
            Some(true) => self.report(sink),
            // Too short to be recognised as DNS.
            _ => Ok(()),
        };
        self.lose();
        result
    }

    /// The stream ends.
    fn finish(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        self.ended = true;
        self.ahead.clear();
        self.cut(sink)
    }
}

/// Whether a segment looks like the beginning of an answer, or like its length alone.
fn begins_answer(bytes: &[u8], total: u32) -> bool {
    let Some(length) = bytes.first_chunk::<LENGTH>() else {
        return false;
    };
    let long_enough = usize::from(u16::from_be_bytes(*length)) >= HEADER;
    let alone = total as usize == LENGTH;
    long_enough && (alone || dns::is_answer(&bytes[LENGTH..]) == Some(true))
}
