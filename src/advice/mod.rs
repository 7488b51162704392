//! Advice: settings that take from a container what it does not need, from what it was seen to do.
//!
//! Pure: a baseline in, advice out, each with its verdict and what that rests on.

mod capabilities;
mod check;
mod egress;
mod limits;
mod model;
mod privileges;
mod read_only;
mod user;

pub use check::check;
pub use model::{Advice, NAMES, Setting, Verdict, WritableDirectory};
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
    all.push(Advice {
        setting: Setting::SeccompDefault,
        verdict: Verdict::Keep,
        why: vec!["the engine's default profile; one of its own breaks most easily".to_owned()],
    });
    all.push(egress::advise(baseline, &seen));
    all.push(user::advise(baseline, &seen));
    all
}

#[cfg(test)]
mod tests;
