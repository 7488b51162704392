//! Processes and cgroups: exec, fork, exit, creation and removal of a cgroup.

use bytemuck::{Pod, Zeroable};

use crate::file::FactsRecord;

/// Longest argument area kept, bytes.
pub const ARGV_MAX: usize = 4095;
/// Longest cgroup name kept, bytes.
pub const NAME_MAX: usize = 256;

/// Bits of [`ExecRecord::flags`].
pub mod flag {
    /// Has a controlling terminal.
    pub const TTY: u32 = 1;
    /// The executable's path could not be walked to the top.
    pub const EXE_CUT: u32 = 2;
    /// The working directory's path could not be walked to the top.
    pub const CWD_CUT: u32 = 4;
}

/// An exec. Four strings follow, `lens` long each: path of the executable and working directory
/// (components leaf first, each followed by NUL), the script, and the argument area.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ExecRecord {
    /// The executable.
    pub facts: FactsRecord,
    /// Length of the whole argument area.
    pub argv_bytes: u64,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Lengths of the four strings.
    pub lens: [u16; 4],
    /// Short name.
    pub comm: [u8; 16],
}

/// A fork; the header's process is the child.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ForkRecord {
    /// User id.
    pub uid: u32,
    /// Thread group id of the process that created it, which need not be its parent.
    pub creator: u32,
    /// Short name.
    pub comm: [u8; 16],
}

/// The last thread of a process ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ExitRecord {
    /// As `wait` gives it.
    pub status: u32,
    /// Zero.
    pub reserved: u32,
    /// Nanoseconds.
    pub lived_ns: u64,
}

/// Creation or removal of a cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct CgroupRecord {
    /// Its id.
    pub id: u64,
    /// Its parent's id.
    pub parent: u64,
    /// Its name, ended by NUL.
    pub name: [u8; NAME_MAX],
}
