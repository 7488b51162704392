//! Code that an interpreter runs without a script argument: from standard input, files that its
//! text reads, and modules.

use bstr::ByteSlice as _;

use super::bare_shells::{bare, from_descriptor};
use super::{drifted_script, fileless};
use crate::catalog::path::normal;
use crate::catalog::paths;
use crate::detect::alert::Alerts;
use crate::detect::file_origin::made;
use crate::detect::rule_context::RuleContext;
use crate::detect::{attribution, build_artifacts, program_roles};
use crate::event::{Bytes, Exec, File, FileOp, ProgramAdditions, Via};
use crate::state::ProcessEntry;

/// Words in an interpreter's text that run the content of a file.
const RUNS: &[&[u8]] = &[
    b"exec",
    b"execfile",
    b"eval",
    b"compile",
    b"require",
    b"require_relative",
    b"require_once",
    b"import",
    b"import_module",
    b"load",
    b"loadfile",
    b"dofile",
    b"include",
    b"include_once",
    b"do",
    b"run_path",
    b"spec_from_file_location",
    b"SourceFileLoader",
    b"runInThisContext",
    b"runInNewContext",
];

/// Those of these words that are also methods of other objects: `json.load`, `re.compile`.
const METHODS: &[&[u8]] = &[b"exec", b"compile", b"load"];

/// Programs that print a file unchanged.
const PRINTERS: &[&[u8]] = &[b"cat", b"head", b"tail", b"tac", b"dd", b"sed", b"tee"];

/// Path components of directories for generated code.
const GENERATED: &[&[u8]] = &[
    b"cache",
    b"compile",
    b"templates_c",
    b"generated",
    b"/views/",
    b"/proxies/",
];

/// Files that an exec runs besides its script argument: those that the text among its arguments
/// reads in order to run them.
pub(super) fn named(ctx: &RuleContext<'_>, exec: &Exec) -> Vec<Vec<u8>> {
    let names = ctx.names();
    let name = program_roles::name(&exec.exe, &exec.argv);
    let mut found = Vec::new();
    if exec.script.is_none() && names.is_shell(name) {
        if let Some(text) = program_roles::shell_text(&exec.argv) {
            found.extend(sourced(text));
        }
    } else if exec.script.is_none() && names.is_interpreter(name) {
        found.extend(quoted(&exec.argv));
    }
    // `eval "$(cat FILE)"`: the printing program belongs to the shell that runs its output.
    if let Some(printed) = printed(name, &exec.argv)
        && let Some(parent) = ctx.state.processes.get(&ctx.parent_pid(exec))
        && runs_printed(names, parent, printed)
    {
        found.push(printed.to_vec());
    }
    found
}

/// The file that a program prints unchanged.
pub(super) fn printed<'a>(name: &[u8], argv: &'a [Bytes]) -> Option<&'a [u8]> {
    if !PRINTERS.contains(&name) {
        return None;
    }
    let mut words = argv.iter().skip(1).map(|a| a.as_bytes());
    let file = words.rfind(|a| !a.starts_with(b"-"))?;
    Some(file.strip_prefix(b"if=").unwrap_or(file))
}

/// Whether the shell's text runs the output of a program that prints this file: by `eval`, or
/// another shell's `-c`.
fn runs_printed(names: &ProgramAdditions, shell: &ProcessEntry, file: &[u8]) -> bool {
    let name = program_roles::of(shell);
    let text = program_roles::shell_text(&shell.argv).filter(|_| names.is_shell(name));
    text.is_some_and(|text| runs_output(text, file))
}

/// A shell's text runs the output of a command that contains this word: by `eval`, another shell's
/// `-c`, or as another shell's input.
pub(super) fn runs_output(text: &[u8], word: &[u8]) -> bool {
    // Only if the output is run, not passed as an argument.
    let substitutions = text.find_iter(b"$(").chain(text.find_iter(b"`"));
    substitutions.into_iter().any(|at| {
        let (before, inside) = text.split_at(at);
        let end = inside.find_byteset(b")\n").unwrap_or(inside.len());
        let before = before.trim_end_with(|c| matches!(c, '"' | ' ' | '\''));
        inside
            .get(..end)
            .is_some_and(|part| part.contains_str(word))
            && [&b"eval"[..], b" -c", b"-ec", b"sh <<<", b"sh<<<"]
                .iter()
                .any(|end| before.ends_with(end))
    })
}

