//! Passwords of accounts guessed with the container's own tools.

use std::collections::VecDeque;

use crate::detect::alert::Alerts;
use crate::detect::finding_store::Occurrence;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Bytes, Exec};

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "priv.password-guessing",
        title: "Guessed passwords of accounts",
        label: "guessing",
        severity: Severity::High,
        attack: &["T1110.001", "T1548.003"],
        needs: &[Requirement::Exec],
        explain: "A user other than root started `su`, `sudo` or `doas` eight times within three \
                  minutes, and each ended with an error before it started anything: so does one \
                  that tries passwords. Root is not asked for one; `sudo -n` asks nobody; and a \
                  command that fails was started.",
        check: "Who runs it, and has one of the attempts succeeded? Look for what that user did \
                before.",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| {
            let asks = asks(exec);
            if asks
                || memory
                    .get::<Attempts>()
                    .is_some_and(|known| !known.waiting.is_empty())
            {
                note(ctx, memory.of(), exec, asks);
            }
            Alerts::none()
        }),
        Handler::Tick(|ctx, memory, _| match memory.get::<Attempts>() {
            Some(known) if !known.waiting.is_empty() => judge(ctx, memory.of()),
            _ => Alerts::none(),
        }),
    ],
};

/// Attempts that failed within [`WITHIN`].
const FAILED: usize = 8;
/// Seconds.
const WITHIN: u64 = 180;
/// Maximum number of attempts that are remembered in one container.
const MAX_ATTEMPTS: usize = 64;

/// Programs that asked for a password and have started nothing so far.
#[derive(Debug, Clone, Default)]
struct Attempts {
    waiting: VecDeque<Attempt>,
    /// Attempts that are part of the finding.
    counted: usize,
}

#[derive(Debug, Clone)]
struct Attempt {
    pid: u32,
    command: Bytes,
    first: Occurrence,
}

impl RuleMemory for Attempts {
    fn heap_bytes(&self) -> usize {
        self.waiting.len() * (size_of::<Attempt>() + 512)
    }
}

/// Whether the program asks this user for a password.
fn asks(exec: &Exec) -> bool {
    let has = |options: &[&str]| {
        exec.argv
            .iter()
            .skip(1)
            .any(|a| options.iter().any(|o| **a == *o.as_bytes()))
    };
    exec.uid != 0
        && match program_roles::name(&exec.exe, &exec.argv) {
            b"su" => true,
            b"sudo" => !has(&["-n", "--non-interactive", "-V", "-h", "--help"]),
            b"doas" => !has(&["-n"]),
            _ => false,
        }
}

fn note(ctx: &RuleContext<'_>, known: &mut Attempts, exec: &Exec, asks: bool) {
    // What was started: the password was right, or none was needed.
    let parent = ctx.parent_pid(exec);
    let started = |attempt: &Attempt| attempt.pid == parent || attempt.pid == ctx.event.pid;
    known.waiting.retain(|attempt| !started(attempt));
    if !asks || ctx.starting_up() || !exec.file.origin().is_or_may_be_the_images() {
        return;
    }
    if known.waiting.len() >= MAX_ATTEMPTS {
        known.waiting.pop_front();
    }
    known.waiting.push_back(Attempt {
        pid: ctx.event.pid,
        command: program_roles::command_line(&exec.argv, &exec.exe, 120)
            .as_str()
            .into(),
        first: ctx.occurrence(),
    });
}

fn judge(ctx: &RuleContext<'_>, known: &mut Attempts) -> Alerts {
    let now = ctx.now();
    let ended = |attempt: &Attempt| {
        let process = ctx.state.processes.get(&attempt.pid)?;
        process.exited.map(|_| process.exit_code != Some(0))
    };
    known.waiting.retain(|attempt| {
        now.since(attempt.first.ts).as_secs() <= WITHIN && ended(attempt) != Some(false)
    });
    let failed = known
        .waiting
        .iter()
        .filter(|a| ended(a) == Some(true))
        .count();
    if failed == 0 || known.counted == 0 && failed < FAILED {
        return Alerts::none();
    }
    let (tried, waiting): (VecDeque<_>, _) = std::mem::take(&mut known.waiting)
        .into_iter()
        .partition(|a| ended(a) == Some(true));
    known.waiting = waiting;
    known.counted += failed;
    let Some(first) = tried.front() else {
        return Alerts::none();
    };
    let alert = ctx.alert(RULE.info.severity, b"passwords", |explanation| {
        let command = first.command.escaped();
        explanation.why.push(format!("for example: {command}"));
    });
    let title = format!(
        "{} attempts to get another user's rights failed",
        known.counted
    );
    alert.title(title).happened(first.first.clone()).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{Exit, Kind};

    /// Attempts of a user, each ending with the exit code, after it started something or not.
    fn tries(
        times: u32,
        uid: u32,
        line: &str,
        code: u8,
        starts: bool,
        pause: u32,
    ) -> Option<Severity> {
        let mut w = World::steady();
        let init = w.init();
        for _ in 0..times {
            let argv: Vec<&str> = line.split(' ').collect();
            let p = w.fork(init);
            w.exec_as(p, init, &format!("/usr/bin/{}", argv[0]), &argv, |e| {
                e.uid = uid
            });
            if starts {
                w.exec(p, "/usr/bin/id", &["id"]);
            }
            w.fact(
                p,
                Kind::Exit(Exit {
                    code: Some(code),
                    ..Exit::default()
                }),
            );
            w.ticks(pause);
        }
        w.ticks(2);
        let all = w.all("priv.password-guessing");
        assert!(all.len() <= 1);
        all.first().map(|f| f.severity)
    }

    #[test]
    fn many_attempts_that_start_nothing() {
        let high = Some(Severity::High);
        assert_eq!(tries(12, 33, "su root -c id", 1, false, 3), high);
        assert_eq!(tries(9, 33, "sudo -S id", 1, false, 0), high);
        assert_eq!(tries(200, 33, "su -", 1, false, 0), high);
    }

    #[test]
    fn a_few_mistakes_failing_commands_and_root() {
        assert_eq!(tries(4, 33, "su -", 1, false, 3), None);
        assert_eq!(
            tries(20, 33, "su -", 1, false, 60),
            None,
            "a job each minute"
        );
        assert_eq!(tries(20, 0, "su app -c check", 1, false, 1), None);
        assert_eq!(
            tries(20, 33, "sudo check", 2, true, 1),
            None,
            "checks that fail"
        );
        assert_eq!(tries(20, 33, "sudo -n check", 1, false, 1), None);
        assert_eq!(tries(20, 33, "sudo -v", 0, false, 1), None);
    }
}
