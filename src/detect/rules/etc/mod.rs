//! Changes to configuration and start-up files: accounts, loader, cron, services, shells.

mod account_tools;

use bstr::ByteSlice as _;

use crate::catalog::paths::{self, PathClass};
use crate::detect::alert::Alerts;
use crate::detect::attribution::{by_start_script, suspicious};
use crate::detect::file_change::{
    Change, Maker, RENAMED, brought, by, changes, graded, in_root, maker, refused,
};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, File, FileOp, Origin};

/// Declares a rule on one place.
macro_rules! on_place {
    ($(#[$doc:meta])* $name:ident, $class:ident, $id:literal, $severity:ident, $title:literal, $label:literal, [$($attack:literal),*], $explain:literal, $check:literal) => {
        $(#[$doc])*
        pub(super) const $name: Rule = Rule {
            info: RuleInfo {
                id: $id,
                title: $title,
                label: $label,
                severity: Severity::$severity,
                attack: &[$($attack),*],
                needs: &[Requirement::File],
                explain: $explain,
                check: $check,
            },
            handlers: &[Handler::File(|ctx, _, file| changed(ctx, file, PathClass::$class))],
        };
    };
}

on_place!(
    /// passwd, shadow, group, gshadow.
    ACCOUNTS, Accounts, "file.accounts", High,
    "Accounts or passwords changed", "accounts", ["T1136.001", "T1098"],
    "A process wrote or replaced passwd, shadow, group or gshadow after start-up, and the \
     process is not a package manager of the image. When a command from outside or the start script \
     runs the image's own tool: low for an ordinary account, medium for root's password, for a group \
     that may become root and for accounts in a file, high for an account with id 0.",
    "Which account or password differs from the image's file?"
);
on_place!(
    /// sudoers.
    SUDOERS, Sudoers, "file.sudoers", High,
    "sudo rights changed", "sudoers", ["T1548.003"],
    "A process wrote or replaced sudoers or a file in sudoers.d after start-up.",
    "Who may become root now?"
);
on_place!(
    /// PAM.
    PAM, Pam, "file.pam", High,
    "PAM login checks changed", "PAM", ["T1556.003"],
    "A process wrote or replaced PAM configuration or a PAM module: a back door in every login.",
    "Compare the file with the image's."
);
on_place!(
    /// ld.so.preload.
    LD_PRELOAD, LdPreload, "file.ld-preload", Critical,
    "Preload library set for all programs", "preload", ["T1574.006"],
    "A process wrote or replaced /etc/ld.so.preload: the loader loads the libraries it names \
     into every program that starts.",
    "Which library does it name, and which process wrote that library?"
);
/// ld.so.conf, and the cache that `ldconfig` writes.
pub(super) const LD_CONF: Rule = Rule {
    info: RuleInfo {
        id: "file.loader-path",
        title: "Library search path changed",
        label: "loader path",
        severity: Severity::High,
        attack: &["T1574.001"],
        needs: &[Requirement::File],
        explain: "A process changed ld.so.conf or its directory, or wrote ld.so.cache without \
                  being the image's ldconfig: programs may load other libraries than the image's.",
        check: "Which directory was added, and which libraries are in it?",
    },
    handlers: &[
        Handler::File(|ctx, _, file| changed(ctx, file, PathClass::LdConf)),
        Handler::File(|ctx, _, file| changed(ctx, file, PathClass::LoaderCache)),
    ],
};
on_place!(
    /// cron.
    CRON, Cron, "file.cron", High,
    "Cron job planted or changed", "cron", ["T1053.003"],
    "A process wrote, replaced or linked a cron table or a file in a cron directory after \
     start-up. It counts whether or not a cron daemon runs in the container.",
    "What does the job run? Does the image's own job differ?"
);
on_place!(
    /// Service definitions.
    SERVICE, Service, "file.service", Medium,
    "Service or boot script planted or changed", "service", ["T1543.002", "T1037.004"],
    "A process wrote or replaced a systemd unit, an init script or rc.local after start-up.",
    "What does it start? It matters most when the directory is mounted from the host."
);
on_place!(
    /// Shell start-up files.
    SHELL_STARTUP, ShellStartup, "file.shell-startup", Medium,
    "Shell start-up file changed", "shell start-up", ["T1546.004"],
    "A process wrote or replaced profile, bashrc or a similar file: the next shell runs its lines.",
    "Which lines were added?"
);
on_place!(
    /// SSH access.
    SSH_ACCESS, SshAccess, "file.ssh-access", High,
    "SSH access changed", "ssh access", ["T1098.004"],
    "A process wrote or replaced authorized_keys or the SSH server's configuration after start-up.",
    "Whose key was added?"
);
on_place!(
    /// Package sources.
    PACKAGE_SOURCES, PackageSources, "file.package-sources", Medium,
    "Package sources changed", "package source", ["T1195.002"],
    "A process changed the package repositories or their trusted keys after start-up.",
    "Which repository or key was added?"
);

/// Other configuration.
pub(super) const CONFIG: Rule = Rule {
    info: RuleInfo {
        id: "file.etc-changed",
        title: "Configuration in /etc changed",
        label: "config",
        severity: Severity::Medium,
        attack: &["T1562", "T1565.001"],
        needs: &[Requirement::File],
        explain: "A process wrote, replaced or linked a file in /etc after start-up. Medium from \
                  an exec session or directly in /etc; low when a service adds a file of its own \
                  there; info when it changes its own subdirectory, as reloading configuration \
                  does. hosts and resolv.conf count when an exec session, a server's shell or \
                  drifted code changes them.",
        check: "Compare the file with the image's.",
    },
    handlers: &[
        Handler::File(|ctx, _, file| changed(ctx, file, PathClass::EtcTop)),
        Handler::File(|ctx, _, file| changed(ctx, file, PathClass::EtcBelow)),
        Handler::File(|ctx, _, file| changed(ctx, file, PathClass::Names)),
    ],
};

/// How the file got its path along with its directory.
const BROUGHT: &str = "moved there with its directory";

fn changed(ctx: &RuleContext<'_>, file: &File, wanted: PathClass) -> Alerts {
    let mut alerts = Alerts::none();
    let class = |change: &Change<'_>| {
        if file.op == FileOp::Rename && change.verb != BROUGHT {
            ctx.class_of_entry(change.path)
        } else {
            ctx.path_class(change.path)
        }
    };
    let direct = changes(file);
    let mut brought = brought(ctx, file);
    // If the directory itself is reported, files in it belong to the same change.
    if direct.iter().flatten().any(|c| class(c) == Some(wanted)) {
        brought.clear();
    }
    let brought = brought.iter().map(|path| Change {
        path,
        verb: BROUGHT,
        errno: 0,
    });
    for change in direct.into_iter().flatten().chain(brought) {
        // The engine mounts files of its own over hosts and resolv.conf.
        let here = in_root(file) || wanted == PathClass::Names;
        if class(&change) != Some(wanted) || !here || temporary(change.path) {
            continue;
        }
        let maker = maker(ctx);
        let ordinary = match wanted {
            PathClass::LoaderCache => indexes_libraries(ctx),
            PathClass::Names => maker != Maker::Session && !by_intruder(ctx),
            PathClass::ShellStartup => {
                is_skeleton(ctx, change.path) || account_tools::removes_home(ctx, &change)
            }
            PathClass::PackageSources => is_in_home(change.path) && by_packager(ctx),
            _ => false,
        };
        if ordinary {
            continue;
        }
        match maker {
            Maker::Installer => return alerts,
            Maker::StartUp => {
                let line = format!("{} {}", change.verb, change.path.escaped());
                alerts.push(super::startup_drift(ctx, line));
                continue;
            }
            Maker::Session | Maker::Service => {}
        }
        let maintained = maker == Maker::Service && maintains(ctx, change.path);
        let severity = match (wanted, maker) {
            (PathClass::EtcBelow, Maker::Service) => Severity::Info,
            (PathClass::EtcTop, Maker::Service) if maintained => Severity::Info,
            (PathClass::EtcTop, Maker::Service) if adds(ctx, file) => Severity::Low,
            _ if change.verb == "removed" || change.verb == "moved away" => {
                ctx.rule.severity.min(Severity::Medium)
            }
            (PathClass::Accounts, Maker::Session) => {
                account_tools::severity(ctx).unwrap_or(ctx.rule.severity)
            }
            (PathClass::Accounts, Maker::Service) if by_start_script(ctx, |_| false) => {
                account_tools::severity(ctx).unwrap_or(ctx.rule.severity)
            }
            (PathClass::PackageSources, Maker::Session) if is_in_home(change.path) => Severity::Low,
            (PathClass::PackageSources, _) if paths::is_registry_login(change.path) => {
                Severity::Low
            }
            _ => ctx.rule.severity,
        };
        let line = format!(
            "{} {}{}",
            change.path.escaped(),
            change.verb,
            refused(change.errno)
        );
        // Configuration is one finding for each directory; the special files are one each.
        let subject = match wanted {
            // Changes of services to their own files are one line, wherever they are.
            PathClass::EtcBelow if maker == Maker::Service => b"/etc/*",
            PathClass::EtcTop if maintained => b"/etc/*",
            PathClass::EtcTop | PathClass::EtcBelow | PathClass::Names => {
                first_directory(change.path)
            }
            PathClass::Accounts => b"/etc/passwd",
            _ => change.path.as_bytes(),
        };
        let severity = graded(severity, change.errno).min(severity);
        let path = change.path.escaped();
        let title = match change.errno {
            0 => format!("{}: {path}", ctx.rule.title),
            _ => format!("Tried to change {path}{}", refused(change.errno)),
        };
        let mut alert = ctx
            .alert(severity, subject, |explanation| {
                explanation.title.clone_from(&title);
                explanation.why.push(by(ctx, &file.comm));
            })
            .part(change.path.clone())
            .reason(line)
            .plants(change.path)
            .continues(change.path);
        // A file that was planted under another name continues that finding.
        if file.op == FileOp::Rename {
            alert = alert.continues(&file.path);
        }
        if change.verb == RENAMED {
            alert = alert.continued_title(title);
            alert = alert.succeeds(&file.path, CONFIG.info.id);
        }
        alerts.push(alert);
    }
    alerts
}

/// The image's `ldconfig` runs.
fn indexes_libraries(ctx: &RuleContext<'_>) -> bool {
    ctx.process.is_some_and(|p| {
        let name = program_roles::leaf(&p.exe);
        matches!(p.file.origin(), Origin::Image | Origin::CopiedUp)
            && matches!(name, b"ldconfig" | b"ldconfig.real")
    })
}

/// The file is in a home directory: it counts for one user only.
fn is_in_home(path: &[u8]) -> bool {
    path.starts_with(b"/root/") || path.starts_with(b"/home/")
}

/// The image's `useradd` copies the start-up files of `/etc/skel` into a new home; the account itself
/// is reported.
fn is_skeleton(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    path.starts_with(b"/home/")
        && ctx.process.is_some_and(|p| {
            let name = program_roles::leaf(&p.exe);
            p.file.origin() == Origin::Image && matches!(name, b"useradd" | b"newusers")
        })
}

/// A package manager of a language keeps its own settings: `npm config set`.
fn by_packager(ctx: &RuleContext<'_>) -> bool {
    ctx.process.is_some_and(|p| {
        let script = match &p.script {
            Some(script) => Some(script.as_bytes()),
            None => program_roles::script_argument(&p.argv),
        };
        let tool = program_roles::leaf(script.unwrap_or(&p.exe));
        p.file.origin() == Origin::Image
            && (ctx.names().is_packager_name(tool) || matches!(tool, b"npm-cli.js" | b"yarn.js"))
    })
}

/// A shell that is not the start script's, a downloader, or drifted code.
fn by_intruder(ctx: &RuleContext<'_>) -> bool {
    suspicious(ctx) && !by_start_script(ctx, |_| false)
}

/// The service writes a file that it made or wrote in start-up already, as templates are filled in
/// again with other values.
fn maintains(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.activity(path)
        .is_some_and(|activity| ctx.in_grace(activity.first))
        && !suspicious(ctx)
}

/// Files directly in `/etc` that programs of the system read though an image may not have them. Start-up
/// files, accounts and the like have classes of their own.
const READ_BY_THE_SYSTEM: &[&[u8]] = &[
    b"doas.conf",
    b"gai.conf",
    b"host.conf",
    b"hosts.allow",
    b"hosts.deny",
    b"hosts.equiv",
    b"krb5.conf",
    b"ld.so.conf",
    b"login.defs",
    b"nsswitch.conf",
    b"securetty",
    b"shells",
    b"sysctl.conf",
];

/// The service itself writes a file that the image does not have, for itself.
fn adds(ctx: &RuleContext<'_>, file: &File) -> bool {
    let new = file.file.is_some_and(|facts| facts.upper && !facts.lower);
    let read = READ_BY_THE_SYSTEM.contains(&program_roles::leaf(&file.path));
    new && !read && file.op != FileOp::Rename && !suspicious(ctx)
}

/// `/etc/nginx` of `/etc/nginx/conf.d/x`; `/etc` of `/etc/x`.
fn first_directory(path: &[u8]) -> &[u8] {
    let second = path
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'/')
        .nth(2)
        .map(|(i, _)| i);
    match second {
        Some(end) => path.get(..end).unwrap_or(path),
        None => program_roles::directory(path),
    }
}

