//! The limits of this process: takes what it may have, and makes the others errors with a message.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

/// Open files that watching a busy host may need.
const WANTED: u64 = 4096;
/// Without so many it cannot begin.
const NEEDED: u64 = 256;

/// Raises the number of open files as far as allowed. From now on a write beyond the largest size of
/// a file fails, in place of ending the program.
pub(super) fn take() {
    let mut files = getrlimit(Resource::Nofile);
    let most = files.maximum.unwrap_or(WANTED).min(WANTED);
    if files.current.is_some_and(|now| now < most) {
        files.current = Some(most);
        // The limit stays as it is.
        let _ = setrlimit(Resource::Nofile, files);
    }
    // A handler that does nothing of interest; programs that are started get the usual one.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Why this host cannot be watched with the limits of this process, if so.
pub(super) fn refusal() -> Option<String> {
    let files = getrlimit(Resource::Nofile).current?;
    (files < NEEDED).then(|| {
        format!(
            "this process may open {files} files, but watching needs {NEEDED}: raise the limit (ulimit \
             -n, or LimitNOFILE= of a systemd unit)"
        )
    })
}
