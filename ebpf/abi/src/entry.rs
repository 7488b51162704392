//! A process of the host that entered a container's namespaces.

use bytemuck::{Pod, Zeroable};

/// Longest argument area kept, bytes.
pub const ARGV_MAX: usize = 1023;

/// Bits of [`EntryRecord::flags`].
pub mod flag {
    /// The process itself is inside; if not set, only its future children are.
    pub const INSIDE: u16 = 1;
    /// The kernel does not record the login user.
    pub const NO_LOGIN: u16 = 2;
}

/// An entry; the header's process is the one that called. Its argument area follows, `argv_len` bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct EntryRecord {
    /// User id, as the host numbers it.
    pub uid: u32,
    /// The login user; all ones if there is none.
    pub login_uid: u32,
    /// Length of the argument area.
    pub argv_len: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Zero.
    pub reserved: u32,
    /// Short name.
    pub comm: [u8; 16],
    /// Short name of the parent.
    pub parent_comm: [u8; 16],
    /// Name of the terminal, ended by NUL; empty without one.
    pub tty: [u8; 16],
}
