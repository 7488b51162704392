//! The differences between two baselines, generalized together.

use std::collections::BTreeMap;

use super::general::generalise;
use super::item::{BaselineItem, Facet, ItemField};
use super::join::{Join, add};
use super::model::{Baseline, LearningSource};

/// The differences between two baselines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Items of the second that the first does not have, with the phases in which they were seen.
    pub new: Vec<(BaselineItem, String)>,
    /// Items of the first that the second does not have.
    pub gone: Vec<(BaselineItem, String)>,
    /// Items of both that differ in the version of a program only: before and after.
    pub moved: Vec<(BaselineItem, BaselineItem)>,
    /// Notes that one side was observed much less, or under other settings.
    pub notes: Vec<String>,
}

#[derive(Clone)]
struct Sides {
    first: Option<String>,
    second: Option<String>,
}

impl Join for Sides {
    fn join(&mut self, other: &Self) {
        let longer = |own: &mut Option<String>, other: &Option<String>| {
            if *own < *other {
                own.clone_from(other);
            }
        };
        longer(&mut self.first, &other.first);
        longer(&mut self.second, &other.second);
    }
}

/// A path with its numbers replaced, so that two versions of a program match.
fn without_numbers(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if !byte.is_ascii_digit() {
            out.push(*byte);
        } else if out.last() != Some(&b'#') {
            out.push(b'#');
        }
    }
    out
}

/// The item with the numbers in the paths of its programs replaced.
fn of_any_version(item: &BaselineItem) -> BaselineItem {
    let mut item = item.clone();
    for field in [ItemField::Exe, ItemField::By, ItemField::Path] {
        if let Some(value) = item.fields.get(&field) {
            let general = without_numbers(value);
            item = item.with(field, &general);
        }
    }
    item
}

/// Compares two baselines; `only` these facets, all of them when it is empty.
#[must_use]
pub fn diff(first: &Baseline, second: &Baseline, only: &[Facet]) -> Diff {
    let mounts = first.mounts.union(&second.mounts).cloned().collect();
    let large = |facet: &Facet| first.too_large.contains(facet) || second.too_large.contains(facet);
    let wanted = |facet: Facet| (only.is_empty() || only.contains(&facet)) && !large(&facet);
    let mut all: BTreeMap<BaselineItem, Sides> = BTreeMap::new();
    for (item, facts) in first.items.iter().filter(|(item, _)| wanted(item.facet)) {
        let sides = Sides {
            first: Some(facts.phases()),
            second: None,
        };
        add(&mut all, item.clone(), &sides);
    }
    let held = second.held.keys().map(|item| (item, "held".to_owned()));
    let known = second
        .items
        .iter()
        .map(|(item, facts)| (item, facts.phases()));
    for (item, phases) in known.chain(held).filter(|(item, _)| wanted(item.facet)) {
        let sides = Sides {
            first: None,
            second: Some(phases),
        };
        add(&mut all, item.clone(), &sides);
    }
    let mut out = Diff::default();
    for (item, sides) in generalise(&all, &mounts) {
        match (sides.first, sides.second) {
            (Some(phases), None) => out.gone.push((item, phases)),
            (None, Some(phases)) => out.new.push((item, phases)),
            _ => {}
        }
    }
    pair(&mut out);
    for facet in Facet::ALL.iter().filter(|facet| large(facet)) {
        out.notes.push(format!(
            "{facet}: one side has too many items to compare them"
        ));
    }
    watched(first, second, &mut out.notes);
    out
}

/// Finds items that were removed and added again with another version of a program.
fn pair(diff: &mut Diff) {
    let mut before: BTreeMap<BaselineItem, Vec<usize>> = BTreeMap::new();
    for (place, (item, _)) in diff.gone.iter().enumerate() {
        before.entry(of_any_version(item)).or_default().push(place);
    }
    let mut gone = Vec::new();
    diff.new.retain(|(item, _)| {
        let Some(place) = before.get_mut(&of_any_version(item)).and_then(Vec::pop) else {
            return true;
        };
        if let Some((was, _)) = diff.gone.get(place) {
            diff.moved.push((was.clone(), item.clone()));
        }
        gone.push(place);
        false
    });
    let mut place = 0;
    diff.gone.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
}

