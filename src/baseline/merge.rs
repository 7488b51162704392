//! Merges baselines: commutative, associative, idempotent.

use super::general::generalise;
use super::join::add;
use super::model::{Baseline, MOST_SOURCES};

/// Why two baselines are not merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They are of different images or services.
    #[error("they are of different containers: {0} and {1}")]
    Different(String, String),
    /// There are too many sources.
    #[error("they were learned from more than {MOST_SOURCES} watches and recordings")]
    TooMany,
}

/// Merges two baselines: the items and the held items of both; a source of both counts once.
///
/// # Errors
/// When they are of different containers, or have too many sources.
pub fn merge(a: &Baseline, b: &Baseline) -> Result<Baseline, MergeError> {
    if !a.same_subject(b) {
        return Err(MergeError::Different(a.title(), b.title()));
    }
    let mut out = a.clone();
    out.frozen |= b.frozen;
    out.digests.extend(b.digests.iter().cloned());
    out.mounts.extend(b.mounts.iter().cloned());
    out.too_large.extend(&b.too_large);
    for (id, source) in &b.sources {
        out.sources
            .entry(id.clone())
            .and_modify(|known| known.join(source))
            .or_insert_with(|| source.clone());
    }
    if out.sources.len() > MOST_SOURCES {
        return Err(MergeError::TooMany);
    }
    for (item, facts) in &b.items {
        add(&mut out.items, item.clone(), facts);
    }
    out.items = generalise(&out.items, &out.mounts);
    for (item, why) in &b.held {
        let known = out.held.entry(item.clone()).or_insert_with(|| why.clone());
        if *why < *known {
            known.clone_from(why);
        }
    }
    out.bound();
    Ok(out)
}

/// Settings under which one of the sources ran and another did not, for people: `user=0`.
#[must_use]
pub fn different_settings(baseline: &Baseline) -> Vec<String> {
    let mut sources = baseline.sources.values();
    let Some(first) = sources.next() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for source in sources {
        for (key, value) in &source.under {
            if first.under.get(key) != Some(value) {
                let before = first.under.get(key).map_or("unknown", String::as_str);
                let line = format!("{key}: {before} and {value}");
                if !found.contains(&line) {
                    found.push(line);
                }
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::baseline::LearningSource;
    use crate::baseline::general::tests::items;
    use crate::event::{Bytes, Timestamp};
    use proptest::prelude::*;

    fn baseline() -> impl Strategy<Value = Baseline> {
        let source = ("[abc]", 0_u32..3, 0_u64..2, 0_i64..9);
        let sources = prop::collection::vec(source, 1..3);
        let parts = (items(), items(), sources, any::<bool>(), "[xy]");
        parts.prop_map(|(items, held, sources, frozen, why)| {
            let mut b = Baseline {
                image: "web".into(),
                frozen,
                mounts: [Bytes::from("/data/b")].into_iter().collect(),
                ..Baseline::default()
            };
            for (id, starts, lost, at) in sources {
                let source = LearningSource {
                    starts,
                    lost,
                    from: Timestamp(at),
                    under: [("user".to_owned(), at.to_string())].into_iter().collect(),
                    ..LearningSource::default()
                };
                b.sources.insert(id, source);
            }
            b.items = generalise(&items, &b.mounts);
            b.held = held.into_keys().take(5).map(|i| (i, why.clone())).collect();
            b
        })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(
            a in baseline(), b in baseline(), c in baseline()
        ) {
            let ab = merge(&a, &b).unwrap();
            prop_assert_eq!(&merge(&b, &a).unwrap(), &ab);
            prop_assert_eq!(&merge(&a, &a).unwrap(), &a);
            prop_assert_eq!(&merge(&ab, &b).unwrap(), &ab);
            let bc = merge(&b, &c).unwrap();
            prop_assert_eq!(merge(&ab, &c).unwrap(), merge(&a, &bc).unwrap());
        }
    }

    #[test]
    fn others_are_not_merged() {
        let a = Baseline {
            image: "a".into(),
            ..Baseline::default()
        };
        let b = Baseline {
            image: "b".into(),
            ..Baseline::default()
        };
        assert!(matches!(merge(&a, &b), Err(MergeError::Different(..))));
    }
}
