//! Restricts this program's threads while it watches, by seccomp and Landlock.
//!
//! Both apply to the calling thread and to those that it starts afterwards, and cannot be undone. The
//! threads share their memory, so this does not isolate them from each other: it reduces what an
//! intruder in this program can do.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::fs::OFlags;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use syscalls::Sysno;

use super::own_calls::{CHANGES_OF_FILES, NEEDED, REFUSED, REFUSED_BPF};

/// The newest version of Landlock whose rights are requested; an older kernel applies those it knows.
const NEWEST: ABI = ABI::V6;

/// The filter programs, compiled once.
#[derive(Debug)]
struct Filters {
    /// Logs calls that are not on a list.
    log: BpfProgram,
    /// Refuses calls that no thread needs.
    refuse: BpfProgram,
    /// Refuses those, and changes of files by name as far as the arguments show them.
    refuse_files: BpfProgram,
}

fn filters() -> Result<&'static Filters, String> {
    static FILTERS: OnceLock<Result<Filters, String>> = OnceLock::new();
    let made = FILTERS.get_or_init(|| compile().map_err(|error| error.to_string()));
    made.as_ref().map_err(Clone::clone)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile() -> Result<Filters, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let program = |rules: Rules, others, these| -> Result<BpfProgram, _> {
        SeccompFilter::new(rules, others, these, arch)?.try_into()
    };
    let known = [NEEDED, CHANGES_OF_FILES, REFUSED].map(numbers);
    let known: Rules = known.into_iter().flatten().collect();
    let mut refuse: Rules = numbers(REFUSED).collect();
    let commands = REFUSED_BPF
        .iter()
        .map(|command| rule(0, SeccompCmpOp::Eq, *command));
    if let Some(bpf) = number("bpf") {
        refuse.insert(bpf, commands.collect::<Result<_, _>>()?);
    }
    let mut refuse_files = refuse.clone();
    refuse_files.extend(numbers(CHANGES_OF_FILES));
    for (call, flags) in [("open", 1), ("openat", 2)] {
        if let Some(call) = number(call) {
            refuse_files.insert(call, opens_to_write(flags)?);
        }
    }
    Ok(Filters {
        log: program(known, SeccompAction::Log, SeccompAction::Allow)?,
        refuse: program(refuse, SeccompAction::Allow, refused.clone())?,
        refuse_files: program(refuse_files, SeccompAction::Allow, refused)?,
    })
}

fn number(name: &str) -> Option<i64> {
    let call = name.parse::<Sysno>().ok()?;
    Some(i64::from(call.id()))
}

/// The numbers of those of these calls that this architecture has, with any arguments.
fn numbers(names: &'static str) -> impl Iterator<Item = (i64, Vec<SeccompRule>)> {
    let names = names.split_whitespace();
    names.filter_map(|name| Some((number(name)?, Vec::new())))
}

fn rule(
    argument: u8,
    compared: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compared, value)?;
    SeccompRule::new(vec![condition])
}

/// Rules for the flags, in this argument, that open a file for writing or create it.
fn opens_to_write(argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let bits = |flags: OFlags| u64::from(flags.bits());
    let mode = SeccompCmpOp::MaskedEq(bits(OFlags::RWMODE));
    let mut rules = vec![
        rule(argument, mode.clone(), bits(OFlags::WRONLY))?,
        rule(argument, mode, bits(OFlags::RDWR))?,
    ];
    for flag in [OFlags::CREATE, OFlags::TRUNC] {
        let flag = bits(flag);
        rules.push(rule(argument, SeccompCmpOp::MaskedEq(flag), flag)?);
    }
    Ok(rules)
}

/// Sets no_new_privs, refuses this thread the calls that watching does not need, including changes of
/// files by name, and makes the kernel log calls that are not on a list.
///
/// # Errors
/// Why it is not in force: the kernel has no seccomp filters, or the architecture is not supported.
pub(crate) fn confine_calls() -> Result<(), String> {
    let filters = filters()?;
    apply(&filters.log)?;
    apply(&filters.refuse_files)
}

