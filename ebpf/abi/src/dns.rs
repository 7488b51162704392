//! Answers to name queries, as they came from the network.

use bytemuck::{Pod, Zeroable};

/// Most bytes of a message that are kept.
pub const MESSAGE_MAX: usize = 1024;

/// A packet from port 53. The message follows, `len` long, behind TCP with its own length in
/// front.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct DnsRecord {
    /// The server that answered; IPv4 in the first four bytes.
    pub server: [u8; 16],
    /// Bytes the packet carried.
    pub total: u32,
    /// Bytes that follow; fewer than `total` when the message was cut.
    pub len: u16,
    /// IP version, 4 or 6.
    pub version: u8,
    /// Protocol number, 6 for TCP, 17 for UDP.
    pub protocol: u8,
}
