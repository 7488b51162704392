//! Compares a container's files, as they are now, with its image: what was added, changed and
//! deleted, also before watching began and whether or not it was ever run.
//!
//! Everything in the writable layer may be made by an attacker. No link there is followed, no fifo
//! or device is opened, and memory is bounded.

mod class;
mod content;
mod engine;
mod layer_entry;
mod layer_tree;
mod layer_walk;
mod packages;
mod progress;
mod scanner;
mod tally;
mod text_diff;

use crate::event::PackageChange;

pub use engine::from_engine;
pub use progress::ScanProgress;
pub use scanner::DriftScanner;
pub use tally::Tally;
pub use text_diff::{TextDiff, diff};

/// A package change for people: `+ curl 8.1`, `~ curl 8.0 → 8.1`, `- curl 8.0`.
#[must_use]
pub fn package_line(change: &PackageChange) -> String {
    let name = change.name.escaped();
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {name} {}", after.escaped()),
        (Some(before), Some(after)) => {
            format!("~ {name} {} → {}", before.escaped(), after.escaped())
        }
        (Some(before), None) => format!("- {name} {}", before.escaped()),
        (None, None) => name.to_string(),
    }
}

/// Gives the calling thread the lowest CPU priority.
pub fn be_modest() {
    // Refused at worst: then it runs like any other thread.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

#[cfg(test)]
mod tests;
