//! The collector's side of a link: passes a recording on to whoever shows it, at a limited rate, and
//! continues after an interruption.
//!
//! The collector listens on a Unix socket of its own. The program that ssh starts connects to it (`relay`)
//! and copies bytes.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::destination::SessionId;
use super::held::HeldBytes;
use super::pace::SendingPace;
use super::protocol::{Frame, HEAD, Hello, ScreenAnswer};
use super::socket::socket_path;

/// Largest content of a frame, bytes.
const MOST_CONTENT: usize = 16 << 10;
/// Longest unfinished line of the other side, bytes.
const MOST_LINE: usize = 1 << 10;
/// Bytes in the pipe from the recorder where the rate is limited: they would wait too long.
const SMALL_PIPE: usize = 4096;
/// Longest wait for something to do.
const LOOK: Duration = Duration::from_millis(250);
/// How long the first screen may take: it was there when the collector was started.
const FIRST: Duration = Duration::from_secs(60);
/// How long the rest of a recording that ends may take to be sent.
const LAST: Duration = Duration::from_secs(10);

/// A recording that is passed on to one screen at a time.
#[derive(Debug)]
pub struct LinkSender {
    listener: UnixListener,
    pipe: File,
    pace: SendingPace,
    /// Maximum number of bytes that are held.
    most: usize,
    held: HeldBytes,
    /// The recorder has closed the pipe.
    complete: bool,
    screen: Option<ConnectedScreen>,
    /// Since when no screen is connected.
    alone: Instant,
    /// A screen has begun to receive.
    begun: bool,
    /// How long a screen may be away then.
    patience: Duration,
}

/// The connection to a screen.
#[derive(Debug)]
struct ConnectedScreen {
    stream: UnixStream,
    /// It said where to continue.
    ready: bool,
    input: Vec<u8>,
    /// The rest of a frame that is being written.
    output: Vec<u8>,
    /// The last frame was written.
    told_end: bool,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Continuation {
    On,
    /// It is lost.
    Lost,
    /// The screen was closed.
    Over,
}

impl LinkSender {
    /// Serves the screens that connect. Returns the end of the pipe that the recording goes into, and the
    /// maximum number of events that should wait for it.
    ///
    /// # Errors
    /// When there is no pipe.
    pub fn new(
        listener: UnixListener,
        limit: Option<u32>,
        patience: Duration,
    ) -> io::Result<(Self, File, usize)> {
        listener.set_nonblocking(true)?;
        let (pipe, end) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        if limit.is_some() {
            fcntl_setpipe_size(&end, SMALL_PIPE)?;
        }
        let now = Instant::now();
        let sender = Self {
            listener,
            pipe: pipe.into(),
            pace: SendingPace::new(limit, now),
            most: SendingPace::held(limit),
            held: HeldBytes::default(),
            complete: false,
            screen: None,
            alone: now,
            begun: false,
            patience,
        };
        Ok((sender, end.into(), SendingPace::waiting(limit)))
    }

