//! Reads the stream of one host from the server into a recording here, which a screen follows.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Message};
use futures_util::StreamExt as _;
use time::OffsetDateTime;

use super::assembly::{Assembled, Assembly};
use super::block::StreamBlock;
use super::listing::heard;
use super::server::{ANSWER, NatsServer, is_replaced};
use super::subject::{HostName, STREAM};
use crate::event::Timestamp;
use crate::link::LinkBoard;
use crate::text::error_chain;

/// Interval of looking whether the screen was closed.
const LOOK: Duration = Duration::from_millis(200);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a reader of what is there tries again: a cluster may be choosing a leader.
const PRESENT: Duration = Duration::from_secs(20);
/// After this time without a block of the run that is read, another run has taken its place.
const REPLACED: Duration = Duration::from_secs(5);
const DELETED: &str = "the stream was deleted on the server: open the host again";

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowFrom {
    /// With the latest segment.
    Newest,
    /// With the segment that was published at this time, or the first that is still kept.
    Moment(Timestamp),
}

/// What is read, and until when.
#[derive(Debug, Clone)]
pub struct FollowPlan {
    /// The server.
    pub server: NatsServer,
    /// The host.
    pub host: HostName,
    /// The beginning.
    pub from: FollowFrom,
    /// End with what the server has, instead of waiting for more.
    pub present: bool,
}

/// The thread that reads.
#[derive(Debug)]
pub struct HostFollower {
    thread: JoinHandle<()>,
    board: LinkBoard,
}

/// Why reading stopped.
enum Stop {
    /// It may go on with another connection.
    Passing(String),
    /// For good.
    Ended(String),
}

impl HostFollower {
    /// Reads into a file, which is locked for as long as it grows; the state is on the board.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(plan: FollowPlan, assembly: Assembly, board: LinkBoard) -> io::Result<Self> {
        let shown = board.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(move || {
                runtime.block_on(follow(&plan, assembly, &board));
                runtime.shutdown_background();
                board.over();
            })?;
        Ok(Self {
            thread,
            board: shown,
        })
    }

    /// Waits for the end of what is read.
    pub fn wait(self) {
        // A panic was reported.
        let _ = self.thread.join();
    }

    /// Ends it.
    pub fn end(self) {
        self.board.leave();
        self.wait();
    }
}

