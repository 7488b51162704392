//! Checks the rights of a container against its observed behavior, with CIS numbers.
//!
//! Pure: facts of a container and its learned items in, results out.

mod checks;
mod environment;
mod host_access;
mod namespaces;
mod resources;
mod result;
mod rights;
mod segmentation;

pub use result::{CheckResult, PostureOutcome};
pub use segmentation::{Neighbour, ReachablePort, segmentation};

use crate::baseline::Baseline;
use crate::event::ContainerInfo;
use checks::CheckedContainer;

/// The results of all checks of a container. `used` are the items learned of it.
#[must_use]
pub fn posture(info: &ContainerInfo, used: Option<&Baseline>) -> Vec<CheckResult> {
    let subject = CheckedContainer { info, used };
    let mut all = rights::check(&subject);
    all.extend(namespaces::check(&subject));
    all.extend(host_access::check(&subject));
    all.extend(resources::check(&subject));
    all.extend(environment::check(&subject));
    all
}

#[cfg(test)]
mod tests;
