//! Many files whose content is overwritten in place, or that are deleted, as ransomware and wipers do.

use bstr::ByteSlice as _;

use super::file_variety::{FileVariety, extension};
use super::script_paths::locate_from;
use crate::catalog::path::directory;
use crate::catalog::{paths, programs, words};
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, maker};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Bytes, Exec, File, FileOp, Timestamp};
use crate::state::ProcessEntry;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.many-destroyed",
        title: "Many files overwritten or deleted",
        label: "files destroyed",
        severity: Severity::High,
        attack: &["T1485", "T1486", "T1561"],
        needs: &[Requirement::File],
        explain: "Twenty files that existed before were overwritten by a tool that destroys content \
                  (`shred`, `dd`), replaced by what an encrypting tool made of them (`openssl`, \
                  `gpg`), or overwritten by inline, sent or dropped code that encrypts; or data of \
                  at least three kinds in two directories was overwritten by such code or a \
                  shell, emptied (`truncate`, `cp /dev/null`), or encrypted under other names and \
                  deleted. Medium when all are of one kind and in one directory. Also medium: such \
                  code, an exec session or a server's shell deleted sixty files of data of at \
                  least three kinds, not by their age. Sources and configuration, caches, logs and temporary files do not \
                  count, nor do package managers and programs that copy, edit or unpack.",
        check: "Stop the process. Can the files be read, and is there a backup?",
    },
    handlers: &[
        Handler::File(|ctx, memory, file| examine(ctx, memory.of(), file)),
        Handler::Exec(|ctx, memory, exec| {
            if let Some(tool) = ctx.process.filter(|process| encrypts(process)) {
                note_inputs(ctx, memory.of(), tool, exec);
            }
            Alerts::none()
        }),
    ],
};

/// Files that must be overwritten.
const OVERWRITTEN: usize = 20;
/// Files that must be deleted.
const DELETED: usize = 60;
/// Seconds without a further file after which counting begins again.
const PAUSE: u64 = 300;
/// At most one in so many of the deleted files may be a source or configuration.
const SOURCES: usize = 4;

/// What happened to the files of a container.
#[derive(Debug, Clone, Default)]
struct Destruction {
    overwritten: FileTally,
    deleted: FileTally,
    /// Files that a process made, with its pid: what it writes to them again is its own.
    made: SeenSet,
    /// The file that was created last.
    latest: Bytes,
    /// Files that a tool which encrypts was given.
    encrypted: SeenSet,
}

#[derive(Debug, Clone, Default)]
struct FileTally {
    files: SeenSet,
    count: usize,
    sources: usize,
    /// Files that count without regard to their kind.
    certain: usize,
    variety: FileVariety,
    last: Timestamp,
}

impl RuleMemory for Destruction {
    fn heap_bytes(&self) -> usize {
        let tallies = [&self.overwritten, &self.deleted];
        let counted: usize = tallies
            .iter()
            .map(|tally| tally.files.len() * 24 + 256)
            .sum();
        counted + (self.made.len() + self.encrypted.len()) * 24
    }
}

impl FileTally {
    /// Counts a file; false when it was counted before.
    fn add(&mut self, now: Timestamp, path: &[u8], certain: bool) -> bool {
        if now.since(self.last).as_secs() > PAUSE {
            *self = Self::default();
        }
        self.last = now;
        if !self.files.insert(path) {
            return false;
        }
        let kind = extension(path);
        self.count += 1;
        self.certain += usize::from(certain);
        if words::SOURCE_EXTENSIONS.contains(&kind) {
            self.sources += 1;
        } else {
            self.variety.note_kind(kind);
        }
        self.variety.note_directory(directory(path));
        true
    }

    /// The files are data of several kinds and places, hardly sources.
    fn varied(&self) -> bool {
        self.variety.is_varied() && self.sources * SOURCES <= self.count
    }
}

/// What programs write and remove all the time, or nobody misses.
fn is_passing(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let parts: &[&[u8]] = &[b"cache", b"tmp", b"temp", b"trash", b"build", b"dist"];
    let passing = |part: &[u8]| {
        let lower = part.to_ascii_lowercase();
        parts.iter().any(|word| lower.contains_str(word)) || lower == b".git"
    };
    directory(path).split(|b| *b == b'/').any(passing)
        || paths::in_package_tree(path)
        || ctx.path_class(path).is_some()
}

/// Not a file of the container: a device, or an interface of the kernel.
fn is_file(file: &File) -> bool {
    let path = file.path.as_bytes();
    let other: &[&[u8]] = &[b"/dev/", b"/proc/", b"/sys/", b"/run/"];
    let regular = |mode: u32| mode == 0 || mode & 0o170_000 == 0o100_000;
    !other.iter().any(|start| path.starts_with(start))
        && file.file.is_none_or(|facts| regular(facts.mode))
}

/// A tool that overwrites what it is given.
fn destroys(process: &ProcessEntry) -> bool {
    programs::DESTROYERS.contains(&program_roles::of(process))
}

