//! Names of programs by role. They identify roles; no finding rests on a name alone.
//!
//! `policy.toml` may extend the shells, interpreters, downloaders, package managers, builders and
//! wrappers.

/// Linkers, compilers and build tools.
pub(crate) const BUILDERS: &[&[u8]] = &[
    b"ld",
    b"ld.bfd",
    b"ld.gold",
    b"ld.lld",
    b"lld",
    b"mold",
    b"collect2",
    b"cc1",
    b"cc1plus",
    b"as",
    b"tcc",
    b"link",
    b"compile",
    b"rustc",
    b"cargo",
    b"go",
    b"make",
    b"gmake",
    b"ninja",
    b"cmake",
    b"meson",
    b"gcc",
    b"g++",
    b"cc",
    b"c++",
    b"clang",
    b"strip",
    b"objcopy",
    b"zig",
    b"ghc",
    b"javac",
    b"bazel",
];

/// Build tools that are scripts.
pub(crate) const BUILDER_SCRIPTS: &[&[u8]] = &[
    b"autoconf",
    b"autoheader",
    b"autom4te",
    b"automake",
    b"aclocal",
    b"autoreconf",
    b"autopoint",
    b"libtoolize",
    b"meson",
    b"scons",
    b"waf",
    b"gradle",
    b"mvn",
    b"ant",
    b"cython",
];

/// Programs that copy files.
pub(crate) const COPIERS: &[&[u8]] = &[b"cp", b"install"];

/// Binaries that contain many programs and act by their first argument.
pub(crate) const MULTI_CALL: &[&[u8]] = &[b"busybox", b"toybox", b"coreutils", b"busybox.static"];

/// Programs that only start another one, which then does the work.
pub(crate) const WRAPPERS: &[&[u8]] = &[
    b"timeout", b"env", b"nice", b"ionice", b"nohup", b"setsid", b"stdbuf", b"xargs", b"sudo",
    b"su", b"setpriv", b"runuser", b"chroot", b"unshare", b"nsenter", b"script", b"time",
];

/// Command interpreters.
pub(crate) const SHELLS: &[&[u8]] = &[
    b"sh", b"bash", b"dash", b"ash", b"zsh", b"ksh", b"mksh", b"fish", b"csh", b"tcsh", b"hush",
    b"rbash", b"pwsh", b"yash",
];

/// Interpreters of scripts other than shells.
pub(crate) const INTERPRETERS: &[&[u8]] = &[
    b"python", b"perl", b"ruby", b"node", b"nodejs", b"php", b"lua", b"luajit", b"tclsh", b"awk",
    b"gawk", b"mawk", b"deno", b"bun", b"Rscript", b"guile", b"pypy", b"expect",
];

/// Programs that fetch the files of a project, from a repository or an archive.
pub(crate) const UNPACKERS: &[&[u8]] =
    &[b"git", b"hg", b"svn", b"tar", b"bsdtar", b"unzip", b"cpio"];

/// Programs that copy whole directories.
pub(crate) const ARCHIVERS: &[&[u8]] = &[
    b"tar",
    b"bsdtar",
    b"cpio",
    b"rsync",
    b"zip",
    b"7z",
    b"7za",
    b"restic",
    b"borg",
    b"duplicity",
    b"rdiff-backup",
    b"dump",
    b"pax",
];

/// Programs that run scheduled jobs.
pub(crate) const SCHEDULERS: &[&[u8]] = &[
    b"cron",
    b"crond",
    b"anacron",
    b"run-parts",
    b"supercronic",
    b"fcron",
    b"dcron",
    b"go-cron",
    b"atd",
    b"ofelia",
    b"systemd",
    b"supervisord",
    b"s6-supervise",
    b"runsv",
];

/// Programs that transfer data from or to another host.
pub(crate) const DOWNLOADERS: &[&[u8]] = &[
    b"curl", b"wget", b"fetch", b"ftp", b"tftp", b"aria2c", b"lynx", b"scp", b"sftp", b"nc",
    b"ncat", b"netcat", b"socat", b"telnet", b"GET", b"http", b"axel", b"ftpget",
];

