//! Classes of paths: program directories, accounts, start-up files and the like.

mod entrypoint;

use super::path::{contains, leaf, parent_and_leaf};

/// Class of a path. Ordered from general to special; the more special class takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathClass {
    /// Programs and libraries of the image.
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
    /// Shell start-up files, system-wide or in a home directory.
    ShellStartup,
    /// SSH keys that grant login, and the server's configuration.
    SshAccess,
    /// Sources of packages and the keys that sign them.
    PackageSources,
    /// The package manager's database.
    PackageDatabase,
    /// System and service logs.
    Log,
    /// A shell's history.
    ShellHistory,
    /// Which address a name has: hosts, resolv.conf. The runtime writes them, too.
    Names,
    /// The loader's cache that `ldconfig` writes: ld.so.cache.
    LoaderCache,
    /// Files that the runtime or the system maintains: hostname, mtab, lock files.
    Managed,
}

impl PathClass {
    /// Whether writing such a file gives lasting access, rights or execution.
    #[must_use]
    pub(crate) fn gives_access(self) -> bool {
        matches!(
            self,
            Self::Accounts
                | Self::Sudoers
                | Self::Pam
                | Self::LdPreload
                | Self::LdConf
                | Self::Cron
                | Self::Service
                | Self::ShellStartup
                | Self::SshAccess
        )
    }
}

/// Directories of an image that are searched for the original of a moved or copied program. Wider
/// than [`PROGRAM_DIRS`]: applications have programs below `/opt` and `/app`.
pub(crate) const PROGRAM_TREES: &[&[u8]] = &[
    b"bin",
    b"sbin",
    b"usr/bin",
    b"usr/sbin",
    b"usr/local",
    b"usr/libexec",
    b"usr/lib",
    b"lib",
    b"opt",
    b"app",
];

/// Directories whose files are of class [`PathClass::Program`].
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

/// Directories of the functions by which shells complete a command line.
const COMPLETIONS: &[&[u8]] = &[
    b"usr/share/bash-completion/",
    b"usr/share/fish/vendor_completions.d/",
    b"usr/share/zsh/vendor-completions/",
    b"usr/local/share/zsh/site-functions/",
];

/// Whether a directory is one where anybody may write and nothing stays.
#[must_use]
pub(crate) fn is_shared(directory: &[u8]) -> bool {
    matches!(directory, b"/tmp" | b"/var/tmp" | b"/dev/shm" | b"/run")
}

/// Class of a path that may be a directory: a rename can replace a whole tree.
#[must_use]
pub(crate) fn of_entry(path: &[u8]) -> Option<PathClass> {
    let inside = || of(&[path, b"/"].concat());
    match of(path) {
        // `/etc/cron.d` itself is not an ordinary file of `/etc`.
        Some(PathClass::EtcTop) => inside().filter(|p| *p != PathClass::EtcBelow),
        other => other,
    }
    .or_else(|| of(path))
    .or_else(inside)
}

/// Whether programs write this file of a program directory in ordinary operation: caches of
/// interpreters.
fn is_cache(path: &[u8]) -> bool {
    path.ends_with(b".pyc")
        || contains(path, b"/__pycache__/")
        || path.ends_with(b"/__pycache__")
        || contains(path, b"/.cache/")
        // Indexes that tools create of a library directory, and the locales.
        || path.ends_with(b".cache")
        || path.starts_with(b"/usr/lib/locale/")
}

/// Class of `path`, an absolute path inside a container; `None` for a path of no class.
#[must_use]
pub(crate) fn of(path: &[u8]) -> Option<PathClass> {
    let rest = path.strip_prefix(b"/")?;
    if is_ssh_access(path) {
        return Some(PathClass::SshAccess);
    }
    match rest.first()? {
        b'e' if rest.starts_with(b"etc/") => Some(etc(rest.get(4..)?)),
        b'b' | b's' | b'l' | b'u' if !rest.starts_with(b"srv/") => {
            if let Some(special) = service_dir(rest) {
                return Some(special);
            }
            // An interactive shell reads these.
            if COMPLETIONS.iter().any(|dir| rest.starts_with(dir)) {
                return Some(PathClass::ShellStartup);
            }
            let program = PROGRAM_DIRS.iter().any(|d| rest.starts_with(d)) && !is_cache(path);
            program.then_some(PathClass::Program)
        }
        b'v' => var(rest),
        b's' if rest.starts_with(b"srv/") => service_home(rest.get(4..)?),
        b'o' if rest.starts_with(b"opt/") => service_home(rest.get(4..)?),
        b'r' if rest.starts_with(b"root/") => home(rest.get(5..)?),
        b'r' if rest.starts_with(b"run/systemd/system/") => Some(PathClass::Service),
        b'd' | b'e' | b'c' if entrypoint::is_entrypoint(rest) => Some(PathClass::Service),
        b'h' if rest.starts_with(b"home/") => {
            let user = rest.get(5..)?;
            home(user.get(user.iter().position(|b| *b == b'/')? + 1..)?)
        }
        _ => None,
    }
}

