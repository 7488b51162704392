//! Joins the siblings of a directory into one pattern if there are many of them.
//!
//! Every step is monotone and absorbs the paths that its result matches, so the outcome depends
//! neither on the order of arrival nor on whether a part was made general before.

use std::collections::{BTreeMap, BTreeSet};

use super::join::Join;
use super::pattern::{is_template, looks_drawn, template};
use crate::event::Bytes;

/// Siblings in a directory of data; more become `*`.
const FEW: usize = 8;
/// Siblings elsewhere.
const MANY: usize = 50;
/// Number of random names of one template that make a pattern.
const DRAWN: usize = 3;
/// Maximum number of segments of a path; deeper ones count as one.
const DEEPEST: usize = 64;

/// Directories of data.
const DATA: &[&[&[u8]]] = &[
    &[b"tmp"],
    &[b"var", b"tmp"],
    &[b"run"],
    &[b"var", b"run"],
    &[b"dev", b"shm"],
    &[b"var", b"cache"],
    &[b"var", b"log"],
    &[b"var", b"lib"],
    &[b"srv"],
];
/// Directories of temporary files.
const TEMPORARY: &[&[&[u8]]] = &[
    &[b"tmp"],
    &[b"var", b"tmp"],
    &[b"run"],
    &[b"var", b"run"],
    &[b"dev", b"shm"],
];
/// Directories whose siblings never become one, also on a mount.
const SYSTEM: &[&[u8]] = &[
    b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"etc", b"boot", b"proc", b"sys",
];
/// Directories whose siblings become one only on a mount.
const PROGRAMS: &[&[u8]] = &[b"usr", b"root", b"dev"];

/// A tree of path patterns.
pub(super) struct PathTree<A> {
    leaf: Option<A>,
    children: BTreeMap<Vec<u8>, PathTree<A>>,
}

impl<A> Default for PathTree<A> {
    fn default() -> Self {
        Self {
            leaf: None,
            children: BTreeMap::new(),
        }
    }
}

impl<A: Join> PathTree<A> {
    /// Adds a path pattern.
    pub(super) fn insert(&mut self, path: &[u8], facts: &A) {
        let mut node = self;
        for segment in path.splitn(DEEPEST, |b| *b == b'/') {
            node = node.children.entry(segment.to_vec()).or_default();
        }
        node.add(facts);
    }

    fn add(&mut self, facts: &A) {
        match &mut self.leaf {
            Some(leaf) => leaf.join(facts),
            None => self.leaf = Some(facts.clone()),
        }
    }

    fn absorb(&mut self, other: Self) {
        if let Some(facts) = &other.leaf {
            self.add(facts);
        }
        for (segment, child) in other.children {
            self.children.entry(segment).or_default().absorb(child);
        }
    }

    /// Everything at and below this node, as one.
    fn flatten(self) -> Option<A> {
        let mut all = self.leaf;
        for child in self.children.into_values() {
            if let Some(facts) = child.flatten() {
                match &mut all {
                    Some(all) => all.join(&facts),
                    None => all = Some(facts),
                }
            }
        }
        all
    }

    /// Joins siblings if there are many, from the root down.
    pub(super) fn generalise(&mut self, mounts: &BTreeSet<Bytes>) {
        self.below(&mut Vec::new(), mounts);
    }

    fn below(&mut self, path: &mut Vec<Vec<u8>>, mounts: &BTreeSet<Bytes>) {
        let limit = limit(path, mounts);
        if let Some(limit) = limit {
            let temporary = is_temporary(path);
            if temporary {
                self.join_templates();
            }
            let siblings = if temporary {
                self.kinds()
            } else {
                self.children.len()
            };
            let any = |segment: &[u8]| self.children.contains_key(segment);
            if any(b"*") || any(b"**") || siblings > limit {
                let deep = any(b"**");
                let mut one = Self::default();
                for child in std::mem::take(&mut self.children).into_values() {
                    one.absorb(child);
                }
                if deep {
                    self.replace_by_deep(one);
                } else {
                    self.children.insert(b"*".to_vec(), one);
                }
            }
        }
        for (segment, child) in &mut self.children {
            if segment.as_slice() != b"**" {
                path.push(segment.clone());
                child.below(path, mounts);
                path.pop();
            }
        }
        let adjacent = self.children.get(&b"*"[..]).is_some_and(|child| {
            child.children.contains_key(&b"*"[..]) || child.children.contains_key(&b"**"[..])
        });
        if adjacent && let Some(child) = self.children.remove(&b"*"[..]) {
            self.replace_by_deep(child);
        }
    }

    fn replace_by_deep(&mut self, all: Self) {
        let deep = Self {
            leaf: all.flatten(),
            children: BTreeMap::new(),
        };
        self.children.insert(b"**".to_vec(), deep);
    }

