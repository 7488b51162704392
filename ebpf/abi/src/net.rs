//! Sockets: the record, and which system calls and kernel fields it comes from.

use bytemuck::{Pod, Zeroable};

/// Longest Unix socket name, bytes.
pub const NAME_MAX: usize = 108;

/// The kind of a [`NetRecord`].
pub mod op {
    /// A call of connect ended, or the outcome of a non-blocking one is known.
    pub const CONNECT: u8 = 1;
    /// First datagram of a process to a peer, without connecting.
    pub const SEND: u8 = 2;
    /// A connection was accepted.
    pub const ACCEPT: u8 = 3;
    /// A socket began to listen, or a datagram socket got a port.
    pub const LISTEN: u8 = 4;
    /// A TCP connection ended.
    pub const CLOSE: u8 = 5;
    /// A raw or packet socket was requested; the arguments are in
    /// [`NetRecord::tx_bytes`](super::NetRecord::tx_bytes),
    /// [`rx_bytes`](super::NetRecord::rx_bytes) and
    /// [`lasted_ns`](super::NetRecord::lasted_ns).
    pub const SOCKET: u8 = 6;
    /// A socket was bound. Only in the table of calls: the record has [`LISTEN`].
    pub const BIND: u8 = 7;
}

/// Bits of [`NetRecord::flags`].
pub mod flag {
    /// The peer opened the connection.
    pub const INBOUND: u8 = 1;
    /// The local address is filled.
    pub const LOCAL: u8 = 2;
    /// Requested through io_uring.
    pub const RING: u8 = 4;
}

/// Address families, as the kernel numbers them.
pub mod family {
    /// Unix domain.
    pub const UNIX: u16 = 1;
    /// IPv4.
    pub const INET: u16 = 2;
    /// IPv6.
    pub const INET6: u16 = 10;
    /// Link layer.
    pub const PACKET: u16 = 17;
}

/// Socket types, as the kernel numbers them.
pub mod kind {
    /// Stream.
    pub const STREAM: u8 = 1;
    /// Datagram.
    pub const DGRAM: u8 = 2;
    /// Raw.
    pub const RAW: u8 = 3;
}

/// One fact about a socket. The name of a Unix peer follows, `name_len` long; an abstract name
/// begins with NUL.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct NetRecord {
    /// Identity of the socket, never a kernel address.
    pub cookie: u64,
    /// Bytes the peer acknowledged ([`op::CLOSE`]).
    pub tx_bytes: u64,
    /// Bytes received ([`op::CLOSE`]).
    pub rx_bytes: u64,
    /// From establishment to the end, nanoseconds ([`op::CLOSE`]).
    pub lasted_ns: u64,
    /// Own address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// The peer's address; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// Own port, host order.
    pub local_port: u16,
    /// The peer's port, host order.
    pub remote_port: u16,
    /// One of [`family`].
    pub family: u16,
    /// Protocol number, 6 for TCP.
    pub protocol: u16,
    /// Descriptor, -1 when not known.
    pub fd: i32,
    /// Errno of the call, positive; 115 (`EINPROGRESS`) while it is pending.
    pub errno: u16,
    /// Length of the Unix name.
    pub name_len: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// One of [`op`].
    pub op: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// User id of the caller, as the host numbers it ([`op::SOCKET`]).
    pub uid: u32,
    /// Short name of the process.
    pub comm: [u8; 16],
}

/// Socket calls of x86_64: number and operation.
pub const X86_64: &[(u16, u8)] = &[
    (41, op::SOCKET),
    (42, op::CONNECT),
    (43, op::ACCEPT),
    (49, op::BIND),
    (50, op::LISTEN),
    (288, op::ACCEPT),
];

/// Socket calls of aarch64: number and operation.
pub const AARCH64: &[(u16, u8)] = &[
    (198, op::SOCKET),
    (200, op::BIND),
    (201, op::LISTEN),
    (202, op::ACCEPT),
    (203, op::CONNECT),
    (242, op::ACCEPT),
];
