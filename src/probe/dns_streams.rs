//! Answers to name queries over TCP: puts the segments of each connection together again, within
//! bounds. The sender wrote everything here, and need not speak DNS.

use std::time::Duration;

use hullwatch_abi::dns::MESSAGE_MAX;
use rustc_hash::FxHashMap;

use super::convert::ConvertError;
use super::convert::dns::{self, Segment};
use super::{Observation, Observed};
use crate::event::{Kind, Timestamp};

/// Connections followed at once. One more makes room at the cost of the cgroup that has most.
const MAX_STREAMS: usize = 256;
/// Bytes and segments of a connection that wait for an earlier one.
const MAX_AHEAD_BYTES: usize = 16 << 10;
const MAX_AHEAD: usize = 64;
/// A missing segment is taken for lost after this long, an answer that does not go on for cut.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is looked for them.
const PERIOD: Duration = Duration::from_secs(1);
/// A length precedes each message.
const LENGTH: usize = 2;
/// Bytes of a header, the least a message has.
const HEADER: usize = 12;

/// A segment, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// When it came.
    pub(super) ts: Timestamp,
    /// Of the container.
    pub(super) cgroup: u64,
    /// Who connected; 0 when not known.
    pub(super) pid: u32,
    /// The same in its own namespace.
    pub(super) nspid: u32,
    pub(super) segment: Segment<'a>,
}

/// The connections that are followed.
#[derive(Default)]
pub(super) struct DnsStreams {
    streams: FxHashMap<u64, DnsStream>,
    /// When to look for what is overdue again.
    look: Option<Timestamp>,
}

impl DnsStreams {
    /// Takes a segment, and gives the answers that it completes to `sink`.
    ///
    /// # Errors
    /// For a message that is not what it claims to be.
    pub(super) fn take(
        &mut self,
        piece: &Piece<'_>,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let segment = &piece.segment;
        let (cookie, ends) = (segment.cookie, segment.ends);
        let known = self.streams.contains_key(&cookie);
        if !known && !segment.begins && (ends || segment.total == 0) {
            // Of a connection of which nothing was worth following.
            return Ok(());
        }
        let mut told = Ok(());
        if !known && self.streams.len() >= MAX_STREAMS {
            told = self.make_room(sink);
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
        told.and(taken)
    }

    /// Gives up what waits for too long: a begun answer is reported as cut.
    ///
    /// # Errors
    /// When not even the question of one came.
    pub(super) fn overdue(
        &mut self,
        now: Timestamp,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let mut told = Ok(());
        if self.look.is_none_or(|look| now < look) {
            return told;
        }
        self.look = (!self.streams.is_empty()).then(|| now.plus(PERIOD));
        for stream in self.streams.values_mut().filter(|stream| stream.waits()) {
            if now.since(stream.since) >= PATIENCE {
                told = told.and(stream.give_up(sink));
            }
        }
        self.streams.retain(|_, stream| !stream.ended);
        told
    }

    /// Tells what was begun; the end of watching.
    ///
    /// # Errors
    /// As [`Self::overdue`].
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut told = Ok(());
        for (_, mut stream) in self.streams.drain() {
            told = told.and(stream.finish(sink));
        }
        told
    }

    /// Forgets the connection that was silent for longest of those of the cgroup with most.
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

/// Where in the stream of messages a connection is.
#[derive(Debug, PartialEq)]
enum Framing {
    /// In a message, or between two.
    Known,
    /// Not known: a segment that looks like the begin of an answer is waited for.
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
    /// The message under way, its length in front: no more than is read of a message.
    message: Vec<u8>,
    /// Bytes of it that came, those that were not kept included.
    passed: usize,
    /// Some bytes of it never came: what follows them is not kept.
    hole: bool,
    /// Segments that came too early.
    ahead: Vec<Early>,
    /// The time of its latest segment.
    since: Timestamp,
    ended: bool,
}

/// A segment that came before an earlier one.
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

