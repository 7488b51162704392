//! A loaded baseline, indexed for look-ups.

use std::collections::BTreeMap;
use std::fmt;

use rustc_hash::FxHashSet;

use super::destinations;
use super::general::fixed;
use super::item::{BaselineItem, Facet, ItemField};
use super::join::Join;
use super::model::Baseline;
use super::path_tree::PathTree;

/// No facts: only the existence of the item matters.
#[derive(Clone)]
struct There;

impl Join for There {
    fn join(&mut self, _: &Self) {}
}

/// Answers whether a baseline contains an action.
pub struct Matcher {
    items: FxHashSet<BaselineItem>,
    held: FxHashSet<BaselineItem>,
    /// Paths by the item without its path.
    paths: BTreeMap<BaselineItem, PathTree<There>>,
    /// Peers and names by the item without them.
    peers: BTreeMap<BaselineItem, Vec<Vec<u8>>>,
    too_large: Vec<Facet>,
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher")
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

/// The field in which an item may be a pattern.
fn wide_field(item: &BaselineItem) -> Option<ItemField> {
    match item.facet {
        Facet::Write | Facet::Secret => Some(ItemField::Path),
        Facet::Connect if item.get(ItemField::Proto) != b"unix" => Some(ItemField::To),
        Facet::Resolve => Some(ItemField::Name),
        _ => None,
    }
}

impl Matcher {
    /// Indexes a baseline.
    #[must_use]
    pub fn new(baseline: &Baseline) -> Self {
        let mut matcher = Self {
            items: baseline.items.keys().cloned().collect(),
            held: baseline.held.keys().cloned().collect(),
            paths: BTreeMap::new(),
            peers: BTreeMap::new(),
            too_large: baseline.too_large.iter().copied().collect(),
        };
        for item in baseline.items.keys() {
            let Some(field) = wide_field(item) else {
                continue;
            };
            let value = item.get(field);
            let mut rest = item.clone();
            rest.fields.remove(&field);
            if field == ItemField::Path {
                matcher.paths.entry(rest).or_default().insert(value, &There);
            } else {
                matcher.peers.entry(rest).or_default().push(value.to_vec());
            }
        }
        matcher
    }

    /// Whether the baseline contains the observed action. Held items do not count; a facet with too
    /// many items contains everything.
    #[must_use]
    pub fn knows(&self, item: &BaselineItem) -> bool {
        if self.too_large.contains(&item.facet) {
            return true;
        }
        let item = fixed(item);
        if self.held.contains(&item) {
            return false;
        }
        if self.items.contains(&item) {
            return true;
        }
        if item.facet == Facet::Exec {
            let any = item.fields.contains_key(&ItemField::Args);
            return any && self.items.contains(&item.with(ItemField::Args, b"*"));
        }
        let Some(field) = wide_field(&item) else {
            return false;
        };
        let mut rest = item;
        let value = rest.fields.remove(&field).unwrap_or_default();
        if field == ItemField::Path {
            let segments: Vec<&[u8]> = value.split(|b| *b == b'/').collect();
            self.paths
                .get(&rest)
                .is_some_and(|tree| tree.matches(&segments))
        } else {
            let covers = |general: &Vec<u8>| destinations::covers(general, &value);
            self.peers
                .get(&rest)
                .is_some_and(|peers| peers.iter().any(covers))
        }
    }

    /// Whether it has an item of this facet, of any program.
    #[must_use]
    pub fn has(&self, facet: Facet, field: ItemField, value: &[u8]) -> bool {
        self.items
            .iter()
            .any(|item| item.facet == facet && item.get(field) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::general::tests::{items, set};
    use crate::baseline::{generalise, literal};
    use proptest::prelude::*;

    proptest! {
        /// Whatever was learned is known, however general it became.
        #[test]
        fn learned_items_are_known(items in items()) {
            let baseline = Baseline {
                items: generalise(&items, &Default::default()),
                ..Baseline::default()
            };
            let matcher = Matcher::new(&baseline);
            for item in items.keys() {
                prop_assert!(matcher.knows(item), "{item}");
            }
        }
    }

    fn write(path: &str) -> BaselineItem {
        let path = literal(path.as_bytes());
        BaselineItem::new(
            Facet::Write,
            [(ItemField::Path, &path[..]), (ItemField::By, b"/app")],
        )
    }

    #[test]
    fn unlearned_and_held_items_are_unknown() {
        let learned = (0..9).map(|n| write(&format!("/var/lib/app/f{n}x")));
        let mut baseline = Baseline {
            items: generalise(&set(learned), &Default::default()),
            ..Baseline::default()
        };
        baseline
            .held
            .insert(write("/var/lib/app/bad"), "x".to_owned());
        let matcher = Matcher::new(&baseline);
        assert!(matcher.knows(&write("/var/lib/app/other")));
        assert!(!matcher.knows(&write("/var/lib/app/bad")));
        assert!(!matcher.knows(&write("/var/lib/app/a/b")));
        assert!(!matcher.knows(&write("/usr/bin/x")));
        assert!(!matcher.knows(&write("/var/lib/app")));
    }
}