/// SSH keys that grant login, in any home directory: those of service accounts may be anywhere.
fn is_ssh_access(path: &[u8]) -> bool {
    let (parent, leaf) = parent_and_leaf(path);
    matches!(
        leaf,
        b"authorized_keys" | b"authorized_keys2" | b"rc" | b"environment"
    ) && parent == b".ssh"
        && !path.starts_with(b"/tmp/")
        && !path.starts_with(b"/var/tmp/")
        && !path.starts_with(b"/dev/shm/")
}

/// A start-up file in the home directory of a service's account, such as `/var/lib/postgresql`.
fn service_home(rest: &[u8]) -> Option<PathClass> {
    let inside = rest.get(rest.iter().position(|b| *b == b'/')? + 1..)?;
    home(inside).filter(|p| *p != PathClass::Service)
}

fn service_dir(rest: &[u8]) -> Option<PathClass> {
    if rest.starts_with(b"lib/systemd/system")
        || rest.starts_with(b"usr/lib/systemd/system")
        || rest.starts_with(b"usr/local/lib/systemd/")
    {
        return Some(PathClass::Service);
    }
    (contains(rest, b"/security/pam_") && rest.ends_with(b".so")).then_some(PathClass::Pam)
}

fn etc(name: &[u8]) -> PathClass {
    match name {
        b"passwd" | b"shadow" | b"group" | b"gshadow" | b"subuid" | b"subgid" => {
            return PathClass::Accounts;
        }
        b"sudoers" | b"doas.conf" => return PathClass::Sudoers,
        b"ld.so.preload" => return PathClass::LdPreload,
        b"ld.so.conf" => return PathClass::LdConf,
        b"crontab" | b"anacrontab" => return PathClass::Cron,
        b"rc.local" | b"inittab" | b"inetd.conf" | b"modules" | b"supervisord.conf" => {
            return PathClass::Service;
        }
        b"profile" | b"bash.bashrc" | b"bash.bashrc.local" | b"bashrc" | b"bash.bash_logout"
        | b"zshrc" | b"zshenv" | b"zprofile" | b"zlogin" | b"csh.cshrc" | b"csh.login"
        | b"ksh.kshrc" | b"environment" => {
            return PathClass::ShellStartup;
        }
        b"pip.conf" | b"npmrc" => return PathClass::PackageSources,
        b"hosts" | b"resolv.conf" => return PathClass::Names,
        b"ld.so.cache" => return PathClass::LoaderCache,
        b"hostname" | b"mtab" | b".pwd.lock" | b"passwd-" | b"shadow-" | b"group-"
        | b"gshadow-" | b"passwd.lock" | b"shadow.lock" | b"group.lock" | b"gshadow.lock"
        | b"subuid-" | b"subgid-" | b"subuid.lock" | b"subgid.lock" | b"machine-id"
        | b"localtime" | b"timezone" | b"adjtime" => {
            return PathClass::Managed;
        }
        _ => {}
    }
    let Some(slash) = name.iter().position(|b| *b == b'/') else {
        return PathClass::EtcTop;
    };
    let (dir, rest) = name.split_at(slash);
    match dir {
        b"sudoers.d" | b"doas.d" | b"polkit-1" => PathClass::Sudoers,
        b"pam.d" => PathClass::Pam,
        b"ld.so.conf.d" => PathClass::LdConf,
        b"cron.d" | b"cron.hourly" | b"cron.daily" | b"cron.weekly" | b"cron.monthly"
        | b"crontabs" | b"periodic" => PathClass::Cron,
        b"systemd" | b"init.d" | b"init" | b"rc.d" | b"runit" | b"local.d" => PathClass::Service,
        b"rc0.d" | b"rc1.d" | b"rc2.d" | b"rc3.d" | b"rc4.d" | b"rc5.d" | b"rc6.d" | b"rcS.d" => {
            PathClass::Service
        }
        b"profile.d" | b"bashrc.d" | b"bash_completion.d" | b"zsh" => PathClass::ShellStartup,
        b"fish" if is_fish_startup(rest) => PathClass::ShellStartup,
        // The system runs these on its own: at a login, for a device, with a network.
        b"update-motd.d" | b"xinetd.d" => PathClass::Service,
        b"udev" if rest.starts_with(b"/rules.d/") => PathClass::Service,
        b"xdg" if rest.starts_with(b"/autostart/") => PathClass::Service,
        b"network" if rest.starts_with(b"/if-") => PathClass::Service,
        b"NetworkManager" if rest.starts_with(b"/dispatcher.d/") => PathClass::Service,
        b"dhcp" if contains(rest, b"-hooks.d/") => PathClass::Service,
        b"modprobe.d" | b"modules-load.d" => PathClass::Service,
        b"supervisor" | b"supervisord.d" | b"supervisor.d" if rest.ends_with(b".conf") => {
            PathClass::Service
        }
        b"service" | b"sv" | b"s6" | b"s6-overlay" | b"s6-rc.d" | b"services.d"
        | b"cont-init.d" | b"my_init.d"
            if is_supervised(rest) =>
        {
            PathClass::Service
        }
        // Package managers run the commands these name.
        b"apt" if rest.starts_with(b"/apt.conf") => PathClass::PackageSources,
        // Links that select the program behind a common name.
        b"alternatives" => PathClass::Program,
        b"ssh" if rest.starts_with(b"/sshd_config") => PathClass::SshAccess,
        b"apt" if rest.starts_with(b"/sources.list") || rest.starts_with(b"/trusted.gpg") => {
            PathClass::PackageSources
        }
        b"apk" if rest == b"/repositories" || rest.starts_with(b"/keys/") => {
            PathClass::PackageSources
        }
        b"apk" => PathClass::PackageDatabase,
        b"yum.repos.d" => PathClass::PackageSources,
        b"xdg" if rest == b"/pip/pip.conf" => PathClass::PackageSources,
        _ => PathClass::EtcBelow,
    }
}