    /// Something is under way, or came too early.
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
        let told = self.segment(
            segment.seq,
            segment.bytes,
            segment.total,
            segment.ends,
            sink,
        );
        told.and(self.catch_up(sink))
    }

    /// How far a sequence number is ahead of the next byte; negative when it came before.
    fn place_of(&self, seq: u32) -> i32 {
        seq.wrapping_sub(self.next).cast_signed()
    }

    /// Takes a segment that does not begin behind the next byte. Its `total` bytes begin with `bytes`.
    fn segment(
        &mut self,
        seq: u32,
        bytes: &[u8],
        total: u32,
        ends: bool,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let told = if self.framing == Framing::Lost {
            self.next = seq.wrapping_add(total);
            if begins_answer(bytes, total) {
                self.framing = Framing::Known;
                self.bytes(bytes, total, sink)
            } else {
                Ok(())
            }
        } else {
            // What came before is not taken twice.
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
            return told.and(self.finish(sink));
        }
        told
    }

    /// Takes the next `total` bytes of the stream, of which the first are `bytes`.
    fn bytes(
        &mut self,
        mut bytes: &[u8],
        total: u32,
        sink: &mut dyn FnMut(Observed),
    ) -> Result<(), ConvertError> {
        let mut missing = total as usize - bytes.len().min(total as usize);
        let mut told = Ok(());
        while !bytes.is_empty() && self.framing == Framing::Known {
            // Of the length first, then of the message.
            let wanted = self.length().unwrap_or(LENGTH) - self.passed;
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            self.passed += now.len();
            if !self.hole {
                let room = (LENGTH + MESSAGE_MAX).saturating_sub(self.message.len());
                self.message.extend_from_slice(&now[..now.len().min(room)]);
            }
            told = told.and(self.complete(sink));
        }
        while missing > 0 && self.framing == Framing::Known {
            self.hole = true;
            let Some(length) = self.length() else {
                // Where the next message begins is not known any more.
                self.lose();
                break;
            };
            let now = (length - self.passed).min(missing);
            missing -= now;
            self.passed += now;
            told = told.and(self.complete(sink));
        }
        told
    }

    /// Bytes of the message under way and of its length; `None` while that did not come.
    fn length(&self) -> Option<usize> {
        let length = self.message.first_chunk::<LENGTH>()?;
        Some(LENGTH + usize::from(u16::from_be_bytes(*length)))
    }

    /// Tells the message under way when all of it came. What is no answer to one question may be
    /// anything, and its length no length.
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
        self.tell(sink)
    }

    /// Tells the message under way as far as it came, and forgets it.
    fn tell(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
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
            fact: Observation::Event(Kind::Dns(Box::new(dns))),
        });
        Ok(())
    }

    /// Where messages begin is not known any more.
    fn lose(&mut self) {
        self.framing = Framing::Lost;
        self.message = Vec::new();
        (self.passed, self.hole) = (0, false);
    }

    /// Takes the segments that came too early and whose turn it is.
    fn catch_up(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut told = Ok(());
        while !self.ended {
            let turn =
                |early: &Early| self.framing == Framing::Lost || self.place_of(early.seq) <= 0;
            let Some(at) = self.ahead.iter().position(turn) else {
                break;
            };
            let early = self.ahead.remove(at);
            told = told.and(self.segment(early.seq, &early.bytes, early.total, early.ends, sink));
        }
        told
    }

    /// Takes what is missing before the earliest of the segments ahead for lost.
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
        let told = if self.passed == 0 {
            self.lose();
            Ok(())
        } else {
            self.bytes(&[], gap, sink)
        };
        told.and(self.catch_up(sink))
    }

    /// What is missing did not come in time.
    fn give_up(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        let mut told = Ok(());
        while !self.ahead.is_empty() && !self.ended {
            told = told.and(self.skip_to_ahead(sink));
        }
        told.and(self.cut(sink))
    }

    /// Tells the message under way as far as it came, which is then marked as cut.
    fn cut(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        if self.passed == 0 {
            return Ok(());
        }
        let message = self.message.get(LENGTH..).unwrap_or_default();
        let told = match dns::is_answer(message) {
            Some(true) => self.tell(sink),
            // Too little to be taken for DNS.
            _ => Ok(()),
        };
        self.lose();
        told
    }

    /// The stream ends.
    fn finish(&mut self, sink: &mut dyn FnMut(Observed)) -> Result<(), ConvertError> {
        self.ended = true;
        self.ahead.clear();
        self.cut(sink)
    }
}

/// Whether a segment looks like the begin of an answer, or like its length alone.
fn begins_answer(bytes: &[u8], total: u32) -> bool {
    let Some(length) = bytes.first_chunk::<LENGTH>() else {
        return false;
    };
    let long_enough = usize::from(u16::from_be_bytes(*length)) >= HEADER;
    let alone = total as usize == LENGTH;
    long_enough && (alone || dns::is_answer(&bytes[LENGTH..]) == Some(true))
}
