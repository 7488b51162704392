//! Which part of the program may use which: checks the table in ARCHITECTURE.md.
//!
//! The files of `src/`, `ebpf/abi` and `ebpf/probes` are parsed. A file *uses* another when a path
//! in it (`use …`, or inline, also in the arguments of a macro) names something that the other
//! defines; names are followed through imports and re-exports to the defining file. A re-export
//! (`pub use`) alone uses nothing, nor does a `mod` line, nor a method call: types decide. Code for
//! tests (`#[cfg(test)]`) may use everything and is left out.
//!
//! - A folder (or file) directly below `src/` uses only those that its row in the table lists.
//! - Within a folder, with its subfolders, files do not use each other in a circle.
//! - A type's name is defined once, except for those in [`SHARED`], each with its reason.
//!
//! `cargo test --test imports -- --nocapture` prints the counts.

#![allow(clippy::unwrap_used)]

mod edges;
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use edges::{Edge, Edges, edges};
use modules::{SourceFile, Tree, is_for_tests};

/// The source directory of each crate.
const CRATES: &[&str] = &["src", "ebpf/abi/src", "ebpf/probes/src"];

/// Existing folder edges that the table refuses. To be emptied.
const FORBIDDEN: &[(&str, &str)] = &[];

/// Type names defined more than once, and why no file can confuse them.
const SHARED: &[(&str, &str)] = &[
    ("Args", "the arguments of one command, private to its file"),
    (
        "Alike",
        "wire format, and a key of one kernel program's map",
    ),
    (
        "Call",
        "wire format, and a kernel program's view of a system call",
    ),
    (
        "Header",
        "wire format of a record, and the first line of a recording",
    ),
    (
        "Owner",
        "value of one kernel program's map, private to its file, and whose a thing of the state is",
    ),
    (
        "Out",
        "scratch space of one kernel program, private to its file",
    ),
    (
        "Scratch",
        "scratch space of one kernel program, private to its file",
    ),
    ("Sent", "map key of one kernel program, private to its file"),
];

/// The root of the repository. Read at run time, so that another tree can be checked.
fn repository() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

/// Groups of files that use each other in a circle, each sorted.
fn circles(tree: &Tree, edges: &Edges) -> Vec<Vec<usize>> {
    let mut next: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for ((from, to), edge) in edges {
        if !edge.is_module {
            next.entry(*from).or_default().insert(*to);
        }
    }
    let reached = |start: usize| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for to in next.get(&at).into_iter().flatten() {
                if seen.insert(*to) {
                    open.push(*to);
                }
            }
        }
        seen
    };
    let reach: Vec<_> = (0..tree.files.len()).map(reached).collect();
    let mut found = BTreeSet::new();
    for (file, seen) in reach.iter().enumerate() {
        if seen.contains(&file) {
            let group: Vec<_> = seen
                .iter()
                .copied()
                .filter(|other| reach[*other].contains(&file))
                .collect();
            found.insert(group);
        }
    }
    found.into_iter().collect()
}

fn named(directory: &str, tree: &Tree, (from, to): (usize, usize), edge: &Edge) -> String {
    let path = |file: usize| format!("{directory}/{}", tree.files[file].path.display());
    format!(
        "{}:{}: {} uses {}",
        path(from),
        edge.line,
        edge.path,
        path(to)
    )
}

