//! Classes of system calls by which the dispatcher chooses a program, and flags beside them.

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
/// `setns`: a privileged call of a container; of the host it may enter one.
pub const ENTER: u8 = 6;
/// The bits of an entry that hold the class.
pub const CLASS: u8 = 7;
/// Flag: the 32-bit call of this number is watched, whatever the 64-bit one is.
pub const WATCHED32: u8 = 0x40;
/// Flag: only the commands of [`crate::file::ioctl`] are watched.
pub const IOCTL: u8 = 0x80;
