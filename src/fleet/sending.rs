//! What the publisher's thread does: reads segments from pipes, and sends them block by block.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use time::OffsetDateTime;
use tokio::net::unix::pipe::Receiver;

use super::block::{BlockEnd, SegmentDecoder, SegmentId, StreamBlock};
use super::limits::PublishLimits;
use super::server::{ANSWER, NatsServer, create_streams};
use super::subject::HostName;
use super::summary::HostSummary;
use crate::event::Event;
use crate::recording::SegmentSource;
use crate::sink::SinkCounters;
use crate::text::{error_chain, hex};

/// Bytes of a block: servers accept messages of 1 MiB unless told otherwise.
const BLOCK: usize = 256 << 10;
/// Bytes of the pipe from the recorder; what finds no room waits there.
const PIPE: usize = 1 << 20;
/// Interval of looking for other work.
const LOOK: Duration = Duration::from_millis(200);
/// Interval of summaries that differ, and of those that do not.
const SUMMARY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// How long leaving waits for a server that does not answer.
const FAILING: Duration = Duration::from_millis(500);
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A segment that is being sent.
struct SendingSegment {
    id: SegmentId,
    pipe: Receiver,
    begun: Instant,
    bytes: u64,
    /// Blocks so far.
    blocks: u64,
    /// The server's number of the first one.
    first: Option<u64>,
    /// Whether the server no longer has its beginning, without which nobody reads the rest.
    broken: bool,
    /// Reads the numbers of the events in the blocks.
    decoder: SegmentDecoder,
}

/// A connection whose streams exist.
struct ServerConnection {
    client: Client,
    context: Context,
    /// When the stream of the recordings was created.
    created: OffsetDateTime,
    /// Whether a message was refused since then: the streams may have been deleted.
    doubted: bool,
}

/// The publisher's state.
pub(super) struct StreamSending {
    server: NatsServer,
    host: HostName,
    limits: PublishLimits,
    source: Box<dyn SegmentSource>,
    counters: Arc<SinkCounters>,
    deadline: Arc<Mutex<Option<Instant>>>,
    /// The client's latest error.
    told: Arc<Mutex<Option<String>>>,
    /// Why the latest attempt failed.
    failed: Option<String>,
    connection: Option<ServerConnection>,
    session: String,
    segment: SendingSegment,
    /// The one that follows, while the rest of the one before is sent.
    next: Option<SendingSegment>,
    /// Events that were counted as dropped.
    dropped: u64,
    /// Events of segments whose beginning was deleted on the server.
    orphaned: u64,
    /// Number of the last event that the server has.
    acknowledged: u64,
    /// The latest summary that the server has, and when it was sent.
    summary: Option<(HostSummary, Instant)>,
}

/// The time to end is over.
struct TimeOver;

impl StreamSending {
    /// Begins the first segment: what happens from now on is published.
    pub(super) fn new(
        server: NatsServer,
        host: HostName,
        limits: PublishLimits,
        mut source: Box<dyn SegmentSource>,
        counters: Arc<SinkCounters>,
        deadline: Arc<Mutex<Option<Instant>>>,
    ) -> io::Result<Self> {
        let session = session()?;
        let segment = begin(&mut *source, &session, 1)?;
        Ok(Self {
            server,
            host,
            limits,
            source,
            counters,
            deadline,
            told: Arc::default(),
            failed: None,
            connection: None,
            session,
            segment,
            next: None,
            dropped: 0,
            orphaned: 0,
            acknowledged: 0,
            summary: None,
        })
    }

    /// Sends until the stream has ended, or the time for the rest is over.
    pub(super) async fn run(mut self) {
        let done = self.send_all().await;
        if done.is_err() {
            // What was dropped before is counted already.
            let left = self.source.last().saturating_sub(self.acknowledged);
            let why = self.failed.take();
            let why = why.unwrap_or_else(|| "no answer before the end".to_owned());
            self.counters.give_up(left, why);
        }
    }

