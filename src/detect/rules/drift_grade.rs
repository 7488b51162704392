//! Severity of a difference from the image whose author is unknown, by the kind of file.

use bstr::ByteSlice as _;

use super::etc;
use crate::catalog::path::directory;
use crate::catalog::paths::{self, PathClass};
use crate::detect::Severity;
use crate::detect::rule_context::RuleContext;
use crate::event::{Difference, Differing, DriftScan, FileClass, NodeKind, Timestamp};

/// Files of one installation are changed within this many seconds of each other.
const INSTALLATION: u64 = 60;
/// Programs of a language package are created within this many seconds of its library.
const BROUGHT: u64 = 10;
/// Extensions of sources next to which a compiler writes its result.
const SOURCES: &[&[u8]] = &[
    b".c", b".cc", b".cpp", b".cxx", b".o", b".rs", b".go", b".S", b".zig",
];

/// A scan's report about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grade {
    pub(super) severity: Severity,
    /// The kind of file, as text with its article.
    pub(super) what: &'static str,
}

/// The kind of a sensitive file, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The rule that reports a change of it.
    AsBy(&'static str),
    /// A script that a web server runs.
    WebScript,
    /// A program, another script or a library.
    Code,
}

/// The kind of the sensitive file at `path`.
#[must_use]
pub(crate) fn planted(path: &[u8]) -> Planted {
    let place = paths::of(path);
    let rules = [
        (PathClass::Accounts, &etc::ACCOUNTS),
        (PathClass::Sudoers, &etc::SUDOERS),
        (PathClass::Pam, &etc::PAM),
        (PathClass::SshAccess, &etc::SSH_ACCESS),
        (PathClass::LdPreload, &etc::LD_PRELOAD),
        (PathClass::Cron, &etc::CRON),
        (PathClass::Service, &etc::SERVICE),
        (PathClass::ShellStartup, &etc::SHELL_STARTUP),
    ];
    match rules.iter().find(|(class, _)| place == Some(*class)) {
        Some((_, rule)) => Planted::AsBy(rule.info.id),
        None if paths::is_web_script(path) => Planted::WebScript,
        None => Planted::Code,
    }
}

const fn grade(severity: Severity, what: &'static str) -> Option<Grade> {
    Some(Grade { severity, what })
}

/// Times of package installations, found from the differing files.
#[derive(Debug, Default)]
pub(super) struct Installations {
    /// Files of system packages, and the package database.
    system: Vec<Timestamp>,
    /// Files in the directories of language packages.
    language: Vec<Timestamp>,
}

impl Installations {
    /// By the entries of a scan.
    pub(super) fn of(scan: &DriftScan) -> Self {
        let mut found = Self::default();
        for entry in &scan.entries {
            let record =
                entry.class == FileClass::Packages && !paths::is_package_script(&entry.path);
            if entry.package.is_some() || record {
                found.system.push(entry.ctime);
            } else if paths::in_package_tree(&entry.path)
                && !paths::starts_with_python(&entry.path)
                && !paths::is_cached(&entry.path)
            {
                found.language.push(entry.ctime);
            }
        }
        found.system.sort_unstable();
        found.language.sort_unstable();
        found
    }

    /// Whether a system package was installed about that time.
    fn of_system(&self, at: Timestamp) -> bool {
        near(&self.system, at, INSTALLATION)
    }

    /// Whether a language package was installed just then.
    fn of_language(&self, at: Timestamp) -> bool {
        near(&self.language, at, BROUGHT)
    }
}

/// Whether one of the sorted times is within that many seconds of `at`.
fn near(times: &[Timestamp], at: Timestamp, within: u64) -> bool {
    let next = times.partition_point(|time| *time < at);
    let before = next.checked_sub(1).and_then(|before| times.get(before));
    let close = |time: &Timestamp| time.since(at).max(at.since(*time)).as_secs() <= within;
    at != Timestamp(0) && times.get(next).into_iter().chain(before).any(close)
}

