//! The system calls that engines allow by default, and groups of equivalent calls.
//!
//! Names are the kernel's, as libseccomp has them.

use std::collections::BTreeSet;

/// Calls that Docker's default profile allows to every container, without those that it allows
/// under a condition. The list of version 20.10 without `io_uring_*`, which later versions refuse;
/// later ones allow more, none of them less.
const ALLOWED: &str = "\
     _llseek _newselect accept accept4 access adjtimex alarm bind brk capget capset chdir chmod \
     chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime \
     clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect \
     copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
     epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
     exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod \
     fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork \
     fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 \
     futex futex_time64 futex_waitv futimesat get_robust_list get_thread_area getcpu getcwd \
     getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups \
     getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom \
     getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname \
     getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init \
     inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents \
     io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill \
     landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr \
     link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise \
     membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
     mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive \
     mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget \
     msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause \
     pidfd_open pidfd_send_signal pipe pipe2 poll ppoll ppoll_time64 prctl pread64 preadv preadv2 \
     prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead \
     readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages \
     removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending \
     rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
     rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min \
     sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
     sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
     sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop \
     semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list \
     set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
     setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid \
     setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid \
     setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 \
     sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx symlink \
     symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete \
     timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
     timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate \
     truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes \
     vfork vmsplice wait4 waitid waitpid write writev";

/// Further calls that it allows with a capability.
const WITH_CAPABILITY: &[(&str, &str)] = &[
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr \
         move_mount open_tree perf_event_open quotactl setdomainname sethostname setns syslog umount \
         umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy"),
    ("SYS_PACCT", "acct"),
    (
        "SYS_PTRACE",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
    ),
    ("SYS_RAWIO", "ioperm iopl"),
    (
        "SYS_TIME",
        "clock_settime clock_settime64 settimeofday stime",
    ),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYSLOG", "syslog"),
];

/// Calls that it allows only with certain arguments.
const CONDITIONAL: [&str; 4] = ["clone", "personality", "socket", "arch_prctl"];

/// Equivalent calls, of which libraries choose one: with one of a line all are allowed.
const FAMILIES: &[&str] = &[
    "read pread64 readv preadv preadv2",
    "write pwrite64 writev pwritev pwritev2",
    "open openat openat2 creat",
    "close close_range",
    "stat fstat lstat newfstatat statx stat64 fstat64 lstat64 fstatat64",
    "statfs fstatfs statfs64 fstatfs64",
    "access faccessat faccessat2",
    "readlink readlinkat",
    "poll ppoll ppoll_time64 select pselect6 pselect6_time64 _newselect",
    "epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2",
    "eventfd eventfd2",
    "signalfd signalfd4",
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
    "timerfd_create timerfd_settime timerfd_gettime",
    "timer_create timer_settime timer_gettime timer_delete timer_getoverrun",
    "setitimer getitimer alarm",
    "dup dup2 dup3",
    "pipe pipe2",
    "fcntl fcntl64",
    "socket socketpair connect bind listen accept accept4 shutdown getsockname getpeername \
     getsockopt setsockopt sendto sendmsg sendmmsg send recvfrom recvmsg recvmmsg \
     recvmmsg_time64 recv",
    "wait4 waitid waitpid",
    "fork vfork clone",
    "execve execveat",
    "exit exit_group",
    "kill tgkill tkill rt_sigqueueinfo rt_tgsigqueueinfo",
    "rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait \
     rt_sigtimedwait_time64 rt_sigreturn sigaltstack",
    "futex futex_time64 futex_waitv",
    "mmap munmap mremap mprotect madvise brk mincore",
    "mlock mlock2 mlockall munlock munlockall",
    "shmget shmat shmdt shmctl",
    "semget semop semtimedop semctl",
    "msgget msgsnd msgrcv msgctl",
    "mq_open mq_timedsend mq_timedreceive mq_notify mq_getsetattr mq_unlink",
    "io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy",
    "mkdir mkdirat",
    "rmdir unlink unlinkat",
    "rename renameat renameat2",
    "link linkat",
    "symlink symlinkat",
    "mknod mknodat",
    "chmod fchmod fchmodat",
    "chown fchown lchown fchownat",
    "utime utimes utimensat futimesat",
    "truncate ftruncate fallocate",
    "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr",
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr",
    "getdents getdents64",
    "chdir fchdir getcwd",
    "fsync fdatasync sync syncfs sync_file_range msync",
    "sendfile sendfile64 copy_file_range splice tee vmsplice",
    "getuid geteuid getgid getegid getresuid getresgid getgroups",
    "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid",
    "getpid getppid gettid getpgrp getpgid getsid",
    "setpgid setsid",
    "getrlimit setrlimit prlimit64 ugetrlimit",
    "getpriority setpriority ioprio_get ioprio_set",
    "sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler \
     sched_setscheduler sched_getattr sched_setattr sched_get_priority_max \
     sched_get_priority_min sched_rr_get_interval sched_yield",
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times",
    "capget capset",
    "getcpu getrusage sysinfo uname",
    "pkey_alloc pkey_free pkey_mprotect",
    "pidfd_open pidfd_send_signal",
];