    async fn send_all(&mut self) -> Result<(), TimeOver> {
        let mut buffer = vec![0; BLOCK];
        loop {
            self.count_dropped();
            self.summarize(false).await;
            self.roll();
            let read = match tokio::time::timeout(LOOK, fill(&self.segment.pipe, &mut buffer)).await
            {
                Err(_) => {
                    self.in_time()?;
                    continue;
                }
                Ok(read) => read.unwrap_or(0),
            };
            self.send_block(buffer.get(..read).unwrap_or_default())
                .await?;
            if read == 0 {
                match self.next.take() {
                    Some(next) => self.segment = next,
                    None => {
                        self.summarize(true).await;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends the next bytes of the segment; none are its end.
    async fn send_block(&mut self, bytes: &[u8]) -> Result<(), TimeOver> {
        let mut events = BlockNumbers::default();
        // Damage would be the recorder's; a reader finds it as well.
        let _ = self.segment.decoder.push(bytes, |line| events.take(line));
        let block = StreamBlock {
            segment: self.segment.id.clone(),
            number: self.segment.blocks,
            events: events.range,
            begin: self.segment.first,
            end: bytes.is_empty().then_some(match self.next {
                Some(_) => BlockEnd::Segment,
                None => BlockEnd::Stream,
            }),
        };
        let headers = block.headers(bytes);
        let payload = bytes::Bytes::copy_from_slice(bytes);
        let mut pause = PAUSES.0;
        let mut failing = false;
        loop {
            let end = patience(Arc::clone(&self.deadline), failing);
            let attempt = async {
                self.connected().await?;
                if self.segment.broken {
                    return Ok(None);
                }
                let subject = self.host.stream();
                self.publish(subject, headers.clone(), payload.clone())
                    .await
                    .map(Some)
            };
            let sent = tokio::select! {
                sent = attempt => sent,
                () = end => return Err(TimeOver),
            };
            let why = match sent {
                Ok(sequence) => {
                    let first = *self.segment.first.get_or_insert(sequence.unwrap_or(0));
                    // Another host may have created the stream again.
                    self.segment.broken |= sequence.is_some_and(|sequence| sequence < first);
                    break;
                }
                Err(why) => why,
            };
            tracing::warn!(error = why, "not published");
            self.doubt();
            self.failed = Some(why.clone());
            self.counters.fails(why);
            if failing && self.deadline.lock().is_some() {
                return Err(TimeOver);
            }
            failing = true;
            self.count_dropped();
            let until = Instant::now() + pause;
            while Instant::now() < until {
                self.in_time()?;
                tokio::time::sleep(LOOK.min(pause)).await;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
        self.segment.blocks += 1;
        self.segment.bytes += bytes.len() as u64;
        // The state at the beginning of a later segment was sent before, as events.
        let new = events.range.map_or(0, |(first, last)| {
            let known = self.acknowledged.max(first.saturating_sub(1));
            let new = last.saturating_sub(known).min(events.count);
            self.acknowledged = self.acknowledged.max(last);
            new
        });
        if self.segment.broken {
            self.orphaned += new;
            let why = "the stream was deleted on the server".to_owned();
            self.counters.give_up(new, why);
        } else {
            self.counters.delivered(new);
        }
        Ok(())
    }

    /// Publishes a message, and waits until the server has stored it. Returns its number there.
    async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: bytes::Bytes,
    ) -> Result<u64, String> {
        let Some(connection) = &self.connection else {
            return Err("not connected".to_owned());
        };
        let stored = async {
            let context = &connection.context;
            let sent = context
                .publish_with_headers(subject, headers, payload)
                .await?;
            sent.await
        };
        match tokio::time::timeout(ANSWER * 2, stored).await {
            Ok(Ok(stored)) => Ok(stored.sequence),
            Ok(Err(error)) => Err(error_chain(&error)),
            Err(_) => Err("the server does not answer".to_owned()),
        }
    }

    /// Connects, and creates the streams, unless that is done and nothing speaks against it.
    async fn connected(&mut self) -> Result<(), String> {
        if let Some(connection) = &mut self.connection {
            if connection.client.connection_state() == State::Connected {
                if connection.doubted {
                    let created = create_streams(&connection.context, &self.limits).await?;
                    self.segment.broken |= created != connection.created && self.segment.blocks > 0;
                    connection.created = created;
                    connection.doubted = false;
                }
                return Ok(());
            }
            // The client connects again by itself; nothing is queued in it meanwhile.
            let why = self.told.lock().clone();
            return Err(why.unwrap_or_else(|| "not connected".to_owned()));
        }
        let client = self.server.connect(&self.told).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let created = create_streams(&context, &self.limits).await?;
        self.connection = Some(ServerConnection {
            client,
            context,
            created,
            doubted: false,
        });
        Ok(())
    }

    fn doubt(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.doubted = true;
        }
    }

    /// Begins another segment when it is time, once the one before is sent so far.
    fn roll(&mut self) {
        let due = self.segment.broken
            || self.segment.begun.elapsed() >= self.limits.segment
            || self.segment.bytes >= self.limits.segment_bytes;
        if !due || self.next.is_some() || self.deadline.lock().is_some() {
            return;
        }
        let number = self.segment.id.number + 1;
        match begin(&mut *self.source, &self.session, number) {
            Ok(next) => self.next = Some(next),
            // The stream ends, or the next attempt succeeds.
            Err(error) => tracing::warn!(%error, "no further segment"),
        }
    }

    /// Sends the summary when it is time. One that is not stored is followed by another one soon.
    async fn summarize(&mut self, last: bool) {
        let since = self.summary.as_ref().map(|(_, sent)| sent.elapsed());
        if self.connection.is_none() || (!last && since.is_some_and(|since| since < SUMMARY.0)) {
            return;
        }
        let core = self.source.core();
        let mut summary = HostSummary::of(&core.lock());
        summary.seq = self.source.last();
        summary.segment = self.segment.id.to_string();
        summary.unpublished = self.dropped + self.orphaned;
        summary.ended = last;
        let differs = self
            .summary
            .as_ref()
            .is_none_or(|(before, _)| summary.differs(before));
        if !last && !differs && since.is_some_and(|since| since < SUMMARY.1) {
            return;
        }
        let Ok(json) = serde_json::to_vec(&summary) else {
            return;
        };
        if self.connected().await.is_err() {
            return;
        }
        let sent = self
            .publish(self.host.summary(), HeaderMap::new(), json.into())
            .await;
        match sent {
            Ok(_) => self.summary = Some((summary, Instant::now())),
            Err(error) => {
                tracing::warn!(error, "no summary");
                self.doubt();
            }
        }
    }

    fn count_dropped(&mut self) {
        let lost = self.source.lost();
        self.counters
            .found_no_room(lost.saturating_sub(self.dropped));
        self.dropped = lost.max(self.dropped);
    }

    fn in_time(&self) -> Result<(), TimeOver> {
        match *self.deadline.lock() {
            Some(deadline) if Instant::now() >= deadline => Err(TimeOver),
            _ => Ok(()),
        }
    }
}

/// Ends when the time to end is over: for a server that fails soon after the stream has ended.
async fn patience(deadline: Arc<Mutex<Option<Instant>>>, failing: bool) {
    let mut ended: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK / 2).await;
        let Some(deadline) = *deadline.lock() else {
            continue;
        };
        let since = ended.get_or_insert_with(Instant::now).elapsed();
        if Instant::now() >= deadline || (failing && since >= FAILING) {
            return;
        }
    }
}

/// The numbers of the events in a block.
#[derive(Default)]
struct BlockNumbers {
    range: Option<(u64, u64)>,
    count: u64,
}

impl BlockNumbers {
    fn take(&mut self, line: &[u8]) {
        if let Some(seq) = Event::number_in(line) {
            self.count += 1;
            self.range = Some((self.range.map_or(seq, |(first, _)| first), seq));
        }
    }
}

/// A name for this run that no other has: the time and some random bytes.
fn session() -> io::Result<String> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    let seconds = crate::system::wall_now().seconds();
    Ok(format!("{seconds}-{}", hex(&bytes)))
}

/// Begins a segment.
fn begin(source: &mut dyn SegmentSource, session: &str, number: u64) -> io::Result<SendingSegment> {
    let (read, write): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::CLOEXEC)?;
    // With less room more waits in the recorder.
    let _ = fcntl_setpipe_size(&write, PIPE);
    let decoder = SegmentDecoder::new()?;
    let pipe = Receiver::from_owned_fd(read)?;
    source.begin(File::from(write)).map_err(io::Error::other)?;
    Ok(SendingSegment {
        id: SegmentId {
            session: session.to_owned(),
            number,
        },
        pipe,
        begun: Instant::now(),
        bytes: 0,
        blocks: 0,
        first: None,
        broken: false,
        decoder,
    })
}

/// Reads what is there, at least a byte; 0 at the end.
async fn fill(pipe: &Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        pipe.readable().await?;
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match pipe.try_read(rest) {
                Ok(0) => return Ok(filled),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if filled > 0 {
            return Ok(filled);
        }
    }
}
