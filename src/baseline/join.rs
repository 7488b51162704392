//! Joining what is known of items that become one.

use std::collections::BTreeMap;

/// What is known of an item, where several items become one.
pub trait Join: Clone {
    /// Takes over what another item of the same general form knows. Commutative, associative and
    /// idempotent.
    fn join(&mut self, other: &Self);
}

/// Adds facts to those of a key.
pub(super) fn add<K: Ord, A: Join>(to: &mut BTreeMap<K, A>, key: K, facts: &A) {
    match to.get_mut(&key) {
        Some(known) => known.join(facts),
        None => {
            to.insert(key, facts.clone());
        }
    }
}
