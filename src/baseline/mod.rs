//! The normal behavior of a container: learned, merged, compared, kept in a file.
//!
//! Pure: no clock and no I/O. The same stream gives the same file, byte for byte.

mod coverage;
mod destinations;
mod diff;
mod general;
mod item;
mod join;
mod learn;
mod learning;
mod matcher;
mod merge;
mod model;
mod observed_action;
mod path_tree;
mod pattern;
mod read;
mod subject;
mod write;

pub use coverage::{READY, Readiness, readiness};
pub use destinations::{covers, is_private};
pub use diff::{Diff, diff};
pub use general::generalise;
pub use item::{BaselineItem, Facet, ItemField, LifePhase};
pub use join::Join;
pub use learn::{Learner, Suspicion};
pub use matcher::Matcher;
pub use merge::{MergeError, different_settings, merge};
pub use model::{
    Baseline, BaselineState, Facts, LearningSource, MOST_ITEMS, MOST_SOURCES, Samples,
};
pub use observed_action::{
    ActingPart, ObservedAction, ObservedActions, acting_part, is_of_image, observed_actions,
    process,
};
pub use pattern::{fixed_path, literal};
pub use read::{BaselineError, parse};
pub use subject::{HEALTH_CHECK, container_command, repository};
pub use write::write;
