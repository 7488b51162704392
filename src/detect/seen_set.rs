//! A bounded set of seen hashes.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashSet, FxHasher};

/// Maximum number of entries.
const MAX_SET: usize = 1024;

/// A set of hashes that drops its oldest entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenSet {
    known: FxHashSet<u64>,
    order: VecDeque<u64>,
}

impl SeenSet {
    /// Adds an entry; true when it is new.
    pub(crate) fn insert(&mut self, value: impl Hash) -> bool {
        let key = digest(value);
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > MAX_SET
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Removes an entry.
    pub(crate) fn forget(&mut self, value: impl Hash) {
        let key = digest(value);
        if self.known.remove(&key) {
            self.order.retain(|k| *k != key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it contains the entry.
    #[must_use]
    pub(crate) fn contains(&self, value: impl Hash) -> bool {
        !self.known.is_empty() && self.known.contains(&digest(value))
    }
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
