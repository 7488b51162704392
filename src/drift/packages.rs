//! Packages added, upgraded and removed since the image, by the package databases in both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::layer_tree::{self, LayerTree};
use crate::event::{Bytes, PackageChange};

const DPKG: &[u8] = b"var/lib/dpkg/status";
const APK: &[&[u8]] = &[b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];
/// dpkg's changes since it last wrote its database.
const DPKG_UPDATES: &str = "var/lib/dpkg/updates";
const MAX_UPDATES: u32 = 512;
/// Binary databases, which are not read.
const RPM: &[&[u8]] = &[
    b"var/lib/rpm/rpmdb.sqlite",
    b"var/lib/rpm/Packages.db",
    b"var/lib/rpm/Packages",
    b"usr/lib/sysimage/rpm/rpmdb.sqlite",
    b"usr/lib/sysimage/rpm/Packages.db",
];
/// Bounds: bytes of a database, packages in it, changes listed, files of changed packages.
const MAX_SIZE: u64 = 32 << 20;
const MAX_PACKAGES: usize = 65_536;
const MAX_CHANGES: usize = 1024;
const MAX_OWNED: usize = 200_000;
const MAX_NAME: usize = 256;

/// The changed package that a file belongs to, by the container's own database.
#[derive(Debug, Default)]
pub(super) struct PackageFiles {
    files: FxHashMap<u64, u32>,
    names: Vec<Bytes>,
}

/// Outcome of comparing the package databases.
#[derive(Debug, Default)]
pub(super) struct PackageComparison {
    pub(super) changes: Vec<PackageChange>,
    pub(super) unlisted: u64,
    pub(super) owned: PackageFiles,
    pub(super) problems: Vec<String>,
}

type Versions = BTreeMap<Vec<u8>, Vec<u8>>;

/// Databases list `/bin/x` for `/usr/bin/x` where the two are one directory.
fn key(path: &[u8]) -> u64 {
    use std::hash::{Hash as _, Hasher as _};
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = match path.strip_prefix(b"usr/") {
        Some(rest)
            if [&b"bin/"[..], b"sbin/", b"lib"]
                .iter()
                .any(|d| rest.starts_with(d)) =>
        {
            rest
        }
        _ => path,
    };
    let mut hasher = FxHasher::default();
    path.hash(&mut hasher);
    hasher.finish()
}

impl PackageFiles {
    /// The added or upgraded package that the file belongs to.
    pub(super) fn of(&self, path: &[u8]) -> Option<Bytes> {
        let number = self.files.get(&key(path))?;
        self.names.get(*number as usize).cloned()
    }

    fn package(&mut self, name: &[u8]) -> u32 {
        self.names.push(name.into());
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    fn add(&mut self, path: &[u8], package: u32) {
        if self.files.len() < MAX_OWNED {
            self.files.insert(key(path), package);
        }
    }
}

/// Compares the databases of the writable layer with the image's.
pub(super) fn compare(tree: &LayerTree) -> PackageComparison {
    let mut found = PackageComparison::default();
    if let Some((before, after)) = dpkg_sides(tree, &mut found.problems) {
        for name in found.add(&before, &after) {
            let number = found.owned.package(&name);
            // Its list of files, whose name has the architecture if that is a foreign one.
            let list = [b"var/lib/dpkg/info/", &name[..], b".list"].concat();
            if let Ok(Some(file)) = tree.upper_file(&list) {
                let owned = &mut found.owned;
                lines(file, &mut |line| owned.add(line, number));
            }
        }
    }
    for path in APK {
        if let Some((before, after)) = both(tree, path, apk, &mut found.problems) {
            let changed = found.add(&before, &after);
            if let Ok(Some(file)) = tree.upper_file(path) {
                apk_files(file, &changed, &mut found.owned);
            }
        }
    }
    for path in RPM {
        if let Ok(Some(new)) = tree.upper_file(path) {
            let change = match tree.image_file(path) {
                Ok(None) => "is new",
                Ok(Some(old)) if same_bytes(&new, &old) => continue,
                _ => "changed",
            };
            found.problems.push(format!(
                "rpm database {change} (/{}): packages are not listed by name",
                String::from_utf8_lossy(path)
            ));
        }
    }
    found
}

impl PackageComparison {
    /// Notes the changes; returns the names of packages added or upgraded.
    fn add(&mut self, before: &Versions, after: &Versions) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        let mut note = |name: &[u8], old: Option<&Vec<u8>>, new: Option<&Vec<u8>>| {
            if self.changes.len() >= MAX_CHANGES {
                self.unlisted += 1;
                return;
            }
            self.changes.push(PackageChange {
                name: name.into(),
                before: old.map(|v| v.as_slice().into()),
                after: new.map(|v| v.as_slice().into()),
            });
        };
        for (name, version) in after {
            let old = before.get(name);
            if old != Some(version) {
                note(name, old, Some(version));
                names.push(name.clone());
            }
        }
        for (name, version) in before {
            if !after.contains_key(name) {
                note(name, Some(version), None);
            }
        }
        names
    }
}

