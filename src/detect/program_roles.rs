//! Role of a program (a shell, a package manager, a builder), by its executable and arguments.
//! No finding rests on a name alone.

use crate::catalog;
pub(crate) use crate::catalog::path::{directory, leaf};
use bstr::ByteSlice as _;

use crate::event::{Bytes, Exec, Origin, ProgramAdditions};
use crate::state::ProcessEntry;

/// The program's name: the executable's, or the applet's of a multi-call binary, without a
/// version at its end (`python3.13` → `python`).
#[must_use]
pub(crate) fn name<'a>(exe: &'a [u8], argv: &'a [Bytes]) -> &'a [u8] {
    let mut name = leaf(exe);
    if catalog::programs::MULTI_CALL.contains(&name) {
        let mut words = argv.iter().map(|a| leaf(a.as_bytes()));
        let mut applet = words.next().unwrap_or(name);
        if applet == name {
            applet = words.next().unwrap_or(name);
        }
        name = applet.strip_prefix(b"-").unwrap_or(applet);
    }
    // Distributions distinguish variants of one tool by a suffix.
    let variants = catalog::words::VARIANT_SUFFIXES;
    let name = variants
        .iter()
        .find_map(|v| name.strip_suffix(*v))
        .unwrap_or(name);
    without_version(name)
}

/// The name without digits, dots and hyphens at its end.
fn without_version(name: &[u8]) -> &[u8] {
    let end = name
        .iter()
        .rposition(|b| !(b.is_ascii_digit() || *b == b'.' || *b == b'-'))
        .map_or(name.len(), |i| i + 1);
    name.get(..end).filter(|n| !n.is_empty()).unwrap_or(name)
}

/// Program names by role: the built-in tables and the additions of the policy.
impl ProgramAdditions {
    fn has(table: &[&[u8]], additions: &[String], name: &[u8]) -> bool {
        table.contains(&name)
            || additions
                .iter()
                .any(|own| own.as_bytes() == name || without_version(own.as_bytes()) == name)
    }

    /// A program that only starts another program.
    #[must_use]
    pub(crate) fn is_wrapper(&self, name: &[u8]) -> bool {
        Self::has(catalog::programs::WRAPPERS, &self.wrapper, name)
    }

    /// A command interpreter.
    #[must_use]
    pub(crate) fn is_shell(&self, name: &[u8]) -> bool {
        Self::has(catalog::programs::SHELLS, &self.shell, name)
    }

    /// A program that fetches data.
    #[must_use]
    pub(crate) fn is_interpreter(&self, name: &[u8]) -> bool {
        Self::has(catalog::programs::INTERPRETERS, &self.interpreter, name)
    }

    /// A program that transfers data from or to another host.
    #[must_use]
    pub(crate) fn is_downloader(&self, name: &[u8]) -> bool {
        Self::has(catalog::programs::DOWNLOADERS, &self.downloader, name)
    }

    /// A linker, compiler or build tool.
    #[must_use]
    pub(crate) fn is_builder_name(&self, name: &[u8]) -> bool {
        Self::has(catalog::programs::BUILDERS, &self.builder, name)
    }

    /// A package manager.
    #[must_use]
    pub(crate) fn is_packager_name(&self, name: &[u8]) -> bool {
        Self::has(
            catalog::programs::PACKAGE_MANAGERS,
            &self.package_manager,
            name,
        )
    }
}

/// Passes a stream between its own input and output and the network. Some downloaders do it for
/// addresses of another protocol.
#[must_use]
pub(crate) fn is_relay(name: &[u8], argv: &[Bytes]) -> bool {
    let plain = |word: &Bytes| word.starts_with(b"telnet://");
    catalog::programs::STREAM_TOOLS.contains(&name)
        || catalog::programs::FETCHERS.contains(&name) && argv.iter().skip(1).any(plain)
}

/// The dynamic loader.
#[must_use]
pub(crate) fn is_loader(exe: &[u8]) -> bool {
    let leaf = leaf(exe);
    leaf.starts_with(b"ld-linux") || leaf.starts_with(b"ld-musl") || leaf.starts_with(b"ld.so")
}

