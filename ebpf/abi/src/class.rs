//! Classes of system calls, by which the dispatcher selects a program, and their flags.

/// File calls.
pub const FILE: u8 = 1;
/// Privileged calls.
pub const PRIVILEGE: u8 = 2;
/// Socket calls.
pub const NET: u8 = 3;
/// Calls that change a file's attributes.
pub const ATTRIBUTE: u8 = 4;
/// Any call that a container makes for the first time, if that is enabled.
pub const FIRST: u8 = 5;
/// `setns`: a privileged call by a container; a host process may enter a container by it.
pub const ENTER: u8 = 6;
/// The bits of an entry that hold the class.
pub const CLASS: u8 = 7;
/// Flag: the 32-bit call with this number is watched, independently of the 64-bit one.
pub const WATCHED32: u8 = 0x40;
/// Flag: only the commands of [`crate::file::ioctl`] are watched.
pub const IOCTL: u8 = 0x80;
