//! Converts events to the actions of a container, as items.

use std::net::{IpAddr, SocketAddr};

use bstr::ByteSlice as _;
use smallvec::SmallVec;

use super::item::{BaselineItem, Facet, ItemField};
use super::pattern::literal;
use crate::catalog::path::leaf;
use crate::catalog::programs::{INTERPRETERS, MULTI_CALL, SHELLS};
use crate::event::{
    Bytes, ContainerId, Endpoint, Event, Exec, File, FileFacts, FileOp, Filesystem, Kind, Origin,
    Protocol, gained_capabilities,
};
use crate::masking::mask;
use crate::state::{Container, Lineage, ProcessEntry, State};

/// Longest arguments kept, bytes.
const LONGEST: usize = 200;

/// The part of a container that acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActingPart {
    /// The container's own service.
    Service,
    /// The container's health check.
    HealthCheck,
    /// A command from outside.
    Session,
    /// Not known.
    Unknown,
}

/// One observed action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAction {
    /// The action, literal.
    pub item: BaselineItem,
    /// How, see [`super::Facts::how`].
    pub how: Option<char>,
    /// The user, if it is part of the facet.
    pub uid: Option<u32>,
}

/// The actions of one event; usually none or one.
pub type ObservedActions = SmallVec<[ObservedAction; 2]>;

/// The part of the container that the event's process belongs to.
#[must_use]
pub fn acting_part(
    container: &Container,
    process: Option<&ProcessEntry>,
    state: &State,
) -> ActingPart {
    let Some(process) = process else {
        return ActingPart::Unknown;
    };
    match process.lineage {
        Lineage::Init => ActingPart::Service,
        Lineage::ExecSession(root) => {
            let check = &container.info.healthcheck;
            let argv = |p: &ProcessEntry| p.argv == *check;
            let is_check = !check.is_empty()
                && (argv(process) || state.processes.get(&root).is_some_and(|root| argv(root)));
            if is_check {
                ActingPart::HealthCheck
            } else {
                ActingPart::Session
            }
        }
        Lineage::Unknown => ActingPart::Unknown,
    }
}

/// Whether the program is the image's, by the kernel's facts.
#[must_use]
pub fn is_of_image(file: &FileFacts) -> bool {
    matches!(file.origin(), Origin::Image | Origin::Unknown)
}

/// The process an event belongs to.
#[must_use]
pub fn process<'a>(state: &'a State, event: &Event) -> Option<&'a ProcessEntry> {
    let process = state.processes.get(&event.pid)?;
    (event.pid != 0 && process.owner == event.container).then_some(process)
}

/// The container's actions in an event. `state` is the state after it.
#[must_use]
pub fn observed_actions(state: &State, event: &Event) -> ObservedActions {
    let mut out = ObservedActions::new();
    let Some(id) = &event.container else {
        return out;
    };
    let process = process(state, event);
    if process.is_some_and(|p| p.runtime) {
        return out;
    }
    let by = process.map_or(&b""[..], |p| &p.exe);
    // As the container has them: what is learned also holds where its ids are mapped to others.
    let container = state.containers.get(id);
    let inside = |uid| container.map_or(uid, |container| container.info.inside_uid(uid));
    let mut push = |item: BaselineItem, how: Option<char>, uid: Option<u32>| {
        out.push(ObservedAction { item, how, uid });
    };
    match &event.kind {
        Kind::Exec(exec) if !exec.runtime => {
            let item = program(
                &exec.exe,
                &exec.argv,
                exec.script.as_ref(),
                parent(state, event, exec),
            );
            let gained = gained_capabilities(&exec.file_capabilities);
            let how = if exec.file.mode & 0o6000 != 0 {
                Some('s')
            } else {
                (!gained.is_empty()).then_some('f')
            };
            push(item, how, Some(inside(exec.uid)));
            push(user(inside(exec.uid), &exec.exe), None, None);
            for name in &gained {
                push(capability(name, &exec.exe), Some('f'), None);
            }
        }
        Kind::Process(found) => {
            let parent = state.parent_at(&event.container, found.ppid, found.started);
            // Programs that servers fork look like their parents.
            let forked = parent.is_some_and(|p| p.exe == found.exe && p.argv == found.argv);
            if !forked {
                let by = parent.map_or(&b"init"[..], |p| &p.exe);
                push(
                    program(&found.exe, &found.argv, None, by),
                    None,
                    Some(inside(found.uid)),
                );
            }
            push(user(inside(found.uid), &found.exe), None, None);
        }
        Kind::File(file) if file.errno == 0 => file_actions(file, by, &mut push),
        Kind::Connect(connect) => {
            if let Some(item) = connection(state, id, connect.protocol, &connect.remote, by) {
                push(item, None, None);
            }
        }
        Kind::Dns(dns) => {
            push(
                BaselineItem::new(Facet::Resolve, [(ItemField::Name, dns.name.as_bytes())]),
                None,
                None,
            );
        }
        Kind::Listen(listen) => push(listening(listen.protocol, listen.local, by), None, None),
        Kind::Socket(socket) if socket.remote.is_none() => {
            push(listening(socket.protocol, socket.local, by), None, None);
        }
        Kind::Capability(used) if used.granted => {
            push(capability(&used.name, by), None, None);
        }
        Kind::Syscall(call) => {
            let fields = [(ItemField::Name, call.name.as_bytes())];
            push(BaselineItem::new(Facet::Syscall, fields), None, None);
        }
        Kind::Privilege(call) if call.errno == 0 && !call.runtime => {
            let name = call.call.as_bytes();
            let item =
                BaselineItem::new(Facet::Call, [(ItemField::Name, name), (ItemField::By, by)]);
            push(item, None, None);
            push(user(inside(call.uid), by), None, None);
        }
        _ => {}
    }
    out
}

