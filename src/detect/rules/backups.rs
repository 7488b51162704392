//! Backups: jobs of the container that copy whole directories.

use bstr::ByteSlice as _;

use crate::catalog;
use crate::detect::rule_context::RuleContext;
use crate::detect::{attribution, program_roles};
use crate::event::Origin;
use crate::state::ProcessEntry;

/// Whether a scheduled job of the container copies a whole directory, with its secrets, into a
/// file. Exec sessions, shells of servers and drifted code do not count, nor does a copy of only
/// the secret or one that is sent away.
pub(super) fn backs_up(ctx: &RuleContext<'_>, process: &ProcessEntry, path: &[u8]) -> bool {
    let archiver = catalog::programs::ARCHIVERS.contains(&program_roles::of(process))
        && process.file.origin() == Origin::Image;
    let ours = ctx.session().is_none() && !ctx.memory.is_marked(ctx.event.pid);
    if !archiver || !ours {
        return false;
    }
    let words = || process.argv.iter().skip(1).map(|word| word.as_bytes());
    let option = |word: &[u8]| word.starts_with(b"-");
    // The target is a pipe, another host or a world-writable directory.
    let away = words().any(|word| {
        word == b"-"
            || word.contains(&b':')
            || word.starts_with(b"/dev/")
            || word.find(b"/tmp/").is_some()
    });
    let names_file = words().enumerate().any(|(at, word)| {
        word.starts_with(b"--file")
            || (at == 0 || option(word)) && !word.starts_with(b"--") && word.contains(&b'f')
    });
    let to_file = match program_roles::of(process) {
        b"tar" | b"bsdtar" => names_file,
        _ => words().filter(|word| !option(word)).count() >= 2,
    };
    // `/etc` of `/etc/shadow`, `/home` of `/home/u/.ssh/id_rsa`; not the directory of the keys.
    let whole = words().filter(|word| word.starts_with(b"/")).any(|word| {
        let word = word.strip_suffix(b"/").unwrap_or(word);
        let inside = path
            .strip_prefix(word)
            .is_some_and(|rest| rest.starts_with(b"/"));
        inside && word.iter().filter(|b| **b == b'/').count() <= 1
    });
    whole && to_file && !away && attribution::by_start_script(ctx, attribution::schedules)
}