/// Files that a shell's text runs by `.` or `source`.
fn sourced(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut words = text
        .split(|b| matches!(b, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')'))
        .filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if matches!(word, b"." | b"source")
            && let Some(file) = words.next()
        {
            let file = file.trim_with(|c| matches!(c, '"' | '\''));
            if !file.is_empty() && found.len() < 16 {
                found.push(file.to_vec());
            }
        }
    }
    found
}

/// Quoted absolute paths in those statements of an interpreter's text that also contain a word for
/// running them.
fn quoted(argv: &[Bytes]) -> Vec<Vec<u8>> {
    if !program_roles::takes_text(argv) {
        return Vec::new();
    }
    let texts = argv.iter().skip(1).map(|a| a.as_bytes());
    let statements = texts.flat_map(|text| text.split(|b| matches!(b, b';' | b'\n')));
    let mut found = Vec::new();
    for statement in statements.filter(|statement| runs_file(statement)) {
        let parts = statement.split(|b| matches!(b, b'"' | b'\'' | b'`'));
        // A library it loads is mapped, and reported as that.
        let paths = parts.filter(|p| p.starts_with(b"/") && !p.ends_with(b".so"));
        found.extend(paths.take(16).map(<[u8]>::to_vec));
    }
    found
}

/// Whether the statement contains a word for running a file.
fn runs_file(statement: &[u8]) -> bool {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let mut before = None;
    statement
        .chunk_by(|a, b| is_name(a) == is_name(b))
        .any(|word| {
            let method = before == Some(b'.');
            before = word.last().copied();
            RUNS.contains(&word) && !(method && METHODS.contains(&word))
        })
}

/// An interpreter of a web server: visitors request the scripts that it runs.
fn serves_scripts(name: &[u8]) -> bool {
    matches!(name, b"php-fpm" | b"php-cgi" | b"lsphp" | b"frankenphp")
}

/// A file that an interpreter opened and may run.
pub(super) fn examine(ctx: &RuleContext<'_>, file: &File) -> Alerts {
    let Some(process) = ctx
        .process
        .filter(|_| file.op == FileOp::Load && file.errno == 0)
    else {
        return Alerts::none();
    };
    let path = &file.path;
    if file.file.is_some_and(|facts| facts.memfd) {
        return in_anonymous_memory(ctx, process, file);
    }
    // A drifted interpreter is its own finding.
    if !process.file.origin().is_or_may_be_the_images() || !drifted_script::is_drift(ctx, path) {
        return Alerts::none();
    }
    // A package manager reads what it packs.
    if program_roles::is_packager(ctx.names(), process) {
        return Alerts::none();
    }
    // Modules that start-up, a build or a package manager wrote are not worth a line each.
    if ctx.starting_up() || made(ctx, path).is_some() || build_artifacts::goes_on(ctx, path) {
        return Alerts::none();
    }
    let name = program_roles::of(process);
    let input = file.via == Some(Via::StandardInput);
    let runs = if input {
        takes_input(ctx.names(), process) && !is_here_document(file)
    } else if ctx.names().is_shell(name) {
        runs_in_shell(process, path)
    } else {
        // Its script was checked when it started.
        let leaf = program_roles::leaf(path);
        let given = process.argv.iter().skip(1).map(|a| a.as_bytes());
        let server = serves_scripts(name);
        (ctx.names().is_interpreter(name) || server && paths::is_upload(path))
            && !given.into_iter().any(|a| program_roles::leaf(a) == leaf)
            && !program_roles::filters(&process.argv)
            && !generated(ctx, process, path)
    };
    if !runs {
        return Alerts::none();
    }
    let command = program_roles::command_line(&process.argv, &process.exe, 160);
    let how = if input {
        format!("{command} <{}", path.escaped())
    } else {
        format!("{command}, which loaded {}", path.escaped())
    };
    drifted_script::judge(ctx, path, &how)
}

