//! Records and constants the kernel programs and the program share.
#![no_std]

pub mod capability;
pub mod file;
pub mod offsets;
pub mod privilege;
