//! The rows of each pane: the same list for drawing, moving, filtering and going in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::app::{Pane, Ui};
pub(super) use super::columns::columns;
use super::text::{bytes, span};
use crate::core::Core;
use crate::detect::{Finding, FindingId, Severity};
use crate::event::{ContainerId, Endpoint, Event, FileOp, Kind, Timestamp};
use crate::state::{
    Connection, ConnectionKey, Container, Direction, FileActivity, FileKey, Lineage, Owner, Phase,
    ProcessEntry,
};

/// Identity of a row, so that the selection stays on it while rows move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Container(ContainerId),
    Finding(FindingId),
    Process(u32),
    Connection(ConnectionKey),
    File(FileKey),
    Event(u64),
}

/// A row: escaped text by column, and what sorts it where the text does not.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) cells: Vec<String>,
    pub(super) numbers: Vec<Option<u64>>,
    pub(super) severity: Option<Severity>,
    /// Ended: shown dim.
    pub(super) faded: bool,
}

impl Row {
    fn new(key: Key) -> Self {
        Self {
            key,
            cells: Vec::new(),
            numbers: Vec::new(),
            severity: None,
            faded: false,
        }
    }

    fn text(&mut self, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(None);
    }

    fn number(&mut self, number: u64, text: impl Into<String>) {
        self.cells.push(text.into());
        self.numbers.push(Some(number));
    }
}

/// The rows of the present pane, filtered and sorted.
pub(super) fn rows(core: &Core, ui: &Ui) -> Vec<Row> {
    let mut rows = match ui.pane {
        Pane::Containers => containers(core),
        Pane::Findings => findings(core, ui),
        Pane::Processes => processes(core, ui),
        Pane::Network => network(core, ui),
        Pane::Files => files(core, ui),
        Pane::Events => events(core, ui),
    };
    rows.retain(|row| matches(row, &ui.filter));
    let by = ui.sort_column();
    if by > 0 {
        rows.sort_by(|a, b| match (a.numbers[by], b.numbers[by]) {
            // The largest first; text in its own order.
            (Some(a), Some(b)) => b.cmp(&a),
            _ => a.cells[by].cmp(&b.cells[by]),
        });
    }
    rows
}

/// Every word must be in the row, `!word` must not; upper and lower case are the same.
fn matches(row: &Row, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let line = row.cells.join(" ").to_lowercase();
    filter
        .to_lowercase()
        .split_whitespace()
        .all(|word| match word.strip_prefix('!') {
            Some("") => true,
            Some(not) => !line.contains(not),
            None => line.contains(word),
        })
}

/// Name of a container for a narrow column.
pub(super) fn name(core: &Core, owner: &Owner) -> String {
    match owner {
        None => "host".to_owned(),
        Some(id) => core
            .state
            .containers
            .get(id)
            .map_or_else(|| id.short().to_owned(), Container::display_name),
    }
}

fn age(core: &Core, since: Timestamp) -> (u64, String) {
    let age = core.state.now.since(since);
    (age.as_secs(), span(age))
}

fn letter(severity: Option<Severity>) -> String {
    severity.map_or_else(String::new, |s| s.letter().to_string())
}

fn wanted(ui: &Ui, owner: &Owner) -> bool {
    ui.container.is_none() || ui.container == *owner
}