/// A tool that leaves nothing, or nothing useful, of the files it is given.
fn empties(process: &ProcessEntry) -> bool {
    let sources: &[&[u8]] = &[b"/dev/null", b"/dev/zero", b"/dev/urandom", b"/dev/random"];
    match program_roles::of(process) {
        b"truncate" => true,
        b"cp" | b"tee" => {
            let mut words = process.argv.iter().skip(1);
            words.any(|word| sources.contains(&word.as_bytes()))
        }
        _ => false,
    }
}

/// A tool that encrypts, and is not asked to decrypt.
fn encrypts(process: &ProcessEntry) -> bool {
    let has = |options: &[&[u8]]| {
        let mut words = process.argv.iter().skip(1);
        words.any(|word| options.contains(&word.as_bytes()))
    };
    match program_roles::of(process) {
        b"openssl" => has(&[b"enc", b"smime", b"cms", b"rsautl", b"pkeyutl"]) && !has(&[b"-d"]),
        b"gpg" | b"gpg2" => has(&[b"-c", b"-e", b"-er", b"-ce", b"--symmetric", b"--encrypt"]),
        b"age" | b"rage" | b"ccrypt" | b"mcrypt" | b"aescrypt" => {
            !has(&[b"-d", b"--decrypt", b"-c", b"--cat"])
        }
        b"ccencrypt" => true,
        _ => false,
    }
}

/// Remembers the files that a tool encrypts: one that is then deleted is lost to whoever lacks the
/// key.
fn note_inputs(ctx: &RuleContext<'_>, known: &mut Destruction, tool: &ProcessEntry, exec: &Exec) {
    let openssl = program_roles::of(tool) == b"openssl";
    let outputs: &[&[u8]] = &[b"-o", b"--output", b"-r", b"--recipient", b"-p", b"-i"];
    for pair in exec.argv.windows(2).take(64) {
        let [option, word] = pair else { continue };
        let input = match openssl {
            true => *option == "-in",
            false => !word.starts_with(b"-") && !outputs.contains(&option.as_bytes()),
        };
        let path = input.then(|| locate_from(ctx, &tool.cwd, word)).flatten();
        if let Some(path) = path.filter(|path| !is_passing(ctx, path)) {
            known.encrypted.insert(path.as_slice());
        }
    }
}

/// The tool's input is the file at this path, and not one that has a copy elsewhere.
fn takes(ctx: &RuleContext<'_>, tool: &ProcessEntry, path: &[u8]) -> bool {
    let mut words = tool.argv.iter().skip(1);
    let named = words.any(|word| locate_from(ctx, &tool.cwd, word).is_some_and(|at| at == path));
    let endings: &[&[u8]] = &[
        b"enc", b"gpg", b"pgp", b"asc", b"aes", b"age", b"p7m", b"crypt",
    ];
    let from_input = !tool.argv.iter().any(|word| *word == "-in");
    let openssl = program_roles::of(tool) == b"openssl";
    named || openssl && from_input && !endings.contains(&extension(path))
}

/// What acts, if it is not the container's service at its work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspect {
    /// Inline code that encrypts, or code that another finding is about.
    Certain,
    /// Other inline code, or a shell.
    Possible,
}

/// What writes or deletes this file.
fn suspect(ctx: &RuleContext<'_>, process: &ProcessEntry, path: &[u8]) -> Option<Suspect> {
    let marked = ctx.mark(process.pid);
    let finding = marked.and_then(|index| ctx.findings.get(index));
    let foreign = ctx.names().is_interpreter(program_roles::of(process))
        || !process.file.origin().is_or_may_be_the_images();
    // Not a tool of the image that such code starts: it copies or unpacks.
    if foreign && finding.is_some_and(|f| f.severity >= Severity::Medium && f.silenced.is_none()) {
        let data = !words::SOURCE_EXTENSIONS.contains(&extension(path)) && !is_passing(ctx, path);
        return data.then_some(Suspect::Certain);
    }
    if attribution::inline(ctx.names(), process) {
        let mut texts = process.argv.iter().skip(1);
        let encrypting = |text: &Bytes| {
            let words = words::ENCRYPTING_CALLS;
            words.iter().any(|word| text.contains_str(word))
        };
        return Some(match texts.any(encrypting) {
            true => Suspect::Certain,
            false => Suspect::Possible,
        });
    }
    let shell = ctx.names().is_shell(program_roles::of(process));
    let script =
        process.script.is_some() || program_roles::script_argument(&process.argv).is_some();
    (shell && !script).then_some(Suspect::Possible)
}

