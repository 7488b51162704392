//! Asks for a password on the terminal, without showing it.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::link::Password;

/// Longest password, bytes.
const MOST: usize = 1024;

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

/// Asks for a password; it is typed on the terminal of this process, whatever its standard input is.
///
/// # Errors
/// When there is no terminal, or the person cancelled.
pub(super) fn ask(question: &str) -> io::Result<Password> {
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
    let typed = read(&mut terminal.terminal);
    writeln!(terminal.terminal)?;
    typed
}

/// Reads a line as a terminal would edit it.
fn read(terminal: &mut impl io::Read) -> io::Result<Password> {
    let mut typed = Vec::with_capacity(MOST);
    let mut byte = [0];
    loop {
        if terminal.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            b'\r' | b'\n' => return Ok(Password::new(typed)),
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
    fn a_password_is_never_printed() {
        let mut typed: &[u8] = b"secret\n";
        let password = read(&mut typed).unwrap();
        assert!(!format!("{password:?}").contains("secret"));
    }
}
