//! Which files an interpreter runs as scripts, and which of them are not in the image.

use bstr::ByteSlice as _;

use crate::catalog::path::normal;
use crate::detect::program_roles;
use crate::detect::rule_context::RuleContext;
use crate::event::{Bytes, CompareClass, Exec, FileOp, ProgramAdditions};

/// Files that an exec interprets: by `#!`, as an interpreter's first argument, or by an option.
pub(super) fn scripts(names: &ProgramAdditions, exec: &Exec) -> Vec<Vec<u8>> {
    if let Some(script) = &exec.script {
        return vec![script.to_vec()];
    }
    let name = program_roles::name(&exec.exe, &exec.argv);
    if !names.is_shell(name) && !names.is_interpreter(name) {
        return Vec::new();
    }
    let skip = usize::from(
        exec.argv
            .first()
            .is_some_and(|a| program_roles::leaf(a.as_bytes()) == b"busybox"),
    );
    let argv = exec.argv.get(skip..).unwrap_or_default();
    let mut found = by_option(name, argv);
    // The first argument of awk is the program's text.
    if !name.ends_with(b"awk")
        && let Some(script) = program_roles::script_argument(argv)
    {
        found.push(script.to_vec());
    }
    found
}

/// Files that an interpreter's options make it run.
fn by_option(name: &[u8], argv: &[Bytes]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for pair in argv.windows(2) {
        let [option, value] = pair else { continue };
        let value = value.as_bytes();
        match (name, option.as_bytes()) {
            (b"awk" | b"gawk" | b"mawk", b"-f" | b"--file")
            | (b"node" | b"nodejs", b"-r" | b"--require" | b"--import")
            | (b"php" | b"expect", b"-f")
            | (b"bash", b"--rcfile" | b"--init-file") => found.push(value.to_vec()),
            // Modules are searched in the working directory first.
            (b"python", b"-m") => {
                let path = value.replace(".", "/");
                found.push([path.as_slice(), b".py"].concat());
                found.push([path.as_slice(), b"/__main__.py"].concat());
            }
            _ => {}
        }
    }
    found
}

/// The path of a script as the process that runs it would find it.
pub(super) fn locate(ctx: &RuleContext<'_>, exec: &Exec, path: &[u8]) -> Option<Vec<u8>> {
    locate_from(ctx, &exec.cwd, path)
}

/// The path of a script as found from a working directory.
pub(super) fn locate_from(ctx: &RuleContext<'_>, cwd: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let whole = match path {
        _ if path.starts_with(b"/") => normal(path),
        _ if cwd.is_empty() => return None,
        _ => normal(&[cwd, b"/", path].concat()),
    };
    let led = ctx.memory.links.lead(ctx.owner, cwd, &whole, true);
    let path = led.unwrap_or(whole);
    // The file behind a descriptor is not known.
    (!path.starts_with(b"/dev/fd/") && !path.starts_with(b"/proc/")).then_some(path)
}

/// The file is on a tmpfs.
pub(super) fn in_memory(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    path.starts_with(b"/dev/shm/")
        || ctx.container.is_some_and(|c| {
            c.info.mounts.iter().any(|m| {
                let at = m.destination.as_bytes();
                m.kind == "tmpfs"
                    && path
                        .strip_prefix(at)
                        .is_some_and(|rest| rest.starts_with(b"/"))
            })
        })
}

/// Whether the file was written since the container started, or is on a tmpfs; false for a module
/// that does not exist.
pub(super) fn is_drift(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let content = [
        FileOp::Create,
        FileOp::Write,
        FileOp::Truncate,
        FileOp::Rename,
        FileOp::Link,
    ];
    let written = ctx.activity(path).is_some_and(|a| {
        let landed = a.refused < a.ops.values().sum::<u64>();
        landed
            && content.iter().any(|op| a.ops.contains_key(op))
            && !matches!(a.class, Some(CompareClass::CopiedUp))
    });
    written || in_memory(ctx, path)
}
