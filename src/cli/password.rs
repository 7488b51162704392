//! Asks for a password on the terminal, without showing it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::link::Password;

/// Longest password, bytes.
const MOST: usize = 1024;
/// Interval of looking whether a signal ended the program.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// From now on the memory of this process is written into no core file and read by no other process of the
/// user. Programs that it starts write no core file either.
pub(super) fn keep_memory_private() {
    // Neither can be refused to a process about itself.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let limit = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    let _ = setrlimit(Resource::Core, limit);
}

/// The terminal, which shows what is typed again once this is dropped.
struct Unseen {
    terminal: File,
    before: Termios,
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // If it is closed, there is nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// The terminal as it is read: until a signal ends the program.
struct TypedBytes<'a>(&'a mut File, &'a dyn Fn() -> bool);

impl Read for TypedBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(terminal, given_up) = self;
        loop {
            if given_up() {
                return Err(io::Error::other("interrupted"));
            }
            let typed = poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&LOOK));
            if matches!(typed, Ok(1..)) {
                return terminal.read(buffer);
            }
        }
    }
}

/// Asks for a password; it is typed on the terminal of this process, whatever its standard input is.
/// `given_up`: a signal ended the program.
///
/// # Errors
/// When there is no terminal, or the person cancelled.
pub(super) fn ask(question: &str, given_up: &dyn Fn() -> bool) -> io::Result<Password> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut unseen = before.clone();
    // Keys that send signals are read as bytes: a signal would leave the terminal like this.
    unseen
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&terminal, OptionalActions::Flush, &unseen)?;
    let mut terminal = Unseen { terminal, before };
    write!(terminal.terminal, "{question}")?;
    let typed = read(&mut TypedBytes(&mut terminal.terminal, given_up));
    writeln!(terminal.terminal)?;
    typed
}

/// Reads a line as a terminal would edit it.
fn read(terminal: &mut impl Read) -> io::Result<Password> {
    let mut typed = Vec::with_capacity(MOST);
    let done = edit(terminal, &mut typed);
    // Erased also when it was cancelled.
    let password = Password::new(typed);
    done.map(|()| password)
}

/// Reads into `typed`, which has room for the longest password.
fn edit(terminal: &mut impl Read, typed: &mut Vec<u8>) -> io::Result<()> {
    let mut byte = [0];
    loop {
        if terminal.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            b'\r' | b'\n' => return Ok(()),
            // Ctrl-C, Ctrl-D, Ctrl-\ and Ctrl-Z.
            0x03 | 0x04 | 0x1c | 0x1a => return Err(ErrorKind::Interrupted.into()),
            // Ctrl-U.
            0x15 => typed.clear(),
            0x08 | 0x7f => {
                // The last character, of several bytes.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if typed.len() < MOST => typed.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_edited_and_cancelled() {
        let text = |mut typed: &[u8]| read(&mut typed).map(|password| password.bytes().to_vec());
        assert_eq!(text(b"secret\rmore").unwrap(), b"secret");
        assert_eq!(text(b"se\x7fcret\x08\n").unwrap(), b"scre");
        assert_eq!(text("a\u{e4}\x7fb\n".as_bytes()).unwrap(), b"ab");
        assert_eq!(text(b"wrong\x15right\n").unwrap(), b"right");
        assert!(text(b"sec\x03ret\n").is_err());
        assert!(text(b"no newline").is_err());
    }

    #[test]
    fn a_signal_ends_the_question() {
        let (terminal, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut terminal = File::from(std::os::fd::OwnedFd::from(terminal));
        assert!(read(&mut TypedBytes(&mut terminal, &|| true)).is_err());
    }

    #[test]
    fn a_password_is_never_printed() {
        let mut typed: &[u8] = b"secret\n";
        let password = read(&mut typed).unwrap();
        assert!(!format!("{password:?}").contains("secret"));
    }
}