/// Package managers of distributions and languages.
pub(crate) const PACKAGE_MANAGERS: &[&[u8]] = &[
    b"apt",
    b"apt-get",
    b"aptitude",
    b"dpkg",
    b"dpkg-deb",
    b"apk",
    b"rpm",
    b"yum",
    b"dnf",
    b"microdnf",
    b"tdnf",
    b"zypper",
    b"pacman",
    b"opkg",
    b"pip",
    b"pipx",
    b"uv",
    b"npm",
    b"yarn",
    b"pnpm",
    b"gem",
    b"bundle",
    b"poetry",
    b"conda",
    b"mamba",
    b"unattended-upgrade",
    b"virtualenv",
    b"xbps-install",
    b"emerge",
    b"nix-env",
];

/// Names of well-known system programs: another program under one of them misleads.
pub(crate) const SYSTEM_NAMES: &[&[u8]] = &[
    b"init",
    b"systemd",
    b"sshd",
    b"cron",
    b"crond",
    b"dbus-daemon",
    b"rsyslogd",
    b"syslogd",
    b"udevd",
    b"systemd-udevd",
    b"systemd-journald",
    b"systemd-logind",
    b"agetty",
    b"getty",
    b"login",
    b"nginx",
    b"apache2",
    b"httpd",
    b"mysqld",
    b"postgres",
    b"redis-server",
    b"php-fpm",
    b"java",
    b"python",
    b"perl",
    b"node",
    b"dockerd",
    b"containerd",
    b"containerd-shim",
    b"runc",
    b"kubelet",
    b"kthreadd",
    b"ls",
    b"ps",
    b"top",
    b"cat",
    b"su",
    b"sudo",
    b"bash",
    b"sh",
    b"dash",
    b"curl",
    b"wget",
    b"ssh",
    b"netstat",
    b"ss",
    b"find",
    b"id",
];

/// Programs whose only work is to be process 1 for another.
pub(crate) const SMALL_INITS: &[&[u8]] = &[
    b"tini",
    b"tini-static",
    b"docker-init",
    b"dumb-init",
    b"catatonit",
    b"init",
];

/// Programs that check or change logins.
pub(crate) const LOGIN_PROGRAMS: &[&[u8]] = &[
    b"sshd",
    b"sshd-session",
    b"login",
    b"su",
    b"sudo",
    b"cron",
    b"crond",
    b"passwd",
    b"unix_chkpwd",
    b"useradd",
    b"userdel",
    b"usermod",
    b"groupadd",
    b"groupmod",
    b"groupdel",
    b"chage",
    b"chpasswd",
    b"adduser",
    b"addgroup",
    b"pwck",
    b"grpck",
    b"vsftpd",
    b"dovecot",
    b"auth",
    b"saslauthd",
    b"smbd",
    b"nscd",
    b"sssd",
    b"gpasswd",
    b"newusers",
    b"systemd-sysusers",
    b"pwconv",
    b"atd",
    b"crontab",
    b"runuser",
    b"chsh",
    b"chfn",
    b"expiry",
    b"visudo",
    b"doas",
    b"screen",
];

/// Servers that provide login shells.
pub(crate) const LOGIN_SERVERS: &[&[u8]] = &[b"sshd", b"sshd-session", b"dropbear", b"login"];

/// Tools that show, copy or delete files, without versions (`base` is `base64`).
pub(crate) const FILE_TOOLS: &[&[u8]] = &[
    b"cat",
    b"head",
    b"tail",
    b"less",
    b"more",
    b"grep",
    b"egrep",
    b"fgrep",
    b"cp",
    b"mv",
    b"dd",
    b"tar",
    b"base64",
    b"base",
    b"xxd",
    b"od",
    b"hexdump",
    b"strings",
    b"find",
    b"vi",
    b"vim",
    b"nano",
    b"sed",
    b"cut",
    b"tee",
    b"zip",
    b"gzip",
    b"rm",
    b"truncate",
    b"shred",
    b"unlink",
    b"ln",
    b"diff",
    b"sort",
    b"awk",
    b"gawk",
    b"mawk",
    b"rev",
    b"tac",
    b"nl",
    b"wc",
    b"john",
    b"unshadow",
];

/// Tools that read a file and print a digest or a verdict, never its content.
pub(crate) const DIGESTERS: &[&[u8]] = &[
    b"md5sum",
    b"sha1sum",
    b"sha224sum",
    b"sha256sum",
    b"sha384sum",
    b"sha512sum",
    b"b2sum",
    b"cksum",
    b"sum",
    b"crc32",
    b"shasum",
    b"file",
    b"debsums",
    b"aide",
    b"tripwire",
    b"samhain",
    b"clamscan",
    b"clamdscan",
    b"rkhunter",
    b"chkrootkit",
];

