//! Records and constants that the kernel programs share with user space.
#![no_std]

pub mod capability;
pub mod class;
pub mod compat;
pub mod dns;
pub mod entry;
pub mod file;
pub mod header;
pub mod net;
pub mod offsets;
pub mod privilege;
pub mod secret;
pub mod syscall;
pub mod task;
pub mod uring;