/// A temporary name for the replacement of another file: only the rename counts.
fn temporary(path: &Bytes) -> bool {
    let leaf = program_roles::leaf(path);
    let ends = [
        &b"~"[..],
        b".swp",
        b".swx",
        b".swpx",
        b".tmp",
        b".lock",
        b".new",
        b".bak",
        b"+",
        b".dpkg-new",
        b".dpkg-tmp",
        b".dpkg-old",
    ];
    // `sed -i` and editors write a temporary file in the same directory.
    ends.iter().any(|e| leaf.ends_with(e))
        || (leaf.starts_with(b"sed") && leaf.len() == 9)
        || leaf.starts_with(b".#")
        || leaf == b"4913"
        // busybox tells its cron daemon by this file which table has changed.
        || leaf == b"cron.update"
        // PAM writes these next to passwd and shadow.
        || matches!(leaf, b"nshadow" | b"npasswd")
        // crontab writes a temporary file in the same directory.
        || (leaf.starts_with(b"tmp.") && contains_cron(path))
        || lock_of_accounts(leaf)
}

fn contains_cron(path: &[u8]) -> bool {
    path.find(b"/cron").is_some()
}

fn lock_of_accounts(leaf: &[u8]) -> bool {
    // shadow's tools write passwd.PID before they link it to passwd.lock.
    [
        &b"passwd."[..],
        b"shadow.",
        b"group.",
        b"gshadow.",
        b"subuid.",
        b"subgid.",
    ]
    .iter()
    .any(|prefix| {
        leaf.strip_prefix(*prefix)
            .is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
    })
}

#[cfg(test)]
mod tests;
