//! System calls of 32-bit programs, mapped to native calls.
//!
//! A 64-bit kernel also runs calls of the machine's 32-bit predecessor, which have other numbers.
//! They are translated to the number of the equivalent native call, so that one set of tables
//! describes both. Only watched calls are listed; all others are ignored.

/// Flag of an entry: the first argument selects a socket call, the second points to its arguments,
/// four bytes each (`socketcall`).
pub const SOCKETCALL: u16 = 0x8000;
/// Flag of an entry: the first argument points to the arguments, four bytes each.
pub const IN_MEMORY: u16 = 0x4000;
/// Flag of an entry: the arguments are user or group ids of 16 bits.
pub const SHORT_IDS: u16 = 0x2000;
/// Flag of an entry: there is one argument; the others are ignored.
pub const ONE_ARGUMENT: u16 = 0x1000;
/// The bits of an entry that hold the native number.
pub const NUMBER: u16 = 0x1ff;

/// A 32-bit call's number, and its entry in the kernel programs' table: the native number with
/// the flags above.
pub type CompatCall = (u16, u16);

/// Set in the number of an x32 call (64-bit registers, 32-bit pointers).
pub const X32_BIT: u32 = 0x4000_0000;

/// x32 calls that do not share the native number, from [`X32_FIRST`] on: the native number of each,
/// 0 if it is not watched. All others share the native numbers.
pub const X32_OWN: [u16; 34] = {
    let mut table = [0; 34];
    table[520 - X32_FIRST] = 59; // execve
    table[521 - X32_FIRST] = 101; // ptrace
    table[528 - X32_FIRST] = 246; // kexec_load
    table[514 - X32_FIRST] = 16; // ioctl
    table[518 - X32_FIRST] = 46; // sendmsg
    table[539 - X32_FIRST] = 310; // process_vm_readv
    table[540 - X32_FIRST] = 311; // process_vm_writev
    table[545 - X32_FIRST] = 322; // execveat
    table
};
/// The first number of [`X32_OWN`].
pub const X32_FIRST: usize = 512;

/// Socket calls that `socketcall` selects, by their number there: the native numbers on x86_64, 0
/// if not watched. (On Arm these are separate calls.)
pub const SOCKET_CALLS: [u16; 32] = {
    let mut table = [0; 32];
    table[1] = 41; // socket
    table[2] = 49; // bind
    table[3] = 42; // connect
    table[4] = 50; // listen
    table[5] = 43; // accept
    table[18] = 288; // accept4
    table
};

