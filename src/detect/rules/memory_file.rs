//! The memory of processes, opened as a file.

use super::credentials::with_a_tool;
use super::declared::{KnownPrivileges, debugs_own};
use super::kernel_files::{on, process_file, writes};
use crate::detect::alert::Alerts;
use crate::detect::file_change::{by, graded, is_refusal, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution};
use crate::event::{File, FileOp, Filesystem};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "priv.memory-file",
        title: "Opened a process's memory",
        label: "memory file",
        severity: Severity::High,
        attack: &["T1055.009", "T1003.007"],
        needs: &[Requirement::File],
        explain: "A process opened /proc/PID/mem of another process for writing or reading. \
                  Debuggers do it; so do credential thieves and injectors. Or a shell, a common \
                  tool or inline code (`python3 -c`) opened its own for writing: that replaces its \
                  code, and a program runs without a file.",
        check: "Which process's memory? What ran afterwards?",
    },
    handlers: &[Handler::File(|ctx, known, file| {
        memory(ctx, known.of(), file)
    })],
};

fn memory(ctx: &RuleContext<'_>, known: &mut KnownPrivileges, file: &File) -> Alerts {
    if !(writes(file.op) || file.op == FileOp::Read)
        || (file.errno != 0 && !is_refusal(file.errno))
        || !on(file, Filesystem::Proc, b"/proc/")
    {
        return Alerts::none();
    }
    let Some(target) = process_file(&file.path, b"mem") else {
        return Alerts::none();
    };
    let own = is_own(ctx, target);
    let harmless = match own {
        true => !writes(file.op) || !rewrites_itself(ctx),
        false => debugs_own(ctx, known, target),
    };
    if harmless {
        return Alerts::none();
    }
    let verb = if file.op == FileOp::Read {
        "opened for reading"
    } else {
        "opened for writing"
    };
    let subject = ctx
        .process
        .map_or_else(|| file.comm.clone(), |p| p.exe.clone());
    let line = format!("{verb} {}{}", file.path.escaped(), refused(file.errno));
    let alert = ctx.alert(
        graded(Severity::High, file.errno),
        &subject,
        |explanation| {
            let whose = if own { "its own" } else { "another process's" };
            explanation.title = format!("Opened {whose} memory: {}", file.path.escaped());
            explanation.why.push(by(ctx, &file.comm));
        },
    );
    alert.reason(line).into()
}

/// The process itself, as the container numbers it.
fn is_own(ctx: &RuleContext<'_>, target: &[u8]) -> bool {
    let number = std::str::from_utf8(target)
        .ok()
        .and_then(|t| t.parse().ok());
    target == b"self" || ctx.process.is_some_and(|p| number == Some(p.nspid))
}

/// A shell, a tool, inline code or drifted code has no reason to patch its own code; compiled programs
/// may have one.
fn rewrites_itself(ctx: &RuleContext<'_>) -> bool {
    with_a_tool(ctx)
        || ctx
            .process
            .is_some_and(|p| attribution::inline(ctx.names(), p))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileFacts, FileOp, Filesystem};

    #[test]
    fn a_program_without_code_of_its_own_replaces_its_memory() {
        let opens = |exe: &str, argv: &[&str], op: FileOp, who: &str| {
            let mut w = World::steady();
            let init = w.init();
            let p = w.exec(init, exe, argv);
            let own = w.state.processes[&p].nspid.to_string();
            let who = if who == "PID" { &own } else { who };
            w.file_as(p, op, &format!("/proc/{who}/mem"), |f| {
                f.file = Some(FileFacts {
                    fs: Filesystem::Proc,
                    ..FileFacts::default()
                });
            });
            w.highest()
        };
        for (exe, argv) in [
            ("/bin/bash", &["bash", "-c", "exec 3>/proc/self/mem"][..]),
            ("/bin/dd", &["dd", "of=/proc/self/mem"]),
            (
                "/usr/bin/python3",
                &["python3", "-c", "open('/proc/self/mem','r+b')"],
            ),
            (
                "/usr/bin/perl",
                &["perl", "-e", "open F,'+<','/proc/self/mem'"],
            ),
        ] {
            for who in ["self", "PID"] {
                assert_eq!(opens(exe, argv, FileOp::Write, who), Severity::High);
            }
            assert_eq!(opens(exe, argv, FileOp::Read, "self"), Severity::Info);
        }
        // Compiled programs that patch themselves, and scripts of the image.
        for (exe, argv) in [
            ("/usr/bin/wine", &["wine", "x"][..]),
            ("/usr/bin/python3", &["python3", "/app/hooks.py"]),
        ] {
            assert_eq!(opens(exe, argv, FileOp::Write, "self"), Severity::Info);
        }
    }
}
