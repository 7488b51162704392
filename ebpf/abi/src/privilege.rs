//! Privileged system calls: the record, and which calls are watched.

use bytemuck::{Pod, Zeroable};

/// Longest string kept of an argument, bytes.
pub const TEXT_MAX: usize = 256;

/// Bits of [`PrivilegeRecord::flags`].
pub mod flag {
    /// The runtime's own set-up.
    pub const RUNTIME: u8 = 1;
    /// A string was truncated, or could not be read.
    pub const CUT: u8 = 2;
}

/// One privileged call with its result. Up to three strings follow, `lens` long each: the
/// arguments [`Call::texts`] names, in that order.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct PrivilegeRecord {
    /// First four arguments; for `clone3` the first holds the flags.
    pub args: [u64; 4],
    /// The call's result.
    pub ret: i64,
    /// Group id of the caller, as the host numbers it.
    pub gid: u32,
    /// User id of the caller, as the host numbers it.
    pub uid: u32,
    /// Lengths of the strings.
    pub lens: [u16; 3],
    /// Index into [`CALLS`].
    pub call: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Short name of the process.
    pub comm: [u8; 16],
}

/// A watched call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Its number on x86_64.
    pub x86_64: Option<u16>,
    /// Its number on aarch64.
    pub aarch64: Option<u16>,
    /// Indices of the string arguments to keep, at most three.
    pub texts: &'static [u8],
}

const fn call(
    name: &'static str,
    x86_64: Option<u16>,
    aarch64: Option<u16>,
    texts: &'static [u8],
) -> Call {
    Call {
        name,
        x86_64,
        aarch64,
        texts,
    }
}

/// The watched calls; the kernel programs report the index ([`id`]).
pub const CALLS: &[Call] = &[
    call("mount", Some(165), Some(40), &[0, 1, 2]),
    call("umount2", Some(166), Some(39), &[0]),
    call("pivot_root", Some(155), Some(41), &[0, 1]),
    call("chroot", Some(161), Some(51), &[0]),
    call("unshare", Some(272), Some(97), &[]),
    call("setns", Some(308), Some(268), &[]),
    call("clone", Some(56), Some(220), &[]),
    call("clone3", Some(435), Some(435), &[]),
    call("move_mount", Some(429), Some(429), &[1, 3]),
    call("fsopen", Some(430), Some(430), &[0]),
    call("fsmount", Some(432), Some(432), &[]),
    call("fspick", Some(433), Some(433), &[1]),
    call("open_tree", Some(428), Some(428), &[1]),
    call("mount_setattr", Some(442), Some(442), &[1]),
    call("ptrace", Some(101), Some(117), &[]),
    call("process_vm_readv", Some(310), Some(270), &[]),
    call("process_vm_writev", Some(311), Some(271), &[]),
    call("pidfd_getfd", Some(438), Some(438), &[]),
    call("bpf", Some(321), Some(280), &[]),
    call("init_module", Some(175), Some(105), &[2]),
    call("finit_module", Some(313), Some(273), &[1]),
    call("delete_module", Some(176), Some(106), &[0]),
    call("memfd_create", Some(319), Some(279), &[0]),
    call("add_key", Some(248), Some(217), &[0, 1]),
    call("request_key", Some(249), Some(218), &[0, 1]),
    call("keyctl", Some(250), Some(219), &[]),
    call("kexec_load", Some(246), Some(104), &[]),
    call("kexec_file_load", Some(320), Some(294), &[]),
    call("setuid", Some(105), Some(146), &[]),
    call("setgid", Some(106), Some(144), &[]),
    call("setreuid", Some(113), Some(145), &[]),
    call("setregid", Some(114), Some(143), &[]),
    call("setresuid", Some(117), Some(147), &[]),
    call("setresgid", Some(119), Some(149), &[]),
    call("setfsuid", Some(122), Some(151), &[]),
    call("setfsgid", Some(123), Some(152), &[]),
    call("setgroups", Some(116), Some(159), &[]),
    call("capset", Some(126), Some(91), &[]),
    call("io_uring_setup", Some(425), Some(425), &[]),
    call("perf_event_open", Some(298), Some(241), &[]),
    call("userfaultfd", Some(323), Some(282), &[]),
    call("open_by_handle_at", Some(304), Some(265), &[]),
    call("syslog", Some(103), Some(116), &[]),
    call("reboot", Some(169), Some(142), &[]),
    call("swapon", Some(167), Some(224), &[0]),
    call("swapoff", Some(168), Some(225), &[0]),
    call("settimeofday", Some(164), Some(170), &[]),
    call("clock_settime", Some(227), Some(112), &[]),
    call("personality", Some(135), Some(92), &[]),
    call("iopl", Some(172), None, &[]),
    call("ioperm", Some(173), None, &[]),
    // Not a call: the first 32-bit call of a container, whichever it is.
    call("compat", None, None, &[]),
    // Not a call: a process left its container's cgroup for one that belongs to no container.
    call("leave-cgroup", None, None, &[]),
];