/// The rows of the import table: a folder, and the folders it may use.
fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = text
        .split_once("<!-- imports: held by tests/imports -->")
        .and_then(|(_, rest)| rest.split_once("<!-- end of imports -->"))
        .map_or("", |(rows, _)| rows);
    rows.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (name, rest) = row.split_once('`').unwrap();
            let words = rest.split('`').skip(1).step_by(2);
            (name.to_owned(), words.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn folders_use_only_what_the_table_lists() {
    let root = repository();
    let table = table(&std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let tree = Tree::read(&root.join("src"));
    let mut faults = String::new();
    let mut used = BTreeSet::new();
    let mut still = BTreeSet::new();
    for ((from, to), edge) in edges(&tree) {
        let (a, b) = (tree.files[from].folder(), tree.files[to].folder());
        if a == b || a == "lib" {
            continue;
        }
        used.insert((a, b));
        if table.get(a).is_some_and(|row| row.contains(b)) {
            continue;
        }
        if FORBIDDEN.contains(&(a, b)) {
            still.insert((a, b));
            continue;
        }
        let place = named("src", &tree, (from, to), &edge);
        writeln!(faults, "{place}: {a} may not use {b}").unwrap();
    }
    for edge in FORBIDDEN.iter().filter(|edge| !still.contains(*edge)) {
        writeln!(faults, "no longer there: take {edge:?} out of FORBIDDEN").unwrap();
    }
    let folders: BTreeSet<_> = tree
        .files
        .iter()
        .filter(|file| !file.test)
        .map(SourceFile::folder)
        .filter(|f| *f != "lib")
        .collect();
    for name in &folders {
        if !table.contains_key(*name) {
            writeln!(faults, "src/{name} has no row in the table").unwrap();
        }
    }
    for (name, row) in &table {
        if !folders.contains(name.as_str()) {
            writeln!(
                faults,
                "the table has a row for {name}, which is not in src/"
            )
            .unwrap();
        }
        for other in row {
            if !used.contains(&(name.as_str(), other.as_str())) {
                writeln!(
                    faults,
                    "the table lets {name} use {other}, which it does not"
                )
                .unwrap();
            }
        }
    }
    // The table describes layers only if it has no circle itself.
    for (name, row) in &table {
        let above = row.iter().filter(|other| leads(&table, other, name));
        for other in above {
            writeln!(faults, "the table lets {name} and {other} use each other").unwrap();
        }
    }
    println!(
        "folders: {}, edges between them: {}",
        folders.len(),
        used.len()
    );
    for name in folders {
        let row: Vec<_> = used
            .iter()
            .filter(|(a, _)| *a == name)
            .map(|(_, b)| format!("`{b}`"))
            .collect();
        println!("| `{name}` | {} |", row.join(" "));
    }
    assert!(
        faults.is_empty(),
        "imports that ARCHITECTURE.md does not list:\n{faults}"
    );
}

/// Whether the table lets one folder use another, directly or through others.
fn leads(table: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for next in table.get(at).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

#[test]
fn files_of_a_folder_use_each_other_in_no_circle() {
    let root = repository();
    let mut faults = String::new();
    for directory in CRATES {
        let tree = Tree::read(&root.join(directory));
        let edges = edges(&tree);
        let lines: usize = tree.files.iter().map(|file| file.lines).sum();
        println!("{directory}: {} files, {lines} lines", tree.files.len());
        for circle in circles(&tree, &edges) {
            let place = if *directory == "src" {
                tree.files[circle[0]].folder()
            } else {
                directory
            };
            writeln!(faults, "{place}: a circle of {} files:", circle.len()).unwrap();
            for (ends, edge) in &edges {
                if circle.contains(&ends.0) && circle.contains(&ends.1) && !edge.is_module {
                    writeln!(faults, "  {}", named(directory, &tree, *ends, edge)).unwrap();
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn a_type_name_is_defined_once() {
    let root = repository();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for directory in CRATES {
        for file in Tree::read(&root.join(directory)).files {
            if file.test {
                continue;
            }
            let path = format!("{directory}/{}", file.path.display());
            types(&file.syntax.items, &path, &mut places);
        }
    }
    places.retain(|_, at| at.len() > 1);
    let mut faults = String::new();
    for (name, at) in &places {
        if !SHARED.iter().any(|(known, _)| known == name) {
            writeln!(
                faults,
                "{name} is defined more than once: {}",
                at.join(", ")
            )
            .unwrap();
        }
    }
    for (name, _) in SHARED {
        if !places.contains_key(*name) {
            writeln!(faults, "{name} is defined once: take it out of the list").unwrap();
        }
    }
    println!("type names defined more than once: {}", places.len());
    assert!(faults.is_empty(), "{faults}");
}

fn types(items: &[syn::Item], path: &str, into: &mut BTreeMap<String, Vec<String>>) {
    for item in items {
        let (ident, attributes) = match item {
            syn::Item::Struct(item) => (&item.ident, &item.attrs),
            syn::Item::Enum(item) => (&item.ident, &item.attrs),
            syn::Item::Trait(item) => (&item.ident, &item.attrs),
            syn::Item::Type(item) => (&item.ident, &item.attrs),
            syn::Item::Union(item) => (&item.ident, &item.attrs),
            syn::Item::Mod(item) => {
                if let Some((_, items)) = &item.content
                    && !is_for_tests(&item.attrs)
                {
                    types(items, path, into);
                }
                continue;
            }
            _ => continue,
        };
        if !is_for_tests(attributes) {
            let place = format!("{path}:{}", ident.span().start().line);
            into.entry(ident.to_string()).or_default().push(place);
        }
    }
}

/// The rules above, tested on small trees: a test that finds nothing proves nothing.
mod rules {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = Tree::read(directory.path());
        (directory, tree)
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let (_directory, tree) = tree(files);
        let name = |file: usize| tree.files[file].path.display().to_string();
        edges(&tree)
            .iter()
            .filter(|(_, edge)| !edge.is_module)
            .map(|((a, b), edge)| format!("{}:{} {}", name(*a), edge.line, name(*b)))
            .collect()
    }

    #[test]
    fn names_are_followed_through_re_exports() {
        let edges = found(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a/mod.rs",
                "mod one; mod two; pub use one::One; pub use two::*;",
            ),
            ("a/one.rs", "use super::Two;\npub struct One;"),
            ("a/two.rs", "pub struct Two;"),
            (
                "b.rs",
                "\nuse crate::a;\nfn f() { a::One; }\nfn g(_: crate::a::Two) {}",
            ),
        ]);
        let expected = ["a/one.rs:1 a/two.rs", "b.rs:3 a/one.rs", "b.rs:4 a/two.rs"];
        assert_eq!(edges, expected);
    }

    #[test]
    fn arguments_of_macros_count_and_tests_do_not() {
        let edges = found(&[
            ("lib.rs", "mod a; mod b; mod c; #[cfg(test)] mod kit;"),
            ("a.rs", "pub fn one() {} pub fn two() {}"),
            (
                "b.rs",
                "fn f() { assert!(matches!(x, Some(crate::a::one(..)))); }",
            ),
            ("c.rs", "#[cfg(test)] mod tests { use crate::a::one; }"),
            ("kit.rs", "use crate::a::one;"),
        ]);
        assert_eq!(edges, ["b.rs:1 a.rs"]);
    }

    #[test]
    fn circles_are_found_and_chains_are_none() {
        let (_directory, chain) = tree(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod x; mod y; use x::X; fn f(_: X) {}"),
            ("a/x.rs", "use super::y::Y; pub struct X(Y);"),
            ("a/y.rs", "pub struct Y;"),
        ]);
        assert!(circles(&chain, &edges(&chain)).is_empty());
        let (_directory, circle) = tree(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod x; mod y; mod z;"),
            ("a/x.rs", "use super::y::Y; pub struct X(Y);"),
            ("a/y.rs", "pub struct Y; fn f() { super::z::g() }"),
            ("a/z.rs", "pub fn g() { let _: crate::a::x::X; }"),
        ]);
        let found = circles(&circle, &edges(&circle));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), 3);
    }

    #[test]
    fn the_table_is_read() {
        let text = "x\n<!-- imports: held by tests/imports -->\n| folder | uses |\n| --- | --- |\n\
                    | `a` | `b`, `c` |\n| `b` | |\n<!-- end of imports -->\n| `d` | `e` |\n";
        let read = table(text);
        assert_eq!(read.len(), 2);
        assert!(read["a"].contains("b") && read["a"].contains("c") && read["b"].is_empty());
        assert!(leads(&read, "a", "c") && !leads(&read, "b", "a"));
    }
}