/// Calls of i386, as numbers of x86_64.
pub const I386: &[CompatCall] = &[
    (2, 57),                  // fork
    (5, 2),                   // open
    (8, 85),                  // creat
    (9, 86),                  // link
    (10, 87),                 // unlink
    (11, 59),                 // execve
    (14, 133),                // mknod
    (15, 90),                 // chmod
    (16, 94),                 // lchown
    (21, 165),                // mount
    (22, 166 | ONE_ARGUMENT), // umount
    (23, 105 | SHORT_IDS),    // setuid
    (26, 101),                // ptrace
    (30, narrow::UTIME),      // utime
    (38, 82),                 // rename
    (39, 83),                 // mkdir
    (40, 84),                 // rmdir
    (45, 12),                 // brk
    (46, 106 | SHORT_IDS),    // setgid
    (52, 166),                // umount2
    (54, 16),                 // ioctl
    (61, 161),                // chroot
    (70, 113 | SHORT_IDS),    // setreuid
    (71, 114 | SHORT_IDS),    // setregid
    (79, 164),                // settimeofday
    (81, 116),                // setgroups
    (83, 88),                 // symlink
    (87, 167),                // swapon
    (88, 169),                // reboot
    (90, 9 | IN_MEMORY),      // mmap
    (92, 76),                 // truncate
    (93, 77),                 // ftruncate
    (94, 91),                 // fchmod
    (95, 93),                 // fchown
    (101, 173),               // ioperm
    (102, SOCKETCALL),        // socketcall
    (103, 103),               // syslog
    (110, 172),               // iopl
    (115, 168),               // swapoff
    (120, 56),                // clone
    (125, 10),                // mprotect
    (128, 175),               // init_module
    (129, 176),               // delete_module
    (136, 135),               // personality
    (138, 122 | SHORT_IDS),   // setfsuid
    (139, 123 | SHORT_IDS),   // setfsgid
    (163, 25),                // mremap
    (164, 117 | SHORT_IDS),   // setresuid
    (170, 119 | SHORT_IDS),   // setresgid
    (182, 92),                // chown
    (185, 126),               // capset
    (190, 58),                // vfork
    (192, 9),                 // mmap2
    (193, 76),                // truncate64
    (194, 77),                // ftruncate64
    (198, 94),                // lchown32
    (203, 113),               // setreuid32
    (204, 114),               // setregid32
    (206, 116),               // setgroups32
    (207, 93),                // fchown32
    (208, 117),               // setresuid32
    (210, 119),               // setresgid32
    (212, 92),                // chown32
    (213, 105),               // setuid32
    (214, 106),               // setgid32
    (215, 122),               // setfsuid32
    (216, 123),               // setfsgid32
    (217, 155),               // pivot_root
    (226, 188),               // setxattr
    (227, 189),               // lsetxattr
    (228, 190),               // fsetxattr
    (235, 197),               // removexattr
    (236, 198),               // lremovexattr
    (237, 199),               // fremovexattr
    (264, 227),               // clock_settime
    (271, narrow::UTIMES),    // utimes
    (283, 246),               // kexec_load
    (286, 248),               // add_key
    (287, 249),               // request_key
    (288, 250),               // keyctl
    (295, 257),               // openat
    (296, 258),               // mkdirat
    (297, 259),               // mknodat
    (298, 260),               // fchownat
    (299, narrow::UTIMEAT),   // futimesat
    (301, 263),               // unlinkat
    (302, 264),               // renameat
    (303, 265),               // linkat
    (304, 266),               // symlinkat
    (306, 268),               // fchmodat
    (310, 272),               // unshare
    (320, narrow::UTIMEAT),   // utimensat
    (336, 298),               // perf_event_open
    (342, 304),               // open_by_handle_at
    (346, 308),               // setns
    (347, 310),               // process_vm_readv
    (348, 311),               // process_vm_writev
    (350, 313),               // finit_module
    (353, 316),               // renameat2
    (356, 319),               // memfd_create
    (357, 321),               // bpf
    (358, 322),               // execveat
    (359, 41),                // socket
    (361, 49),                // bind
    (362, 42),                // connect
    (363, 50),                // listen
    (364, 288),               // accept4
    (374, 323),               // userfaultfd
    (380, 329),               // pkey_mprotect
    (404, 227),               // clock_settime64
    (412, 280),               // utimensat_time64
    (425, 425),               // io_uring_setup
    (428, 428),               // open_tree
    (429, 429),               // move_mount
    (430, 430),               // fsopen
    (432, 432),               // fsmount
    (433, 433),               // fspick
    (435, 435),               // clone3
    (437, 437),               // openat2
    (438, 438),               // pidfd_getfd
    (442, 442),               // mount_setattr
    (452, 452),               // fchmodat2
    (463, 463),               // setxattrat
    (466, 466),               // removexattrat
    (469, 469),               // file_setattr
];

/// Arm calls that aarch64 lacks: its tables contain them under numbers beyond the last native one.
pub mod arm {
    /// `open`.
    pub const OPEN: u16 = 496;
    /// `creat`.
    pub const CREAT: u16 = 497;
    /// `link`.
    pub const LINK: u16 = 498;
    /// `unlink`.
    pub const UNLINK: u16 = 499;
    /// `mknod`.
    pub const MKNOD: u16 = 500;
    /// `chmod`.
    pub const CHMOD: u16 = 501;
    /// `lchown`.
    pub const LCHOWN: u16 = 502;
    /// `chown`.
    pub const CHOWN: u16 = 503;
    /// `rename`.
    pub const RENAME: u16 = 504;
    /// `mkdir`.
    pub const MKDIR: u16 = 505;
    /// `rmdir`.
    pub const RMDIR: u16 = 506;
    /// `symlink`.
    pub const SYMLINK: u16 = 507;
}

/// Numbers for calls of 32-bit programs whose arguments point to other structures than those of the
/// native calls; no native call has these numbers.
pub mod narrow {
    /// `utime`.
    pub const UTIME: u16 = 508;
    /// `utimes`.
    pub const UTIMES: u16 = 509;
    /// `utimensat` and `futimesat`.
    pub const UTIMEAT: u16 = 510;

    /// The native numbers of x86_64 whose 32-bit calls have a separate number in these tables.
    pub const TWINS: &[(u16, u16)] = &[(132, UTIME), (235, UTIMES), (261, UTIMEAT)];
}

