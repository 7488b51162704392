//! Both sides of a link, in one process.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::destination::SessionId;
use super::protocol::{Frame, ScreenAnswer};
use super::sender::LinkSender;
use super::socket::{listen, socket_path};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{ContainerId, Event, Fork, Kind, LostReason, Timestamp};
use crate::recording::{Header, RecordedItem, Recorder, RecordingReader, RecordingTarget};

const LONG: Duration = Duration::from_secs(60);

/// A sender that runs.
struct Sending {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<()>>,
}

fn sending(limit: Option<u32>, patience: Duration) -> (Sending, File, usize) {
    let (folder, session) = (tempfile::tempdir().unwrap(), SessionId::random().unwrap());
    let listener = listen(folder.path(), &session).unwrap();
    let (sender, pipe, waiting) = LinkSender::new(listener, limit, patience).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&stop);
    let thread = std::thread::spawn(move || sender.run(&stops));
    let sending = Sending {
        socket: socket_path(folder.path(), &session),
        _folder: folder,
        stop,
        thread,
    };
    (sending, pipe, waiting)
}

/// A screen that receives.
struct Receiving {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Receiving {
    fn connect(sending: &Sending, from: usize) -> Self {
        let stream = UnixStream::connect(&sending.socket).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut screen = Self {
            stream,
            read: Vec::new(),
        };
        screen.say(ScreenAnswer::From(from as u64));
        screen
    }

    fn say(&mut self, answer: ScreenAnswer) {
        self.stream
            .write_all(answer.to_string().as_bytes())
            .unwrap();
    }

