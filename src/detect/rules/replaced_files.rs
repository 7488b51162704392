//! Files of many kinds that are replaced by versions with one new extension, as ransomware does.

use std::collections::VecDeque;

use bstr::ByteSlice as _;
use rustc_hash::FxHashMap;

use super::file_variety::{FileVariety, extension};
use crate::catalog::path::{directory, leaf};
use crate::catalog::words;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, maker};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{Bytes, File, FileOp};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.many-replaced",
        title: "Files of many kinds replaced by versions with a new extension",
        label: "files replaced",
        severity: Severity::High,
        attack: &["T1486"],
        needs: &[Requirement::File],
        explain: "Twenty files of at least three kinds in at least two directories were each \
                  replaced by a file with the same name and one more extension, as ransomware does: \
                  `a.jpg` by `a.jpg.locked`. It counts whether the new file was written and the \
                  old one removed, or the file was overwritten and then renamed. Extensions of \
                  compressed, saved and temporary files do not count, nor do files that are only \
                  renamed, package managers, and the segments of a database, which are of one or \
                  two kinds.",
        check: "Can the new files still be read? Stop the process, and look for a note beside them.",
    },
    handlers: &[Handler::File(|ctx, memory, file| {
        examine(ctx, memory.of(), file)
    })],
};

/// Files that must be replaced under one new extension.
const FILES: usize = 20;
/// New files of one container whose old name is awaited.
const MAX_NEW: usize = 256;
/// Maximum number of extensions that are counted in one container.
const MAX_EXTENSIONS: usize = 16;
/// Names with more dots are examined up to this one.
const MAX_DOTS: usize = 6;

/// What happened to the names of a container's files that have an extension.
#[derive(Debug, Clone, Default)]
struct Replacements {
    /// New files that have one extension more than another file may have, the latest last.
    new: VecDeque<Bytes>,
    /// Their names without that extension.
    awaited: SeenSet,
    removed: SeenSet,
    /// Files that were opened for writing, with the minute.
    written: SeenSet,
    /// Names that a file got by a rename that added an extension.
    renamed: SeenSet,
    extensions: FxHashMap<Bytes, AddedExtension>,
}

/// Files that got one extension.
#[derive(Debug, Clone, Default)]
struct AddedExtension {
    files: SeenSet,
    count: usize,
    variety: FileVariety,
}

impl RuleMemory for Replacements {
    fn heap_bytes(&self) -> usize {
        let sets = [&self.awaited, &self.removed, &self.written, &self.renamed];
        let hashes: usize = sets.iter().map(|set| set.len()).sum();
        let extensions = self.extensions.values();
        let counted: usize = extensions
            .map(|extension| 256 + extension.files.len() * 24)
            .sum();
        self.new.len() * 96 + hashes * 24 + counted
    }
}

/// The shorter names by which a file may have been known: up to each dot after the first extension.
fn shorter(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start = path.len() - leaf(path).len();
    let name = path.get(start..).unwrap_or_default();
    // A dot at the beginning hides a file.
    let dots = name.find_iter(b".").filter(|at| *at > 0);
    dots.skip(1)
        .take(MAX_DOTS)
        .filter_map(move |at| path.get(..start + at))
}

/// The minute of the event.
fn minute(ctx: &RuleContext<'_>) -> i64 {
    ctx.now().0 / 60_000_000_000
}

/// Programs give their files such an extension in ordinary work.
fn is_ordinary(extension: &[u8]) -> bool {
    let last = extension.rsplit(|b| *b == b'.').next().unwrap_or(extension);
    words::ORDINARY_EXTENSIONS.contains(&last) || last.iter().all(u8::is_ascii_digit)
}

fn examine(ctx: &RuleContext<'_>, known: &mut Replacements, file: &File) -> Alerts {
    if file.errno != 0 {
        return Alerts::none();
    }
    let path = &file.path;
    if matches!(file.op, FileOp::Unlink | FileOp::Rename) {
        known.left(path);
    }
    // A name that is back was not given up.
    if let (FileOp::Create, _) | (FileOp::Rename, Some(_)) = (file.op, &file.target) {
        known.removed.forget(file.target.as_ref().unwrap_or(path));
    }
    let replaced: Option<(&Bytes, Bytes)> = match (file.op, &file.target) {
        (FileOp::Create, _) => known.came(path).map(|old| (path, old)),
        (FileOp::Unlink, _) if !extension(path).is_empty() => {
            let new = known.went(path);
            return match new {
                Some(new) => count(ctx, known, file, &new, path),
                None => Alerts::none(),
            };
        }
        (FileOp::Write | FileOp::Truncate, _) if !extension(path).is_empty() => {
            if known.renamed.contains(path) {
                shorter(path)
                    .find(|old| known.removed.contains(*old))
                    .map(|old| (path, Bytes::new(old)))
            } else {
                known.written.insert((path, minute(ctx)));
                None
            }
        }
        (FileOp::Rename, Some(target)) if target.starts_with(path) && target.len() > path.len() => {
            let adds = target.get(path.len()) == Some(&b'.') && !extension(path).is_empty();
            let written = |at| known.written.contains((path, at));
            let now = minute(ctx);
            if adds && (written(now) || written(now - 1)) {
                Some((target, path.clone()))
            } else {
                if adds {
                    known.renamed.insert(target);
                    known.removed.insert(path);
                }
                None
            }
        }
        // Written under another name first.
        (FileOp::Rename, Some(target)) => known.came(target).map(|old| (target, old)),
        _ => None,
    };
    match replaced {
        Some((new, old)) => count(ctx, known, file, new, &old),
        None => Alerts::none(),
    }
}

