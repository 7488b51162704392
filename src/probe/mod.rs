//! Kernel side of the way in: load the probes, read the ring buffer, decode records.

pub mod convert;
pub mod tables;