/// A service of a supervisor's directory or what starts it, not what the supervisor notes there.
fn is_supervised(rest: &[u8]) -> bool {
    let depth = rest.iter().filter(|b| **b == b'/').count();
    depth == 1 || matches!(leaf(rest), b"run" | b"finish" | b"up" | b"type")
}

fn var(rest: &[u8]) -> Option<PathClass> {
    let rest = rest.strip_prefix(b"var/")?;
    if rest.starts_with(b"spool/cron/")
        || rest.starts_with(b"spool/at/")
        || rest.starts_with(b"cron/tabs/")
    {
        return Some(PathClass::Cron);
    }
    if rest.starts_with(b"log/") {
        return Some(PathClass::Log);
    }
    if rest.starts_with(b"lib/dpkg/")
        || rest.starts_with(b"lib/rpm/")
        || rest.starts_with(b"lib/apt/")
    {
        return Some(PathClass::PackageDatabase);
    }
    if let Some(rest) = rest.strip_prefix(b"lib/") {
        return service_home(rest);
    }
    rest.strip_prefix(b"www/").and_then(home)
}

fn home(rest: &[u8]) -> Option<PathClass> {
    match rest {
        b".bashrc" | b".bash_profile" | b".bash_login" | b".bash_logout" | b".bash_aliases"
        | b".profile" | b".zshrc" | b".zprofile" | b".zshenv" | b".zlogin" | b".zlogout"
        | b".kshrc" | b".mkshrc" | b".ashrc" | b".cshrc" | b".tcshrc" | b".login"
        | b".pam_environment" => Some(PathClass::ShellStartup),
        _ if rest
            .strip_prefix(b".config/fish")
            .is_some_and(is_fish_startup) =>
        {
            Some(PathClass::ShellStartup)
        }
        b".config/pip/pip.conf"
        | b".pip/pip.conf"
        | b".npmrc"
        | b".yarnrc"
        | b".yarnrc.yml"
        | b".condarc"
        | b".gemrc" => Some(PathClass::PackageSources),
        b".ssh/authorized_keys" | b".ssh/authorized_keys2" | b".ssh/rc" | b".ssh/environment" => {
            Some(PathClass::SshAccess)
        }
        _ if rest.starts_with(b".config/systemd/user/")
            || rest.starts_with(b".config/autostart/") =>
        {
            Some(PathClass::Service)
        }
        // Python runs these at every start.
        _ if rest.starts_with(b".local/lib/python")
            && (rest.ends_with(b".pth") || rest.ends_with(b"customize.py")) =>
        {
            Some(PathClass::ShellStartup)
        }
        _ if is_history(leaf(rest)) && !rest.contains(&b'/') => Some(PathClass::ShellHistory),
        _ => None,
    }
}

/// Whether each shell runs this file of the directory of fish.
fn is_fish_startup(rest: &[u8]) -> bool {
    rest == b"/config.fish" || rest.starts_with(b"/conf.d/") && rest.ends_with(b".fish")
}