/// Severity of an entry; `None`: ordinary data, or no difference.
pub(super) fn of(
    ctx: &RuleContext<'_>,
    scan: &DriftScan,
    installed: &Installations,
    entry: &Differing,
) -> Option<Grade> {
    let place = ctx.path_class(&entry.path);
    let grade = by_file(scan, installed, entry, place)?;
    let at_start = ctx.made_at_start(entry.ctime);
    let severity = match entry.difference {
        _ if entry.package.is_some() => Severity::Info,
        // An intruder within the first seconds looks the same: files that start by themselves or
        // grant access are reported.
        _ if at_start && place.is_some_and(is_foothold) => Severity::Low,
        _ if at_start => Severity::Info,
        Difference::Deleted => grade.severity.min(Severity::Low),
        // Nothing bad is known about a file that could not be compared.
        Difference::Unread => grade.severity.min(Severity::Low),
        _ if entry.metadata_only && !gained_rights(entry) => grade.severity.min(Severity::Low),
        _ => grade.severity,
    };
    Some(Grade { severity, ..grade })
}

/// Files that start by themselves or grant access.
fn is_foothold(place: PathClass) -> bool {
    matches!(
        place,
        PathClass::Cron | PathClass::SshAccess | PathClass::Sudoers | PathClass::LdPreload
    )
}

/// Whether its mode was changed so that it runs with the rights of its owner or group, or it is
/// new.
fn gained_rights(entry: &Differing) -> bool {
    entry.is_setuid() && entry.mode_before.is_some_and(|mode| mode & 0o6000 == 0)
}

fn by_file(
    scan: &DriftScan,
    installed: &Installations,
    entry: &Differing,
    place: Option<PathClass>,
) -> Option<Grade> {
    use Severity::{Critical, High, Info, Low, Medium};
    // The engine creates such an empty file to mount its own program over it.
    let mount_point = entry.size == 0 && entry.kind == NodeKind::File;
    if entry.is_setuid() {
        return grade(High, "A setuid program");
    }
    match place {
        // Package scripts create the accounts that the package needs.
        Some(PathClass::Accounts) if installed.of_system(entry.ctime) => {
            return grade(Low, "An account file");
        }
        Some(PathClass::Accounts) => return grade(High, "An account file"),
        Some(PathClass::Sudoers) => return grade(High, "The list of who may become root"),
        Some(PathClass::Pam) => return grade(High, "A login check (PAM)"),
        Some(PathClass::SshAccess) => return grade(High, "SSH access"),
        Some(PathClass::LdPreload) => {
            return grade(Critical, "The list of libraries loaded into every program");
        }
        Some(PathClass::LdConf) => return grade(Medium, "The loader's search path"),
        Some(PathClass::Cron) => return grade(High, "A scheduled job"),
        // Links that enable a package's unit.
        Some(PathClass::Service)
            if entry.kind == NodeKind::Symlink && installed.of_system(entry.ctime) =>
        {
            return grade(Low, "A service");
        }
        Some(PathClass::Service) if entry.mode & 0o111 != 0 && entry.kind == NodeKind::File => {
            return grade(High, "A boot script");
        }
        Some(PathClass::Service) => return grade(Medium, "A service"),
        Some(PathClass::ShellStartup) => return grade(High, "A shell start-up file"),
        Some(PathClass::PackageSources) if installed.of_system(entry.ctime) => {
            return grade(Low, "A source of packages");
        }
        Some(PathClass::PackageSources) if paths::is_registry_login(&entry.path) => {
            return grade(Low, "A source of packages");
        }
        Some(PathClass::PackageSources) => return grade(Medium, "A source of packages"),
        _ => {}
    }
    if paths::starts_with_python(&entry.path)
        && place == Some(PathClass::Program)
        && !installed.of_language(entry.ctime)
        && !installed.of_system(entry.ctime)
    {
        return grade(High, "Code that Python runs at every start");
    }
    let listed = entry.kind == NodeKind::File && !installed.of_system(entry.ctime);
    if listed && paths::is_package_script(&entry.path) {
        return grade(Medium, "A script of an installed package");
    }
    if listed && paths::is_trusted(&entry.path) {
        return grade(Medium, "A trusted certificate or key");
    }
    match entry.class {
        FileClass::Binary if mount_point => None,
        FileClass::Binary => grade(program(scan, installed, entry, place), "A program"),
        FileClass::Library => grade(library(installed, entry, place), "A library"),
        FileClass::Script => {
            let (severity, what) = script(scan, installed, entry, place);
            grade(severity, what)
        }
        FileClass::Credentials => grade(Low, "A file of secrets"),
        FileClass::Autostart => grade(Medium, "A start-up file"),
        FileClass::Device if entry.mode & 0o170_000 == 0o060_000 => grade(Medium, "A disk device"),
        FileClass::Device => grade(Low, "A device"),
        FileClass::Config => grade(Info, "A setting"),
        FileClass::Packages | FileClass::Log | FileClass::Data => None,
    }
}

