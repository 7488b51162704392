//! What a path means: program directories, accounts, start-up files and the like.

/// What lies at a path. Ordered from general to special; the special one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Programs and libraries the image brings.
    Program,
    /// Other configuration directly under `/etc`.
    EtcTop,
    /// Other configuration further down in `/etc`.
    EtcBelow,
    /// passwd, shadow, group, gshadow.
    Accounts,
    /// sudoers and sudoers.d.
    Sudoers,
    /// PAM configuration and modules.
    Pam,
    /// `/etc/ld.so.preload`.
    LdPreload,
    /// ld.so.conf and its directory.
    LdConf,
    /// cron tables and directories.
    Cron,
    /// systemd units, init scripts, rc.local.
    Service,
    /// Shell start-up files, system-wide or in a home.
    ShellStartup,
    /// SSH keys that may log in, and the server's configuration.
    SshAccess,
    /// Where packages come from.
    PackageSources,
    /// The package manager's database.
    PackageDatabase,
    /// System and service logs.
    Log,
    /// A shell's history.
    ShellHistory,
    /// Written by the runtime or the system itself: hosts, resolv.conf, ld.so.cache, mtab.
    Managed,
}

const PROGRAM_DIRS: &[&[u8]] = &[
    b"bin/",
    b"sbin/",
    b"lib/",
    b"lib32/",
    b"lib64/",
    b"libx32/",
    b"usr/bin/",
    b"usr/sbin/",
    b"usr/lib/",
    b"usr/lib32/",
    b"usr/lib64/",
    b"usr/libexec/",
    b"usr/local/bin/",
    b"usr/local/sbin/",
    b"usr/local/lib/",
    b"usr/local/libexec/",
];

/// Files in program directories that programs write in ordinary operation: caches of
/// interpreters.
fn is_cache(path: &[u8]) -> bool {
    path.ends_with(b".pyc")
        || contains(path, b"/__pycache__/")
        || path.ends_with(b"/__pycache__")
        || contains(path, b"/.cache/")
        // Tables that libraries make of what lies beside them, and the locales.
        || path.ends_with(b".cache")
        || path.starts_with(b"/usr/lib/locale/")
}

fn contains(path: &[u8], part: &[u8]) -> bool {
    path.windows(part.len()).any(|w| w == part)
}