/// Calls that every program may make, or that may block forever, so that their end is not seen.
const ALWAYS: &str = "\
     rseq set_robust_list get_robust_list set_tid_address getrandom prlimit64 close_range \
     membarrier arch_prctl restart_syscall rt_sigreturn exit exit_group rt_sigsuspend pause \
     rt_sigtimedwait epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6 futex read \
     readv recvfrom recvmsg accept accept4 wait4 waitid nanosleep clock_nanosleep";

/// Calls that runc and crun make between loading the profile and starting the program and for
/// `docker exec`, and that the engine's own init makes (`--init`).
const RUNTIME: &str = "\
     access arch_prctl brk capget capset chdir clock_gettime clone close close_range dup dup3 \
     epoll_create1 epoll_ctl epoll_pwait eventfd2 execve execveat exit exit_group faccessat \
     faccessat2 fchdir fchmod fchown fcntl fstat fstatfs futex getcwd getdents64 getegid geteuid \
     getgid getgroups getpid getppid getrandom getrlimit gettid getuid ioctl kill lseek madvise \
     mmap mprotect munmap nanosleep newfstatat open openat openat2 pipe2 poll ppoll prctl \
     prlimit64 read readlink readlinkat recvmsg restart_syscall rseq rt_sigaction rt_sigprocmask \
     rt_sigreturn sched_getaffinity sched_yield seccomp sendmsg set_robust_list set_tid_address \
     setgid setgroups setregid setresgid setresuid setreuid setrlimit setpgid setsid setuid sigaltstack \
     stat statfs statx tgkill umask uname unlinkat wait4 write writev";

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_whitespace()
}

/// Calls that an engine's default profile allows to a container with these capabilities, some of
/// them under a condition.
pub(crate) fn allowed_by_default(capabilities: &[String]) -> BTreeSet<&'static str> {
    let of_capabilities = WITH_CAPABILITY
        .iter()
        .filter(|(name, _)| capabilities.iter().any(|held| held == name));
    words(ALLOWED)
        .chain(CONDITIONAL)
        .chain(of_capabilities.flat_map(|(_, calls)| words(calls)))
        .collect()
}

/// The calls to allow to a program that was seen to make `seen`: also equivalent ones, those of
/// every program, and those of its runtime.
pub(crate) fn with_families(seen: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = seen.iter().map(|name| (*name).to_owned()).collect();
    for family in FAMILIES {
        if words(family).any(|name| seen.contains(name)) {
            all.extend(words(family).map(str::to_owned));
        }
    }
    all.extend(words(ALWAYS).chain(words(RUNTIME)).map(str::to_owned));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_every_program_are_allowed_by_default() {
        let allowed = allowed_by_default(&[]);
        for name in words(ALWAYS).chain(words(RUNTIME)) {
            assert!(allowed.contains(name), "{name}");
        }
        assert!(!allowed.contains("mount") && !allowed.contains("keyctl"));
        let admin = allowed_by_default(&["SYS_ADMIN".to_owned()]);
        assert!(admin.contains("mount") && !admin.contains("chroot"));
    }

    #[test]
    fn one_of_a_family_brings_the_others() {
        let all = with_families(&BTreeSet::from(["rename"]));
        assert!(all.contains("renameat2") && all.contains("futex"));
        assert!(!all.contains("mkdir"));
    }
}
