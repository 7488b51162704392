//! Programs of the image that exist to read secrets: they check logins, use keys, list processes.

use bstr::ByteSlice as _;

use crate::detect::{attribution, program_roles};
use crate::event::{Bytes, Origin};
use crate::state::ProcessEntry;

/// Whether the image's program exists to read this secret.
pub(super) fn is_for_reading(process: &ProcessEntry, path: &[u8]) -> bool {
    if process.file.origin() != Origin::Image {
        return false;
    }
    let name = program_roles::of(process);
    if attribution::checks_logins(name) {
        return true;
    }
    match name {
        // The client proves its identity with a key; the key is not sent.
        b"ssh" | b"ssh-add" | b"ssh-keygen" | b"ssh-agent" | b"ssh-keysign" => {
            path.find(b"/.ssh/").is_some() || path.starts_with(b"/etc/ssh/")
        }
        // They list all processes, and print environments only with an option.
        b"ps" | b"top" | b"htop" | b"pgrep" | b"pkill" | b"pidof" | b"killall" | b"w"
        | b"uptime" | b"free" | b"vmstat" | b"lsof" | b"fuser" | b"pstree" | b"pwdx" => {
            path.ends_with(b"/environ") && !process.argv.iter().skip(1).any(asks_environment)
        }
        _ => false,
    }
}

/// `ps eww`, `ps auxe`: letters without a dash, an `e` among them.
fn asks_environment(argument: &Bytes) -> bool {
    let argument = argument.as_bytes();
    let letters = argument.iter().all(u8::is_ascii_alphabetic);
    argument.find(b"environ").is_some() || (letters && argument.contains(&b'e'))
}