fn capability(name: &str, by: &[u8]) -> BaselineItem {
    let name = name.as_bytes();
    BaselineItem::new(
        Facet::Capability,
        [(ItemField::Name, name), (ItemField::By, by)],
    )
}

fn user(uid: u32, by: &[u8]) -> BaselineItem {
    let uid = uid.to_string();
    BaselineItem::new(
        Facet::User,
        [(ItemField::Uid, uid.as_bytes()), (ItemField::By, by)],
    )
}

/// Executable of the process that started a program.
fn parent<'a>(state: &'a State, event: &Event, exec: &Exec) -> &'a [u8] {
    let parent = state.parent_at(&event.container, exec.ppid, event.ts);
    match parent.filter(|p| !p.runtime) {
        Some(parent) if !parent.exe.is_empty() => &parent.exe,
        _ => b"init",
    }
}

fn without_version(name: &[u8]) -> &[u8] {
    name.trim_end_with(|c| c.is_ascii_digit() || c == '.' || c == '-')
}

fn program(exe: &Bytes, argv: &[Bytes], script: Option<&Bytes>, by: &[u8]) -> BaselineItem {
    let name = leaf(exe);
    let mut applet: &[u8] = b"";
    let mut words = argv;
    if MULTI_CALL.contains(&name) {
        let mut called = argv.first().map_or(name, |a| leaf(a));
        if called == name {
            words = words.get(1..).unwrap_or_default();
            called = words.first().map_or(name, |a| leaf(a));
        }
        applet = called.strip_prefix(b"-").unwrap_or(called);
    }
    let role = without_version(if applet.is_empty() { name } else { applet });
    let takes_code = SHELLS.contains(&role) || INTERPRETERS.contains(&role);
    let arguments = if takes_code {
        arguments(words.get(1..).unwrap_or_default())
    } else {
        Vec::new()
    };
    let script: &[u8] = script.map_or(b"", |s| s);
    let fields = [
        (ItemField::Exe, &**exe as &[u8]),
        (ItemField::As, applet),
        (ItemField::Script, script),
        (ItemField::Args, &arguments),
        (ItemField::By, by),
    ];
    BaselineItem::new(Facet::Exec, fields)
}

/// A command line as one literal text, masked and bounded.
pub(super) fn command(argv: &[Bytes]) -> Vec<u8> {
    let mut words: Vec<u8> = Vec::new();
    for word in argv {
        if !words.is_empty() {
            words.push(b' ');
        }
        words.extend_from_slice(word);
        if words.len() > LONGEST * 4 {
            break;
        }
    }
    // Bytes that are not UTF-8 lose their exact form: arguments are only a hint of the program's
    // task.
    let text = String::from_utf8_lossy(&words);
    let masked = mask(&text);
    let mut end = masked.len().min(LONGEST);
    while !masked.is_char_boundary(end) {
        end -= 1;
    }
    masked.as_bytes()[..end].to_vec()
}

fn arguments(argv: &[Bytes]) -> Vec<u8> {
    literal(&command(argv))
}