fn containers(core: &Core) -> Vec<Row> {
    let mut processes: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for process in core.state.processes.values() {
        if let (Some(id), None) = (&process.owner, process.exited) {
            *processes.entry(id).or_default() += 1;
        }
    }
    let mut open: BTreeMap<&ContainerId, u64> = BTreeMap::new();
    for (key, row) in &core.state.connections {
        if let Some(id) = &key.owner {
            *open.entry(id).or_default() += u64::from(row.open);
        }
    }
    let mut found: BTreeMap<&ContainerId, (u64, Severity, &Finding)> = BTreeMap::new();
    for finding in core.detector.findings() {
        if let Some(id) = &finding.container {
            let entry = found.entry(id).or_insert((0, finding.severity, finding));
            entry.0 += 1;
            entry.1 = entry.1.max(finding.severity);
            if finding.last >= entry.2.last {
                entry.2 = finding;
            }
        }
    }
    let mut rows: Vec<Row> = core
        .state
        .containers
        .values()
        .map(|container| {
            let mut row = Row::new(Key::Container(container.id.clone()));
            let finding = found.get(&container.id);
            row.severity = finding.map(|f| f.1);
            row.faded = !container.running;
            row.text(letter(row.severity));
            row.text(container.display_name());
            row.text(container.info.image.escaped().to_string());
            match container.started() {
                _ if !container.running => row.text(match container.exit_code {
                    Some(code) => format!("exit {code}"),
                    None => "ended".to_owned(),
                }),
                Some(started) => {
                    let (seconds, text) = age(core, started);
                    row.number(seconds, text);
                }
                None => row.text("?"),
            }
            let count = finding.map_or(0, |f| f.0);
            row.number(count, count.to_string());
            let cpu = u64::from(container.cpu_milli);
            row.number(cpu, format!("{}.{}", cpu / 10, cpu % 10));
            row.number(container.memory, bytes(container.memory));
            let count = processes.get(&container.id).copied().unwrap_or(0);
            row.number(count, count.to_string());
            let count = open.get(&container.id).copied().unwrap_or(0);
            row.number(count, count.to_string());
            let count = u64::from(container.writes_per_minute());
            row.number(count, count.to_string());
            row.text(finding.map_or_else(String::new, |f| f.2.title.clone()));
            row
        })
        .collect();
    // Running ones first, the worst on top, then by name.
    rows.sort_by(|a, b| {
        (a.faded, std::cmp::Reverse(a.severity), &a.cells[1]).cmp(&(
            b.faded,
            std::cmp::Reverse(b.severity),
            &b.cells[1],
        ))
    });
    rows
}

fn findings(core: &Core, ui: &Ui) -> Vec<Row> {
    let mut found: Vec<&Finding> = core
        .detector
        .findings()
        .iter()
        .filter(|finding| wanted(ui, &finding.container))
        .collect();
    found.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.last, finding.id)));
    found
        .into_iter()
        .map(|finding| {
            let mut row = Row::new(Key::Finding(finding.id));
            row.severity = Some(finding.severity);
            row.text(letter(row.severity));
            let ago = core.state.now.since(finding.last);
            row.number(ago.as_secs(), span(ago));
            row.text(name(core, &finding.container));
            row.text(finding.title.clone());
            row.text(finding.rule.clone());
            row.number(finding.count, finding.count.to_string());
            row
        })
        .collect()
}

/// Command line of a process, escaped.
pub(super) fn command(process: &ProcessEntry) -> String {
    if process.argv.is_empty() {
        let name = if process.exe.is_empty() {
            &process.comm
        } else {
            &process.exe
        };
        return format!("[{}]", name.escaped());
    }
    let words: Vec<String> = process
        .argv
        .iter()
        .take(64)
        .map(|word| word.escaped().to_string())
        .collect();
    words.join(" ")
}

/// The tree: children below their parent, as deep as it goes.
fn processes(core: &Core, ui: &Ui) -> Vec<Row> {
    let shown: BTreeMap<u32, &ProcessEntry> = core
        .state
        .processes
        .iter()
        .filter(|(_, process)| wanted(ui, &process.owner) && !process.runtime)
        .filter(|(_, process)| {
            process
                .exited
                .is_none_or(|at| core.state.now.since(at) < Duration::from_secs(60))
        })
        .map(|(pid, process)| (*pid, process))
        .collect();
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, process) in &shown {
        match shown.get(&process.ppid) {
            Some(parent) if parent.owner == process.owner && process.ppid != *pid => {
                children.entry(process.ppid).or_default().push(*pid);
            }
            _ => roots.push(*pid),
        }
    }
    roots.sort_by_key(|pid| shown.get(pid).map(|p| (name(core, &p.owner), p.started)));
    let mut rows = Vec::new();
    let mut visited = BTreeSet::new();
    let mut stack: Vec<(u32, usize)> = roots.into_iter().rev().map(|pid| (pid, 0)).collect();
    while let Some((pid, depth)) = stack.pop() {
        let Some(process) = shown.get(&pid).filter(|_| visited.insert(pid)) else {
            continue;
        };
        rows.push(process_row(core, process, depth));
        let below = children.get(&pid).into_iter().flatten().rev();
        stack.extend(below.map(|child| (*child, depth + 1)));
    }
    rows
}