/// An interpreter of the image runs a script that is in no file: one that a descriptor or its
/// standard input provides. Memory that it shares with other programs has no place among its
/// arguments.
fn in_anonymous_memory(ctx: &RuleContext<'_>, process: &ProcessEntry, file: &File) -> Alerts {
    let name = program_roles::of(process);
    let interprets = ctx.names().is_shell(name) || ctx.names().is_interpreter(name);
    let runs = match file.via {
        Some(Via::StandardInput) => takes_input(ctx.names(), process),
        _ => interprets && by_descriptor(process),
    };
    if !runs || !process.file.origin().is_or_may_be_the_images() {
        return Alerts::none();
    }
    fileless::script(ctx, process, &file.path)
}

/// Whether the interpreter's script is given as a descriptor.
fn by_descriptor(process: &ProcessEntry) -> bool {
    let mut first = process.argv.iter().skip(1).take(3);
    first.any(|argument| from_descriptor(argument))
}

/// Whether the interpreter was started to run its standard input, not to process it.
fn takes_input(names: &ProgramAdditions, process: &ProcessEntry) -> bool {
    let exec = Exec {
        exe: process.exe.clone(),
        argv: process.argv.clone(),
        ..Exec::default()
    };
    bare(names, &exec)
}

/// Bash keeps a long here-document in a file that it removes at once: the text is part of its
/// script.
fn is_here_document(file: &File) -> bool {
    file.file.is_some_and(|facts| facts.unlinked)
        && program_roles::leaf(&file.path).starts_with(b"sh-thd")
}

/// A shell reads files for many reasons: it runs those that its text sources, or that a descriptor
/// provides.
fn runs_in_shell(process: &ProcessEntry, path: &[u8]) -> bool {
    let names_it = |file: &Vec<u8>| {
        file == path || program_roles::leaf(&normal(file)) == program_roles::leaf(path)
    };
    by_descriptor(process)
        || program_roles::shell_text(&process.argv)
            .is_some_and(|text| sourced(text).iter().any(names_it))
}

