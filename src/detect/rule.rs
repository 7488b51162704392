//! The type of a rule: its data and its handlers.
//!
//! # How a rule is written
//!
//! 1. Add `src/detect/rules/NAME.rs` with one `pub(super) const RULE: Rule`, and one line for it
//!    in the list of `src/detect/rules/mod.rs`. Lists, documentation, `hullwatch rules` and the
//!    screens derive from that list.
//! 2. [`RuleInfo`] holds the id, the texts, the usual severity and the facts the rule requires.
//! 3. `handlers` names a function for each kind of event. A handler reads the [`RuleContext`]: the
//!    state after the event, the process and its ancestors, what is remembered, the findings so
//!    far. It changes nothing and returns [`Alerts`], usually `Alerts::none()`.
//! 4. `ctx.alert(severity, subject, |explanation| ...)` makes an alert. Rule, container and subject
//!    identify a finding: another alert about them counts on it, and the closure, which writes
//!    title and reasons, runs only for a new one. Add parts, reasons and evidence to the alert.
//! 5. A rule that remembers something declares a type, implements `RuleMemory` for it and takes
//!    `&mut` to it: `Handler::Dns(|ctx, memory, dns| tunnel(ctx, memory.of(), dns))`. There is one
//!    value for each container. It must be bounded, and cheap to clone: keyframes clone it.
//! 6. The engine gives the alerts to `correlation`, which decides whether they begin a finding or
//!    continue one (what drifted code does next, start-up drift, planted files).
//! 7. State from before watching began comes as [`Handler::Found`]. A rule that handles it decides
//!    as at the start of the process; correlation marks the finding. A rule on new behavior, or on
//!    the frequency of something, ignores it.
//! 8. An event that raises nothing must not allocate.
//! 9. The tests in the file run the dangerous and the similar harmless case in a `World`.

use super::alert::Alerts;
use super::rule_context::RuleContext;
use super::rule_info::RuleInfo;
use super::rule_memory::RuleMemories;
use crate::event::{
    Capability, Client, Compare, Connect, ContainerEvent, Dns, DriftScan, Exec, ExecRefused, File,
    Listen, Privilege, Process, Syscall, Tick,
};

/// Examines one event; the second argument holds what the rules remember of its container.
pub(crate) type HandlerFn<T> = fn(&RuleContext<'_>, &mut RuleMemories<'_>, &T) -> Alerts;

/// A handler for one kind of event.
#[allow(
    dead_code,
    reason = "some kinds are used once their rules are converted"
)]
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Program starts.
    Exec(HandlerFn<Exec>),
    /// Refused program starts.
    ExecRefused(HandlerFn<ExecRefused>),
    /// File operations.
    File(HandlerFn<File>),
    /// Outbound connections.
    Connect(HandlerFn<Connect>),
    /// Listening sockets.
    Listen(HandlerFn<Listen>),
    /// DNS answers.
    Dns(HandlerFn<Dns>),
    /// Comparisons of one file with the image.
    Compare(HandlerFn<Compare>),
    /// Scans of a container's files against its image.
    DriftScan(HandlerFn<DriftScan>),
    /// Privileged system calls.
    Privilege(HandlerFn<Privilege>),
    /// First uses of capabilities.
    Capability(HandlerFn<Capability>),
    /// First uses of system calls.
    Syscall(HandlerFn<Syscall>),
    /// Changes in the life of the container.
    Container(HandlerFn<ContainerEvent>),
    /// Programs on the host that run commands in the container.
    Client(HandlerFn<Client>),
    /// Once a second for every running container.
    Tick(HandlerFn<Tick>),
    /// Processes that were found when watching began, parents first, after the open sockets.
    Found(HandlerFn<Process>),
}

/// A rule.
pub(crate) struct Rule {
    /// Its data.
    pub(crate) info: RuleInfo,
    /// Its handlers; a rule without any is raised by another rule of its family.
    pub(crate) handlers: &'static [Handler],
}