/// As [`confine_calls`], for the thread that changes files for the user.
///
/// # Errors
/// As with [`confine_calls`].
pub(crate) fn confine_calls_but_files() -> Result<(), String> {
    let filters = filters()?;
    apply(&filters.log)?;
    apply(&filters.refuse)
}

fn apply(filter: &BpfProgram) -> Result<(), String> {
    apply_filter(filter).map_err(|error| format!("the kernel refused the filter: {error}"))
}

/// Refuses this thread, by Landlock, changing or executing any file, listening on a TCP port, and ptrace
/// access to other processes: not for threads that read their files in `/proc`. Returns the version in
/// force, in words.
///
/// # Errors
/// Why it is not in force.
pub(crate) fn confine_files() -> Result<String, String> {
    landlock().map_err(|error| error.to_string())?
}

fn landlock() -> Result<Result<String, String>, landlock::RulesetError> {
    let refused = AccessFs::from_write(NEWEST) | AccessFs::Execute;
    let scopes = match Scope::from_all(NEWEST) & Scope::AbstractUnixSocket {
        // Not signals: before Linux 6.12.25 that scope also separates the threads of one process.
        scopes if scopes.is_empty() => BitFlags::EMPTY,
        scopes => scopes,
    };
    let mut rules = Ruleset::default()
        .handle_access(refused)?
        .handle_access(AccessNet::BindTcp)?
        .scope(scopes)?
        .create()?;
    // The terminal may be opened again.
    for device in ["/dev/null", "/dev/tty"] {
        if let Ok(device) = PathFd::new(device) {
            rules = rules.add_rule(PathBeneath::new(
                device,
                AccessFs::WriteFile | AccessFs::IoctlDev,
            ))?;
        }
    }
    let status = rules.restrict_self()?;
    let version = match status.landlock {
        LandlockStatus::NotImplemented => {
            return Ok(Err("not built into this kernel".to_owned()));
        }
        LandlockStatus::NotEnabled => {
            return Ok(Err(
                "built into this kernel and not enabled: add landlock to lsm= of its command line"
                    .to_owned(),
            ));
        }
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => kernel_abi.unwrap_or(effective_abi as i32),
    };
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(format!("version {version}")),
        RulesetStatus::PartiallyEnforced => Ok(format!(
            "version {version}: this kernel cannot refuse all that newer ones can"
        )),
        _ => Err("the kernel enforces no part of it".to_owned()),
    })
}

/// A protection by the kernel, and whether it is in force for watching threads.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Protection {
    /// Its name.
    pub(crate) name: &'static str,
    /// It is in force.
    pub(crate) in_force: bool,
    /// Its extent, or why it is not in force.
    pub(crate) detail: String,
}