fn leaf(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// What lies at `path`, an absolute path inside a container. `None`: nothing special.
#[must_use]
pub(crate) fn of(path: &[u8]) -> Option<Place> {
    let rest = path.strip_prefix(b"/")?;
    match rest.first()? {
        b'e' if rest.starts_with(b"etc/") => Some(etc(rest.get(4..)?)),
        b'b' | b's' | b'l' | b'u' => {
            if let Some(special) = service_dir(rest) {
                return Some(special);
            }
            let program = PROGRAM_DIRS.iter().any(|d| rest.starts_with(d)) && !is_cache(path);
            program.then_some(Place::Program)
        }
        b'v' => var(rest),
        b'r' if rest.starts_with(b"root/") => home(rest.get(5..)?),
        b'r' if rest.starts_with(b"run/systemd/system/") => Some(Place::Service),
        b'h' if rest.starts_with(b"home/") => {
            let user = rest.get(5..)?;
            home(user.get(user.iter().position(|b| *b == b'/')? + 1..)?)
        }
        _ => None,
    }
}

fn service_dir(rest: &[u8]) -> Option<Place> {
    if rest.starts_with(b"lib/systemd/system")
        || rest.starts_with(b"usr/lib/systemd/system")
        || rest.starts_with(b"usr/local/lib/systemd/")
    {
        return Some(Place::Service);
    }
    (contains(rest, b"/security/pam_") && rest.ends_with(b".so")).then_some(Place::Pam)
}

fn etc(name: &[u8]) -> Place {
    match name {
        b"passwd" | b"shadow" | b"group" | b"gshadow" | b"subuid" | b"subgid" => {
            return Place::Accounts;
        }
        b"sudoers" => return Place::Sudoers,
        b"ld.so.preload" => return Place::LdPreload,
        b"ld.so.conf" => return Place::LdConf,
        b"crontab" | b"anacrontab" => return Place::Cron,
        b"rc.local" | b"inittab" => return Place::Service,
        b"profile" | b"bash.bashrc" | b"bashrc" | b"zshrc" | b"environment" => {
            return Place::ShellStartup;
        }
        b"hosts" | b"hostname" | b"resolv.conf" | b"mtab" | b"ld.so.cache" | b".pwd.lock"
        | b"passwd-" | b"shadow-" | b"group-" | b"gshadow-" | b"passwd.lock" | b"shadow.lock"
        | b"group.lock" | b"gshadow.lock" | b"subuid-" | b"subgid-" | b"subuid.lock"
        | b"subgid.lock" | b"machine-id" | b"localtime" | b"timezone" | b"adjtime" => {
            return Place::Managed;
        }
        _ => {}
    }
    let Some(slash) = name.iter().position(|b| *b == b'/') else {
        return Place::EtcTop;
    };
    let (dir, rest) = name.split_at(slash);
    match dir {
        b"sudoers.d" => Place::Sudoers,
        b"pam.d" => Place::Pam,
        b"ld.so.conf.d" => Place::LdConf,
        b"cron.d" | b"cron.hourly" | b"cron.daily" | b"cron.weekly" | b"cron.monthly"
        | b"crontabs" | b"periodic" => Place::Cron,
        b"systemd" | b"init.d" | b"init" | b"rc.d" | b"runit" | b"local.d" => Place::Service,
        b"rc0.d" | b"rc1.d" | b"rc2.d" | b"rc3.d" | b"rc4.d" | b"rc5.d" | b"rc6.d" | b"rcS.d" => {
            Place::Service
        }
        b"profile.d" => Place::ShellStartup,
        b"ssh" if rest.starts_with(b"/sshd_config") => Place::SshAccess,
        b"apt" if rest.starts_with(b"/sources.list") || rest.starts_with(b"/trusted.gpg") => {
            Place::PackageSources
        }
        b"apk" if rest == b"/repositories" || rest.starts_with(b"/keys/") => Place::PackageSources,
        b"apk" => Place::PackageDatabase,
        b"yum.repos.d" => Place::PackageSources,
        _ => Place::EtcBelow,
    }
}

fn var(rest: &[u8]) -> Option<Place> {
    let rest = rest.strip_prefix(b"var/")?;
    if rest.starts_with(b"spool/cron/") || rest.starts_with(b"cron/tabs/") {
        return Some(Place::Cron);
    }
    if rest.starts_with(b"log/") {
        return Some(Place::Log);
    }
    if rest.starts_with(b"lib/dpkg/")
        || rest.starts_with(b"lib/rpm/")
        || rest.starts_with(b"lib/apt/")
    {
        return Some(Place::PackageDatabase);
    }
    None
}

fn home(rest: &[u8]) -> Option<Place> {
    match rest {
        b".bashrc"
        | b".bash_profile"
        | b".bash_login"
        | b".bash_logout"
        | b".profile"
        | b".zshrc"
        | b".zprofile"
        | b".zshenv"
        | b".kshrc"
        | b".ashrc"
        | b".cshrc"
        | b".config/fish/config.fish" => Some(Place::ShellStartup),
        b".ssh/authorized_keys" | b".ssh/authorized_keys2" | b".ssh/rc" | b".ssh/environment" => {
            Some(Place::SshAccess)
        }
        _ if rest.starts_with(b".config/systemd/user/") => Some(Place::Service),
        _ if is_history(leaf(rest)) && !rest.contains(&b'/') => Some(Place::ShellHistory),
        _ => None,
    }
}

fn is_history(name: &[u8]) -> bool {
    matches!(
        name,
        b".bash_history"
            | b".ash_history"
            | b".zsh_history"
            | b".sh_history"
            | b".history"
            | b".python_history"
            | b".mysql_history"
            | b".psql_history"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_lies_there() {
        for (path, place) in [
            ("/bin/ls", Some(Place::Program)),
            ("/usr/local/lib/x.so", Some(Place::Program)),
            ("/lib64/ld-linux-x86-64.so.2", Some(Place::Program)),
            ("/usr/lib/python3/__pycache__/a.cpython-313.pyc", None),
            ("/usr/lib/locale/locale-archive.x1", None),
            ("/usr/lib/gtk-3.0/3.0.0/immodules.cache", None),
            ("/usr/share/doc/x", None),
            ("/lib/systemd/system/x.service", Some(Place::Service)),
            (
                "/lib/x86_64-linux-gnu/security/pam_evil.so",
                Some(Place::Pam),
            ),
            ("/etc/passwd", Some(Place::Accounts)),
            ("/etc/passwd-", Some(Place::Managed)),
            ("/etc/shadow", Some(Place::Accounts)),
            ("/etc/ld.so.preload", Some(Place::LdPreload)),
            ("/etc/cron.d/x", Some(Place::Cron)),
            ("/var/spool/cron/crontabs/root", Some(Place::Cron)),
            ("/etc/periodic/15min/x", Some(Place::Cron)),
            ("/etc/nginx/conf.d/default.conf", Some(Place::EtcBelow)),
            ("/etc/nsswitch.conf", Some(Place::EtcTop)),
            ("/root/.ssh/authorized_keys", Some(Place::SshAccess)),
            ("/home/a/.bashrc", Some(Place::ShellStartup)),
            ("/home/a/b/.bashrc", None),
            ("/root/.bash_history", Some(Place::ShellHistory)),
            ("/var/log/nginx/access.log", Some(Place::Log)),
            ("/tmp/etc/passwd", None),
            ("/var/lib/postgresql/data/x", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(of(path.as_bytes()), place, "{path}");
        }
    }
}