/// Indices in [`CALLS`] that the kernel programs use.
pub mod id {
    /// `mount`.
    pub const MOUNT: u8 = 0;
    /// `umount2`.
    pub const UMOUNT2: u8 = 1;
    /// `pivot_root`.
    pub const PIVOT_ROOT: u8 = 2;
    /// `chroot`.
    pub const CHROOT: u8 = 3;
    /// `unshare`.
    pub const UNSHARE: u8 = 4;
    /// `setns`.
    pub const SETNS: u8 = 5;
    /// `clone`.
    pub const CLONE: u8 = 6;
    /// `clone3`.
    pub const CLONE3: u8 = 7;
    /// `move_mount`.
    pub const MOVE_MOUNT: u8 = 8;
    /// `fsopen`.
    pub const FSOPEN: u8 = 9;
    /// `fsmount`.
    pub const FSMOUNT: u8 = 10;
    /// `fspick`.
    pub const FSPICK: u8 = 11;
    /// `open_tree`.
    pub const OPEN_TREE: u8 = 12;
    /// `mount_setattr`.
    pub const MOUNT_SETATTR: u8 = 13;
    /// `ptrace`.
    pub const PTRACE: u8 = 14;
    /// `process_vm_readv`.
    pub const PROCESS_VM_READV: u8 = 15;
    /// `process_vm_writev`.
    pub const PROCESS_VM_WRITEV: u8 = 16;
    /// `pidfd_getfd`.
    pub const PIDFD_GETFD: u8 = 17;
    /// `bpf`.
    pub const BPF: u8 = 18;
    /// `init_module`.
    pub const INIT_MODULE: u8 = 19;
    /// `finit_module`.
    pub const FINIT_MODULE: u8 = 20;
    /// `delete_module`.
    pub const DELETE_MODULE: u8 = 21;
    /// `memfd_create`.
    pub const MEMFD_CREATE: u8 = 22;
    /// `add_key`.
    pub const ADD_KEY: u8 = 23;
    /// `request_key`.
    pub const REQUEST_KEY: u8 = 24;
    /// `keyctl`.
    pub const KEYCTL: u8 = 25;
    /// `kexec_load`.
    pub const KEXEC_LOAD: u8 = 26;
    /// `kexec_file_load`.
    pub const KEXEC_FILE_LOAD: u8 = 27;
    /// `setuid`.
    pub const SETUID: u8 = 28;
    /// `setgid`.
    pub const SETGID: u8 = 29;
    /// `setreuid`.
    pub const SETREUID: u8 = 30;
    /// `setregid`.
    pub const SETREGID: u8 = 31;
    /// `setresuid`.
    pub const SETRESUID: u8 = 32;
    /// `setresgid`.
    pub const SETRESGID: u8 = 33;
    /// `setfsuid`.
    pub const SETFSUID: u8 = 34;
    /// `setfsgid`.
    pub const SETFSGID: u8 = 35;
    /// `setgroups`.
    pub const SETGROUPS: u8 = 36;
    /// `capset`.
    pub const CAPSET: u8 = 37;
    /// `io_uring_setup`.
    pub const IO_URING_SETUP: u8 = 38;
    /// `perf_event_open`.
    pub const PERF_EVENT_OPEN: u8 = 39;
    /// `userfaultfd`.
    pub const USERFAULTFD: u8 = 40;
    /// `open_by_handle_at`.
    pub const OPEN_BY_HANDLE_AT: u8 = 41;
    /// `syslog`.
    pub const SYSLOG: u8 = 42;
    /// `reboot`.
    pub const REBOOT: u8 = 43;
    /// `swapon`.
    pub const SWAPON: u8 = 44;
    /// `swapoff`.
    pub const SWAPOFF: u8 = 45;
    /// `settimeofday`.
    pub const SETTIMEOFDAY: u8 = 46;
    /// `clock_settime`.
    pub const CLOCK_SETTIME: u8 = 47;
    /// `personality`.
    pub const PERSONALITY: u8 = 48;
    /// `iopl`.
    pub const IOPL: u8 = 49;
    /// `ioperm`.
    pub const IOPERM: u8 = 50;
    /// The first 32-bit call of a container.
    pub const COMPAT: u8 = 51;
    /// A process left its container's cgroup.
    pub const LEAVE_CGROUP: u8 = 52;
}
