//! Shells and interpreters without a script, which read their program from their input.

use std::collections::VecDeque;

use bstr::ByteSlice as _;
use smallvec::SmallVec;

use crate::catalog;
use crate::detect::program_roles;
use crate::detect::rule_memory::RuleMemory;
use crate::event::{Exec, ProgramAdditions, Timestamp};

/// Maximum number of shells without a script remembered in one container.
const MAX_BARE: usize = 32;

/// Option letters of interpreters that neither hold the program nor take an argument.
const PLAIN_LETTERS: &[u8] = b"BISTOiqstuvw";

/// The name of the shell that was started, if it is one.
pub(super) fn shell<'a>(names: &ProgramAdditions, exec: &'a Exec) -> Option<&'a [u8]> {
    let name = program_roles::name(&exec.exe, &exec.argv);
    names.is_shell(name).then_some(name)
}

/// Among well-known programs: a shell or interpreter that reads its program from its input.
#[must_use]
pub(crate) fn waits_for_input(exec: &Exec) -> bool {
    !exec.runtime && bare(&ProgramAdditions::default(), exec)
}

/// An interpreter that reads its program from its input: no script, no program text.
pub(super) fn bare(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    if !names.is_shell(name) && (!names.is_interpreter(name) || name.ends_with(b"awk")) {
        return false;
    }
    // argv[0] of a busybox applet may be `busybox`, followed by the applet's name.
    let skip = usize::from(
        exec.argv
            .first()
            .is_some_and(|a| program_roles::leaf(a.as_bytes()) == b"busybox"),
    );
    let shell = names.is_shell(name);
    // After -s all arguments belong to the program on the input.
    let input = |a: &crate::event::Bytes| a.as_bytes() == b"-s";
    exec.script.is_none()
        && exec
            .argv
            .iter()
            .take_while(|a| !input(a))
            .skip(1 + skip)
            .all(|a| {
                let a = a.as_bytes();
                a == b"-"
                    || from_descriptor(a)
                    || a.strip_prefix(b"-").is_some_and(|letters| {
                        // The options of an interpreter may contain the program: `perl -pe…`, `ruby
                        // -ne…`.
                        letters.iter().all(|l| match l {
                            b'c' | b'-' => false,
                            _ => shell || PLAIN_LETTERS.contains(l),
                        })
                    })
                    || catalog::words::SHELL_OPTIONS.contains(&a)
            })
}

/// A descriptor provides the program, as in `bash <(…)`.
pub(super) fn from_descriptor(argument: &[u8]) -> bool {
    let of_process = |rest: &[u8]| {
        let mut parts = rest.splitn(2, |b| *b == b'/');
        let process = parts.next().unwrap_or_default();
        let known = matches!(process, b"self" | b"thread-self")
            || !process.is_empty() && process.iter().all(u8::is_ascii_digit);
        known && parts.next().is_some_and(|rest| rest.starts_with(b"fd/"))
    };
    argument.starts_with(b"/dev/fd/") || argument.strip_prefix(b"/proc/").is_some_and(of_process)
}

/// A shell without a script.
#[derive(Debug, Clone)]
pub(super) struct BareShell {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    pub(super) at: Timestamp,
    pub(super) seq: u64,
    /// Host pids of the processes that write into its input.
    pub(super) fed_by: SmallVec<[u32; 2]>,
}

/// The latest shells of a container that were started without a script.
#[derive(Debug, Clone, Default)]
pub(super) struct BareShells(VecDeque<BareShell>);

impl BareShells {
    /// Adds a shell; the oldest is dropped if there are too many.
    pub(super) fn add(&mut self, shell: BareShell) {
        self.0.push_back(shell);
        if self.0.len() > MAX_BARE {
            self.0.pop_front();
        }
    }

    /// The shells, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &BareShell> {
        self.0.iter()
    }

    /// Whether this process is such a shell and was started less than about two seconds ago.
    pub(super) fn waits(&self, pid: u32, now: Timestamp) -> bool {
        let mut shells = self.0.iter();
        shells.any(|shell| shell.pid == pid && now.since(shell.at).as_secs() <= 2)
    }
}

impl RuleMemory for BareShells {
    fn heap_bytes(&self) -> usize {
        self.0.len() * (size_of::<BareShell>() + 32)
    }
}