fn program(
    scan: &DriftScan,
    installed: &Installations,
    entry: &Differing,
    place: Option<PathClass>,
) -> Severity {
    // A link's target is graded at its own path, unless the link replaces a program of the image.
    let link = entry.kind == NodeKind::Symlink && entry.difference == Difference::Added;
    let packaged = paths::in_package_tree(&entry.path) || installed.of_language(entry.ctime);
    let built = match place {
        None => built_beside(scan, entry),
        // A build's `make install`.
        _ => entry.path.starts_with(b"/usr/local/") && built_elsewhere(scan, entry),
    };
    if link || packaged || built {
        return Severity::Low;
    }
    Severity::High
}

/// A file of the same content is next to the sources it was compiled from.
fn built_elsewhere(scan: &DriftScan, entry: &Differing) -> bool {
    let Some(hash) = &entry.sha256 else {
        return false;
    };
    let mut others = scan.entries.iter();
    others.any(|other| {
        other.path != entry.path && other.sha256.as_ref() == Some(hash) && built_beside(scan, other)
    })
}

/// Sources are in the same directory: it was compiled there.
fn built_beside(scan: &DriftScan, entry: &Differing) -> bool {
    let own = directory(&entry.path);
    let mut others = scan
        .entries
        .iter()
        .filter(|other| other.path != entry.path && directory(&other.path) == own);
    others.any(|other| SOURCES.iter().any(|end| other.path.ends_with(end)))
}

fn library(installed: &Installations, entry: &Differing, place: Option<PathClass>) -> Severity {
    let link = entry.kind == NodeKind::Symlink && entry.difference == Difference::Added;
    let packaged = paths::in_package_tree(&entry.path) || installed.of_language(entry.ctime);
    // Elsewhere language runtimes unpack libraries for themselves.
    if place == Some(PathClass::Program) && !link && !packaged {
        return Severity::High;
    }
    Severity::Low
}

fn script(
    scan: &DriftScan,
    installed: &Installations,
    entry: &Differing,
    place: Option<PathClass>,
) -> (Severity, &'static str) {
    if paths::in_package_tree(&entry.path) || installed.of_language(entry.ctime) {
        return (Severity::Low, "A script");
    }
    if paths::is_web_script(&entry.path) {
        return (Severity::High, "A web script");
    }
    if place == Some(PathClass::Program) {
        return (Severity::High, "A script in a program directory");
    }
    if entry.mode & 0o111 != 0 && paths::is_server_hook(&entry.path) {
        return (Severity::Medium, "A hook that a Git server runs");
    }
    // The application's own code; an update by Git also changes the repository.
    if entry.difference == Difference::Changed && !checked_out(scan, entry) {
        return (Severity::Medium, "A script of the image");
    }
    (Severity::Low, "A script")
}