/// Programs that trace the one they start.
pub(crate) const DEBUGGERS: &[&[u8]] = &[
    b"strace",
    b"ltrace",
    b"gdb",
    b"gdbserver",
    b"lldb",
    b"dlv",
    b"valgrind",
    b"rr",
    b"perf",
    b"py-spy",
];

/// Shells that interpret a file themselves when the kernel refuses to execute it.
pub(crate) const RETRYING_SHELLS: &[&[u8]] = &[b"bash", b"zsh", b"ksh"];

/// Programs that rotate or truncate logs.
pub(crate) const LOG_ROTATORS: &[&[u8]] = &[
    b"logrotate",
    b"savelog",
    b"newsyslog",
    b"run-parts",
    b"svlogd",
    b"multilog",
    b"cron",
    b"crond",
    b"anacron",
    b"s6-log",
    b"rotatelogs",
    b"cronolog",
];

/// Programs that empty or overwrite a file.
pub(crate) const TRUNCATORS: &[&[u8]] = &[b"truncate", b"shred"];

/// Programs that overwrite the content of existing files.
pub(crate) const DESTROYERS: &[&[u8]] = &[
    b"shred",
    b"wipe",
    b"srm",
    b"scrub",
    b"sfill",
    b"secure-delete",
    b"dd",
    b"ddrescue",
    b"nwipe",
];

/// Language runtimes that unpack their libraries into a temporary directory.
pub(crate) const UNPACKING_RUNTIMES: &[&[u8]] = &[b"java", b"dotnet", b"mono", b"beam.smp", b"R"];

/// Programs of images that gain privileges by their set-user-ID bit.
pub(crate) const SETUID_TOOLS: &[&[u8]] = &[
    b"sudo",
    b"su",
    b"doas",
    b"runuser",
    b"newgrp",
    b"passwd",
    b"chsh",
    b"pkexec",
    b"mount",
    b"umount",
    b"ping",
    b"crontab",
    b"unix_chkpwd",
    b"gpasswd",
    b"chfn",
];

/// Beginnings of names of kernel threads.
pub(crate) const KERNEL_THREADS: &[&[u8]] = &[
    b"kworker/",
    b"ksoftirqd/",
    b"migration/",
    b"cpuhp/",
    b"idle_inject/",
    b"rcu_sched",
    b"rcu_preempt",
    b"kthreadd",
    b"kswapd0",
    b"kdevtmpfs",
    b"khugepaged",
    b"jbd2/",
];

/// Whether a name begins as only those of kernel threads do.
#[must_use]
pub(crate) fn names_kernel_thread(name: &[u8]) -> bool {
    KERNEL_THREADS.iter().any(|start| name.starts_with(start))
}

/// Daemons whose name an interpreter or a tool may take to hide.
pub(crate) const DAEMONS: &[&[u8]] = &[
    b"sshd",
    b"cron",
    b"crond",
    b"systemd",
    b"systemd-journald",
    b"systemd-logind",
    b"systemd-udevd",
    b"dbus-daemon",
    b"rsyslogd",
    b"nginx",
    b"apache2",
    b"httpd",
    b"dockerd",
    b"containerd",
    b"containerd-shim",
    b"kubelet",
    b"agetty",
];

/// Tools that search for, write or fetch text, which may mention a miner.
pub(crate) const TEXT_TOOLS: &[&[u8]] = &[
    b"grep", b"egrep", b"fgrep", b"sed", b"awk", b"echo", b"printf", b"rg", b"pgrep", b"pkill",
    b"find", b"vi", b"vim", b"curl", b"wget", b"git",
];

/// Programs that connect a pipe to the network.
pub(crate) const STREAM_TOOLS: &[&[u8]] =
    &[b"nc", b"ncat", b"netcat", b"socat", b"telnet", b"openssl"];

/// Programs that only run another one in a sandbox.
pub(crate) const SANDBOXES: &[&[u8]] = &[b"bwrap", b"firejail", b"nsjail", b"minijail0"];

/// Programs that fetch a URL.
pub(crate) const FETCHERS: &[&[u8]] = &[b"curl", b"wget", b"fetch", b"aria2c", b"axel"];