    /// Number of siblings, those of one template counting once.
    fn kinds(&self) -> usize {
        let kinds: BTreeSet<(&[u8], Option<&[u8]>)> = self
            .children
            .keys()
            .map(|name| match is_template(name).or_else(|| template(name)) {
                Some((prefix, suffix)) => (prefix, Some(suffix)),
                None => (name.as_slice(), None),
            })
            .collect();
        kinds.len()
    }

    /// Names of one template, of which several look random, become one pattern.
    fn join_templates(&mut self) {
        let mut drawn: BTreeMap<(Vec<u8>, Vec<u8>), usize> = BTreeMap::new();
        for name in self.children.keys() {
            if let Some((prefix, suffix)) = is_template(name) {
                drawn.insert((prefix.to_vec(), suffix.to_vec()), DRAWN);
            } else if let Some((prefix, suffix)) = template(name)
                && looks_drawn(name, prefix.len())
            {
                *drawn.entry((prefix.to_vec(), suffix.to_vec())).or_default() += 1;
            }
        }
        drawn.retain(|_, count| *count >= DRAWN);
        if drawn.is_empty() {
            return;
        }
        for (name, child) in std::mem::take(&mut self.children) {
            let of = template(&name).map(|(prefix, suffix)| (prefix.to_vec(), suffix.to_vec()));
            let name = match of {
                Some((prefix, suffix)) if drawn.contains_key(&(prefix.clone(), suffix.clone())) => {
                    [&prefix[..], b"<tmp>", &suffix].concat()
                }
                _ => name,
            };
            self.children.entry(name).or_default().absorb(child);
        }
    }

    /// Whether a pattern of the tree matches the segments of a path.
    pub(super) fn matches(&self, segments: &[&[u8]]) -> bool {
        let Some((first, rest)) = segments.split_first() else {
            return self.leaf.is_some();
        };
        if self
            .children
            .get(*first)
            .is_some_and(|child| child.matches(rest))
        {
            return true;
        }
        if first.is_empty() {
            return false;
        }
        if self.children.contains_key(&b"**"[..]) {
            return true;
        }
        let any = self.children.get(&b"*"[..]);
        if any.is_some_and(|child| child.matches(rest)) {
            return true;
        }
        let Some((prefix, suffix)) = template(first) else {
            return false;
        };
        let drawn = [prefix, b"<tmp>", suffix].concat();
        self.children
            .get(&drawn)
            .is_some_and(|child| child.matches(rest))
    }

    /// The paths in order, with their facts.
    pub(super) fn into_paths(self) -> Vec<(Vec<u8>, A)> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(self, path: &mut Vec<Vec<u8>>, out: &mut Vec<(Vec<u8>, A)>) {
        if let Some(leaf) = self.leaf {
            out.push((path.join(&b'/'), leaf));
        }
        for (segment, child) in self.children {
            path.push(segment);
            child.collect(path, out);
            path.pop();
        }
    }
}

/// Maximum number of siblings in this directory; `None`: any number. The path begins with the empty
/// segment before the first slash.
fn limit(path: &[Vec<u8>], mounts: &BTreeSet<Bytes>) -> Option<usize> {
    let inside = path.strip_prefix(&[Vec::new()])?;
    let top = inside.first()?.as_slice();
    if SYSTEM.contains(&top) {
        return None;
    }
    if mounts.iter().any(|mount| is_below(inside, mount)) {
        return Some(FEW);
    }
    if begins(inside, DATA) {
        return Some(FEW);
    }
    (!PROGRAMS.contains(&top)).then_some(MANY)
}

fn is_temporary(path: &[Vec<u8>]) -> bool {
    path.strip_prefix(&[Vec::new()])
        .is_some_and(|inside| begins(inside, TEMPORARY))
}

fn begins(inside: &[Vec<u8>], directories: &[&[&[u8]]]) -> bool {
    let is = |directory: &&[&[u8]]| {
        inside.len() >= directory.len() && inside.iter().zip(*directory).all(|(a, b)| a == b)
    };
    directories.iter().any(is)
}

/// The directory is the mount or below it; a pattern's segment may be any of the mount's.
fn is_below(inside: &[Vec<u8>], mount: &[u8]) -> bool {
    let mut segments = mount.split(|b| *b == b'/').filter(|s| !s.is_empty());
    let mut have = inside.iter();
    loop {
        match (segments.next(), have.next()) {
            (None, _) => return true,
            (Some(_), None) => return false,
            (Some(_), Some(have)) if have == b"**" => return true,
            (Some(want), Some(have)) => {
                if have != b"*" && have != want && *have != super::pattern::fixed_path(want) {
                    return false;
                }
            }
        }
    }
}