/// Both versions of a database, if the writable layer has one of its own.
fn both(
    tree: &LayerTree,
    path: &[u8],
    read: fn(File) -> Versions,
    problems: &mut Vec<String>,
) -> Option<(Versions, Versions)> {
    let mut side = |file: Result<Option<File>, String>| match file {
        Ok(Some(file)) if file.metadata().is_ok_and(|m| m.len() <= MAX_SIZE) => Some(read(file)),
        Ok(None) => None,
        Ok(Some(_)) => {
            let limit = MAX_SIZE >> 20;
            let path = String::from_utf8_lossy(path);
            problems.push(format!("/{path}: larger than {limit} MiB, not read"));
            None
        }
        Err(e) => {
            problems.push(format!("/{}: {e}", String::from_utf8_lossy(path)));
            None
        }
    };
    let after = side(tree.upper_file(path))?;
    Some((side(tree.image_file(path)).unwrap_or_default(), after))
}

/// The databases of dpkg. While it runs, its changes are in separate files, in order.
fn dpkg_sides(tree: &LayerTree, problems: &mut Vec<String>) -> Option<(Versions, Versions)> {
    let mut under_way = Versions::new();
    for number in 0..MAX_UPDATES {
        let path = format!("{DPKG_UPDATES}/{number:04}");
        match tree.upper_file(path.as_bytes()) {
            Ok(Some(file)) => under_way.extend(dpkg(file)),
            _ => break,
        }
    }
    let sides = both(tree, DPKG, dpkg, problems);
    if under_way.is_empty() {
        return sides;
    }
    let (before, mut after) = sides.or_else(|| {
        let image = tree.image_file(DPKG).ok()?.map(dpkg)?;
        Some((image.clone(), image))
    })?;
    after.extend(under_way);
    Some((before, after))
}

