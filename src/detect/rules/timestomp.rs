//! File times that were set back to hide a change.

use std::collections::VecDeque;

use crate::catalog::paths::PathClass;
use crate::catalog::{programs, words};
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::{RuleMemories, RuleMemory};
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, file_origin, program_roles};
use crate::event::{Bytes, File, FileOp, Filesystem, Origin};
use crate::state::FileActivity;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.time-set-back",
        title: "Set back the time of a file",
        label: "time set back",
        severity: Severity::High,
        attack: &["T1070.006"],
        needs: &[Requirement::Attribute],
        explain: "A process set the modification time of a program, a script, or a file that \
                  grants access or starts programs, to more than a day ago. High when the file \
                  was created or changed since the container was created: it then looks as old \
                  as the image. Low for an unchanged file of the image. Programs that wrote the \
                  file themselves, such as tar, cp -p and wget, are not flagged, nor are \
                  archivers, builds, package managers and start-up.",
        check: "Compare the file with the image. Its ctime still shows when it was changed.",
    },
    handlers: &[Handler::File(|ctx, memories, file| {
        examine(ctx, memories, file)
    })],
};

/// Maximum number of files of one container whose creator is remembered; the oldest are dropped.
/// All paths count: a file becomes a program before its mode is known.
const MAX_MADE: usize = 256;

/// Files that processes created, emptied or placed, with the host pid of each: the latest last.
#[derive(Debug, Clone, Default)]
struct MadeFiles(VecDeque<(Bytes, u32)>);

impl RuleMemory for MadeFiles {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 96
    }
}

fn examine(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, file: &File) -> Alerts {
    let made = match (file.op, &file.target) {
        (FileOp::Create | FileOp::Truncate | FileOp::Symlink | FileOp::Mkdir, _) => &file.path,
        (FileOp::Rename | FileOp::Link, Some(target)) => target,
        (FileOp::SetTimes, _) => return set_back(ctx, memories.of::<MadeFiles>(), file),
        _ => return Alerts::none(),
    };
    if file.errno == 0 {
        let files = &mut memories.of::<MadeFiles>().0;
        if files.len() >= MAX_MADE {
            files.pop_front();
        }
        files.push_back((made.clone(), ctx.event.pid));
    }
    Alerts::none()
}

/// A program, a script, or a file that grants access or starts programs, by its path.
fn matters(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    belongs(ctx, path) || words::is_script_name(program_roles::leaf(path))
}

/// Such a file in one of its usual places.
fn belongs(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.path_class(path)
        .is_some_and(|class| class == PathClass::Program || class.gives_access())
}

fn set_back(ctx: &RuleContext<'_>, made: &MadeFiles, file: &File) -> Alerts {
    let executable = file.file.is_some_and(|f| f.mode & 0o170_111 > 0o100_000);
    let directory = file.file.is_some_and(|f| f.mode & 0o170_000 == 0o040_000);
    if directory || !executable && !matters(ctx, &file.path) {
        return Alerts::none();
    }
    if matches!(maker(ctx), Maker::Installer | Maker::StartUp)
        || file.errno != 0 && !is_refusal(file.errno)
    {
        return Alerts::none();
    }
    let mut latest = made.0.iter().rev();
    let itself = latest
        .find(|(path, _)| *path == file.path)
        .is_some_and(|(_, pid)| *pid == ctx.event.pid);
    let activity = ctx.activity(&file.path);
    let changed = changed(ctx, file, activity);
    if itself || ordinary(ctx, changed) || !changed && !belongs(ctx, &file.path) {
        return Alerts::none();
    }
    let (weight, what) = if changed {
        (Severity::High, "changed file")
    } else {
        (Severity::Low, "file of the image")
    };
    let alert = ctx.alert(graded(weight, file.errno), &file.path, |explanation| {
        explanation.title = match file.errno {
            0 => format!("Set back the time of a {what}: {}", file.path.escaped()),
            _ => format!(
                "Tried to set back the time of a {what}: {}",
                file.path.escaped()
            ),
        };
        if let Some(time) = &file.attribute {
            let time = time.value.escaped();
            let line = format!("set to {time}{}", refused(file.errno));
            explanation.why.push(line);
        }
        file_origin::history(ctx, &file.path, &mut explanation.why);
        explanation.why.push(by(ctx, &file.comm));
    });
    alert.into()
}

