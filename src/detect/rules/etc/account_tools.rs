//! Accounts that a command from outside changes with the image's own tools.

use bstr::ByteSlice as _;

use crate::detect::file_change::Change;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Severity, program_roles};
use crate::event::Origin;
use crate::state::ProcessEntry;

/// Tools that change accounts.
const TOOLS: &[&[u8]] = &[
    b"passwd",
    b"chpasswd",
    b"useradd",
    b"usermod",
    b"userdel",
    b"adduser",
    b"addgroup",
    b"deluser",
    b"delgroup",
    b"groupadd",
    b"groupmod",
    b"groupdel",
    b"groupmems",
    b"gpasswd",
    b"chage",
    b"chsh",
    b"chfn",
    b"newusers",
    b"pwconv",
    b"grpconv",
];

/// Options of these tools that take a value.
const WITH_VALUE: &[u8] = b"bcdefgGkKlpsuxnwiSR";

/// The name of the tool, if the process is one of the image; some are scripts.
fn tool(process: &ProcessEntry) -> Option<&[u8]> {
    let name = match &process.script {
        Some(script) => program_roles::leaf(script),
        None => program_roles::of(process),
    };
    let name = match program_roles::script_argument(&process.argv) {
        Some(script) if matches!(name, b"perl") => program_roles::leaf(script),
        _ => name,
    };
    (process.file.origin() == Origin::Image && TOOLS.contains(&name)).then_some(name)
}

/// Severity of a change by a tool of the image; `None` for any other program.
pub(super) fn severity(ctx: &RuleContext<'_>) -> Option<Severity> {
    let process = ctx.process.filter(|p| !ctx.memory.is_marked(p.pid))?;
    let name = tool(process)?;
    if grants_root(process) {
        return Some(Severity::High);
    }
    Some(match name {
        // The accounts are in its input.
        b"newusers" => Severity::Medium,
        b"chpasswd" if input_names_root(ctx) => Severity::Medium,
        b"passwd" if of_root(process) => Severity::Medium,
        _ if joins_powerful_group(process) => Severity::Medium,
        _ => Severity::Low,
    })
}

/// Groups whose members may become root.
const POWERFUL_GROUPS: &[&[u8]] = &[
    b"sudo", b"wheel", b"admin", b"root", b"docker", b"lxd", b"disk", b"shadow",
];

/// A group that makes its members root is among the arguments: `usermod -aG sudo u`, `adduser u
/// sudo`. The last argument of the tools that change accounts is the account itself.
fn joins_powerful_group(process: &ProcessEntry) -> bool {
    let name = program_roles::of(process);
    let accounts_last = matches!(name, b"usermod" | b"useradd");
    let words = process.argv.iter().skip(1);
    let given = process
        .argv
        .len()
        .saturating_sub(1 + usize::from(accounts_last));
    let changes_members = matches!(
        name,
        b"usermod" | b"useradd" | b"gpasswd" | b"adduser" | b"addgroup" | b"groupmems"
    ) || process.script.is_some();
    changes_members
        && words.take(given).any(|word| {
            let mut groups = word.split(|b| matches!(b, b',' | b'='));
            groups.any(|group| POWERFUL_GROUPS.contains(&group))
        })
}

/// The text of a shell above writes root's line into the tool's input: `echo root:x | chpasswd`.
fn input_names_root(ctx: &RuleContext<'_>) -> bool {
    let mut above = ctx.ancestors().skip(1).take(3);
    above.any(|p| program_roles::shell_text(&p.argv).is_some_and(|text| text.contains_str("root:")))
}

/// The account gets the id of root, or one that exists.
fn grants_root(process: &ProcessEntry) -> bool {
    let mut words = process.argv.iter().skip(1).map(|a| a.as_bytes()).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        let zero = |value: &[u8]| !value.is_empty() && value.iter().all(|b| *b == b'0');
        let granted = match word {
            b"-o" | b"--non-unique" | b"-ou" => true,
            b"-u" | b"--uid" => zero(next),
            _ => {
                let value = word
                    .strip_prefix(b"--uid=")
                    .or_else(|| word.strip_prefix(b"-u"));
                value.is_some_and(zero)
            }
        };
        if granted {
            return true;
        }
    }
    false
}

/// `passwd` changes the password of root, which it does without an argument.
fn of_root(process: &ProcessEntry) -> bool {
    let mut words = process.argv.iter().skip(1).map(|a| a.as_bytes());
    while let Some(word) = words.next() {
        match word.strip_prefix(b"-") {
            Some([option])
                if WITH_VALUE.contains(option)
                    && !matches!(option, b'd' | b'e' | b'l' | b'u' | b'S') =>
            {
                words.next();
            }
            Some(_) => {}
            None => return word == b"root",
        }
    }
    true
}

/// The image's `userdel` removes the start-up files of a home with it; the account itself is
/// reported.
pub(super) fn removes_home(ctx: &RuleContext<'_>, change: &Change<'_>) -> bool {
    change.verb == "removed"
        && change.path.starts_with(b"/home/")
        && ctx
            .process
            .and_then(tool)
            .is_some_and(|name| name == b"userdel" || name == b"deluser")
}
