//! Libraries that are not in the image.

use super::found_library::{self, LoadedLibraries};
use crate::catalog;
use bstr::ByteSlice as _;

use crate::detect::alert::{Alert, Alerts};
use crate::detect::file_origin::{OrdinaryOrigin, history, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{File, FileOp, Origin};

/// Libraries.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "drift.library",
        title: "Loaded a library that is not in the image",
        label: "library",
        severity: Severity::Medium,
        attack: &["T1574.006", "T1129"],
        needs: &[Requirement::MapExec],
        explain: "A process mapped a file as executable code, or made a mapping of one executable, \
                  that was written since the container started, is in memory or was removed. \
                  Extensions from a package manager, a compiler or start-up, and memory files of \
                  just-in-time compilers, are recognised and not flagged.",
        check: "Which process wrote the file, and which loaded it?",
    },
    handlers: &[
        Handler::File(|ctx, _, file| library(ctx, file)),
        Handler::Found(|ctx, memory, process| {
            if process.mapped.is_empty() {
                Alerts::none()
            } else {
                found_library::examine(ctx, memory.of(), process)
            }
        }),
        Handler::DriftScan(|ctx, memory, scan| {
            if memory.get::<LoadedLibraries>().is_some() {
                found_library::compared(ctx, memory.of(), scan)
            } else {
                Alerts::none()
            }
        }),
    ],
};

fn library(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    if file.op != FileOp::MapExec || file.errno != 0 {
        return Alerts::none();
    }
    let path = &file.path;
    // The program itself is mapped, too; its exec was checked.
    if ctx.process.is_some_and(|p| p.exe == *path) || path.as_bytes().is_empty() {
        return Alerts::none();
    }
    let written = ctx.activity(path).is_some_and(|a| {
        [
            FileOp::Create,
            FileOp::Write,
            FileOp::Truncate,
            FileOp::Rename,
            FileOp::Link,
        ]
        .iter()
        .any(|op| a.ops.contains_key(op))
    });
    let origin = file.file.map(|f| f.origin());
    let drift = match origin {
        Some(Origin::Upper) => true,
        Some(Origin::Tmpfs | Origin::Volume | Origin::CopiedUp) => written,
        // JIT compilers map memory files and removed files twice, to write code through the other
        // mapping.
        Some(Origin::Memfd | Origin::Deleted) => !file.shared,
        _ => false,
    };
    if !drift || ctx.path_class(path) == Some(catalog::paths::PathClass::LoaderCache) {
        return Alerts::none();
    }
    let line = || format!("loaded {}", path.escaped());
    if ctx.starting_up() {
        return super::startup_drift(ctx, line()).into();
    }
    match made(ctx, path) {
        Some(OrdinaryOrigin::Package) => return Alerts::none(),
        Some(OrdinaryOrigin::Built) => return super::built(ctx, line()).into(),
        Some(OrdinaryOrigin::StartUp) => return super::startup_drift(ctx, line()).into(),
        None => {}
    }
    // All programs load the libraries in /etc/ld.so.preload from then on.
    let preload = ctx
        .findings
        .find("file.ld-preload", Some(ctx.owner), b"/etc/ld.so.preload");
    if let Some(index) = ctx.planted(path).or(preload) {
        return Alert::addition(index)
            .reason(format!("then loaded: {}", path.escaped()))
            .evidence(ctx.event.ts, ctx.event.seq)
            .into();
    }
    if loads_as_program(ctx, path) {
        return loaded(ctx, path).into();
    }
    if unpacked_itself(ctx, path) {
        let line = format!("unpacked and loaded {}", path.escaped());
        let alert = ctx.alert(Severity::Info, b"unpacked", |explanation| {
            explanation.title = "A runtime loaded a library that it unpacked".to_owned();
            if let Some(p) = ctx.process {
                let command = program_roles::command_line(&p.argv, &p.exe, 160);
                explanation.why.push(format!("loaded by: {command}"));
            }
        });
        return alert.reason(line).into();
    }
    // In the upper layer and never written while watched: it may be old. Low, not high.
    let severity = if written || matches!(origin, Some(Origin::Memfd | Origin::Deleted)) {
        Severity::Medium
    } else {
        Severity::Low
    };
    let alert = ctx.alert(severity, path.as_bytes(), |explanation| {
        explanation.title = format!(
            "Loaded a library that is not in the image: {}",
            path.escaped()
        );
        history(ctx, path, &mut explanation.why);
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("loaded by: {command}"));
        }
    });
    alert.history_of(path).into()
}

/// Whether a language runtime of the image created the file for temporary use and loads it itself,
/// as runtimes do with native code in their archives. A database that is made to write a module
/// creates it under a temporary name and renames it; that is something else.
fn unpacked_itself(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let Some(process) = ctx.process else {
        return false;
    };
    let name = program_roles::of(process);
    let runtime =
        ctx.names().is_interpreter(name) || catalog::programs::UNPACKING_RUNTIMES.contains(&name);
    let temporary = path.starts_with(b"/tmp/")
        || path.starts_with(b"/var/tmp/")
        || path.find(b"/.cache/").is_some();
    let own = ctx.activity(path).is_some_and(|a| {
        let moved = [FileOp::Rename, FileOp::Link].iter();
        a.pid == process.pid
            && a.ops.contains_key(&FileOp::Create)
            && !moved.into_iter().any(|op| a.ops.contains_key(op))
    });
    runtime
        && temporary
        && own
        && process.file.origin() == Origin::Image
        && !attribution::inline(ctx.names(), process)
        && !attribution::suspicious(ctx)
}