/// The protections in force for watching threads, tried on a thread that then ends.
pub(crate) fn protections() -> Vec<Protection> {
    let tried = std::thread::spawn(|| {
        let calls = confine_calls();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let is = |wanted: &str| status.lines().any(|line| line == wanted);
        let bare = is("NoNewPrivs:\t1");
        let filtered = calls.and_then(|()| match is("Seccomp:\t2") {
            true => Ok(()),
            false => Err("the kernel shows no filter".to_owned()),
        });
        (bare, filtered, confine_files())
    });
    let gone = || Err("the thread that tried it has ended".to_owned());
    let (bare, calls, files) = tried
        .join()
        .unwrap_or_else(|_| (false, gone(), Err(String::new())));
    let count = |names| numbers(names).count();
    let calls = calls.map(|()| {
        format!(
            "{} calls refused, {} allowed; any other call is executed and logged",
            count(REFUSED) + count(CHANGES_OF_FILES),
            count(NEEDED)
        )
    });
    let files = files.map(|version| {
        format!("{version}; not for threads that read other processes' files in /proc")
    });
    let outcome = |name, done: Result<String, String>| Protection {
        name,
        in_force: done.is_ok(),
        detail: done.unwrap_or_else(|why| why),
    };
    let privileges = match bare {
        true => Ok("an executed program gets no additional rights".to_owned()),
        false => Err("the kernel does not show it".to_owned()),
    };
    vec![
        outcome("no_new_privs", privileges),
        outcome("seccomp", calls),
        outcome("Landlock", files),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io;
    use std::process::Command;

    use super::*;

    /// Runs this in a thread of its own: the other tests need their rights.
    fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    fn denied(done: io::Result<impl Sized>) -> bool {
        done.err().map(|error| error.kind()) == Some(io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn no_call_is_both_needed_and_refused() {
        let names = |list: &'static str| list.split_whitespace().collect::<BTreeSet<_>>();
        let (needed, files, refused) = (names(NEEDED), names(CHANGES_OF_FILES), names(REFUSED));
        assert!(needed.is_disjoint(&files) && needed.is_disjoint(&refused));
        assert!(files.is_disjoint(&refused));
        // A misspelled name would be skipped without notice. This architecture has all of them.
        if cfg!(target_arch = "x86_64") {
            for name in needed.union(&files).chain(&refused) {
                assert!(number(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_watching_thread_reads_and_neither_changes_files_nor_runs_programs() {
        let dir = tempfile::tempdir().unwrap();
        let (there, new) = (dir.path().join("there"), dir.path().join("new"));
        fs::write(&there, "before").unwrap();
        let mut held = File::options().append(true).open(&there).unwrap();
        let (kept, made) = (there.clone(), new.clone());
        alone(move || {
            confine_calls().unwrap();
            assert_eq!(fs::read_to_string(&kept).unwrap(), "before");
            assert!(denied(File::create(&made)));
            assert!(denied(File::options().write(true).open(&kept)));
            assert!(denied(File::options().read(true).append(true).open(&kept)));
            assert!(denied(fs::remove_file(&kept)));
            assert!(denied(fs::rename(&kept, &made)));
            assert!(denied(fs::create_dir(&made)));
            assert!(denied(Command::new("true").status()));
            // An open file stays writable: a recording.
            io::Write::write_all(&mut held, b" and after").unwrap();
            // Threads that it starts are restricted, too.
            assert!(denied(alone(move || File::create(&made))));
        });
        assert_eq!(fs::read_to_string(&there).unwrap(), "before and after");
        assert!(!new.exists());
        // Other threads are not restricted.
        fs::write(&new, "").unwrap();
    }

    #[test]
    fn the_thread_for_user_files_writes_but_executes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new");
        alone(move || {
            confine_calls_but_files().unwrap();
            fs::write(&new, "x").unwrap();
            fs::remove_file(&new).unwrap();
            assert!(denied(Command::new("true").status()));
        });
    }

    /// The one way to open a file for writing whose flags a filter cannot see.
    #[test]
    fn landlock_refuses_what_the_filter_cannot_see() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new");
        let by = |path: std::path::PathBuf| {
            use rustix::fs::{CWD, Mode, ResolveFlags, openat2};
            let flags = OFlags::CREATE | OFlags::WRONLY;
            openat2(CWD, &path, flags, Mode::RUSR, ResolveFlags::empty()).map(drop)
        };
        let at = new.clone();
        let refused = alone(move || {
            if let Err(why) = confine_files() {
                eprintln!("DID NOT RUN: Landlock is {why}");
                return None;
            }
            confine_calls().unwrap();
            assert!(File::options().write(true).open("/dev/null").is_err());
            Some(by(at))
        });
        if let Some(refused) = refused {
            assert_eq!(refused, Err(rustix::io::Errno::ACCESS));
            assert!(!new.exists());
        }
    }

    /// Why the threads that describe containers have no Landlock.
    #[test]
    fn landlock_refuses_the_files_of_other_processes() {
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let exe = format!("/proc/{}/exe", other.id());
        let before = fs::read_link(&exe).is_ok();
        let within = alone(move || confine_files().is_ok().then(|| fs::read_link(&exe)));
        other.kill().unwrap();
        other.wait().unwrap();
        if let (true, Some(within)) = (before, within) {
            assert!(denied(within));
        }
    }

    #[test]
    fn the_protections_in_force_are_listed() {
        let all = protections();
        let names: Vec<_> = all.iter().map(|p| p.name).collect();
        assert_eq!(names, ["no_new_privs", "seccomp", "Landlock"]);
        assert!(all[0].in_force && all[1].in_force, "{all:?}");
        assert!(all.iter().all(|p| !p.detail.is_empty()));
    }
}