/// The file is in a working tree of Git, which itself changed.
fn checked_out(scan: &DriftScan, entry: &Differing) -> bool {
    scan.entries.iter().any(|other| {
        let tree = other
            .path
            .find(b"/.git/")
            .and_then(|at| other.path.get(..=at));
        tree.is_some_and(|tree| entry.path.starts_with(tree))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testkit::{World, added as entry};
    use crate::event::Kind;

    fn scanned(w: &mut World, entries: Vec<Differing>) {
        let scan = DriftScan {
            entries,
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
    }

    #[test]
    fn start_files_of_python_git_and_packaging() {
        let of = |entries: Vec<Differing>| {
            let mut w = World::steady();
            scanned(&mut w, entries);
            let all = w.all("drift.snapshot");
            all.iter().map(|f| f.severity).max()
        };
        let modules = "/usr/lib/python3/dist-packages";
        for (path, class, severity) in [
            ("evil.pth", FileClass::Config, Severity::High),
            ("sitecustomize.py", FileClass::Script, Severity::High),
            ("usercustomize.py", FileClass::Script, Severity::High),
            ("x.py", FileClass::Script, Severity::Low),
        ] {
            let path = format!("{modules}/{path}");
            assert_eq!(of(vec![entry(&path, class)]), Some(severity), "{path}");
        }
        // An installation of a Python package contains such files.
        let pth = entry(
            "/usr/local/lib/python3.13/site-packages/x.pth",
            FileClass::Config,
        );
        let brought = entry(
            "/usr/local/lib/python3.13/site-packages/x/x.py",
            FileClass::Script,
        );
        assert_eq!(of(vec![pth, brought]), Some(Severity::Low));
        let sources = entry("/etc/apt/sources.list.d/x.list", FileClass::Config);
        assert_eq!(of(vec![sources]), Some(Severity::Medium));
        let hook = entry("/srv/r.git/hooks/post-receive", FileClass::Script);
        assert_eq!(of(vec![hook.clone()]), Some(Severity::Medium));
        let off = Differing {
            mode: 0o100_644,
            ..hook
        };
        assert_eq!(
            of(vec![off]),
            Some(Severity::Low),
            "a hook that nobody may run"
        );
    }

    #[test]
    fn a_changed_script_of_the_image_and_a_checkout() {
        let changed = |more: &[&str]| {
            let mut w = World::steady();
            let mut script = entry("/app/jobs/run.py", FileClass::Script);
            script.difference = Difference::Changed;
            let mut all = vec![script];
            // Long before or after: what was written at the same time counts as installed.
            all.extend(more.iter().map(|path| {
                let mut entry = entry(path, FileClass::Data);
                entry.ctime = Timestamp(entry.ctime.0 + 600_000_000_000);
                entry
            }));
            scanned(&mut w, all);
            w.highest()
        };
        assert_eq!(changed(&[]), Severity::Medium);
        assert_eq!(changed(&["/app/.git/FETCH_HEAD"]), Severity::Low);
        assert_eq!(changed(&["/srv/.git/FETCH_HEAD"]), Severity::Medium);
    }

    #[test]
    fn a_program_installed_from_where_it_was_compiled() {
        let installed = |source: &str, same: bool| {
            let mut w = World::steady();
            let mut program = entry("/usr/local/bin/tool", FileClass::Binary);
            program.sha256 = Some("aa".repeat(32));
            let mut built = entry("/src/tool", FileClass::Binary);
            built.sha256 = Some(if same { "aa" } else { "bb" }.repeat(32));
            scanned(&mut w, vec![program, built, entry(source, FileClass::Data)]);
            let all = w.all("drift.snapshot");
            let about = all.iter().find(|f| f.subject == "/usr/local/bin/tool");
            about.map(|f| f.severity)
        };
        assert_ne!(installed("/src/tool.c", true), Some(Severity::High));
        assert_eq!(installed("/src/tool.c", false), Some(Severity::High));
        assert_eq!(installed("/src/readme", true), Some(Severity::High));
    }
}
