//! The list of event kinds. A new kind is one line in [`kinds!`] below and a struct for its fields.

use super::{
    Accept, BaselineChange, Capability, Client, Close, Compare, Connect, ContainerEvent, Dns,
    DriftScan, Event, EventError, Exec, ExecRefused, Exit, File, Fork, Listen, Lost, PolicyChange,
    Privilege, Process, Response, Socket, Syscall, Tick,
};

/// Makes [`Kind`], the list of its `type` names, and the reading and writing of its fields.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident($fields:ty) $name:literal;)+) => {
        /// The kind of an event with its fields. Large kinds are boxed so that the enum stays small
        /// in queues.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant($fields),)+
        }

        /// The `type` names that this version can read, in the order of [`Kind`].
        pub const KNOWN_TYPES: &[&str] = &[$($name),+];

        impl Kind {
            /// The `type` of this kind in a recording.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Reads the fields of the kind that is called `name` from a JSON object. Unknown
            /// fields are ignored.
            ///
            /// # Errors
            /// When no kind has this name, or a field is missing or of the wrong type.
            pub(super) fn read_fields(name: &str, object: &[u8]) -> Result<Self, EventError> {
                Ok(match name {
                    $($name => Self::$variant(serde_json::from_slice(object)?),)+
                    other => return Err(EventError::UnknownType(other.to_owned())),
                })
            }

            /// Appends the JSON line of `event`, whose kind this is.
            ///
            /// # Errors
            /// When a value cannot be represented in JSON.
            pub(super) fn write_fields(
                &self,
                event: &Event,
                out: &mut Vec<u8>,
            ) -> Result<(), serde_json::Error> {
                match self {
                    $(Self::$variant(fields) => event.line(fields, out),)+
                }
            }
        }
    };
}

kinds! {
    /// A process replaced its image (`execve`).
    Exec(Box<Exec>) "exec";
    /// A process tried to replace its image and was refused.
    ExecRefused(Box<ExecRefused>) "exec_refused";
    /// A process was created. The event's `pid` is the child's.
    Fork(Fork) "fork";
    /// The last thread of a process ended.
    Exit(Exit) "exit";
    /// A process that already ran when watching began, from `/proc`, or that entered and runs on.
    Process(Box<Process>) "process";
    /// An outbound connection attempt or, for UDP, the first datagram to a peer.
    Connect(Box<Connect>) "connect";
    /// An inbound connection was accepted.
    Accept(Box<Accept>) "accept";
    /// A TCP connection ended.
    Close(Box<Close>) "close";
    /// A socket began to listen, or a UDP socket was bound.
    Listen(Listen) "listen";
    /// A socket that was already open when watching began, from `/proc`.
    Socket(Box<Socket>) "socket";
    /// An answer to a DNS query arrived.
    Dns(Box<Dns>) "dns";
    /// A file operation that changes something, or a read of a sensitive file.
    File(Box<File>) "file";
    /// The content of a file was compared with the image's copy.
    Compare(Box<Compare>) "compare";
    /// A container's files were compared with its image.
    DriftScan(Box<DriftScan>) "scan";
    /// A privileged or escape-related system call, with its result.
    Privilege(Box<Privilege>) "privilege";
    /// First use of a capability by a container's own processes, or by an exec session.
    Capability(Capability) "capability";
    /// First use of a system call by a container, if that is enabled.
    Syscall(Syscall) "syscall";
    /// A container appeared, changed or ended, or facts about it arrived.
    Container(Box<ContainerEvent>) "container";
    /// A program on this host requested a command inside from an engine, or entered itself; the
    /// event's pid is its pid.
    Client(Box<Client>) "client";
    /// One second passed: time, usage per container, loss totals.
    Tick(Box<Tick>) "tick";
    /// The policy file was reloaded.
    Policy(Box<PolicyChange>) "policy";
    /// A response from hullwatch's screen.
    Response(Box<Response>) "response";
    /// A baseline file was read, or removed.
    Baseline(Box<BaselineChange>) "baseline";
    /// Events were lost.
    Lost(Lost) "lost";
}