fn process_row(core: &Core, process: &ProcessEntry, depth: usize) -> Row {
    let mut row = Row::new(Key::Process(process.pid));
    row.faded = process.exited.is_some();
    let from_outside = process.lineage == Lineage::ExecSession(process.pid);
    row.text(if from_outside { ">" } else { "" });
    row.number(u64::from(process.pid), process.pid.to_string());
    let indent = match depth {
        0 => String::new(),
        _ => "  ".repeat(depth.min(12) - 1) + "└ ",
    };
    let end = match (process.exit_code, process.exit_signal) {
        (Some(code), _) => format!(" (exit {code})"),
        (None, Some(signal)) => format!(" (signal {signal})"),
        (None, None) if row.faded => " (ended)".to_owned(),
        (None, None) => String::new(),
    };
    row.text(format!("{indent}{}{end}", command(process)));
    row.number(u64::from(process.uid), process.uid.to_string());
    let (seconds, text) = age(core, process.started);
    row.number(seconds, text);
    row.text(origin(process));
    row.text(name(core, &process.owner));
    row
}

/// Origin of a process's executable in a word.
pub(super) fn origin(process: &ProcessEntry) -> String {
    if process.file.memfd {
        return "memfd".to_owned();
    }
    word(&process.file.origin())
}

/// A unit variant as the session file writes it.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// An endpoint, escaped.
pub(super) fn endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Inet(address) => address.to_string(),
        Endpoint::Unix(path) => path.escaped().to_string(),
    }
}

fn network(core: &Core, ui: &Ui) -> Vec<Row> {
    let mut shown: Vec<(&ConnectionKey, &Connection)> = core
        .state
        .connections
        .iter()
        .filter(|(key, _)| wanted(ui, &key.owner))
        .collect();
    shown.sort_by_key(|(key, row)| (key.direction, std::cmp::Reverse(row.last)));
    shown
        .into_iter()
        .map(|(key, connection)| {
            let mut row = Row::new(Key::Connection(key.clone()));
            row.faded = connection.phase == Phase::Closed;
            row.text(match key.direction {
                Direction::Outbound => "out",
                Direction::Inbound => "in",
                Direction::Listening => "listen",
            });
            row.text(format!(
                "{} {}",
                word(&key.protocol),
                endpoint(&key.endpoint)
            ));
            row.text(
                connection
                    .name
                    .as_ref()
                    .map_or_else(String::new, |name| name.escaped().to_string()),
            );
            row.text(match connection.phase {
                Phase::Connecting => "connecting".to_owned(),
                Phase::Open => "open".to_owned(),
                Phase::Closed => "closed".to_owned(),
                Phase::Failed(errno) => errno_name(errno),
            });
            row.number(connection.count, connection.count.to_string());
            row.number(connection.tx_bytes, bytes(connection.tx_bytes));
            row.number(connection.rx_bytes, bytes(connection.rx_bytes));
            row.text(connection.comm.escaped().to_string());
            let (seconds, text) = age(core, connection.last);
            row.number(seconds, text);
            row.text(name(core, &key.owner));
            row
        })
        .collect()
}

/// A refusal in a word.
pub(super) fn errno_name(errno: u16) -> String {
    match errno {
        0 => "ok".to_owned(),
        1 => "EPERM".to_owned(),
        2 => "ENOENT".to_owned(),
        13 => "EACCES".to_owned(),
        17 => "EEXIST".to_owned(),
        22 => "EINVAL".to_owned(),
        26 => "ETXTBSY".to_owned(),
        30 => "EROFS".to_owned(),
        38 => "ENOSYS".to_owned(),
        101 => "ENETUNREACH".to_owned(),
        110 => "ETIMEDOUT".to_owned(),
        111 => "ECONNREFUSED".to_owned(),
        113 => "EHOSTUNREACH".to_owned(),
        125 => "ECANCELED".to_owned(),
        other => format!("errno {other}"),
    }
}