fn watched(first: &Baseline, second: &Baseline, notes: &mut Vec<String>) {
    let sum =
        |b: &Baseline, of: fn(&LearningSource) -> u64| b.sources.values().map(of).sum::<u64>();
    let sides = [("the first", first), ("the second", second)];
    let time = sides.map(|(_, b)| sum(b, |s| s.observed));
    let starts = sides.map(|(_, b)| sum(b, |s| s.starts.into()));
    for (this, other) in [(0, 1), (1, 0)] {
        let name = sides[this].0;
        if time[this] * 4 < time[other] {
            notes.push(format!(
                "{name} was watched {} only, the other {}",
                duration(time[this]),
                duration(time[other])
            ));
        }
        if starts[this] == 0 && starts[other] > 0 {
            notes.push(format!("of {name} no start was seen"));
        }
        if sum(sides[this].1, |s| s.lost) > 0 {
            notes.push(format!("of {name} events were lost"));
        }
    }
    let under = |b: &Baseline| b.sources.values().map(|s| s.under.clone()).next();
    if let (Some(a), Some(b)) = (under(first), under(second)) {
        for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
            let value = |of: &BTreeMap<String, String>| {
                let value = of.get(key).map_or("", String::as_str);
                if value.is_empty() {
                    "none".to_owned()
                } else {
                    value.to_owned()
                }
            };
            if a.get(key) != b.get(key) {
                notes.push(format!("{key}: {} before, {} now", value(&a), value(&b)));
            }
        }
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::general::tests::set;
    use crate::event::Bytes;

    fn write(path: &str, by: &str) -> BaselineItem {
        BaselineItem::new(
            Facet::Write,
            [
                (ItemField::Path, path.as_bytes()),
                (ItemField::By, by.as_bytes()),
            ],
        )
    }

    fn exec(exe: &str) -> BaselineItem {
        BaselineItem::new(Facet::Exec, [(ItemField::Exe, exe.as_bytes())])
    }

    fn baseline(items: Vec<BaselineItem>, observed: u64) -> Baseline {
        let source = LearningSource {
            observed,
            starts: 1,
            ..LearningSource::default()
        };
        Baseline {
            image: Bytes::from("web"),
            items: set(items),
            sources: [("s".to_owned(), source)].into_iter().collect(),
            ..Baseline::default()
        }
    }

    #[test]
    fn the_same_twice_is_no_difference_and_a_wider_pattern_covers_a_narrow_one() {
        let many = (0..9).map(|n| write(&format!("/var/lib/x/f{n}z"), "/a"));
        let a = baseline(many.collect(), 60);
        let b = baseline(vec![write("/var/lib/x/other", "/a")], 60);
        assert_eq!(diff(&a, &a, &[]), Diff::default());
        assert_eq!(diff(&a, &b, &[]), Diff::default());
    }

    #[test]
    fn new_removed_and_changed_versions_are_distinguished() {
        let a = baseline(
            vec![
                exec("/usr/lib/postgresql/15/bin/postgres"),
                write("/x", "/usr/lib/postgresql/15/bin/postgres"),
                exec("/bin/old"),
            ],
            3600,
        );
        let b = baseline(
            vec![
                exec("/usr/lib/postgresql/16/bin/postgres"),
                write("/x", "/usr/lib/postgresql/16/bin/postgres"),
                exec("/usr/bin/curl"),
            ],
            60,
        );
        let d = diff(&a, &b, &[]);
        let names = |list: &[(BaselineItem, String)]| -> Vec<String> {
            list.iter().map(|(item, _)| item.subject()).collect()
        };
        assert_eq!(names(&d.new), ["/usr/bin/curl"]);
        assert_eq!(names(&d.gone), ["/bin/old"]);
        assert_eq!(d.moved.len(), 2);
        assert!(
            d.notes[0].starts_with("the second was watched 60 s only"),
            "{:?}",
            d.notes
        );
        assert!(diff(&a, &b, &[Facet::Connect]).new.is_empty());
    }
}
