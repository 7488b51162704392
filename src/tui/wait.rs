//! Waits for input, signals and news from other threads.

use std::io::{self, Read as _, Write as _, stdin};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level::pipe};

use super::input::Input;

/// No person types keys this fast: they are pasted, or sent by a program.
const NOT_BY_HAND: Duration = Duration::from_millis(2);
/// Number of such keys in a row that count as pasted: a program that waits for answers may send
/// two.
const RUN: usize = 3;
/// Nobody types this many keys in a row this fast either; a held key repeats more slowly.
const STEADY: Duration = Duration::from_millis(20);
const LONG_RUN: usize = 8;
/// Time after a key in which pasted text may continue, on a slow line.
const MORE: Duration = Duration::from_millis(15);

/// The events that woke the loop.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// All input so far.
    pub(super) input: Vec<Event>,
    /// Keys came faster than a person types: probably pasted text.
    pub(super) burst: bool,
    /// The terminal has another size.
    pub(super) resized: bool,
    /// A signal requests the end.
    pub(super) ended: bool,
    /// A signal requests a stop.
    pub(super) stopped: bool,
    /// The program was stopped and continues.
    pub(super) continued: bool,
    /// The terminal is closed.
    pub(super) hung_up: bool,
}

/// Wakes the loop from another thread.
#[derive(Debug)]
pub(super) struct Waker(UnixStream);

impl Waker {
    pub(super) fn wake(&self) {
        // A full pipe wakes as well.
        let _ = (&self.0).write(&[0]);
    }
}

#[derive(Debug)]
pub(super) struct Waiter {
    woken: UnixStream,
    wake: UnixStream,
    resized: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
    input: Input,
    pace: Pace,
}

/// How fast keys arrive.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    /// Number of keys up to the last one of which each came right after the one before.
    run: usize,
    /// The same of those that came faster than a held key.
    steady: usize,
}

impl Pace {
    /// `count` keys arrived at once; true when no person typed them.
    fn is_burst(&mut self, count: usize, at: Instant) -> bool {
        let pause = self.last.map(|last| at.saturating_duration_since(last));
        let within = |limit| pause.is_some_and(|pause| pause < limit);
        self.run = if within(NOT_BY_HAND) { self.run } else { 0 } + count;
        self.steady = if within(STEADY) { self.steady } else { 0 } + count;
        self.last = Some(at);
        count > 1 || self.run >= RUN || self.steady >= LONG_RUN
    }
}

impl Waiter {
    /// From now on signals are noted instead of ending or stopping the program.
    pub(super) fn new() -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let waiter = Self {
            woken,
            wake,
            resized: Arc::default(),
            ended: Arc::default(),
            stopped: Arc::default(),
            continued: Arc::default(),
            input: Input::default(),
            pace: Pace::default(),
        };
        for (signal, noted) in [
            (SIGWINCH, &waiter.resized),
            (SIGTSTP, &waiter.stopped),
            (SIGCONT, &waiter.continued),
            (SIGINT, &waiter.ended),
            (SIGTERM, &waiter.ended),
            (SIGHUP, &waiter.ended),
            (SIGQUIT, &waiter.ended),
        ] {
            // In this order: the reason is noted before the wake-up.
            flag::register(signal, Arc::clone(noted))?;
            pipe::register(signal, waiter.wake.try_clone()?)?;
        }
        Ok(waiter)
    }

    pub(super) fn waker(&self) -> io::Result<Waker> {
        Ok(Waker(self.wake.try_clone()?))
    }

    /// Waits for anything, at most `limit`.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Woken {
        let mut woken = Woken::default();
        let limit = self.input.waits().or(limit);
        let ready = self.poll(limit);
        let mut noise = [0; 64];
        while matches!(self.woken.read(&mut noise), Ok(1..)) {}
        woken.hung_up = ready.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        if ready.contains(PollFlags::IN) {
            woken.hung_up |= self.read(&mut woken.input);
        } else if self.input.waits().is_some() {
            self.input.settle(&mut woken.input);
        }
        let keys = woken.input.iter().filter(|event| event.is_key()).count();
        woken.burst = keys > 0 && self.pace.is_burst(keys, Instant::now());
        let noted = |flag: &AtomicBool| flag.swap(false, Ordering::SeqCst);
        woken.resized = noted(&self.resized);
        woken.ended = noted(&self.ended);
        woken.stopped = noted(&self.stopped);
        woken.continued = noted(&self.continued);
        woken
    }

    /// Whether more input followed the last key at once, as with pasted text.
    pub(super) fn more_follows(&self) -> bool {
        self.poll(Some(MORE)).contains(PollFlags::IN)
    }

    /// The state of the input after at most `limit`.
    fn poll(&self, limit: Option<Duration>) -> PollFlags {
        let input = stdin();
        let mut watched = [
            PollFd::new(&input, PollFlags::IN),
            PollFd::new(&self.woken, PollFlags::IN),
        ];
        let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or_default());
        // An interrupted wait is a short one.
        match poll(&mut watched, limit.as_ref()) {
            Ok(1..) => watched[0].revents(),
            _ => PollFlags::empty(),
        }
    }

    /// Reads all available input; true at its end.
    fn read(&mut self, events: &mut Vec<Event>) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match rustix::io::read(stdin(), &mut bytes) {
                Ok(0) => return true,
                Ok(count) => self.input.take(&bytes[..count], events),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return false,
                Err(_) => return true,
            }
            if !self.poll(Some(Duration::ZERO)).contains(PollFlags::IN) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_faster_than_anyone_types_are_a_burst() {
        let bursts = |pause: u64, count: u32| {
            let (mut pace, begin) = (Pace::default(), Instant::now());
            let after = |n: u32| begin + Duration::from_millis(pause) * n;
            (0..count)
                .map(|n| pace.is_burst(1, after(n)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            bursts(1, 3),
            [false, false, true],
            "a program may answer twice"
        );
        assert!(bursts(12, 9)[7], "typed by a program");
        assert!(!bursts(12, 7).contains(&true));
        assert!(!bursts(28, 50).contains(&true), "a held key");
        assert!(Pace::default().is_burst(2, Instant::now()), "at once");
    }
}