fn files(core: &Core, ui: &Ui) -> Vec<Row> {
    let mut shown: Vec<(&FileKey, &FileActivity)> = core
        .state
        .files
        .iter()
        .filter(|(key, _)| wanted(ui, &key.owner))
        .collect();
    shown.sort_by_key(|(_, activity)| std::cmp::Reverse(activity.last));
    shown
        .into_iter()
        .map(|(key, activity)| {
            let mut row = Row::new(Key::File(key.clone()));
            row.faded = activity.last_op == FileOp::Unlink;
            row.text(word(&activity.last_op));
            row.text(key.path.escaped().to_string());
            let count = activity.ops.values().sum();
            row.number(count, count.to_string());
            row.text(
                activity
                    .file
                    .map_or_else(String::new, |f| word(&f.origin())),
            );
            row.text(activity.comm.escaped().to_string());
            let (seconds, text) = age(core, activity.last);
            row.number(seconds, text);
            row.text(errno_name(activity.last_errno));
            row.text(name(core, &key.owner));
            row
        })
        .collect()
}

fn events(core: &Core, ui: &Ui) -> Vec<Row> {
    core.state
        .recent
        .events
        .iter()
        .rev()
        .filter(|event| wanted(ui, &event.container))
        .take(1000)
        .map(|event| {
            let mut row = Row::new(Key::Event(event.seq));
            row.number(event.seq, event.seq.to_string());
            row.text(event.ts.to_jiff().strftime("%H:%M:%S%.3f").to_string());
            row.text(event.kind.type_name());
            row.number(u64::from(event.pid), event.pid.to_string());
            row.text(what(event));
            row.text(name(core, &event.container));
            row
        })
        .collect()
}

/// An event in a line, escaped.
pub(super) fn what(event: &Event) -> String {
    let join = |argv: &[crate::event::Bytes]| {
        let words: Vec<String> = argv
            .iter()
            .take(64)
            .map(|w| w.escaped().to_string())
            .collect();
        words.join(" ")
    };
    match &event.kind {
        Kind::Exec(exec) => format!("{} · {}", exec.exe.escaped(), join(&exec.argv)),
        Kind::Fork(fork) => format!("by {} ({})", fork.ppid, fork.comm.escaped()),
        Kind::Exit(exit) => match (exit.code, exit.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => String::new(),
        },
        Kind::Process(process) => join(&process.argv),
        Kind::Connect(connect) => {
            let outcome = match connect.outcome {
                crate::event::Outcome::Failed(errno) => errno_name(errno),
                crate::event::Outcome::InProgress => "in progress".to_owned(),
                crate::event::Outcome::Established => "established".to_owned(),
            };
            format!(
                "{} {} {outcome}",
                word(&connect.protocol),
                endpoint(&connect.remote)
            )
        }
        Kind::Accept(accept) => format!("{} from {}", accept.local, accept.remote),
        Kind::Close(close) => format!(
            "{} out {} in {}",
            close.remote,
            bytes(close.tx_bytes),
            bytes(close.rx_bytes)
        ),
        Kind::Listen(listen) => format!("{} {}", word(&listen.protocol), listen.local),
        Kind::Socket(socket) => format!("{} {}", word(&socket.protocol), socket.local),
        Kind::Dns(dns) => format!("{} {} → {:?}", dns.qtype, dns.name.escaped(), dns.addresses),
        Kind::File(file) => {
            let target = file
                .target
                .as_ref()
                .map_or_else(String::new, |target| format!(" → {}", target.escaped()));
            let result = errno_name(file.errno);
            format!(
                "{} {}{target} {result}",
                word(&file.op),
                file.path.escaped()
            )
        }
        Kind::Compare(compare) => {
            let class = serde_json::to_string(&compare.class).unwrap_or_default();
            let class = crate::event::escape(class.as_bytes()).to_string();
            format!("{} {class}", compare.path.escaped())
        }
        Kind::Privilege(privilege) => format!(
            "{} {} {}",
            privilege.call,
            privilege.detail.escaped(),
            errno_name(privilege.errno)
        ),
        Kind::Capability(capability) => {
            let result = if capability.granted {
                "granted"
            } else {
                "refused"
            };
            format!("{} {result}", capability.name)
        }
        Kind::Container(change) => {
            let action = serde_json::to_string(&change.action).unwrap_or_default();
            crate::event::escape(action.as_bytes()).to_string()
        }
        Kind::Tick(_) => String::new(),
        Kind::Lost(lost) => format!("{} {}", lost.count, lost.detail),
    }
}