fn examine(ctx: &RuleContext<'_>, known: &mut Destruction, file: &File) -> Alerts {
    let Some(process) = ctx.process.filter(|_| file.errno == 0 && is_file(file)) else {
        return Alerts::none();
    };
    let path = match (file.op, &file.target) {
        (FileOp::Rename, Some(target)) => target,
        _ => &file.path,
    };
    match file.op {
        FileOp::Create => {
            known.made.insert((path, process.pid));
            known.latest = path.clone();
            Alerts::none()
        }
        FileOp::Write | FileOp::Truncate => {
            if known.made.contains((path, process.pid)) || maker(ctx) == Maker::Installer {
                return Alerts::none();
            }
            if destroys(process) || encrypts(process) {
                return overwritten(ctx, known, file, path, true);
            }
            if empties(process) && !ctx.starting_up() && !is_passing(ctx, path) {
                return overwritten(ctx, known, file, path, false);
            }
            match suspect(ctx, process, path) {
                Some(Suspect::Certain) => overwritten(ctx, known, file, path, true),
                Some(Suspect::Possible) if !ctx.starting_up() && !is_passing(ctx, path) => {
                    overwritten(ctx, known, file, path, false)
                }
                _ => Alerts::none(),
            }
        }
        // What a tool made of the file takes its place.
        FileOp::Rename => {
            let writer = ctx.activity(&file.path).and_then(|file| ctx.writer(file));
            let in_place = extension(path) != extension(&file.path)
                || directory(path) != directory(&file.path);
            let encrypted = writer.is_some_and(|writer| {
                encrypts(writer) && takes(ctx, writer, path) || {
                    writer.pid == process.pid
                        && suspect(ctx, process, path) == Some(Suspect::Certain)
                }
            });
            if !encrypted || !in_place || has_new_extension(path, &file.path) {
                return Alerts::none();
            }
            overwritten(ctx, known, file, path, true)
        }
        FileOp::Unlink if known.encrypted.contains(path.as_bytes()) => {
            if has_new_extension(&known.latest, path) || maker(ctx) == Maker::Installer {
                return Alerts::none();
            }
            // A job may encrypt its own dumps, which are of one kind.
            overwritten(ctx, known, file, path, false)
        }
        FileOp::Unlink => deleted(ctx, known, file, process),
        _ => Alerts::none(),
    }
}

/// The rule on replaced files counts these: `a.jpg` becomes `a.jpg.locked`.
fn has_new_extension(path: &[u8], old: &[u8]) -> bool {
    path.strip_prefix(old)
        .is_some_and(|added| added.first() == Some(&b'.'))
}

fn overwritten(
    ctx: &RuleContext<'_>,
    known: &mut Destruction,
    file: &File,
    path: &[u8],
    certain: bool,
) -> Alerts {
    let tally = &mut known.overwritten;
    if !tally.add(ctx.now(), path, certain) || tally.count < OVERWRITTEN {
        return Alerts::none();
    }
    let several = tally.variety.differs();
    let severity = match (tally.certain >= OVERWRITTEN, tally.varied()) {
        (true, _) if several => Severity::High,
        (_, true) => Severity::High,
        (true, _) => Severity::Medium,
        _ => return Alerts::none(),
    };
    let title = format!("{} files overwritten or encrypted in place", tally.count);
    report(ctx, file, path, severity, b"overwritten", title)
}

fn deleted(
    ctx: &RuleContext<'_>,
    known: &mut Destruction,
    file: &File,
    process: &ProcessEntry,
) -> Alerts {
    let path = &file.path;
    // A version with a longer name has taken its place.
    let replaced = has_new_extension(&known.latest, path);
    if replaced
        || known.made.contains((path, process.pid))
        || ctx.starting_up()
        || maker(ctx) == Maker::Installer
        || is_passing(ctx, path)
        || by_age(ctx)
    {
        return Alerts::none();
    }
    let tool = matches!(program_roles::of(process), b"rm" | b"find" | b"unlink");
    let outside = tool && attribution::suspicious(ctx) && !by_service(ctx);
    if !outside && suspect(ctx, process, path).is_none() {
        return Alerts::none();
    }
    let tally = &mut known.deleted;
    if !tally.add(ctx.now(), path, false) || tally.count < DELETED || !tally.varied() {
        return Alerts::none();
    }
    let title = format!("{} files of data deleted", tally.count);
    report(ctx, file, path, Severity::Medium, b"deleted", title)
}

/// The container's start script or its scheduler runs the tool, as a job that cleans up.
fn by_service(ctx: &RuleContext<'_>) -> bool {
    ctx.session().is_none() && attribution::by_start_script(ctx, attribution::schedules)
}

/// The files are chosen by their age: `find … -mtime +7 -delete`.
fn by_age(ctx: &RuleContext<'_>) -> bool {
    let ages: &[&[u8]] = &[
        b"-mtime",
        b"-mmin",
        b"-atime",
        b"-amin",
        b"-ctime",
        b"-cmin",
        b"-older",
        b"-newer",
        b"mtime",
        b"getmtime",
    ];
    let mut line = ctx.ancestors().take(3);
    line.any(|process| {
        let mut words = process.argv.iter();
        words.any(|word| ages.iter().any(|age| word.contains_str(age)))
    })
}

fn report(
    ctx: &RuleContext<'_>,
    file: &File,
    path: &[u8],
    severity: Severity,
    subject: &[u8],
    title: String,
) -> Alerts {
    let alert = ctx.alert(severity, subject, |explanation| {
        explanation.why.push(by(ctx, &file.comm));
        let path = crate::event::escape(path);
        explanation.why.push(format!("for example {path}"));
    });
    alert.part(path).title(title).into()
}

#[cfg(test)]
mod tests;