/// Whether the package manager runs the file when its package is changed.
#[must_use]
pub(crate) fn is_package_script(path: &[u8]) -> bool {
    let ends: &[&[u8]] = &[b".preinst", b".postinst", b".prerm", b".postrm"];
    path.starts_with(b"/var/lib/dpkg/info/") && ends.iter().any(|end| path.ends_with(end))
}

/// Whether the file holds a registry's address and, as a rule, the token for it: tools write it for
/// each job.
#[must_use]
pub(crate) fn is_registry_login(path: &[u8]) -> bool {
    matches!(leaf(path), b".npmrc" | b".yarnrc" | b".yarnrc.yml")
}

/// Directories of trusted certificates and keys.
const TRUST_STORES: &[&[u8]] = &[
    b"/usr/share/keyrings/",
    b"/usr/share/ca-certificates/",
    b"/usr/local/share/ca-certificates/",
    b"/usr/share/pki/ca-trust-source/",
    b"/var/lib/ca-certificates/",
];

/// Whether the file is in a store of trusted certificates or keys outside `/etc`.
#[must_use]
pub(crate) fn is_trusted(path: &[u8]) -> bool {
    TRUST_STORES.iter().any(|store| path.starts_with(store))
}

/// Directories whose contents come from package managers of languages, build tools and editors.
const PACKAGE_TREES: &[&[u8]] = &[
    b"/node_modules/",
    b"/site-packages/",
    b"/dist-packages/",
    b"/gems/",
    b"/vendor/",
    b"/venv/",
    b"/.venv/",
    b"/.cargo/",
    b"/.rustup/",
    b"/cargo/registry/",
    b"/rustup/toolchains/",
    b"/target/debug/",
    b"/target/release/",
    b"/go/pkg/",
    b"/go-build",
    b"/.npm/",
    b"/.nvm/",
    b"/.m2/",
    b"/.gradle/",
    b"/.cache/",
    b"/CMakeFiles/",
    b"/usr/share/perl",
    b"/usr/local/share/perl",
];

/// Whether `path` is in a tree of a language's packages or of a build.
#[must_use]
pub(crate) fn in_package_tree(path: &[u8]) -> bool {
    PACKAGE_TREES.iter().any(|tree| contains(path, tree))
}

/// Whether `path` is in a cache, which programs write at any time.
#[must_use]
pub(crate) fn is_cached(path: &[u8]) -> bool {
    contains(path, b"/.cache/")
}

/// Whether Python runs the file's code at every start, wherever its modules are.
#[must_use]
pub(crate) fn starts_with_python(path: &[u8]) -> bool {
    let modules = contains(path, b"-packages/") || contains(path, b"/python");
    let name = leaf(path);
    modules
        && (name.ends_with(b".pth") || matches!(name, b"sitecustomize.py" | b"usercustomize.py"))
}

/// Whether a Git server runs the file at a push.
#[must_use]
pub(crate) fn is_server_hook(path: &[u8]) -> bool {
    let (parent, name) = parent_and_leaf(path);
    parent == b"hooks"
        && matches!(
            name,
            b"pre-receive" | b"update" | b"post-receive" | b"post-update" | b"proc-receive"
        )
}

/// Endings of scripts that a web server runs.
const WEB_SCRIPTS: &[&[u8]] = &[
    b".php", b".phtml", b".php5", b".php7", b".phar", b".jsp", b".jspx", b".asp", b".aspx", b".cgi",
];
/// Directories to which applications compile their templates.
const TEMPLATES: &[&[u8]] = &[
    b"/cache/",
    b"/caches/",
    b"/templates_c/",
    b"/storage/framework/",
    b"/twig/",
    b"/smarty/",
    b"/tmp/",
];

/// Whether a web server runs the file at `path` for a request, by its name and directory.
#[must_use]
pub(crate) fn is_web_script(path: &[u8]) -> bool {
    let compiled = TEMPLATES.iter().any(|dir| contains(path, dir));
    !compiled && WEB_SCRIPTS.iter().any(|end| path.ends_with(end)) || contains(path, b"/cgi-bin/")
}

/// Names of directories for what visitors of a web site send.
const UPLOADS: &[&[u8]] = &[
    b"/uploads/",
    b"/upload/",
    b"/images/",
    b"/img/",
    b"/media/",
    b"/attachments/",
    b"/avatars/",
    b"/userfiles/",
    b"/files/",
    b"/tmp/",
];

/// A file among what visitors of a web site send, which holds no code of the site.
#[must_use]
pub(crate) fn is_upload(path: &[u8]) -> bool {
    UPLOADS.iter().any(|dir| contains(path, dir))
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
mod tests;
