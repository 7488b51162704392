//! Advice: settings that remove unneeded rights from a container, by its observed behavior.
//!
//! Pure: a baseline in, advice out, each with its verdict and evidence.

mod capabilities;
mod check;
mod egress;
mod limits;
mod model;
mod privileges;
mod read_only;
mod seccomp;
mod user;

pub use check::check;
pub use model::{Advice, NAMES, SeccompProfile, Setting, Verdict, WritableDirectory};
pub(crate) use read_only::is_in_root;

use crate::baseline::Baseline;
use model::WatchedTime;

/// All advice about the containers of a baseline, in the order of a list.
#[must_use]
pub fn advise(baseline: &Baseline) -> Vec<Advice> {
    let seen = WatchedTime::of(baseline);
    let mut all = vec![
        capabilities::advise(baseline, &seen),
        privileges::advise(baseline, &seen),
        read_only::advise(baseline, &seen),
    ];
    all.extend(limits::advise(baseline, &all));
    all.push(seccomp::default_profile());
    all.push(egress::advise(baseline, &seen));
    all.push(user::advise(baseline, &seen));
    all
}

/// All advice with a custom seccomp profile instead of the engine's default.
#[must_use]
pub fn advise_with_seccomp(baseline: &Baseline) -> Vec<Advice> {
    let mut all = advise(baseline);
    for advice in &mut all {
        if advice.setting == Setting::SeccompDefault {
            *advice = seccomp::own_profile(baseline, &WatchedTime::of(baseline));
        }
    }
    all
}

#[cfg(test)]
mod tests;