    /// Passes the recording on until it is complete, the screen is closed, or no screen was there for
    /// too long. `stop`: the recording is about to end, and only its rest is sent.
    ///
    /// # Errors
    /// When the pipe or the socket fails.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut ends: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let stopping = stop.load(Ordering::Relaxed);
            if stopping || self.complete {
                ends.get_or_insert(now + LAST);
            }
            let late = ends.is_some_and(|at| now >= at) || (stopping && self.screen.is_none());
            let patience = match self.begun {
                true => self.patience,
                false => self.patience.min(FIRST),
            };
            let left = self.screen.is_none() && now.duration_since(self.alone) >= patience;
            if late || left {
                return Ok(());
            }
            let room = self.pace.room(self.held.in_flight(), now);
            let (called, more) = self.wait(room)?;
            if called {
                self.accept()?;
            }
            if more {
                self.fill()?;
            }
            match self.serve(room) {
                Continuation::On => {}
                Continuation::Over => return Ok(()),
                Continuation::Lost => {
                    // It may have said goodbye, and closed the connection at once.
                    if self.screen.take().is_some_and(ConnectedScreen::said_bye) {
                        return Ok(());
                    }
                    self.alone = Instant::now();
                }
            }
        }
    }

    /// Waits for something to do. Returns whether a screen connects, and whether there is more to send.
    fn wait(&self, room: usize) -> io::Result<(bool, bool)> {
        let mut polled = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let reads = !self.complete && self.held.len() < self.most;
        if reads {
            polled.push(PollFd::new(&self.pipe, PollFlags::IN));
        }
        let mut wait = LOOK;
        if let Some(screen) = &self.screen {
            let sends = screen.ready && self.held.unsent() > 0;
            let mut flags = PollFlags::IN;
            if !screen.output.is_empty() || (sends && room > 0) {
                flags |= PollFlags::OUT;
            } else if sends {
                // There will be credit soon.
                wait = Duration::from_millis(20);
            }
            polled.push(PollFd::new(&screen.stream, flags));
        }
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut polled, wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let some = |at: usize| polled.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok((some(0), reads && some(1)))
    }

    /// A screen takes the place of the one before, whose connection may not have noticed its end.
    fn accept(&mut self) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        self.screen = Some(ConnectedScreen {
            stream,
            ready: false,
            input: Vec::new(),
            output: Vec::new(),
            told_end: false,
        });
        Ok(())
    }

    /// Takes more of the recording.
    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let room = self.most.saturating_sub(self.held.len()).min(buffer.len());
        match self.pipe.read(&mut buffer[..room]) {
            Ok(0) if room > 0 => self.complete = true,
            Ok(count) => self.held.push(&buffer[..count]),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads what the screen answered, and sends what may be sent.
    fn serve(&mut self, room: usize) -> Continuation {
        let Some(screen) = &mut self.screen else {
            return Continuation::On;
        };
        match screen.receive() {
            Ok(()) => {}
            Err(_) => return Continuation::Lost,
        }
        while let Some(at) = screen.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = screen.input.drain(..=at).collect();
            match ScreenAnswer::parse(line.trim_ascii_end()) {
                Some(ScreenAnswer::Bye) => return Continuation::Over,
                Some(ScreenAnswer::From(offset)) if !screen.ready && self.held.resume(offset) => {
                    screen.ready = true;
                    self.begun = true;
                }
                Some(ScreenAnswer::Has(offset)) if screen.ready => {
                    match self.held.confirm(offset) {
                        Some(count) => self.pace.confirmed(count, Instant::now()),
                        None => return Continuation::Lost,
                    }
                }
                _ => return Continuation::Lost,
            }
        }
        if screen.input.len() > MOST_LINE {
            return Continuation::Lost;
        }
        if screen.ready && screen.output.is_empty() && self.held.unsent() > 0 && room > 0 {
            let most = room.saturating_sub(HEAD).clamp(1, MOST_CONTENT);
            let (offset, content) = self.held.take(most);
            Frame::Data(offset, content).write(&mut screen.output);
            self.pace.spend(screen.output.len());
        }
        let sent = self.complete && screen.ready && self.held.len() == 0;
        if sent && screen.output.is_empty() && !screen.told_end {
            Frame::End.write(&mut screen.output);
            screen.told_end = true;
        }
        match screen.send() {
            Ok(()) if screen.told_end && screen.output.is_empty() => Continuation::Over,
            Ok(()) => Continuation::On,
            Err(_) => Continuation::Lost,
        }
    }
}

impl ConnectedScreen {
    /// Reads what there is.
    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend(&buffer[..count]);
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the end of the screen is in what the connection still holds.
    fn said_bye(mut self) -> bool {
        while self.input.len() <= MOST_LINE {
            let before = self.input.len();
            if self.receive().is_err() || self.input.len() == before {
                break;
            }
        }
        let lines = self.input.split(|byte| *byte == b'\n');
        lines
            .map(ScreenAnswer::parse)
            .any(|answer| answer == Some(ScreenAnswer::Bye))
    }

    /// Writes as much as the connection takes.
    fn send(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if is_passing(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

/// Connects standard input and output, which lead to the screen, with the collector of a session. Says
/// first whether there is one. `confine` drops rights that copying does not need. Ends with either side.
///
/// # Errors
/// When standard output cannot be written.
pub fn relay(folder: &Path, session: &SessionId, confine: impl FnOnce()) -> io::Result<()> {
    let collector = UnixStream::connect(socket_path(folder, session));
    let mut out = io::stdout().lock();
    writeln!(out, "{}", Hello::here(collector.is_ok()))?;
    out.flush()?;
    let Ok(collector) = collector else {
        return Ok(());
    };
    let to_collector = collector.try_clone()?;
    confine();
    std::thread::Builder::new()
        .name("answers".to_owned())
        .spawn(move || {
            // Either end of the connection ends both.
            let _ = copy(&mut io::stdin().lock(), &mut &to_collector);
            let _ = to_collector.shutdown(std::net::Shutdown::Both);
        })?;
    copy(&mut &collector, &mut out)
}

/// Copies until the end, without delay. `io::copy` makes system calls that are refused here.
fn copy(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