    /// The next frame; `None` when the connection was closed.
    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.read).unwrap() {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                count => self.read.extend(&buffer[..count.unwrap()]),
            }
        }
    }

    /// Adds what arrives until there are so many bytes.
    fn receive(&mut self, got: &mut Vec<u8>, until: usize) {
        while got.len() < until {
            match self.next().unwrap() {
                Frame::Data(offset, bytes) => {
                    assert_eq!(offset, got.len() as u64);
                    got.extend(bytes);
                    self.say(ScreenAnswer::Has(got.len() as u64));
                }
                Frame::End => panic!("complete after {} bytes", got.len()),
            }
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

#[test]
fn a_link_that_breaks_continues_where_it_was() {
    let (sending, mut pipe, _) = sending(None, LONG);
    let wanted = pattern(1 << 20);
    let made = wanted.clone();
    let writer = std::thread::spawn(move || pipe.write_all(&made).unwrap());
    let mut got = Vec::new();
    // Not all of it: a screen that has everything is told the end.
    for part in 1..8 {
        let mut screen = Receiving::connect(&sending, got.len());
        screen.receive(&mut got, (part << 17) - 1);
        // Frames that were on their way are lost with the connection.
        if part % 2 == 0 {
            screen.next();
        }
    }
    let mut screen = Receiving::connect(&sending, got.len());
    screen.receive(&mut got, wanted.len());
    assert!(got == wanted);
    writer.join().unwrap();
    // The pipe is closed: the recording is complete.
    assert_eq!(screen.next(), Some(Frame::End));
    assert_eq!(screen.next(), None);
    sending.thread.join().unwrap().unwrap();
}

#[test]
fn another_screen_takes_over_from_one_whose_end_was_not_noticed() {
    let (sending, mut pipe, _) = sending(None, LONG);
    pipe.write_all(b"one").unwrap();
    let mut got = Vec::new();
    let mut first = Receiving::connect(&sending, 0);
    first.receive(&mut got, 3);
    let mut second = Receiving::connect(&sending, 3);
    pipe.write_all(b"two").unwrap();
    second.receive(&mut got, 6);
    assert_eq!(got, b"onetwo");
    assert_eq!(first.next(), None);
    second.say(ScreenAnswer::Bye);
    sending.thread.join().unwrap().unwrap();
    let closed = pipe.write_all(b"three").unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_screen_that_sends_nonsense_is_dropped_and_the_next_one_is_served() {
    let (sending, mut pipe, _) = sending(None, LONG);
    pipe.write_all(b"data").unwrap();
    let nonsense: [&[u8]; 5] = [
        b"has 9\n",
        b"from 0\n",
        b"\xff\xfe\n",
        b"has -1\n",
        &[b'x'; 5000],
    ];
    for bytes in nonsense {
        let mut screen = Receiving::connect(&sending, 0);
        screen.stream.write_all(bytes).unwrap();
        while screen.next().is_some() {}
    }
    // What was never sent cannot be continued.
    let mut screen = Receiving::connect(&sending, 1000);
    assert_eq!(screen.next(), None);
    let mut got = Vec::new();
    Receiving::connect(&sending, 0).receive(&mut got, 4);
    assert_eq!(got, b"data");
    sending.stop.store(true, Ordering::Relaxed);
    sending.thread.join().unwrap().unwrap();
}

#[test]
fn a_collector_whose_screen_stays_away_ends() {
    let (sending, mut pipe, _) = sending(None, Duration::from_millis(300));
    sending.thread.join().unwrap().unwrap();
    assert!(pipe.write_all(b"x").is_err());
}

#[test]
fn a_goodbye_counts_although_the_connection_is_closed_at_once() {
    // Ten times: the sender may notice the end by reading or by writing.
    for _ in 0..10 {
        let (sending, mut pipe, _) = sending(None, LONG);
        pipe.write_all(&pattern(60_000)).unwrap();
        let mut screen = Receiving::connect(&sending, 0);
        screen.receive(&mut Vec::new(), 1);
        screen.say(ScreenAnswer::Bye);
        screen.stream.shutdown(std::net::Shutdown::Both).unwrap();
        let told = Instant::now();
        sending.thread.join().unwrap().unwrap();
        assert!(told.elapsed() < LONG / 2);
    }
}

#[test]
fn a_limit_is_kept() {
    const LIMIT: u32 = 4000;
    let (sending, mut pipe, _) = sending(Some(LIMIT), LONG);
    let made = pattern(100_000);
    let writer = std::thread::spawn(move || pipe.write_all(&made));
    let mut screen = Receiving::connect(&sending, 0);
    let (begun, mut got, mut frames) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        let before = got.len();
        screen.receive(&mut got, before + 1);
        frames += 1;
    }
    let sent = got.len() + frames * super::protocol::HEAD;
    let most = f64::from(LIMIT) * (begun.elapsed().as_secs_f64() + 1.0);
    assert!((sent as f64) < most, "{sent} of {most}");
    assert!(sent > 6000, "{sent}");
    screen.say(ScreenAnswer::Bye);
    sending.thread.join().unwrap().unwrap();
    assert!(writer.join().unwrap().is_err());
}

#[test]
fn a_slow_link_loses_events_of_the_noisy_container_and_counts_each() {
    let (sending, pipe, waiting) = sending(Some(20_000), LONG);
    let header = Header::here(Timestamp(1), Settings::default());
    let target = RecordingTarget::Pipe { end: pipe, waiting };
    let mut recorder = Recorder::start_with(target, &header, Vec::new(), None).unwrap();
    let mut screen = Receiving::connect(&sending, 0);
    const EVENTS: u64 = 60_000;
    let quiet = |seq: u64| seq.is_multiple_of(10_000);
    for seq in 1..=EVENTS {
        let container = if quiet(seq) { "b" } else { "a" };
        recorder.event(&Arc::new(Event {
            seq,
            ts: Timestamp(seq.cast_signed()),
            container: Some(ContainerId::new(&container.repeat(64))),
            pid: 1,
            nspid: 1,
            kind: Kind::Fork(Fork::default()),
        }));
    }
    // As the sender of a recording that ends would otherwise leave after a few seconds.
    let receiver = std::thread::spawn(move || {
        let mut got = Vec::new();
        while let Some(Frame::Data(_, bytes)) = screen.next() {
            got.extend(bytes);
            screen.say(ScreenAnswer::Has(got.len() as u64));
        }
        got
    });
    let status = recorder.status();
    recorder.finish().unwrap();
    let got = receiver.join().unwrap();
    sending.thread.join().unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("got.jsonl.zst");
    std::fs::write(&path, got).unwrap();
    let mut reader = RecordingReader::open(&path).unwrap();
    let (mut seen, mut lost, mut of_quiet, mut core) = (0, 0, 0, Core::new(Settings::default()));
    while let Some(item) = reader.next_item() {
        let RecordedItem::Event(event) = item else {
            continue;
        };
        let event: Arc<Event> = event.into();
        core.apply(&event);
        match &event.kind {
            Kind::Lost(gap) => {
                assert_eq!(gap.reason, LostReason::Recorder);
                lost += gap.count;
            }
            _ => {
                seen += 1;
                of_quiet += u64::from(quiet(event.seq));
            }
        }
    }
    assert!(
        reader.report().is_sound() && reader.report().cut.is_none(),
        "{:?}",
        reader.report()
    );
    assert_eq!((seen + lost, lost), (EVENTS, status.lost));
    assert_eq!(core.state.totals.lost, lost);
    assert!(lost > EVENTS / 2, "{lost}");
    assert_eq!(of_quiet, 6, "a quiet container lost events");
}