/// Calls of 32-bit Arm, as numbers of aarch64 and of [`arm`].
pub const ARM: &[CompatCall] = &[
    (5, arm::OPEN),         // open
    (8, arm::CREAT),        // creat
    (9, arm::LINK),         // link
    (10, arm::UNLINK),      // unlink
    (11, 221),              // execve
    (14, arm::MKNOD),       // mknod
    (15, arm::CHMOD),       // chmod
    (16, arm::LCHOWN),      // lchown
    (21, 40),               // mount
    (23, 146 | SHORT_IDS),  // setuid
    (26, 117),              // ptrace
    (38, arm::RENAME),      // rename
    (39, arm::MKDIR),       // mkdir
    (40, arm::RMDIR),       // rmdir
    (45, 214),              // brk
    (46, 144 | SHORT_IDS),  // setgid
    (52, 39),               // umount2
    (54, 29),               // ioctl
    (61, 51),               // chroot
    (70, 145 | SHORT_IDS),  // setreuid
    (71, 143 | SHORT_IDS),  // setregid
    (79, 170),              // settimeofday
    (81, 159),              // setgroups
    (83, arm::SYMLINK),     // symlink
    (87, 224),              // swapon
    (88, 142),              // reboot
    (92, 45),               // truncate
    (93, 46),               // ftruncate
    (94, 52),               // fchmod
    (95, 55),               // fchown
    (103, 116),             // syslog
    (115, 225),             // swapoff
    (120, 220),             // clone
    (125, 226),             // mprotect
    (128, 105),             // init_module
    (129, 106),             // delete_module
    (136, 92),              // personality
    (138, 151 | SHORT_IDS), // setfsuid
    (139, 152 | SHORT_IDS), // setfsgid
    (163, 216),             // mremap
    (164, 147 | SHORT_IDS), // setresuid
    (170, 149 | SHORT_IDS), // setresgid
    (182, arm::CHOWN),      // chown
    (185, 91),              // capset
    (192, 222),             // mmap2
    (193, 45),              // truncate64
    (194, 46),              // ftruncate64
    (198, arm::LCHOWN),     // lchown32
    (203, 145),             // setreuid32
    (204, 143),             // setregid32
    (206, 159),             // setgroups32
    (207, 55),              // fchown32
    (208, 147),             // setresuid32
    (210, 149),             // setresgid32
    (212, arm::CHOWN),      // chown32
    (213, 146),             // setuid32
    (214, 144),             // setgid32
    (215, 151),             // setfsuid32
    (216, 152),             // setfsgid32
    (218, 41),              // pivot_root
    (226, 5),               // setxattr
    (227, 6),               // lsetxattr
    (228, 7),               // fsetxattr
    (235, 14),              // removexattr
    (236, 15),              // lremovexattr
    (237, 16),              // fremovexattr
    (262, 112),             // clock_settime
    (269, narrow::UTIMES),  // utimes
    (281, 198),             // socket
    (282, 200),             // bind
    (283, 203),             // connect
    (284, 201),             // listen
    (285, 202),             // accept
    (309, 217),             // add_key
    (310, 218),             // request_key
    (311, 219),             // keyctl
    (322, 56),              // openat
    (323, 34),              // mkdirat
    (324, 33),              // mknodat
    (325, 54),              // fchownat
    (326, narrow::UTIMEAT), // futimesat
    (328, 35),              // unlinkat
    (329, 38),              // renameat
    (330, 37),              // linkat
    (331, 36),              // symlinkat
    (333, 53),              // fchmodat
    (337, 97),              // unshare
    (347, 104),             // kexec_load
    (348, narrow::UTIMEAT), // utimensat
    (364, 241),             // perf_event_open
    (366, 242),             // accept4
    (371, 265),             // open_by_handle_at
    (375, 268),             // setns
    (376, 270),             // process_vm_readv
    (377, 271),             // process_vm_writev
    (379, 273),             // finit_module
    (382, 276),             // renameat2
    (385, 279),             // memfd_create
    (386, 280),             // bpf
    (387, 281),             // execveat
    (388, 282),             // userfaultfd
    (394, 288),             // pkey_mprotect
    (401, 294),             // kexec_file_load
    (412, 88),              // utimensat_time64
    (425, 425),             // io_uring_setup
    (428, 428),             // open_tree
    (429, 429),             // move_mount
    (430, 430),             // fsopen
    (432, 432),             // fsmount
    (433, 433),             // fspick
    (435, 435),             // clone3
    (437, 437),             // openat2
    (438, 438),             // pidfd_getfd
    (442, 442),             // mount_setattr
    (452, 452),             // fchmodat2
    (463, 463),             // setxattrat
    (466, 466),             // removexattrat
    (469, 469),             // file_setattr
];