async fn follow(plan: &FollowPlan, mut assembly: Assembly, board: &LinkBoard) {
    let mut next = None;
    let begun = Instant::now();
    while !board.left() {
        let stopped = read(plan, &mut assembly, board, &mut next).await;
        match stopped {
            Ok(()) => break,
            Err(Stop::Ended(why)) => {
                board.ended(why);
                break;
            }
            Err(Stop::Passing(why)) if plan.present && begun.elapsed() >= PRESENT => {
                board.ended(why);
                break;
            }
            Err(Stop::Passing(why)) => {
                board.lost(why);
                let until = Instant::now() + PAUSE;
                while Instant::now() < until && !board.left() {
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }
    if let Err(why) = assembly.finish() {
        board.ended(why);
    }
}

/// Reads until the screen is closed or the stream ends. `next`: number of the next message of the
/// server, and when its stream was created, once that is known.
async fn read(
    plan: &FollowPlan,
    assembly: &mut Assembly,
    board: &LinkBoard,
    next: &mut Option<(u64, OffsetDateTime)>,
) -> Result<(), Stop> {
    let told = Arc::default();
    let client = plan.server.connect(&told).await.map_err(Stop::Passing)?;
    let mut context = jetstream::new(client);
    context.set_timeout(ANSWER);
    let passing = |error: &dyn std::error::Error| Stop::Passing(error_chain(error));
    let stream = context.get_stream(STREAM).await.map_err(|e| passing(&e))?;
    let known = stream.cached_info().clone();
    let start = match *next {
        Some((_, created)) if created != known.created => {
            return Err(Stop::Ended(DELETED.to_owned()));
        }
        Some((next, _)) => next,
        None => begin(&stream, plan).await?,
    };
    *next = Some((start, known.created));
    let config = pull::OrderedConfig {
        filter_subject: plan.host.stream(),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: start,
        },
        ..Default::default()
    };
    let consumer = stream
        .create_consumer(config)
        .await
        .map_err(|e| passing(&e))?;
    let mut messages = consumer.messages().await.map_err(|e| passing(&e))?;
    let mut other: Option<Instant> = None;
    let mut seen = Instant::now();
    board.up();
    loop {
        if board.left() {
            return Ok(());
        }
        if other.is_some_and(|since| since.elapsed() >= REPLACED) {
            return Err(Stop::Ended(
                "hullwatch was started again there: open the host again".to_owned(),
            ));
        }
        let Ok(message) = tokio::time::timeout(LOOK, messages.next()).await else {
            match told.lock().clone() {
                Some(why) => board.lost(why),
                None => board.up(),
            }
            // A stream that was created again counts from 1: its messages would not be waited for.
            if seen.elapsed() >= REPLACED {
                seen = Instant::now();
                if is_replaced(&context, &known).await {
                    return Err(Stop::Ended(DELETED.to_owned()));
                }
            }
            continue;
        };
        let message = message.ok_or_else(|| Stop::Passing("the server ended it".to_owned()))?;
        let message = message.map_err(|e| passing(&e))?;
        board.up();
        seen = Instant::now();
        let (_, left) = heard(&message);
        match take(assembly, &message)? {
            Assembled::Taken => other = None,
            Assembled::Skipped => {}
            Assembled::Other => drop(other.get_or_insert_with(Instant::now)),
            Assembled::Over => return Err(Stop::Ended("hullwatch was ended there".to_owned())),
        }
        if let Ok(info) = message.info() {
            *next = Some((info.stream_sequence + 1, known.created));
        }
        if plan.present && left == 0 {
            return Ok(());
        }
    }
}

fn take(assembly: &mut Assembly, message: &Message) -> Result<Assembled, Stop> {
    let block = StreamBlock::read(message.headers.as_ref(), &message.payload);
    let block = block.map_err(|why| Stop::Ended(format!("a block is damaged: {why}")))?;
    assembly.take(&block, &message.payload).map_err(Stop::Ended)
}

/// The server's number of the block with which reading begins.
async fn begin(stream: &Stream, plan: &FollowPlan) -> Result<u64, Stop> {
    let subject = plan.host.stream();
    let nothing = || Stop::Ended("the server keeps nothing of this host".to_owned());
    let (sequence, headers, payload) = match plan.from {
        FollowFrom::Newest => {
            let last = stream.get_last_raw_message_by_subject(&subject).await;
            let last = last.map_err(|_| nothing())?;
            (last.sequence, last.headers, last.payload)
        }
        FollowFrom::Moment(at) => {
            let nanoseconds = i128::from(at.0);
            let start_time = time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
            let config = pull::OrderedConfig {
                filter_subject: subject,
                deliver_policy: match start_time {
                    Ok(start_time) => DeliverPolicy::ByStartTime { start_time },
                    Err(_) => DeliverPolicy::All,
                },
                ..Default::default()
            };
            let passing = |error: &dyn std::error::Error| Stop::Passing(error_chain(error));
            let consumer = stream
                .create_consumer(config)
                .await
                .map_err(|e| passing(&e))?;
            let mut messages = consumer.messages().await.map_err(|e| passing(&e))?;
            let first = tokio::time::timeout(ANSWER, messages.next()).await;
            let first = first.map_err(|_| nothing())?.ok_or_else(nothing)?;
            let first = first.map_err(|e| passing(&e))?;
            let sequence = first.info().map_err(|_| nothing())?.stream_sequence;
            let headers = first.message.headers.unwrap_or_default();
            (sequence, headers, first.message.payload)
        }
    };
    let block = StreamBlock::read(Some(&headers), &payload);
    let block = block.map_err(|why| Stop::Ended(format!("a block is damaged: {why}")))?;
    // The beginning may have been removed: then reading begins with the segment after it.
    Ok(block.begin.unwrap_or(sequence))
}
