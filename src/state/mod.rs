//! The state at time t: containers, processes, connections, files, and the recent past.
//!
//! A pure function of the stream: no clock, no I/O. Everything is bounded; what a bound removes
//! is counted in [`Totals::evicted`].

mod activity;
mod apply;
mod apply_process;
mod builds;
mod connection;
mod container;
mod file;
mod packed;
mod process;
mod quota;
mod recent;
mod snapshot;
mod sockets;
mod tables;

pub use activity::PerSecond;
pub use builds::Build;
pub use connection::{Connection, ConnectionKey, Direction, Phase};
pub use container::{Container, Owner};
pub use file::{FileActivity, FileKey};
pub(crate) use packed::PackedState;
pub use process::{Lineage, ProcessEntry};
pub use recent::{Recent, Second};
pub use snapshot::snapshot;
pub use tables::{State, Totals};
