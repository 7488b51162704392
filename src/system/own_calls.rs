//! Lists of system calls: those that this program needs, and those that its watching threads are refused.
//!
//! Names are the kernel's; those that this architecture lacks are skipped. The lists cover glibc and musl,
//! which opens and examines files by older calls.

/// Calls that watching needs. Other calls are executed as well, and logged by the kernel.
pub(super) const NEEDED: &str = "\
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range lseek \
    open openat openat2 fcntl dup dup2 dup3 pipe pipe2 flock fsync fdatasync ftruncate fallocate \
    fadvise64 copy_file_range sendfile stat fstat lstat newfstatat statx statfs fstatfs access \
    faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd getxattr lgetxattr fgetxattr \
    listxattr llistxattr flistxattr umask ioctl poll ppoll select pselect6 epoll_create epoll_create1 \
    epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 timerfd_create timerfd_settime \
    socket socketpair connect bind listen accept accept4 shutdown getsockname getpeername getsockopt \
    setsockopt sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg \
    clone clone3 exit exit_group wait4 waitid futex set_robust_list get_robust_list rseq \
    set_tid_address arch_prctl prctl seccomp landlock_create_ruleset landlock_add_rule \
    landlock_restrict_self capget capset membarrier getcpu restart_syscall \
    mmap munmap mremap mprotect madvise mincore brk mlock munlock \
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack \
    kill tkill tgkill pause pidfd_open pidfd_send_signal \
    getpid gettid getppid getpgid getpgrp getsid getuid geteuid getgid getegid getresuid getresgid \
    getgroups setpriority sched_yield sched_getaffinity sched_getparam sched_getscheduler getpriority getrusage \
    prlimit64 getrlimit times uname sysinfo getrandom clock_gettime clock_getres clock_nanosleep \
    nanosleep gettimeofday time bpf";

/// Changes of files by name: only the thread that opens the user's files makes them.
pub(super) const CHANGES_OF_FILES: &str = "\
    creat truncate unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink \
    symlinkat mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes \
    futimesat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr";

/// Calls that no thread needs once the probes are attached; they fail with EPERM: executing programs, access
/// to other processes' memory, changes of the host or the kernel, and changes of the user.
pub(super) const REFUSED: &str = "\
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd \
    kcmp mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick \
    mount_setattr setns unshare init_module finit_module delete_module kexec_load kexec_file_load \
    reboot swapon swapoff settimeofday clock_settime adjtimex clock_adjtime sethostname \
    setdomainname iopl ioperm acct quotactl quotactl_fd add_key request_key keyctl userfaultfd \
    perf_event_open io_uring_setup io_uring_enter io_uring_register open_by_handle_at \
    name_to_handle_at fanotify_init memfd_create memfd_secret modify_ldt personality vhangup syslog \
    lookup_dcookie setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups";

/// Commands of bpf(2) that load, attach or pin something, refused as well. Reading and writing existing maps
/// is needed.
pub(super) const REFUSED_BPF: &[u64] = &[
    0,  // BPF_MAP_CREATE
    5,  // BPF_PROG_LOAD
    6,  // BPF_OBJ_PIN
    8,  // BPF_PROG_ATTACH
    10, // BPF_PROG_TEST_RUN
    13, // BPF_PROG_GET_FD_BY_ID
    14, // BPF_MAP_GET_FD_BY_ID
    17, // BPF_RAW_TRACEPOINT_OPEN
    18, // BPF_BTF_LOAD
    28, // BPF_LINK_CREATE
    29, // BPF_LINK_UPDATE
];