/// The role name of a process.
#[must_use]
pub(crate) fn of(process: &ProcessEntry) -> &[u8] {
    if process.exe.is_empty() {
        return process.comm.as_bytes();
    }
    name(process.exe.as_bytes(), &process.argv)
}

/// The program's text is an argument: `python -c`, `perl -e`, `ruby -ne`, `php -r`.
#[must_use]
pub(crate) fn takes_text(argv: &[Bytes]) -> bool {
    let options = argv.iter().skip(1).take_while(|a| a.starts_with(b"-"));
    let mut short = options.filter(|a| !a.starts_with(b"--"));
    // For others `-r` names a module.
    let php = argv.first().is_some_and(|a| leaf(a).starts_with(b"php"));
    short.any(|a| a.ends_with(b"c") || a.ends_with(b"e") || php && *a == "-r")
}

/// The inline code is applied to each line of the given files: `perl -pi -e`, `ruby -ne`. A long list of
/// arguments is known in part only, so that a file may be among them that `argv` lacks.
#[must_use]
pub(crate) fn filters(argv: &[Bytes]) -> bool {
    let mut options = argv.iter().skip(1).take_while(|a| a.starts_with(b"-"));
    let each = |a: &Bytes| !a.starts_with(b"--") && a.iter().any(|l| matches!(l, b'n' | b'p'));
    takes_text(argv) && options.any(each)
}

/// The program text among a shell's arguments: what follows `-c`, also in a cluster such as `-ec`.
#[must_use]
pub(crate) fn shell_text(argv: &[Bytes]) -> Option<&[u8]> {
    let option = |a: &Bytes| a.starts_with(b"-") && !a.starts_with(b"--") && a.ends_with(b"c");
    let at = argv.iter().skip(1).position(option)?;
    argv.get(at + 2).map(|text| text.as_bytes())
}

/// A script's path among the arguments of an interpreter: the first that is no option.
#[must_use]
pub(crate) fn script_argument(argv: &[Bytes]) -> Option<&[u8]> {
    for argument in argv.iter().skip(1) {
        let text = argument.as_bytes();
        match text {
            // The program text is an argument, not a file.
            b"-c" | b"-e" | b"-r" | b"-m" | b"-E" | b"--eval" | b"-p" => return None,
            b"--" => {}
            b"-" | b"-s" => return None,
            _ if text.starts_with(b"-c") && text.len() > 2 => return None,
            // Clusters such as `-xec`.
            _ if text.starts_with(b"-") && !text.starts_with(b"--") && text.ends_with(b"c") => {
                return None;
            }
            _ if text.starts_with(b"-") || text.starts_with(b"+") => {}
            _ => return Some(text),
        }
    }
    None
}

/// Builds programs: a linker, compiler or build tool of the image.
#[must_use]
pub(crate) fn is_builder(names: &ProgramAdditions, process: &ProcessEntry) -> bool {
    if !matches!(process.file.origin(), Origin::Image | Origin::CopiedUp) {
        return false;
    }
    if let Some(script) = script(names, process) {
        return is_builder_script(script);
    }
    let leaf = leaf(process.exe.as_bytes());
    let linker = catalog::words::CROSS_TOOL_SUFFIXES;
    names.is_builder_name(leaf)
        || linker.iter().any(|suffix| leaf.ends_with(suffix))
        || leaf.starts_with(b"clang-")
        || leaf.starts_with(b"gcc-")
        || leaf.starts_with(b"x86_64-linux-gnu-")
        || leaf.starts_with(b"aarch64-linux-gnu-")
}

/// Build tools that are scripts of the image.
fn is_builder_script(script: &[u8]) -> bool {
    let leaf = leaf(script);
    let end = leaf
        .iter()
        .rposition(|b| !(b.is_ascii_digit() || *b == b'.' || *b == b'-'))
        .map_or(leaf.len(), |i| i + 1);
    script.starts_with(b"/usr/")
        && catalog::programs::BUILDER_SCRIPTS.contains(&leaf.get(..end).unwrap_or(leaf))
}

