//! Requests of io_uring, mapped to native system calls.

/// Only requests with a number below this are examined.
pub const OPCODES: usize = 64;

/// Longest name kept until a request ends, bytes, with its NUL.
pub const NAME_MAX: usize = 512;

/// Opcodes of the kernel.
pub mod opcode {
    /// `accept`.
    pub const ACCEPT: u8 = 13;
    /// `connect`.
    pub const CONNECT: u8 = 16;
    /// `openat`.
    pub const OPENAT: u8 = 18;
    /// `openat2`.
    pub const OPENAT2: u8 = 28;
    /// `renameat`.
    pub const RENAMEAT: u8 = 35;
    /// `unlinkat`.
    pub const UNLINKAT: u8 = 36;
    /// `mkdirat`.
    pub const MKDIRAT: u8 = 37;
    /// `symlinkat`.
    pub const SYMLINKAT: u8 = 38;
    /// `linkat`.
    pub const LINKAT: u8 = 39;
    /// `fsetxattr`.
    pub const FSETXATTR: u8 = 41;
    /// `setxattr`.
    pub const SETXATTR: u8 = 42;
    /// `socket`.
    pub const SOCKET: u8 = 45;
    /// `ftruncate` (6.9).
    pub const FTRUNCATE: u8 = 55;
    /// `bind` (6.11).
    pub const BIND: u8 = 56;
    /// `listen` (6.11).
    pub const LISTEN: u8 = 57;
}

/// Watched requests: opcode, number of the native call on x86_64 and on aarch64.
pub const REQUESTS: &[(u8, u16, u16)] = &[
    (opcode::ACCEPT, 288, 242),
    (opcode::CONNECT, 42, 203),
    (opcode::OPENAT, 257, 56),
    (opcode::OPENAT2, 257, 56),
    (opcode::RENAMEAT, 316, 276),
    (opcode::UNLINKAT, 263, 35),
    (opcode::MKDIRAT, 258, 34),
    (opcode::SYMLINKAT, 266, 36),
    (opcode::LINKAT, 265, 37),
    (opcode::FSETXATTR, 190, 7),
    (opcode::SETXATTR, 188, 5),
    (opcode::SOCKET, 41, 198),
    (opcode::FTRUNCATE, 77, 46),
    (opcode::BIND, 49, 200),
    (opcode::LISTEN, 50, 201),
];

/// Number of `io_uring_enter`, the same on both machines.
pub const ENTER: u32 = 426;