fn file_actions(
    file: &File,
    by: &[u8],
    push: &mut impl FnMut(BaselineItem, Option<char>, Option<u32>),
) {
    let facts = file.file.unwrap_or_default();
    let mut change = |path: &Bytes, how: char| {
        if path.starts_with(b"/") && !is_device(path, &facts) {
            let path = literal(path);
            let item = BaselineItem::new(
                Facet::Write,
                [(ItemField::Path, &path[..]), (ItemField::By, by)],
            );
            push(item, Some(how), None);
        }
    };
    match file.op {
        FileOp::Read => {
            let path = literal(&file.path);
            let item = BaselineItem::new(
                Facet::Secret,
                [(ItemField::Path, &path[..]), (ItemField::By, by)],
            );
            push(item, None, None);
            return;
        }
        FileOp::MapExec => {
            if !matches!(facts.origin(), Origin::Image | Origin::Unknown) {
                change(&file.path, 'x');
            }
            return;
        }
        // A baseline holds written and executed files; the files that an interpreter reads are no
        // items.
        FileOp::Load => return,
        FileOp::Create => change(&file.path, 'c'),
        FileOp::Write => change(&file.path, 'w'),
        FileOp::Truncate => change(&file.path, 't'),
        FileOp::Mkdir => change(&file.path, 'm'),
        FileOp::Unlink | FileOp::Rmdir => change(&file.path, 'd'),
        FileOp::Symlink => change(&file.path, 'l'),
        FileOp::Mknod => change(&file.path, 'n'),
        FileOp::Rename => {
            change(&file.path, 'r');
            if let Some(target) = &file.target {
                change(target, 'r');
            }
        }
        FileOp::Link => {
            if let Some(target) = &file.target {
                change(target, 'l');
            }
        }
        // Mode, owner, flags and the like.
        _ => change(&file.path, 'a'),
    }
    if facts.fs == Filesystem::Overlay && facts.lower {
        change(&file.path, 'i');
    }
}

/// A device or a terminal: writing to it changes no file.
fn is_device(path: &[u8], facts: &FileFacts) -> bool {
    let shared = path.starts_with(b"/dev/shm/") || path.starts_with(b"/dev/mqueue/");
    (path.starts_with(b"/dev/") || facts.fs == Filesystem::Dev) && !shared
}

fn protocol(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Tcp => b"tcp",
        Protocol::Udp => b"udp",
        Protocol::Unix => b"unix",
        Protocol::Raw => b"raw",
        Protocol::Other => b"other",
    }
}

fn listening(transport: Protocol, local: SocketAddr, by: &[u8]) -> BaselineItem {
    let port = local.port().to_string();
    let ip = local.ip().to_canonical();
    let on: &[u8] = if ip.is_unspecified() {
        b"any"
    } else if ip.is_loopback() {
        b"loopback"
    } else {
        b"address"
    };
    let fields = [
        (ItemField::Port, port.as_bytes()),
        (ItemField::Proto, protocol(transport)),
        (ItemField::On, on),
        (ItemField::By, by),
    ];
    BaselineItem::new(Facet::Listen, fields)
}

fn connection(
    state: &State,
    id: &ContainerId,
    transport: Protocol,
    remote: &Endpoint,
    by: &[u8],
) -> Option<BaselineItem> {
    let (to, port) = match remote {
        Endpoint::Unix(path) => ([b"unix:", &literal(path)[..]].concat(), String::new()),
        Endpoint::Inet(address) => {
            let ip = address.ip().to_canonical();
            (peer(state, id, ip), address.port().to_string())
        }
    };
    if to.is_empty() {
        return None;
    }
    let fields = [
        (ItemField::To, &to[..]),
        (ItemField::Port, port.as_bytes()),
        (ItemField::Proto, protocol(transport)),
        (ItemField::By, by),
    ];
    Some(BaselineItem::new(Facet::Connect, fields))
}

/// A peer by its most specific name: the one that the container looked up, a container of one of
/// its networks, its address.
fn peer(state: &State, id: &ContainerId, ip: IpAddr) -> Vec<u8> {
    let own = state.containers.get(id);
    let text = ip.to_string();
    let is_own = own.is_some_and(|c| c.info.networks.values().any(|address| *address == text));
    if ip.is_loopback() || ip.is_unspecified() || is_own {
        return b"self".to_vec();
    }
    if let Some(name) = own.and_then(|c| c.names.get(&ip)) {
        return name.to_vec();
    }
    let shared = |other: &Container| {
        let ours = own.map(|c| &c.info.networks);
        other.info.networks.iter().any(|(network, address)| {
            *address == text && ours.is_some_and(|ours| ours.contains_key(network))
        })
    };
    match state
        .containers
        .values()
        .find(|c| c.id != *id && c.running && shared(c))
    {
        Some(other) => [b"service:", service(other)].concat(),
        None => text.into_bytes(),
    }
}

/// The name of a container's service: its Compose service, its name in the pod, else its own.
pub(super) fn service(container: &Container) -> &[u8] {
    match declared_service(container) {
        b"" => &container.info.name,
        service => service,
    }
}

/// The Compose service or the name in the pod; empty without one.
pub(super) fn declared_service(container: &Container) -> &[u8] {
    ["com.docker.compose.service", "io.kubernetes.container.name"]
        .iter()
        .find_map(|label| container.info.labels.get(*label))
        .map_or(b"", |service| service)
}
