//! Interpreters: files that they read may be code that they run.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_probe_read_kernel};
use hullwatch_abi::offsets as o;

use crate::{
    facts::{key, name_key},
    kernel::{field, task},
    path_start::path_start,
};

/// The kind of the current program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interpreter {
    /// Not an interpreter.
    No,
    /// A shell, which runs files of any name.
    Shell,
    /// An interpreter of another language, whose modules have known file extensions.
    Language,
}

/// The first `length` bytes of a [`key`].
const fn beginning(length: u32) -> u64 {
    (1 << (length * 8)) - 1
}

/// The kind of an executable with this directory entry.
#[inline(always)]
pub fn of(dentry: u64) -> Interpreter {
    let Some((name, length)) = name_key(dentry) else {
        return Interpreter::No;
    };
    let begins = |with: &[u8]| name & beginning(with.len() as u32) == key(with);
    if length <= 4 && (name == key(b"sh") || begins(b"bash") || begins(b"dash"))
        || name == key(b"ash")
        || begins(b"zsh")
        || begins(b"ksh")
        || begins(b"mksh")
    {
        return Interpreter::Shell;
    }
    if name == key(b"busybox") {
        let comm = bpf_get_current_comm().unwrap_or_default();
        let [a, b, c, d, ..] = comm;
        let shell = matches!(
            [a, b, c, d],
            [b's', b'h', 0, _] | [b'a', b's', b'h', 0] | [b'b', b'u', b's', b'y']
        );
        return if shell {
            Interpreter::Shell
        } else {
            Interpreter::No
        };
    }
    if begins(b"python")
        || begins(b"pypy")
        || begins(b"perl")
        || begins(b"node")
        || begins(b"ruby")
        || begins(b"php")
        || begins(b"lua")
    {
        return Interpreter::Language;
    }
    Interpreter::No
}

/// The kind of the current program, by its executable.
#[inline(always)]
fn current() -> Option<Interpreter> {
    let mm: u64 = field(task(), o::TASK_MM)?;
    let exe: u64 = field(mm, o::MM_EXE)?;
    Some(of(path_start(exe + crate::kernel::at(o::FILE_PATH))?.dentry))
}

/// Whether the current program is an interpreter.
#[inline(always)]
pub fn is_one() -> bool {
    matches!(current(), Some(Interpreter::Shell | Interpreter::Language))
}

/// Whether the current program is an interpreter that may run the file of this entry.
#[inline(always)]
pub fn runs(dentry: u64) -> bool {
    match current() {
        Some(Interpreter::Shell) => true,
        Some(Interpreter::Language) => named_as_code(dentry).unwrap_or(false),
        _ => false,
    }
}

/// Whether the entry has the name of a module.
#[inline(always)]
fn named_as_code(dentry: u64) -> Option<bool> {
    let length: u32 = field(dentry, o::DENTRY_LEN)?;
    if length < 4 {
        return Some(false);
    }
    let name: u64 = field(dentry, o::DENTRY_NAME)?;
    let end = (name + u64::from(length) - 4) as *const [u8; 4];
    // SAFETY: the helper checks the address.
    let end = unsafe { bpf_probe_read_kernel(end) }.ok()?;
    let [_, b, c, d] = end;
    let short = [b, c, d];
    Some(
        matches!(&short, b".py" | b".pm" | b".pl" | b".js" | b".rb")
            || matches!(
                &end,
                b".pyc" | b".mjs" | b".cjs" | b".php" | b".inc" | b".lua" | b".phl"
            ),
    )
}