fn script<'a>(names: &ProgramAdditions, process: &'a ProcessEntry) -> Option<&'a [u8]> {
    let name = of(process);
    if !names.is_interpreter(name) && !names.is_shell(name) {
        return None;
    }
    match &process.script {
        Some(script) => Some(script.as_bytes()),
        None => script_argument(&process.argv),
    }
}

/// A started program: the fields of an exec or a process that identify it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartedProgram<'a> {
    /// The executable's path.
    pub(crate) exe: &'a [u8],
    /// Arguments.
    pub(crate) argv: &'a [Bytes],
    /// The script it interprets by `#!`.
    pub(crate) script: Option<&'a Bytes>,
    /// Where the executable comes from.
    pub(crate) origin: Origin,
}

impl<'a> From<&'a ProcessEntry> for StartedProgram<'a> {
    fn from(p: &'a ProcessEntry) -> Self {
        Self {
            exe: p.exe.as_bytes(),
            argv: &p.argv,
            script: p.script.as_ref(),
            origin: p.file.origin(),
        }
    }
}

impl<'a> From<&'a Exec> for StartedProgram<'a> {
    fn from(e: &'a Exec) -> Self {
        Self {
            exe: e.exe.as_bytes(),
            argv: &e.argv,
            script: e.script.as_ref(),
            origin: e.file.origin(),
        }
    }
}

/// Installs packages: a package manager of the image, called to change something.
#[must_use]
pub(crate) fn is_packager<'a>(
    names: &ProgramAdditions,
    started: impl Into<StartedProgram<'a>>,
) -> bool {
    let started = started.into();
    if !matches!(started.origin, Origin::Image | Origin::CopiedUp) {
        return false;
    }
    let argv = started.argv;
    // Called to run other commands, it is a wrapper.
    if argv.iter().any(|a| a.find(b"-Invoke").is_some()) {
        return false;
    }
    let own = name(started.exe, argv);
    if names.is_packager_name(own) {
        return installs(own, argv);
    }
    if !names.is_interpreter(own) && !names.is_shell(own) {
        return false;
    }
    if let Some(module) = module(argv) {
        // A separate environment is created by installing the installer into it.
        return makes_environment(argv) || names.is_packager_name(module) && installs(module, argv);
    }
    packager_script(names, started).is_some_and(|s| {
        s.starts_with(b"/usr/") || s.starts_with(b"/bin/") || s.starts_with(b"/opt/")
    })
}

/// `MODULE` of `python -m MODULE`.
fn module(argv: &[Bytes]) -> Option<&Bytes> {
    let mut pairs = argv.windows(2);
    let pair = pairs.find(|pair| pair.first().is_some_and(|option| *option == "-m"))?;
    pair.get(1)
}

/// The arguments make an environment for packages of a project: `python -m venv`.
#[must_use]
pub(crate) fn makes_environment(argv: &[Bytes]) -> bool {
    module(argv)
        .is_some_and(|module| catalog::words::ENVIRONMENT_MODULES.contains(&module.as_bytes()))
}

/// The package manager that an interpreter of the image runs as a script, wherever the script is,
/// as in a Python environment.
#[must_use]
pub(crate) fn packager_script<'a>(
    names: &ProgramAdditions,
    started: impl Into<StartedProgram<'a>>,
) -> Option<&'a [u8]> {
    let started = started.into();
    if !matches!(started.origin, Origin::Image | Origin::CopiedUp) {
        return None;
    }
    let own = name(started.exe, started.argv);
    if !names.is_interpreter(own) && !names.is_shell(own) {
        return None;
    }
    let script = match started.script {
        Some(script) => script.as_bytes(),
        None => script_argument(started.argv)?,
    };
    let bare = leaf(script);
    let end = bare
        .iter()
        .rposition(|b| !(b.is_ascii_digit() || *b == b'.'))
        .map_or(bare.len(), |i| i + 1);
    let tool = match bare {
        b"npm-cli.js" | b"npx-cli.js" => &b"npm"[..],
        b"yarn.js" | b"pnpm.cjs" => b"yarn",
        _ => bare.get(..end).unwrap_or(bare),
    };
    (names.is_packager_name(tool) && installs(tool, started.argv)).then_some(script)
}

