//! Named tables that several layers share: path classes, program names, secret names.
//!
//! The lowest folder: it imports nothing of this program and takes plain byte slices.

pub(crate) mod decoders;
pub(crate) mod engines;
pub(crate) mod path;
pub(crate) mod paths;
pub(crate) mod programs;
pub(crate) mod seccomp;
pub(crate) mod secrets;
pub(crate) mod words;
