//! Joins the facts about items that become one.

use std::collections::BTreeMap;

/// Facts about an item that can be joined.
pub trait Join: Clone {
    /// Adds the facts about another item of the same general form. Commutative, associative and
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
