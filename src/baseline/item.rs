//! One action of a container in general form, and the facets of actions.

use std::collections::BTreeMap;
use std::fmt;

use crate::event::{Bytes, escape};

/// A kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// Runs a program.
    Exec,
    /// Changes a file or its name.
    Write,
    /// Reads a secret.
    Secret,
    /// Connects to a peer.
    Connect,
    /// Looks up a name.
    Resolve,
    /// Listens on a port.
    Listen,
    /// Uses a capability.
    Capability,
    /// Makes a privileged system call.
    Call,
    /// Runs as a user.
    User,
    /// Makes a system call.
    Syscall,
}

impl Facet {
    /// All facets, in the order of a file.
    pub const ALL: [Self; 10] = [
        Self::Exec,
        Self::Write,
        Self::Secret,
        Self::Connect,
        Self::Resolve,
        Self::Listen,
        Self::Capability,
        Self::Call,
        Self::User,
        Self::Syscall,
    ];

    /// Its name in a file and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Write => "write",
            Self::Secret => "secret",
            Self::Connect => "connect",
            Self::Resolve => "resolve",
            Self::Listen => "listen",
            Self::Capability => "capability",
            Self::Call => "call",
            Self::User => "user",
            Self::Syscall => "syscall",
        }
    }

    /// The facet of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.name() == name)
    }

    /// The fields that its items have; the first one is in every item.
    #[must_use]
    pub fn fields(self) -> &'static [ItemField] {
        match self {
            Self::Exec => &[
                ItemField::Exe,
                ItemField::As,
                ItemField::Script,
                ItemField::Args,
                ItemField::By,
            ],
            Self::Write | Self::Secret => &[ItemField::Path, ItemField::By],
            Self::Connect => &[
                ItemField::To,
                ItemField::Port,
                ItemField::Proto,
                ItemField::By,
            ],
            Self::Resolve | Self::Syscall => &[ItemField::Name],
            Self::Listen => &[
                ItemField::Port,
                ItemField::Proto,
                ItemField::On,
                ItemField::By,
            ],
            Self::Capability | Self::Call => &[ItemField::Name, ItemField::By],
            Self::User => &[ItemField::Uid, ItemField::By],
        }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A field of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemField {
    /// Executable, literal.
    Exe,
    /// File, a pattern.
    Path,
    /// Peer: a name, `service:NAME`, an address, `self`, `private`, `public`.
    To,
    /// Name of a capability, a call, or a name that is looked up.
    Name,
    /// User id as the container numbers it, or as the host does.
    Uid,
    /// Port; `chosen` where the kernel chooses it.
    Port,
    /// Transport.
    Proto,
    /// Address listened on: `any`, `loopback` or `address`.
    On,
    /// Applet of a multi-call binary.
    As,
    /// Script that the executable interprets, literal.
    Script,
    /// Arguments of a shell or an interpreter, a pattern.
    Args,
    /// Executable of the acting process; for a program, of its parent.
    By,
}

impl ItemField {
    /// All fields, in the order of a line.
    pub const ALL: [Self; 12] = [
        Self::Exe,
        Self::Path,
        Self::To,
        Self::Name,
        Self::Uid,
        Self::Port,
        Self::Proto,
        Self::On,
        Self::As,
        Self::Script,
        Self::Args,
        Self::By,
    ];

    /// Its name in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exe => "exe",
            Self::Path => "path",
            Self::To => "to",
            Self::Name => "name",
            Self::Uid => "uid",
            Self::Port => "port",
            Self::Proto => "proto",
            Self::On => "on",
            Self::As => "as",
            Self::Script => "script",
            Self::Args => "args",
            Self::By => "by",
        }
    }
}

/// A phase in a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifePhase {
    /// From its first program until the start-up grace is over.
    Start,
    /// After that.
    Steady,
    /// In the last seconds before its end, and never before.
    Stop,
}

impl LifePhase {
    /// All phases.
    pub const ALL: [Self; 3] = [Self::Start, Self::Steady, Self::Stop];

    /// Its name in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Steady => "steady",
            Self::Stop => "stop",
        }
    }
}

/// One action in general form. Empty fields are absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaselineItem {
    /// Its facet.
    pub facet: Facet,
    /// Its fields, none of them empty.
    pub fields: BTreeMap<ItemField, Bytes>,
}

impl BaselineItem {
    /// An item of these fields; empty ones are left out.
    #[must_use]
    pub fn new<'a>(facet: Facet, fields: impl IntoIterator<Item = (ItemField, &'a [u8])>) -> Self {
        let fields = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(field, value)| (field, Bytes::new(value)))
            .collect();
        Self { facet, fields }
    }

    /// A field; empty where it is absent.
    #[must_use]
    pub fn get(&self, field: ItemField) -> &[u8] {
        self.fields.get(&field).map_or(&[], |value| value)
    }

    /// The item with another value of a field.
    #[must_use]
    pub(super) fn with(&self, field: ItemField, value: &[u8]) -> Self {
        let mut item = self.clone();
        item.fields.insert(field, Bytes::new(value));
        item
    }

    /// The item for another acting program.
    #[must_use]
    pub fn done_by(&self, by: &[u8]) -> Self {
        self.with(ItemField::By, by)
    }

    /// The object of the action, without its program, as text: escaped.
    #[must_use]
    pub fn subject(&self) -> String {
        let text = |field| escape(self.get(field)).to_string();
        match self.facet {
            Facet::Exec => {
                let mut words = vec![text(ItemField::Exe)];
                for field in [ItemField::As, ItemField::Script, ItemField::Args] {
                    if self.fields.contains_key(&field) {
                        words.push(text(field));
                    }
                }
                words.join(" ")
            }
            Facet::Write | Facet::Secret => text(ItemField::Path),
            Facet::Connect => {
                let port = match self.get(ItemField::Port) {
                    b"" => String::new(),
                    _ => format!(":{}", text(ItemField::Port)),
                };
                let proto = match self.get(ItemField::Proto) {
                    b"tcp" | b"unix" | b"" => String::new(),
                    _ => format!("/{}", text(ItemField::Proto)),
                };
                format!("{}{port}{proto}", text(ItemField::To))
            }
            Facet::Listen => {
                let place = match self.get(ItemField::On) {
                    b"any" | b"" => String::new(),
                    _ => format!(" on {}", text(ItemField::On)),
                };
                format!(
                    "{}/{}{place}",
                    text(ItemField::Port),
                    text(ItemField::Proto)
                )
            }
            Facet::Resolve | Facet::Capability | Facet::Call | Facet::Syscall => {
                text(ItemField::Name)
            }
            Facet::User => text(ItemField::Uid),
        }
    }
}

impl fmt::Display for BaselineItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject())?;
        if self.fields.contains_key(&ItemField::By) {
            write!(f, "  by {}", escape(self.get(ItemField::By)))?;
        }
        Ok(())
    }
}