/// The loader itself was started with this file as the program: the file needs no execute
/// permission then.
fn loads_as_program(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let Some(process) = ctx.process.filter(|p| program_roles::is_loader(&p.exe)) else {
        return false;
    };
    let words = process.argv.iter().skip(1).map(|a| a.as_bytes());
    let mut values = words.filter(|a| !a.starts_with(b"-"));
    values.any(|a| program_roles::leaf(a) == program_roles::leaf(path))
}

fn loaded(ctx: &RuleContext<'_>, path: &crate::event::Bytes) -> Alert {
    let rule = &super::drift_exec::NEW.info;
    let alert = ctx.alert_as(rule, Severity::High, path, |explanation| {
        explanation.title = format!("{}: {}", rule.title, path.escaped());
        explanation
            .why
            .push("run through the loader, which needs no permission to execute it".to_owned());
        history(ctx, path, &mut explanation.why);
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("ran: {command}"));
        }
    });
    alert.history_of(path).follows(ctx.event.pid)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, tmpfs, upper};
    use crate::event::{FileFacts, FileOp};

    #[test]
    fn a_runtime_unpacks_its_own_libraries_and_a_database_does_not() {
        let mut w = World::steady();
        let init = w.init();
        let java = w.exec(init, "/usr/bin/java", &["java", "-jar", "/app.jar"]);
        for so in ["/tmp/snappy-1.so", "/tmp/netty-2.so"] {
            w.create(java, so);
            w.file(java, FileOp::MapExec, so);
        }
        w.only(&["drift.library"]);
        let f = w.finding("drift.library");
        assert_eq!((f.severity, f.count), (Severity::Info, 2));
        let medium = |exe: &str, argv: &[&str], at: &str, moved: bool, writer: bool| {
            let mut w = World::steady();
            let init = w.init();
            let p = w.exec(init, exe, argv);
            let by = if writer { init } else { p };
            if moved {
                w.create(by, "/tmp/temp-1.rdb");
                w.rename(by, "/tmp/temp-1.rdb", at);
            } else {
                w.create(by, at);
            }
            w.file(p, FileOp::MapExec, at);
            w.finding("drift.library").severity == Severity::Medium
        };
        let redis = ("/usr/bin/redis-server", &["redis-server"][..]);
        assert!(medium(redis.0, redis.1, "/tmp/exp.so", false, false));
        let java = ("/usr/bin/java", &["java", "-jar", "x"][..]);
        assert!(medium(java.0, java.1, "/tmp/exp.so", true, false));
        assert!(medium(java.0, java.1, "/opt/exp.so", false, false));
        assert!(medium(java.0, java.1, "/tmp/exp.so", false, true));
        let typed = ("/usr/bin/python3", &["python3", "-c", "x"][..]);
        assert!(medium(typed.0, typed.1, "/tmp/exp.so", false, false));
    }

    #[test]
    fn libraries_written_since_and_jits() {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/evil.so");
        w.file(init, FileOp::MapExec, "/tmp/evil.so");
        assert_eq!(w.finding("drift.library").severity, Severity::Medium);
        w.only(&["drift.library"]);
        // A memory file that no other process writes contains code to be run.
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::MapExec, "/memfd:x", |f| {
            f.file = Some(FileFacts {
                memfd: true,
                ..FileFacts::default()
            });
        });
        assert_eq!(w.finding("drift.library").severity, Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        let memfd = FileFacts {
            memfd: true,
            ..FileFacts::default()
        };
        for file in [
            image(5),
            memfd,
            tmpfs(6),
            FileFacts {
                unlinked: true,
                ..upper(7)
            },
        ] {
            w.file_as(init, FileOp::MapExec, "/x", |f| {
                f.file = Some(file);
                f.shared = true;
            });
        }
        w.only(&[]);
    }

    #[test]
    fn a_program_may_be_run_through_the_loader() {
        let mut w = World::steady();
        let init = w.init();
        let loader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
        w.create(init, "/tmp/t");
        let p = w.exec(init, loader, &["/lib64/ld-linux-x86-64.so.2", "/tmp/t"]);
        w.file(p, FileOp::MapExec, "/tmp/t");
        assert_eq!(w.finding("drift.exec-new").severity, Severity::High);
        w.only(&["drift.exec-new"]);
        // A file that a program of the image loads in this way is a library.
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/t.so");
        let p = w.exec(init, loader, &["ld.so", "--list", "/bin/true"]);
        w.file(p, FileOp::MapExec, "/tmp/t.so");
        w.only(&["drift.library"]);
    }
}
