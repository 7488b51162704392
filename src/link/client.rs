//! The screen's side of a link: writes the recording into a file, and connects again after an
//! interruption.

use std::fs::File;
use std::io::{self, Write as _};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::board::LinkBoard;
use super::connection::{ConnectError, LinkConnection, RemoteCollector};
use super::protocol::{Frame, ScreenAnswer};

/// The other side sends something each second; after this time without anything the link is lost.
const SILENCE: Duration = Duration::from_secs(20);
/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What arrived is confirmed after so many bytes, or this time.
const CONFIRMED: (u64, Duration) = (4 << 10, Duration::from_millis(500));
/// Interval of looking whether the screen was closed.
const LOOK: Duration = Duration::from_millis(100);

/// The thread that receives a recording.
#[derive(Debug)]
pub struct LinkClient {
    board: LinkBoard,
    thread: JoinHandle<bool>,
}

/// The recording as far as it is here.
struct ReceivedRecording {
    file: File,
    /// Its length.
    offset: u64,
    /// The length that was confirmed, and when.
    confirmed: (u64, Instant),
    /// Its largest length.
    most: u64,
}

/// How a connection ended.
enum Ending {
    /// The screen was closed.
    Left,
    /// The recording is complete.
    Complete,
    /// The link is lost.
    Lost(String),
    /// It cannot go on.
    Failed(String),
}

impl LinkClient {
    /// Receives from `connection`, and from those that follow it, into `file`, at most `most` bytes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        collector: RemoteCollector,
        connection: LinkConnection,
        file: File,
        most: u64,
        board: LinkBoard,
    ) -> io::Result<Self> {
        let shown = board.clone();
        let received = ReceivedRecording {
            file,
            offset: 0,
            confirmed: (0, Instant::now()),
            most,
        };
        let thread = std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || {
                let told = follow(collector, connection, received, &board);
                board.over();
                told
            })?;
        Ok(Self {
            board: shown,
            thread,
        })
    }

    /// Ends the collector there, and waits for it; false if it could not be told, since the link is lost.
    #[must_use]
    pub fn end(self) -> bool {
        self.board.leave();
        // A panic was reported.
        self.thread.join().unwrap_or_default()
    }
}

/// Returns whether the collector there ends at once.
fn follow(
    mut collector: RemoteCollector,
    mut connection: LinkConnection,
    mut received: ReceivedRecording,
    board: &LinkBoard,
) -> bool {
    loop {
        let why = match received.receive(&mut connection, board) {
            Ending::Left => return connection.leave(),
            Ending::Complete => {
                connection.leave();
                board.ended("the collector there was ended".to_owned());
                return true;
            }
            Ending::Failed(why) => {
                // It would wait for this screen otherwise.
                let told = connection.leave();
                board.ended(why);
                return told;
            }
            Ending::Lost(why) => why,
        };
        drop(connection);
        board.lost(why);
        let mut pause = PAUSES.0;
        connection = loop {
            if !sleep(pause, board) {
                return false;
            }
            match collector.again(&|| board.left()) {
                Ok(connection) => break connection,
                Err(ConnectError::GivenUp) => return false,
                Err(ConnectError::Lasting(why)) => {
                    board.ended(why);
                    return true;
                }
                Err(ConnectError::Passing(why)) => board.lost(why),
            }
            pause = (pause * 2).min(PAUSES.1);
        };
    }
}

/// Waits; false when the screen was closed meanwhile.
fn sleep(time: Duration, board: &LinkBoard) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if board.left() {
            return false;
        }
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    !board.left()
}

impl ReceivedRecording {
    /// Writes what arrives by this connection into the file.
    fn receive(&mut self, connection: &mut LinkConnection, board: &LinkBoard) -> Ending {
        let lost = |connection: &LinkConnection| {
            let why = connection.last_words();
            Ending::Lost(why.unwrap_or_else(|| "the connection was closed".to_owned()))
        };
        if connection
            .say(ScreenAnswer::From(self.offset).to_string().as_bytes())
            .is_err()
        {
            return lost(connection);
        }
        self.confirmed = (self.offset, Instant::now());
        let mut heard = Instant::now();
        let mut open = true;
        loop {
            let before = self.offset;
            loop {
                match Frame::take(&mut connection.read) {
                    Ok(None) => break,
                    Ok(Some(Frame::End)) => return Ending::Complete,
                    Ok(Some(Frame::Data(offset, bytes))) => {
                        if let Err(why) = self.write(offset, &bytes) {
                            return Ending::Failed(why);
                        }
                    }
                    Err(why) => return Ending::Failed(format!("the other side sent {why}")),
                }
            }
            if self.offset > before {
                heard = Instant::now();
                board.up();
            }
            if board.left() {
                return Ending::Left;
            }
            if self.confirm(connection).is_err() {
                return lost(connection);
            }
            if heard.elapsed() >= SILENCE {
                return Ending::Lost(format!("nothing arrived for {} seconds", SILENCE.as_secs()));
            }
            if !open {
                connection.end(Duration::ZERO);
                return lost(connection);
            }
            // What was read before the end is used first.
            open = connection.wait(LOOK);
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), String> {
        if offset != self.offset {
            return Err(format!(
                "the other side sent byte {offset} instead of {}",
                self.offset
            ));
        }
        if offset + bytes.len() as u64 > self.most {
            return Err(format!(
                "the temporary recording is full at {} MiB: --record FILE has no such limit",
                self.most >> 20
            ));
        }
        let written = self.file.write_all(bytes);
        written.map_err(|error| format!("the recording cannot be written here: {error}"))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn confirm(&mut self, connection: &mut LinkConnection) -> io::Result<()> {
        let (confirmed, at) = self.confirmed;
        let new = self.offset - confirmed;
        if new >= CONFIRMED.0 || (new > 0 && at.elapsed() >= CONFIRMED.1) {
            connection.say(ScreenAnswer::Has(self.offset).to_string().as_bytes())?;
            self.confirmed = (self.offset, Instant::now());
        }
        Ok(())
    }
}