impl Replacements {
    /// A new extension takes the place of the one with the fewest files: unique names of temporary files
    /// must not hide it.
    fn make_room(&mut self, added: &Bytes) {
        if self.extensions.len() < MAX_EXTENSIONS || self.extensions.contains_key(added) {
            return;
        }
        let counted = self.extensions.iter().map(|(name, one)| (one.count, name));
        if let Some(fewest) = counted.min().map(|(_, name)| name.clone()) {
            self.extensions.remove(&fewest);
        }
    }

    /// A file came; the old name that it replaces, if that was removed before.
    fn came(&mut self, path: &Bytes) -> Option<Bytes> {
        shorter(path).next()?;
        if is_ordinary(extension(path)) {
            return None;
        }
        if let Some(old) = shorter(path).find(|old| self.removed.contains(*old)) {
            return Some(Bytes::new(old));
        }
        for old in shorter(path) {
            self.awaited.insert(old);
        }
        if self.new.len() >= MAX_NEW {
            self.new.pop_front();
        }
        self.new.push_back(path.clone());
        None
    }

    /// A file has this name no longer: it replaces nothing.
    fn left(&mut self, path: &Bytes) {
        if shorter(path).any(|old| self.awaited.contains(old)) {
            self.new.retain(|new| new != path);
        }
    }

    /// A file went; the one that replaces it, if that came before.
    fn went(&mut self, path: &[u8]) -> Option<Bytes> {
        if !self.awaited.contains(path) {
            self.removed.insert(path);
            return None;
        }
        let longer = |new: &&Bytes| {
            let rest = new.strip_prefix(path);
            rest.is_some_and(|rest| rest.first() == Some(&b'.'))
        };
        self.new.iter().rev().find(longer).cloned()
    }
}

