//! The link to a collector on another host: the bytes of its recording over a connection that may
//! break, exactly once.
//!
//! The sender keeps what was not confirmed, so the receiver continues at the byte where it was
//! interrupted. While nothing can be sent, the recorder's backlog takes the events, and counts those
//! that it drops as lost.

mod board;
mod client;
mod connection;
mod destination;
mod held;
mod pace;
mod protocol;
mod sender;
mod socket;
#[cfg(test)]
mod tests;

pub use board::{LinkBoard, LinkState};
pub use client::LinkClient;
pub use connection::{LinkConnection, Password, RemoteCollector};
pub use destination::{Destination, SessionId, can_be_passed};
pub use pace::LEAST_RATE;
pub use protocol::{Hello, PROTOCOL};
pub use sender::{LinkSender, relay};
pub use socket::{LINK_FOLDER, listen, socket_path};