/// The package manager among the scripts of an interpreter that is used to write package managers.
/// A shell script with such a name only calls one.
#[must_use]
pub(crate) fn environments_packager<'a>(
    names: &ProgramAdditions,
    started: impl Into<StartedProgram<'a>>,
) -> Option<&'a [u8]> {
    let started = started.into();
    let interpreter = names.is_interpreter(name(started.exe, started.argv));
    packager_script(names, started).filter(|_| interpreter)
}

/// Whether the arguments request a change. Package managers that also start services (`npm start`)
/// must request it explicitly; the others change something unless they only answer a question.
fn installs(name: &[u8], argv: &[Bytes]) -> bool {
    let mut words = argv.iter().skip(1).map(|a| a.as_bytes());
    match name {
        b"npm" | b"yarn" | b"pnpm" | b"bundle" | b"poetry" | b"uv" | b"conda" | b"mamba"
        | b"pipx" | b"gem" | b"pip" | b"nix-env" => {
            words.any(|w| catalog::words::CHANGE_WORDS.contains(&w))
                || (name == b"yarn" && argv.len() <= 2)
        }
        _ => !words.any(|w| catalog::words::QUERY_WORDS.contains(&w)),
    }
}

/// Well-known program names: another program with one of them misleads.
#[must_use]
pub(crate) fn is_system_name(name: &[u8]) -> bool {
    catalog::programs::SYSTEM_NAMES.contains(&name)
}

/// A command line as text: escaped, at most `limit` characters.
#[must_use]
pub(crate) fn command_line(argv: &[Bytes], exe: &[u8], limit: usize) -> String {
    use std::fmt::Write as _;
    let mut line = String::new();
    if argv.is_empty() {
        let _ = write!(line, "{}", crate::event::escape(exe));
    }
    for argument in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let bytes = argument.as_bytes();
        let plain = !bytes.is_empty() && !bytes.iter().any(|b| b.is_ascii_whitespace());
        if plain {
            let _ = write!(line, "{}", argument.escaped());
        } else {
            let _ = write!(line, "'{}'", argument.escaped());
        }
        if line.len() > limit {
            break;
        }
    }
    if line.chars().count() > limit {
        line = line.chars().take(limit.saturating_sub(1)).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_and_versions_are_resolved() {
        let argv = |words: &[&str]| words.iter().map(|w| Bytes::from(*w)).collect::<Vec<_>>();
        assert_eq!(name(b"/bin/busybox", &argv(&["-sh"])), b"sh");
        assert_eq!(
            name(b"/bin/busybox", &argv(&["busybox", "wget", "x"])),
            b"wget"
        );
        assert_eq!(name(b"/usr/bin/python3.13", &[]), b"python");
        assert_eq!(name(b"/usr/bin/dash", &argv(&["sh", "-c", "x"])), b"dash");
        assert_eq!(name(b"/opt/7", &[]), b"7");
        assert_eq!(name(b"/usr/bin/nc.openbsd", &[]), b"nc");
    }

    #[test]
    fn the_script_among_the_arguments() {
        let script = |words: &[&str]| {
            let argv: Vec<Bytes> = words.iter().map(|w| Bytes::from(*w)).collect();
            script_argument(&argv).map(<[u8]>::to_vec)
        };
        assert_eq!(
            script(&["sh", "-x", "/tmp/p", "a"]),
            Some(b"/tmp/p".to_vec())
        );
        assert_eq!(script(&["sh", "-ec", "/tmp/p"]), None);
        assert_eq!(script(&["python3", "-m", "http.server"]), None);
        assert_eq!(script(&["sh"]), None);
    }

    #[test]
    fn command_lines_are_cut_and_escaped() {
        let argv = [Bytes::from("a b"), Bytes::new(b"\x1b[2J")];
        assert_eq!(command_line(&argv, b"", 80), r"'a b' \x1b[2J");
        assert_eq!(command_line(&[Bytes::from("abcdef")], b"", 4), "abc…");
    }
}