/// Whether the file was created or changed since the container was created. `touch` opens a file
/// for writing before it sets its time, which changes nothing.
fn changed(ctx: &RuleContext<'_>, file: &File, activity: Option<&FileActivity>) -> bool {
    let added = file
        .file
        .is_some_and(|f| f.fs == Filesystem::Overlay && f.upper && !f.lower);
    let written = activity.is_some_and(|activity| {
        activity.ops.iter().any(|(op, count)| match op {
            FileOp::Create | FileOp::Truncate | FileOp::Rename | FileOp::Link => true,
            FileOp::Write => *count > 1 || activity.writer != ctx.event.pid,
            _ => false,
        })
    });
    let scanned = || {
        let (_, scan) = ctx.container?.scan()?;
        let mut entries = scan.entries.iter();
        entries.find(|entry| entry.path == file.path && !entry.metadata_only)
    };
    added || written || scanned().is_some()
}

/// Whether a build does it, or a program of the image that unpacks or copies directories. A program
/// that only copies a file has no reason to set the time of a file that others changed.
fn ordinary(ctx: &RuleContext<'_>, changed: bool) -> bool {
    let Some(process) = ctx.process else {
        return false;
    };
    let name = program_roles::of(process);
    let unpacks = programs::ARCHIVERS.contains(&name) || programs::UNPACKERS.contains(&name);
    let copies = programs::COPIERS.contains(&name) && !changed;
    (unpacks || copies) && process.file.origin() == Origin::Image
        || file_origin::any_ancestor(ctx, process, |p| program_roles::is_builder(ctx.names(), p))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::{FileAttribute, FileOp};

    fn set_back(w: &mut World, pid: u32, path: &str, file: crate::event::FileFacts) {
        w.file_as(pid, FileOp::SetTimes, path, |f| {
            f.file = Some(file);
            f.attribute = Some(FileAttribute {
                name: FileAttribute::TIME.into(),
                value: "2019-01-01T00:00:00Z".into(),
            });
        });
    }

    #[test]
    fn a_file_that_another_process_made_or_changed_is_found() {
        for (path, mode) in [
            ("/usr/bin/x", 0o100_755),
            ("/tmp/x", 0o100_755),
            ("/etc/cron.d/x", 0o100_644),
            ("/var/www/html/x.php", 0o100_644),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, path);
            let touch = w.exec(init, "/usr/bin/touch", &["touch", "-r", "/bin/ls", path]);
            w.file(touch, FileOp::Write, path);
            let mut file = upper(77);
            file.mode = mode;
            set_back(&mut w, touch, path, file);
            let finding = w.finding("file.time-set-back");
            assert_eq!(finding.severity, Severity::High, "{path}");
            assert!(finding.why.contains(&"set to 2019-01-01T00:00:00Z".into()));
        }
        // Nothing but the time of a program of the image.
        let mut w = World::steady();
        let init = w.init();
        let touch = w.exec(init, "/usr/bin/touch", &["touch", "-d", "@0", "/bin/ls"]);
        w.file_as(touch, FileOp::Write, "/usr/bin/ls", |f| {
            f.file = Some(image(5));
        });
        set_back(&mut w, touch, "/usr/bin/ls", image(5));
        assert_eq!(w.finding("file.time-set-back").severity, Severity::Low);
    }

    #[test]
    fn the_writer_itself_unpackers_builds_and_data_are_not() {
        let mut w = World::steady();
        let init = w.init();
        let wget = w.exec(init, "/usr/bin/wget", &["wget", "http://x/tool"]);
        w.create(wget, "/usr/local/bin/tool");
        set_back(&mut w, wget, "/usr/local/bin/tool", upper(77));
        let pip = w.exec(init, "/usr/bin/python3", &["python3", "unpack.py"]);
        w.create(pip, "/srv/lib/.a.py.part");
        w.rename(pip, "/srv/lib/.a.py.part", "/srv/lib/a.py");
        set_back(&mut w, pip, "/srv/lib/a.py", upper(78));
        let rsync = w.exec(init, "/usr/bin/rsync", &["rsync", "-a", "/a", "/usr/local"]);
        w.create(init, "/usr/local/bin/same");
        set_back(&mut w, rsync, "/usr/local/bin/same", upper(79));
        let make = w.exec(init, "/usr/bin/make", &["make"]);
        let touch = w.exec(make, "/usr/bin/touch", &["touch", "-d", "@1", "configure"]);
        set_back(&mut w, touch, "/srv/build/configure", upper(80));
        // A mark for `find -newer`.
        let touch = w.exec(init, "/usr/bin/touch", &["touch", "-d", "2 days ago", "m"]);
        w.create(init, "/tmp/mark");
        let mut mark = upper(81);
        mark.mode = 0o100_644;
        set_back(&mut w, touch, "/tmp/mark", mark);
        assert!(w.all("file.time-set-back").is_empty());
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/usr/bin/x");
        let touch = w.exec(init, "/usr/bin/touch", &["touch", "-d", "@0", "/usr/bin/x"]);
        set_back(&mut w, touch, "/usr/bin/x", upper(77));
        assert!(w.all("file.time-set-back").is_empty());
    }
}
