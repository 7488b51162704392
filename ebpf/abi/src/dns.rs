//! DNS answers, as received from the network.

use bytemuck::{Pod, Zeroable};

/// Maximum number of bytes kept of a packet, a power of two: twice the usual maximum over UDP.
pub const MESSAGE_MAX: usize = 8192;

/// Bytes of one TCP connection and second that are kept in any case. Beyond that, only segments
/// that look like the start of an answer are kept.
pub const STREAM_BYTES: u32 = 64 << 10;

/// Bits of [`DnsRecord::flags`]; the TCP header's.
pub mod flag {
    /// FIN: the peer sends nothing after this packet.
    pub const FIN: u8 = 1;
    /// SYN: the sequence number precedes that of the first byte.
    pub const SYN: u8 = 2;
    /// RST: the connection was aborted.
    pub const RST: u8 = 4;
}

/// A packet from port 53: a message over UDP, a segment of the stream over TCP. Its payload
/// follows, `len` bytes of it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct DnsRecord {
    /// The socket, as the kernel numbers sockets.
    pub cookie: u64,
    /// The server that answered; IPv4 in the first four bytes.
    pub server: [u8; 16],
    /// Length of the packet's payload.
    pub total: u32,
    /// TCP's sequence number.
    pub seq: u32,
    /// Bytes that follow; fewer than `total` when the packet was cut.
    pub len: u16,
    /// IP version, 4 or 6.
    pub version: u8,
    /// Protocol number, 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// Bits of [`flag`]; TCP only.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
