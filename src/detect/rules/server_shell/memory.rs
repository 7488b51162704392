//! The shells that a container's servers started, and their known commands.

use std::collections::VecDeque;

use bstr::ByteSlice as _;

use crate::detect::discovery::{Discovery, EXPLORATION};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{command_shape, program_roles};
use crate::event::{Bytes, Exec, Timestamp};
use crate::state::ProcessEntry;

/// Maximum number of shells watched in one container; the oldest is dropped.
const MAX_SHELLS: usize = 64;
/// Maximum number of queries about the system stored for one container.
const MAX_REQUESTS: usize = 64;
/// Seconds within which queries belong together.
const EXPLORES_WITHIN: u64 = 600;
/// Number of runs from which a command is the server's ordinary work.
const USUAL: usize = 3;

/// A shell that a server started.
#[derive(Debug, Clone)]
pub(super) struct ServerShell {
    pid: u32,
    began: Timestamp,
    /// The shape of its command.
    pub(super) shape: CommandShape,
    /// The program that started it.
    pub(super) parent: Bytes,
    /// The program has started shells since its own start.
    pub(super) by_habit: bool,
    /// The program ran before watching began.
    pub(super) existing: bool,
    /// How well its command is known.
    pub(super) known: KnownCommand,
}

impl ServerShell {
    /// The shell that the event's process became.
    pub(super) fn new(
        ctx: &RuleContext<'_>,
        shape: CommandShape,
        parent: &ProcessEntry,
        by_habit: bool,
        known: KnownCommand,
    ) -> Self {
        Self {
            pid: ctx.event.pid,
            began: ctx.now(),
            shape,
            parent: parent.exe.clone(),
            by_habit,
            existing: parent.existing,
            known,
        }
    }
}

/// How well a command is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownCommand {
    /// It ran while the container started, or repeatedly.
    Usual,
    /// It is in the arguments that a service was started with.
    Argument,
    /// Unknown.
    New,
}

/// The shape of a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CommandShape(Vec<Bytes>);

impl CommandShape {
    /// The shape of a command with these arguments.
    pub(super) fn of(argv: &[Bytes]) -> Self {
        Self(command_shape::of(argv))
    }
}

#[derive(Debug, Clone)]
struct AskedQuestion {
    at: Timestamp,
    about: Bytes,
    weight: u32,
    shape: CommandShape,
}

/// The memory about the shells of one container's servers.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerShells {
    /// Programs that have started a shell from the beginning, by executable and arguments.
    habits: SeenSet,
    /// Shapes of commands that ran once, twice, and often.
    ran: [SeenSet; USUAL],
    shells: VecDeque<ServerShell>,
    requested: VecDeque<AskedQuestion>,
    /// A shell took an action that only an intruder takes.
    pub(super) risen: bool,
}

impl RuleMemory for ServerShells {
    fn heap_bytes(&self) -> usize {
        let sets = self.ran.iter().map(SeenSet::len).sum::<usize>() + self.habits.len();
        sets * 32 + self.shells.len() * 256 + self.requested.len() * 256
    }
}

impl ServerShells {
    /// Whether the program starts shells routinely.
    pub(super) fn has_habit(&self, program: (&[u8], &[Bytes])) -> bool {
        self.habits.contains(program)
    }

    /// Notes that the program starts shells routinely.
    pub(super) fn note_habit(&mut self, program: (&[u8], &[Bytes])) {
        self.habits.insert(program);
    }

    /// Whether a command like this is the container's ordinary work.
    pub(super) fn note_usual(&mut self, shape: &CommandShape) {
        for set in &mut self.ran {
            set.insert(shape);
        }
    }

    /// Counts a run of such a command; true once it has run often.
    pub(super) fn runs_again(&mut self, shape: &CommandShape) -> bool {
        let [sets @ .., usual] = &mut self.ran;
        if usual.contains(shape) {
            return true;
        }
        if sets.iter_mut().all(|set| !set.insert(shape)) {
            usual.insert(shape);
        }
        false
    }

    /// Watches a shell.
    pub(super) fn watch(&mut self, shell: ServerShell) {
        if self.shells.len() >= MAX_SHELLS {
            self.shells.pop_front();
        }
        self.shells.push_back(shell);
    }

    /// Whether any shell is watched.
    pub(super) fn any_watched(&self) -> bool {
        !self.shells.is_empty()
    }

