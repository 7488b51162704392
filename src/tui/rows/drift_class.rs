//! Importance of a changed file: programs and logins before configuration, logs and data.

use crate::catalog::paths::{self, PathClass};
use crate::state::{FileActivity, FileKey};

/// The kind of a file that differs from the image; the most dangerous first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum DriftClass {
    /// Programs, libraries, and anything that may be executed.
    Program,
    /// Accounts, sudo, PAM and SSH access.
    Login,
    /// Cron tables, services, shell start-up files, preloaded libraries.
    Startup,
    /// Other configuration, and the package manager's files.
    Config,
    /// Logs and shell histories.
    Log,
    /// Everything else.
    Data,
}

impl DriftClass {
    /// All of them, the most dangerous first.
    pub(in crate::tui) const ALL: [Self; 6] = [
        Self::Program,
        Self::Login,
        Self::Startup,
        Self::Config,
        Self::Log,
        Self::Data,
    ];

    /// The class of a file, by its path and its mode.
    pub(in crate::tui) fn of(key: &FileKey, activity: &FileActivity) -> Self {
        match paths::of(&key.path) {
            Some(PathClass::Program) => Self::Program,
            Some(
                PathClass::Accounts | PathClass::Sudoers | PathClass::Pam | PathClass::SshAccess,
            ) => Self::Login,
            Some(
                PathClass::Cron
                | PathClass::Service
                | PathClass::ShellStartup
                | PathClass::LdPreload
                | PathClass::LdConf,
            ) => Self::Startup,
            Some(
                PathClass::EtcTop
                | PathClass::EtcBelow
                | PathClass::PackageSources
                | PathClass::PackageDatabase,
            ) => Self::Config,
            Some(PathClass::Log | PathClass::ShellHistory) => Self::Log,
            Some(PathClass::Managed | PathClass::Names | PathClass::LoaderCache) => Self::Data,
            None if activity.file.is_some_and(|file| file.mode & 0o111 != 0) => Self::Program,
            None => Self::Data,
        }
    }

    /// Its name, for one file.
    pub(in crate::tui) fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Login => "login",
            Self::Startup => "start-up",
            Self::Config => "config",
            Self::Log => "log",
            Self::Data => "data",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, Exec, FileFacts, Kind};
    use crate::tui::tests::demo;

    #[test]
    fn dropped_programs_and_cron_tables_come_before_data() {
        let core = demo();
        let class = |path: &str| {
            let mut files = core.state.files.iter();
            let (key, activity) = files.find(|(key, _)| key.path == path).unwrap();
            DriftClass::of(key, activity)
        };
        assert_eq!(class("/tmp/.kworker"), DriftClass::Program);
        assert_eq!(class("/etc/passwd"), DriftClass::Login);
        assert_eq!(class("/etc/cron.d/backup"), DriftClass::Startup);
        assert_eq!(class("/tmp/page"), DriftClass::Data);
        assert!(DriftClass::ALL.is_sorted());
    }

    #[test]
    fn a_file_that_was_executed_is_a_program() {
        let mut core = demo();
        let of = |core: &crate::core::Core| {
            let mut files = core.state.files.iter();
            let (key, activity) = files.find(|(key, _)| key.path == "/tmp/page").unwrap();
            (key.owner.clone(), DriftClass::of(key, activity))
        };
        let (owner, class) = of(&core);
        assert_eq!(class, DriftClass::Data);
        let exec = Exec {
            exe: "/tmp/page".into(),
            file: FileFacts {
                ino: 7,
                mode: 0o100_755,
                ..FileFacts::default()
            },
            ..Exec::default()
        };
        core.apply(&Arc::new(Event {
            seq: core.state.totals.events + 1,
            ts: core.state.now,
            container: owner,
            pid: 77_777,
            nspid: 7,
            kind: Kind::Exec(Box::new(exec)),
        }));
        assert_eq!(of(&core).1, DriftClass::Program);
    }
}