/// Passes each line, without its end, to `each`.
fn lines(file: File, each: &mut dyn FnMut(&[u8])) {
    let mut reader = BufReader::with_capacity(64 << 10, file.take(MAX_SIZE));
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        each(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
}

fn short(text: &[u8]) -> Vec<u8> {
    text.trim_ascii()
        .get(..MAX_NAME)
        .unwrap_or(text.trim_ascii())
        .to_vec()
}

fn insert(versions: &mut Versions, name: &mut Vec<u8>, version: &mut Vec<u8>) {
    if !name.is_empty() && versions.len() < MAX_PACKAGES {
        versions.insert(std::mem::take(name), std::mem::take(version));
    }
    name.clear();
    version.clear();
}

fn dpkg(file: File) -> Versions {
    let mut versions = Versions::new();
    let (mut name, mut version, mut installed) = (Vec::new(), Vec::new(), false);
    let mut end = |name: &mut Vec<u8>, version: &mut Vec<u8>, installed: &mut bool| {
        if !std::mem::take(installed) {
            name.clear();
        }
        insert(&mut versions, name, version);
    };
    lines(file, &mut |line| {
        if line.is_empty() {
            end(&mut name, &mut version, &mut installed);
        } else if let Some(text) = line.strip_prefix(b"Package:") {
            name = short(text);
        } else if let Some(text) = line.strip_prefix(b"Version:") {
            version = short(text);
        } else if let Some(text) = line.strip_prefix(b"Status:") {
            // Its files exist, though its scripts may still run.
            const THERE: [&[u8]; 5] = [
                b"installed",
                b"half-configured",
                b"unpacked",
                b"triggers-awaited",
                b"triggers-pending",
            ];
            let state = text.trim_ascii().rsplit(|b| *b == b' ').next();
            installed = state.is_some_and(|state| THERE.contains(&state));
        }
    });
    end(&mut name, &mut version, &mut installed);
    versions
}

fn apk(file: File) -> Versions {
    let mut versions = Versions::new();
    let (mut name, mut version) = (Vec::new(), Vec::new());
    lines(file, &mut |line| {
        if line.is_empty() {
            insert(&mut versions, &mut name, &mut version);
        } else if let Some(text) = line.strip_prefix(b"P:") {
            name = short(text);
        } else if let Some(text) = line.strip_prefix(b"V:") {
            version = short(text);
        }
    });
    insert(&mut versions, &mut name, &mut version);
    versions
}

/// Files of the changed packages: `F:` names a directory, `R:` a file in it.
fn apk_files(file: File, changed: &[Vec<u8>], owned: &mut PackageFiles) {
    let (mut package, mut directory) = (None, Vec::new());
    lines(file, &mut |line| {
        if line.is_empty() {
            package = None;
        } else if let Some(text) = line.strip_prefix(b"P:") {
            let name = short(text);
            package = changed.contains(&name).then(|| owned.package(&name));
        } else if let Some(text) = line.strip_prefix(b"F:") {
            directory = text.to_vec();
        } else if let (Some(name), Some(number)) = (line.strip_prefix(b"R:"), package) {
            owned.add(&layer_tree::join(&directory, name), number);
        }
    });
}

fn same_bytes(new: &File, old: &File) -> bool {
    let size = |file: &File| file.metadata().map(|m| m.len()).unwrap_or(u64::MAX);
    if size(new) != size(old) || size(new) > MAX_SIZE {
        return false;
    }
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let read = |file: &File, out: &mut Vec<u8>| file.take(MAX_SIZE).read_to_end(out).is_ok();
    read(new, &mut a) && read(old, &mut b) && a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn reads_what_is_installed() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1\nDescription: x\n Package: no\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n\n\
                    Package: b\nVersion: 2:4-1\nStatus: install ok installed\n";
        let versions = dpkg(file(text));
        let expected: Versions = [
            (b"a".to_vec(), b"1".to_vec()),
            (b"b".to_vec(), b"2:4-1".to_vec()),
        ]
        .into();
        assert_eq!(versions, expected);
        let text = "P:musl\nV:1.2\nF:lib\nR:libc.musl\n\nP:curl\nV:8\nF:usr/bin\nR:curl\n";
        assert_eq!(apk(file(text)).len(), 2);
        let mut owned = PackageFiles::default();
        apk_files(file(text), &[b"curl".to_vec()], &mut owned);
        assert_eq!(owned.of(b"/usr/bin/curl").unwrap(), "curl");
        assert_eq!(owned.of(b"/bin/curl").unwrap(), "curl");
        assert_eq!(owned.of(b"/lib/libc.musl"), None);
    }

    #[test]
    fn reports_added_upgraded_and_removed() {
        let versions = |list: &[(&str, &str)]| -> Versions {
            list.iter()
                .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
                .collect()
        };
        let mut found = PackageComparison::default();
        let names = found.add(
            &versions(&[("a", "1"), ("b", "1"), ("c", "1")]),
            &versions(&[("b", "2"), ("c", "1"), ("d", "1")]),
        );
        assert_eq!(names, [b"b".to_vec(), b"d".to_vec()]);
        let lines: Vec<_> = found
            .changes
            .iter()
            .map(crate::drift::package_line)
            .collect();
        assert_eq!(lines, ["~ b 1 → 2", "+ d 1", "- a 1"]);
    }
}