    /// The watched shell that the event's process is or descends from.
    pub(super) fn shell_of(&self, ctx: &RuleContext<'_>) -> Option<ServerShell> {
        if !self.any_watched() {
            return None;
        }
        ctx.ancestors().find_map(|process| {
            let mut shells = self.shells.iter().rev();
            shells
                .find(|shell| shell.pid == process.pid && process.started <= shell.began)
                .cloned()
        })
    }

    /// Notes a query about the system; true when recent queries make an exploration.
    pub(super) fn asks<'a>(
        &mut self,
        now: Timestamp,
        shape: &CommandShape,
        questions: impl IntoIterator<Item = Discovery<'a>>,
    ) -> bool {
        let mut explores = false;
        for question in questions {
            while self.requested.len() >= MAX_REQUESTS
                || self
                    .requested
                    .front()
                    .is_some_and(|old| now.since(old.at).as_secs() > EXPLORES_WITHIN)
            {
                self.requested.pop_front();
            }
            if !self
                .requested
                .iter()
                .any(|old| *old.about == *question.about.as_bstr())
            {
                self.requested.push_back(AskedQuestion {
                    at: now,
                    about: question.about.into(),
                    weight: question.weight,
                    shape: shape.clone(),
                });
            }
            let weight: u32 = self
                .requested
                .iter()
                .map(|requested| requested.weight)
                .sum();
            // A status page makes several queries in one command.
            let one = self
                .requested
                .iter()
                .all(|requested| requested.shape == *shape);
            let enough = EXPLORATION + u32::from(one);
            explores |= question.weight >= EXPLORATION || weight >= enough;
        }
        explores
    }
}

/// Whether the shell's text is in an argument of a service above it, which may contain placeholders
/// (`%p`).
pub(super) fn given_as_argument(ctx: &RuleContext<'_>, exec: &Exec) -> bool {
    /// A shorter text is in many arguments by chance.
    const SHORTEST: usize = 6;
    let Some(text) = program_roles::shell_text(&exec.argv).filter(|text| text.len() >= SHORTEST)
    else {
        return false;
    };
    let fits = |argument: &Bytes| {
        argument.find(text).is_some()
            || argument.find_byte(b'=').is_some_and(|at| {
                let template = argument.get(at + 1..).unwrap_or_default();
                template.len() >= SHORTEST && fits_template(template, text)
            })
    };
    // A start script is not a service: its commands are in its arguments as well.
    let service = |p: &&ProcessEntry| !ctx.names().is_shell(program_roles::of(p));
    let mut services = ctx.ancestors().skip(1).filter(service);
    services.any(|p| p.argv.iter().any(fits))
}

/// Whether the text is the template with something for each `%` and the letter after it.
fn fits_template(template: &[u8], text: &[u8]) -> bool {
    let mut pieces = template.split(|b| *b == b'%');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut places = 0;
    for piece in pieces {
        let piece = piece.get(1..).unwrap_or_default();
        // A placeholder is replaced by a name, not by another command.
        let end = rest.find_byteset(b" ;|&$`\"'\n<>()").unwrap_or(rest.len());
        let (_, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix(piece) else {
            let Some(at) = rest.find(piece).filter(|at| *at <= end) else {
                return false;
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
            places += 1;
            continue;
        };
        rest = after;
        places += 1;
    }
    places > 0 && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> CommandShape {
        CommandShape::of(&["sh".into(), "-c".into(), text.into()])
    }

    #[test]
    fn a_template_has_places_for_names_only() {
        let archive = b"test ! -f /a/%f && cp %p /a/%f";
        assert!(fits_template(
            archive,
            b"test ! -f /a/00A && cp pg_wal/00A /a/00A"
        ));
        assert!(!fits_template(
            archive,
            b"test ! -f /a/00A && cp pg_wal/00A /a/00A; id"
        ));
        assert!(!fits_template(
            archive,
            b"test ! -f /a/x;id && cp pg_wal/00A /a/00A"
        ));
        assert!(!fits_template(b"date", b"date"));
    }

    #[test]
    fn a_command_is_usual_after_three_runs() {
        let mut shells = ServerShells::default();
        let runs: Vec<bool> = (0..5).map(|_| shells.runs_again(&shape("date"))).collect();
        assert_eq!(runs, [false, false, false, true, true]);
        shells.note_usual(&shape("ls"));
        assert!(shells.runs_again(&shape("ls")));
        for n in 0..100_000 {
            shells.runs_again(&shape(&"x".repeat(n % 700)));
        }
        assert!(shells.heap_bytes() < 1_000_000);
    }
}