fn count(
    ctx: &RuleContext<'_>,
    known: &mut Replacements,
    file: &File,
    new: &Bytes,
    old: &[u8],
) -> Alerts {
    let added = new.get(old.len()..).unwrap_or_default();
    if is_ordinary(added) || maker(ctx) == Maker::Installer {
        return Alerts::none();
    }
    let added = Bytes::new(added);
    known.make_room(&added);
    let tally = known.extensions.entry(added.clone()).or_default();
    if !tally.files.insert(old) {
        return Alerts::none();
    }
    tally.count += 1;
    tally.variety.note_kind(extension(old));
    tally.variety.note_directory(directory(old));
    if tally.count < FILES || !tally.variety.is_varied() {
        return Alerts::none();
    }
    let replaced = tally.count;
    let alert = ctx.alert(Severity::High, &added, |explanation| {
        explanation.why.push(by(ctx, &file.comm));
        let (old, new) = (crate::event::escape(old), new.escaped());
        explanation.why.push(format!("for example {old} by {new}"));
    });
    let title = format!(
        "{replaced} files replaced by versions ending in {}",
        added.escaped()
    );
    alert.part(new.clone()).title(title).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    const KINDS: [&str; 4] = ["jpg", "docx", "sql", "php"];

    /// Forty files of some kinds, each replaced in the same way.
    fn replace(kinds: &[&str], each: fn(&mut World, u32, &str)) -> Option<Severity> {
        let mut w = World::steady();
        let init = w.init();
        for n in 0..40 {
            let kind = kinds[n % kinds.len()];
            let path = format!("/srv/{}/f{n}.{kind}", ["a", "b", "c"][n % 3]);
            each(&mut w, init, &path);
        }
        let all = w.all("file.many-replaced");
        assert!(all.len() <= 1);
        all.first().map(|finding| finding.severity)
    }

    #[test]
    fn files_of_many_kinds_get_one_new_extension_in_any_way() {
        let ways: [fn(&mut World, u32, &str); 6] = [
            |w, p, path| {
                w.create(p, &format!("{path}.locked"));
                w.file(p, FileOp::Unlink, path);
            },
            |w, p, path| {
                w.file(p, FileOp::Unlink, path);
                w.create(p, &format!("{path}.locked"));
            },
            |w, p, path| {
                w.file(p, FileOp::Write, path);
                w.rename(p, path, &format!("{path}.id-1F.[a@b.c].lck"));
            },
            |w, p, path| {
                w.rename(p, path, &format!("{path}.enc"));
                w.file(p, FileOp::Write, &format!("{path}.enc"));
            },
            // Each by two other processes, as a shell's loop does.
            |w, p, path| {
                let openssl = w.exec(p, "/usr/bin/openssl", &["openssl"]);
                w.create(openssl, &format!("{path}.x"));
                let rm = w.exec(p, "/bin/rm", &["rm"]);
                w.file(rm, FileOp::Unlink, path);
            },
            |w, p, path| {
                w.create(p, "/tmp/work");
                w.rename(p, "/tmp/work", &format!("{path}.crypt"));
                w.file(p, FileOp::Unlink, path);
            },
        ];
        for (way, each) in ways.into_iter().enumerate() {
            assert_eq!(replace(&KINDS, each), Some(Severity::High), "{way}");
        }
    }

    #[test]
    fn many_other_extensions_do_not_hide_it() {
        let mut w = World::steady();
        let init = w.init();
        let replace = |w: &mut World, n: usize, added: &str| {
            let path = format!("/srv/{}/f{n}.{}", ["a", "b"][n % 2], KINDS[n % 3]);
            w.create(init, &format!("{path}.{added}"));
            w.file(init, FileOp::Unlink, &path);
        };
        for n in 0..50 {
            replace(&mut w, n, &format!("x{n}x"));
        }
        assert!(w.all("file.many-replaced").is_empty());
        for n in 50..75 {
            replace(&mut w, n, "locked");
        }
        w.only(&["file.many-replaced"]);
    }

    #[test]
    fn work_that_gives_files_new_extensions_is_silent() {
        let ways: [fn(&mut World, u32, &str); 8] = [
            // Compressed, and kept in an older version.
            |w, p, path| {
                w.create(p, &format!("{path}.gz"));
                w.file(p, FileOp::Unlink, path);
            },
            |w, p, path| {
                w.rename(p, path, &format!("{path}.bak"));
                w.create(p, path);
            },
            // Kept in an older version, and then written anew beside it.
            |w, p, path| {
                w.rename(p, path, &format!("{path}.was"));
                w.rename(p, "/srv/sedXy", path);
                w.create(p, &format!("{path}.Xq7"));
                w.rename(p, &format!("{path}.Xq7"), path);
            },
            // Written some time before its rename.
            |w, p, path| {
                w.file(p, FileOp::Write, path);
                w.ticks(130);
                w.rename(p, path, &format!("{path}.was"));
            },
            // Only renamed: work that is done.
            |w, p, path| w.rename(p, path, &format!("{path}.done")),
            // Written anew in one step.
            |w, p, path| {
                w.create(p, &format!("{path}.k3j"));
                w.rename(p, &format!("{path}.k3j"), path);
            },
            // Another kind of file made of it.
            |w, p, path| {
                w.create(p, &format!("{}.webp", path.rsplit_once('.').unwrap().0));
                w.file(p, FileOp::Unlink, path);
            },
            // A lock beside it, a version in the making, and then its end.
            |w, p, path| {
                w.create(p, &format!("{path}.lck"));
                w.file(p, FileOp::Write, path);
                w.file(p, FileOp::Unlink, &format!("{path}.lck"));
                w.create(p, &format!("{path}.k3j"));
                w.rename(p, &format!("{path}.k3j"), path);
                w.file(p, FileOp::Unlink, path);
            },
        ];
        for (way, each) in ways.into_iter().enumerate() {
            assert_eq!(replace(&KINDS, each), None, "{way}");
        }
        // Segments of a data base, whatever it calls them.
        let compacts = |w: &mut World, p: u32, path: &str| {
            w.create(p, &format!("{path}.compacted"));
            w.file(p, FileOp::Unlink, path);
        };
        assert_eq!(replace(&["log", "index"], compacts), None);
    }

    #[test]
    fn a_package_may_encrypt_nothing_and_few_files_are_no_crime() {
        let mut w = World::steady();
        let init = w.init();
        for n in 0..19 {
            let path = format!("/srv/{}/f{n}.{}", n % 3, KINDS[n % 4]);
            w.create(init, &format!("{path}.locked"));
            w.file(init, FileOp::Unlink, &path);
        }
        w.only(&[]);
        w.create(init, "/srv/x/y.z.locked");
        w.file(init, FileOp::Unlink, "/srv/x/y.z");
        w.only(&["file.many-replaced"]);
        assert!(w.finding("file.many-replaced").title.contains("20 files"));
    }
}
