//! The rules. One list registers them; everything that names rules derives from it.

mod backups;
mod bare_shells;
mod caller;
mod cloud_metadata;
mod command_peers;
mod compat_calls;
mod control_api;
mod copied_shell;
mod credentials;
mod data_sources;
mod declared;
mod destroyed_files;
mod deviations;
mod dns_tunnel;
mod drift_exec;
mod drift_grade;
mod drift_snapshot;
mod drifted_script;
mod etc;
mod exec_refused;
mod exec_session;
mod fetched_at_start;
mod fetched_commands;
mod file_capability;
mod file_modes;
mod file_variety;
mod fileless;
mod found_library;
mod found_script;
mod found_shell;
mod host_write;
mod image_moved;
mod immutable;
mod inline_code;
mod isolation;
mod kernel_files;
mod libraries;
mod life;
mod listen;
mod loaded_code;
mod max_age;
mod memory_file;
mod miner_options;
mod net;
mod new_name;
mod own_secrets;
mod package_database;
mod package_install;
mod password_guessing;
mod pipes;
mod polled_commands;
mod port_scan;
mod priv_calls;
mod program_changed;
mod programs_run;
mod raw_socket;
mod replaced_files;
mod reverse_alert;
mod reverse_shell;
mod rights_gained;
mod scan_tally;
mod script_paths;
mod script_writers;
mod scripts;
mod secret_programs;
mod secret_reads;
mod server_shell;
mod session_scripts;
mod shells;
mod startup_drift;
mod taken_name;
mod timestomp;
mod traces;
mod trust_store;
mod tunnel;
mod watched;
mod young_sockets;

use std::sync::LazyLock;

use super::{Rule, RuleInfo};

pub(crate) use bare_shells::waits_for_input;
pub(crate) use drift_grade::{Planted, planted};
pub(crate) use fetched_commands::{is_downloader, runs_output_of, script_of_shell};
use startup_drift::{built_alert as built, startup_drift};

/// Every rule, by family.
pub(crate) const ALL: &[&Rule] = &[
    // The package rule comes first: it notes the files of a package manager before other rules
    // judge them.
    &package_install::RULE,
    &drift_exec::NEW,
    &drift_exec::MODIFIED,
    &drift_exec::RELOCATED,
    &drift_exec::TMPFS,
    &drift_exec::VOLUME,
    &startup_drift::STARTUP,
    &startup_drift::BUILT,
    &drift_snapshot::RULE,
    &fileless::RULE,
    &scripts::SCRIPT,
    &libraries::RULE,
    &programs_run::MASQUERADE,
    &programs_run::MINER,
    &compat_calls::RULE,
    &exec_refused::RULE,
    &exec_session::RULE,
    &program_changed::RULE,
    &etc::CONFIG,
    &etc::ACCOUNTS,
    &etc::SUDOERS,
    &etc::PAM,
    &etc::LD_PRELOAD,
    &etc::LD_CONF,
    &etc::CRON,
    &etc::SERVICE,
    &etc::SHELL_STARTUP,
    &etc::SSH_ACCESS,
    &etc::PACKAGE_SOURCES,
    &package_database::RULE,
    &credentials::RULE,
    &traces::RULE,
    &replaced_files::RULE,
    &destroyed_files::RULE,
    &file_modes::SETUID,
    &file_capability::RULE,
    &immutable::RULE,
    &timestomp::RULE,
    &file_modes::WRITABLE,
    &host_write::RULE,
    &trust_store::RULE,
    &watched::RULE,
    &server_shell::RULE,
    &reverse_shell::RULE,
    &pipes::PIPE,
    &shells::TERMINAL,
    &cloud_metadata::RULE,
    &net::DESTINATION,
    // The scan rule comes first: no other rule on connections reports a part of a scan.
    &port_scan::SCAN,
    &control_api::RUNTIME,
    &control_api::CLUSTER,
    &listen::RULE,
    &raw_socket::RULE,
    &tunnel::RULE,
    &dns_tunnel::RULE,
    &new_name::RULE,
    &isolation::MOUNT,
    &isolation::NAMESPACE,
    &isolation::ROOT,
    &priv_calls::TRACE,
    &priv_calls::KERNEL,
    &priv_calls::UNUSUAL,
    &rights_gained::BECAME_ROOT,
    &rights_gained::CAPABILITY,
    &password_guessing::RULE,
    &kernel_files::SETTING,
    &kernel_files::DEVICE,
    &memory_file::RULE,
    &kernel_files::OWN_EXE,
    &max_age::RULE,
    &life::RESTARTS,
    &life::OOM,
    &life::UNPINNED,
    &image_moved::RULE,
    &deviations::EXEC,
    &deviations::WRITE,
    &deviations::SECRET,
    &deviations::CONNECT,
    &deviations::LISTEN,
    &deviations::RESOLVE,
    &deviations::CAPABILITY,
    &deviations::CALL,
    &deviations::SYSCALL,
    &deviations::USER,
];

/// The data of every rule, sorted by id.
#[must_use]
pub fn catalogue() -> &'static [RuleInfo] {
    static SORTED: LazyLock<Vec<RuleInfo>> = LazyLock::new(|| {
        let mut all: Vec<RuleInfo> = ALL.iter().map(|rule| rule.info).collect();
        all.sort_by_key(|info| info.id);
        all
    });
    &SORTED
}

/// The rule with this id.
#[must_use]
pub fn info(id: &str) -> Option<&'static RuleInfo> {
    catalogue().iter().find(|info| info.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_described() {
        let all = catalogue();
        for pair in all.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} twice", pair[1].id);
        }
        for rule in all {
            assert!(rule.id.contains('.'), "{}", rule.id);
            assert!(
                !rule.title.is_empty() && !rule.title.ends_with('.'),
                "{}",
                rule.id
            );
            assert!(rule.explain.len() > 40, "{}", rule.id);
            assert!(rule.check.len() > 15, "{}", rule.id);
            // Screens and reports print it after that word.
            assert!(!rule.check.starts_with("Check "), "{}", rule.id);
            assert!(!rule.needs.is_empty(), "{}", rule.id);
            for attack in rule.attack {
                assert!(attack.starts_with('T') && attack.len() >= 5, "{}", rule.id);
            }
        }
    }
}
