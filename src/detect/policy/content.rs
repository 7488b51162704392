//! Content of a policy file.

use std::time::Duration;

use crate::event::Policy;

/// Content of a policy file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The policy.
    pub policy: Policy,
    /// The age limit of every container, where the file sets one: `Some(None)` is no limit.
    pub max_age: Option<Option<Duration>>,
    /// The start-up grace, where the file sets one.
    pub startup_grace: Option<Duration>,
}