/// Whether an application wrote the code for itself: compiled templates, a byte code cache.
fn generated(ctx: &RuleContext<'_>, process: &ProcessEntry, path: &[u8]) -> bool {
    let Some(activity) = ctx.activity(path) else {
        return false;
    };
    let kept = GENERATED.iter().any(|part| path.contains_str(part));
    let writer = ctx.writer(activity);
    let own = writer.is_some_and(|w| (w.pid, w.started) == (process.pid, process.started))
        // A file stored by a web server's interpreter may be an upload of a visitor.
        && (kept || !program_roles::of(process).starts_with(b"php"));
    let alike = writer.is_some_and(|writer| {
        writer.exe == process.exe && kept && !attribution::inline(ctx.names(), writer)
    });
    (own || alike) && !attribution::inline(ctx.names(), process) && !attribution::suspicious(ctx)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileFacts, FileOp, Via};

    #[test]
    fn a_filter_reads_its_many_files_as_data() {
        let loads = |argv: &[&str]| {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, "/srv/src/m99.pl");
            let p = w.exec(init, "/usr/bin/perl", argv);
            w.file(p, FileOp::Load, "/srv/src/m99.pl");
            !w.all("drift.script").is_empty()
        };
        assert!(!loads(&[
            "perl",
            "-pi.bak",
            "-e",
            "s/a/b/",
            "/srv/src/m1.pl"
        ]));
        assert!(!loads(&["perl", "-ne", "print if /a/", "/srv/src/m1.pl"]));
        assert!(loads(&["perl", "-e", "do $ENV{X}"]));
        assert!(loads(&["perl", "/usr/bin/tool"]));
    }

    fn runs(exe: &str, argv: &[&str]) -> bool {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/x");
        let p = w.fork(init);
        w.exec_as(p, init, exe, argv, |e| e.cwd = "/".into());
        let found = w.all("drift.script");
        assert!(
            found
                .iter()
                .all(|f| f.severity == Severity::Medium && f.subject == "/tmp/x")
        );
        !found.is_empty()
    }

    #[test]
    fn a_program_on_standard_input() {
        let runs = |exe: &str, argv: &[&str], path: &str, unlinked: bool| {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, path);
            let p = w.exec(init, exe, argv);
            w.file_as(p, FileOp::Load, path, |f| {
                f.via = Some(Via::StandardInput);
                f.file = Some(FileFacts {
                    unlinked,
                    ..FileFacts::default()
                });
            });
            !w.all("drift.script").is_empty()
        };
        let x = "/tmp/x";
        assert!(runs("/bin/sh", &["sh"], x, false));
        assert!(runs("/bin/sh", &["sh"], x, true));
        assert!(runs("/bin/bash", &["bash", "-s", "--", "a"], x, false));
        assert!(runs("/usr/bin/python3", &["python3", "-"], x, false));
        assert!(runs("/usr/bin/perl", &["perl"], x, false));
        // Data for a program's own use, and the shell's own text.
        assert!(!runs(
            "/usr/bin/python3",
            &["python3", "/app/a.py"],
            x,
            false
        ));
        assert!(!runs("/usr/bin/perl", &["perl", "-pe1"], x, false));
        assert!(!runs("/usr/bin/ruby", &["ruby", "-rset"], x, false));
        assert!(!runs("/bin/sh", &["sh", "-c", "wc -l"], x, false));
        assert!(!runs("/bin/sh", &["sh"], "/tmp/sh-thd.1b2c3", true));
    }

    #[test]
    fn files_that_inline_code_runs_are_scripts() {
        for text in [". /tmp/x", "cd /; source '/tmp/x' && id", "set -e\n. tmp/x"] {
            assert!(runs("/bin/sh", &["sh", "-c", text]), "{text}");
        }
        let python = |text| runs("/usr/bin/python3", &["python3", "-c", text]);
        assert!(python("exec(open('/tmp/x').read())"));
        assert!(python("import runpy; runpy.run_path('/tmp/x')"));
        for text in [
            "print(open('/tmp/x').read())",
            "import os; os.stat('/tmp/x')",
            "import json; json.load(open('/tmp/x'))",
        ] {
            assert!(!python(text), "{text}");
        }
        assert!(runs("/usr/bin/perl", &["perl", "-e", "do \"/tmp/x\""]));
        for text in [
            "while read l; do echo $l; done </tmp/x",
            "cp ./a /tmp/x",
            "cat /tmp/x",
        ] {
            assert!(!runs("/bin/sh", &["sh", "-c", text]), "{text}");
        }
    }

    #[test]
    fn a_printed_file_runs_only_where_the_output_is_the_program() {
        let printed = |text: &str| {
            let mut w = World::steady();
            let init = w.init();
            let sh = w.exec(init, "/bin/sh", &["sh", "-c", text]);
            w.create(sh, "/tmp/x");
            w.exec(sh, "/bin/cat", &["cat", "/tmp/x"]);
            !w.all("drift.script").is_empty()
        };
        assert!(printed("eval \"$(cat /tmp/x)\""));
        assert!(printed("sh -c \"$(cat /tmp/x)\""));
        assert!(printed("eval `cat /tmp/x`"));
        assert!(!printed("kill $(cat /tmp/x)"));
        assert!(!printed("cat /tmp/x"));
    }

    #[test]
    fn modules_and_what_an_application_generates() {
        let loads = |writer: &[&str], reader: &[&str], path: &str, same: bool| {
            let mut w = World::steady();
            let init = w.init();
            let first = w.exec(init, "/usr/bin/python3", writer);
            w.create(first, path);
            let second = if same {
                first
            } else {
                w.exec(init, "/usr/bin/python3", reader)
            };
            w.file(second, FileOp::Load, path);
            !w.all("drift.script").is_empty()
        };
        let app = &["python3", "/app.py"][..];
        let inline = &["python3", "-c", "import m"][..];
        assert!(loads(app, inline, "/tmp/m/m.py", false));
        assert!(loads(inline, inline, "/tmp/m.py", true));
        assert!(loads(app, app, "/srv/m.py", false));
        assert!(!loads(
            app,
            app,
            "/app/__pycache__/m.cpython-311.pyc",
            false
        ));
        assert!(!loads(app, app, "/srv/m.py", true));
    }

    #[test]
    fn a_shell_that_reads_a_file_does_not_run_it() {
        for (text, runs) in [
            (". /tmp/x", true),
            ("while read l; do :; done </tmp/x", false),
        ] {
            let mut w = World::steady();
            let init = w.init();
            let sh = w.exec(init, "/bin/sh", &["sh", "-c", text]);
            w.create(sh, "/tmp/x");
            w.file(sh, FileOp::Load, "/tmp/x");
            assert_eq!(!w.all("drift.script").is_empty(), runs, "{text}");
        }
    }
}
