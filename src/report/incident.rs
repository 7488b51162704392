//! The report about one incident.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::document::Document;
use super::next_steps::NextSteps;
use crate::core::Core;
use crate::event::{Bytes, ContainerInfo, Endpoint, Pod, Timestamp, escape};
use crate::incident::{Incident, TimelineLine, timeline};
use crate::masking::mask;
use crate::response::CopiedFile;
use crate::state::{Connection, ConnectionKey, Container, Direction, Phase};

/// Maximum number of rows of a table in a document; JSON has all.
const MAX_ROWS: usize = 100;
/// The note about files that no process was seen changing.
const UNSEEN: &str = "Some files differ from the image, and no process was seen changing them: \
                      the intruder or the container's start-up may have made them.";
/// Maximum number of ports of a peer that are listed one by one.
const FEW_PORTS: usize = 5;

/// One incident with everything that a reader needs, secrets masked if requested.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentReport {
    /// The incident.
    pub incident: Incident,
    /// Its stages as one line.
    pub summary: String,
    /// The container's name, or the beginning of its id.
    pub name: String,
    /// The container's facts.
    pub container: Option<ContainerInfo>,
    /// Its timeline.
    pub timeline: Vec<TimelineLine>,
    /// Lines left out of the timeline, the least important.
    pub timeline_left_out: usize,
    /// Processes of the incident that still run.
    pub processes: Vec<ProcessLine>,
    /// Peers that the container connected to since the incident began.
    pub peers: Vec<PeerLine>,
    /// Files that the incident made or changed, then those that differ from the image by an unknown
    /// author.
    pub files: Vec<FileLine>,
    /// The container ran before watching began.
    pub began_before: bool,
    /// Next steps: checks, responses that fit, and responses that were made.
    pub next: NextSteps,
    /// Events of this container that were lost.
    pub lost: u64,
    /// Rows of this container that left the tables because these were full.
    pub forgotten: u64,
}

/// A running process.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessLine {
    /// Host pid.
    pub pid: u32,
    /// Pid inside the container; 0 unknown.
    pub nspid: u32,
    /// User id on the host.
    pub uid: u32,
    /// When it started.
    pub started: Timestamp,
    /// Executable path.
    pub exe: String,
    /// Command line.
    pub command: String,
}

/// A program's outbound connections to one address, or to one Unix socket.
#[derive(Debug, Clone, Serialize)]
pub struct PeerLine {
    /// Address, or path.
    pub peer: String,
    /// Its name from the container's DNS answers.
    pub name: String,
    /// Ports that were tried, ascending; empty for a Unix socket.
    pub ports: Vec<u16>,
    /// Ports that answered.
    pub answered: Vec<u16>,
    /// Connections that are open now.
    pub open: u32,
    /// Attempts.
    pub count: u64,
    /// Payload bytes sent and received by connections that were closed.
    pub bytes: (u64, u64),
    /// First time.
    pub first: Timestamp,
    /// Latest time.
    pub last: Timestamp,
    /// Short name of the program.
    pub program: String,
}

/// A file.
#[derive(Debug, Clone, Serialize)]
pub struct FileLine {
    /// Path as the container sees it.
    pub path: String,
    /// SHA-256 where the content was compared with the image, or copied.
    pub sha256: Option<String>,
    /// Its copy in the evidence, or why there is none; empty where no evidence was written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// It differs from the image, and no process was seen changing it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
}

/// The reports of `incidents`, in their order. `docker_host`: address of the Docker engine where it
/// is not the standard one, for command lines.
#[must_use]
pub fn report(
    core: &Core,
    incidents: Vec<Incident>,
    masked: bool,
    docker_host: Option<&str>,
) -> Vec<IncidentReport> {
    let one = |incident| describe(core, incident, masked, docker_host);
    incidents.into_iter().map(one).collect()
}

fn describe(
    core: &Core,
    incident: Incident,
    masked: bool,
    docker_host: Option<&str>,
) -> IncidentReport {
    let shown = |text: String| {
        if masked {
            mask(&text).into_owned()
        } else {
            text
        }
    };
    let container = core.state.containers.get(&incident.container);
    let (mut lines, timeline_left_out) = timeline(&core.detector, &incident);
    for line in &mut lines {
        line.text = shown(std::mem::take(&mut line.text));
    }
    let processes = incident.running.iter().filter_map(|pid| {
        let process = core.state.processes.get(pid)?;
        let command: Vec<String> = process
            .argv
            .iter()
            .map(|a| a.escaped().to_string())
            .collect();
        Some(ProcessLine {
            pid: process.pid,
            nspid: process.nspid,
            uid: process.uid,
            started: process.started,
            exe: process.exe.escaped().to_string(),
            command: shown(command.join(" ")),
        })
    });
    let outbound = core.state.connections.iter().filter(|(key, row)| {
        key.owner.as_ref() == Some(&incident.container)
            && key.direction == Direction::Outbound
            && row.last >= incident.first
    });
    let hash = |path: &Bytes| {
        let findings = incident.findings.iter();
        findings
            .filter_map(|id| core.detector.finding(*id))
            .filter(|finding| finding.things().contains(path))
            .find_map(|finding| core.detector.hash_of(finding))
            .map(str::to_owned)
    };
    IncidentReport {
        summary: incident.sentence("›"),
        name: container.map_or_else(
            || incident.container.short().to_owned(),
            |container| container.display_name(),
        ),
        container: container.map(|container| container.info.clone()),
        timeline: lines,
        timeline_left_out,
        processes: processes.collect(),
        peers: peers(outbound),
        files: files(container.map(|container| &**container), &incident, hash),
        began_before: container.is_some_and(|container| container.existing),
        next: next_steps(core, &incident, docker_host, &shown),
        lost: container.map_or(0, |container| container.lost),
        forgotten: container.map_or(0, |container| container.forgotten),
        incident,
    }
}

/// Its files, and further ones that the latest comparison found.
fn files(
    container: Option<&Container>,
    incident: &Incident,
    hash: impl Fn(&Bytes) -> Option<String>,
) -> Vec<FileLine> {
    let scan = container.and_then(|container| container.scan());
    let compared = |path: &Bytes| {
        let (_, scan) = scan?;
        let entry = scan.entries.iter().find(|entry| entry.path == *path)?;
        entry.sha256.clone()
    };
    let line = |path: &Bytes, unseen: bool| FileLine {
        path: path.escaped().to_string(),
        sha256: hash(path).or_else(|| compared(path)),
        kept: String::new(),
        unseen,
    };
    let known = incident.files.iter().map(|path| line(path, false));
    let others = incident.differing.iter().map(|path| line(path, true));
    known.chain(others).collect()
}

/// The next steps, with what processes bring into their texts as `shown`.
fn next_steps(
    core: &Core,
    incident: &Incident,
    docker_host: Option<&str>,
    shown: &impl Fn(String) -> String,
) -> NextSteps {
    let mut next = NextSteps::of(core, incident, docker_host);
    for suggestion in &mut next.responses {
        suggestion.title = shown(std::mem::take(&mut suggestion.title));
    }
    next
}

/// Connections by peer and program, those that are open first, then by their first time.
fn peers<'a>(
    rows: impl Iterator<Item = (&'a ConnectionKey, &'a Arc<Connection>)>,
) -> Vec<PeerLine> {
    let mut peers: BTreeMap<(String, Bytes), PeerLine> = BTreeMap::new();
    for (key, row) in rows {
        let (peer, port) = match &key.endpoint {
            Endpoint::Inet(address) => (address.ip().to_string(), Some(address.port())),
            Endpoint::Unix(path) => (path.escaped().to_string(), None),
        };
        let program = (peer.clone(), row.comm.clone());
        let line = peers.entry(program).or_insert_with(|| PeerLine {
            peer,
            name: String::new(),
            ports: Vec::new(),
            answered: Vec::new(),
            open: 0,
            count: 0,
            bytes: (0, 0),
            first: row.first,
            last: row.last,
            program: row.comm.escaped().to_string(),
        });
        if let Some(name) = &row.name {
            line.name = name.escaped().to_string();
        }
        line.ports.extend(port);
        if matches!(row.phase, Phase::Open | Phase::Closed) {
            line.answered.extend(port);
        }
        line.open += row.open;
        line.count += row.count;
        line.bytes.0 += row.tx_bytes;
        line.bytes.1 += row.rx_bytes;
        line.first = line.first.min(row.first);
        line.last = line.last.max(row.last);
    }
    let mut peers: Vec<PeerLine> = peers.into_values().collect();
    for line in &mut peers {
        line.ports.sort_unstable();
        line.ports.dedup();
        line.answered.sort_unstable();
        line.answered.dedup();
    }
    peers.sort_by_key(|line| (line.open == 0, line.first));
    peers
}

impl PeerLine {
    /// The ports as text: each if there are few, else their number and those that answered.
    #[must_use]
    pub fn ports_text(&self) -> String {
        let list = |ports: &[u16]| {
            let few: Vec<String> = ports.iter().take(FEW_PORTS).map(u16::to_string).collect();
            let more = ports.len().saturating_sub(FEW_PORTS);
            if more > 0 {
                format!("{} and {more} more", few.join(", "))
            } else {
                few.join(", ")
            }
        };
        match (self.ports.len(), self.answered.len()) {
            (0..=FEW_PORTS, _) => list(&self.ports),
            (tried, 0) => format!("tried {tried} ports, none answered"),
            (tried, _) => format!("tried {tried} ports, answered: {}", list(&self.answered)),
        }
    }
}

impl IncidentReport {
    /// Notes the outcome of copying its files.
    pub(super) fn copied(&mut self, copied: &[CopiedFile]) {
        for copy in copied {
            let path = copy.path.escaped().to_string();
            let kept = match (&copy.copy, &copy.note) {
                (name, None) => format!("files/{name}"),
                (name, Some(note)) if name.is_empty() => not_kept(note),
                (name, Some(note)) => format!("files/{name}: {note}"),
            };
            match self.files.iter_mut().find(|file| file.path == path) {
                Some(file) => {
                    file.kept = kept;
                    if copy.sha256.is_some() {
                        file.sha256.clone_from(&copy.sha256);
                    }
                }
                None => self.files.push(FileLine {
                    path,
                    sha256: copy.sha256.clone(),
                    kept,
                    unseen: false,
                }),
            }
        }
        for file in &mut self.files {
            if file.kept.is_empty() {
                file.kept = not_kept("more files than are copied");
            }
        }
    }

    /// Writes the incident as sections of a document.
    pub(super) fn write(&self, document: &mut Document) {
        let incident = &self.incident;
        document.heading(
            2,
            format!("{}: {} in {}", incident.id, self.summary, self.name),
        );
        let mut facts = vec![
            ("Severity", incident.severity.to_string()),
            (
                "State",
                if incident.active { "ACTIVE" } else { "ended" }.to_owned(),
            ),
            ("First seen", incident.first.to_string()),
            ("Last seen", incident.last.to_string()),
        ];
        if let Some(request) = &incident.request {
            let sure = if request.by_ancestor {
                "accepted by the server that started the intruder's process"
            } else {
                "the latest connection before it; not linked by a process"
            };
            let (peer, port) = (request.peer, request.local.port());
            let server = request.server.escaped();
            facts.push((
                "Entry",
                format!("{peer} to port {port} of {server} ({sure})"),
            ));
        }
        facts.push((
            "Container id",
            escape(incident.container.as_str().as_bytes()).to_string(),
        ));
        if let Some(info) = &self.container {
            facts.extend(identity(info));
        }
        document.facts(facts);

        document.heading(3, "What happened");
        let rows = self.timeline.iter().map(|line| {
            let times = if line.count > 1 {
                format!("×{}", line.count)
            } else {
                String::new()
            };
            vec![
                line.first.to_string(),
                line.severity.to_string(),
                line.text.clone(),
                times,
                line.findings
                    .first()
                    .map_or_else(String::new, ToString::to_string),
            ]
        });
        let columns = vec!["Time (UTC)", "Severity", "What", "Count", "Finding"];
        document.table(columns, rows.collect(), MAX_ROWS);
        if self.timeline_left_out > 0 {
            document.text(format!("+{} less important lines", self.timeline_left_out));
        }

        document.heading(3, "Still running");
        if self.processes.is_empty() {
            document.text("No running process is known to belong to this incident.");
        } else {
            let rows = self.processes.iter().map(|p| {
                let pids = [p.pid.to_string(), p.nspid.to_string(), p.uid.to_string()];
                [
                    pids.to_vec(),
                    vec![p.started.to_string(), p.exe.clone(), p.command.clone()],
                ]
                .concat()
            });
            let columns = vec!["Pid", "Pid inside", "User", "Started", "Program", "Command"];
            document.table(columns, rows.collect(), MAX_ROWS);
        }

        document.heading(3, "Peers since then");
        if self.peers.is_empty() {
            document.text("No outbound connection.");
        } else {
            let rows = self.peers.iter().map(|line| {
                vec![
                    line.peer.clone(),
                    line.name.clone(),
                    line.ports_text(),
                    if line.open > 0 { "open" } else { "closed" }.to_owned(),
                    line.count.to_string(),
                    line.first.to_string(),
                    line.program.clone(),
                ]
            });
            let columns = vec![
                "Peer", "Name", "Ports", "State", "Attempts", "First", "Program",
            ];
            document.table(columns, rows.collect(), MAX_ROWS);
        }

        document.heading(3, "Files created or changed");
        if self.files.is_empty() {
            document.text("None known.");
        } else {
            if self.files.iter().any(|file| file.unseen) {
                document.text(format!("{UNSEEN} Such files have a question mark."));
            }
            let rows = self.files.iter();
            let path = |file: &FileLine| match file.unseen {
                true => format!("? {}", file.path),
                false => file.path.clone(),
            };
            if self.files.iter().all(|file| file.kept.is_empty()) {
                let rows = rows.map(|f| vec![path(f), f.sha256.clone().unwrap_or_default()]);
                document.table(vec!["Path", "SHA-256"], rows.collect(), MAX_ROWS);
            } else {
                let rows = rows.map(|f| {
                    let sha256 = f.sha256.clone().unwrap_or_default();
                    vec![path(f), sha256, f.kept.clone()]
                });
                document.table(vec!["Path", "SHA-256", "Copy"], rows.collect(), MAX_ROWS);
            }
        }
        self.next.write(document);
        if self.lost + self.forgotten > 0 {
            document.text(format!(
                "{} events of this container were lost, and {} rows were dropped from full tables.",
                self.lost, self.forgotten
            ));
        }
    }
}

fn not_kept(why: &str) -> String {
    if why.starts_with("not kept") {
        why.to_owned()
    } else {
        format!("not kept: {why}")
    }
}

/// Image, and where the container comes from: compose project, Kubernetes pod.
fn identity(info: &ContainerInfo) -> Vec<(&'static str, String)> {
    let label = |name: &str| {
        let value = info.labels.get(name);
        value.map_or_else(String::new, |value| value.escaped().to_string())
    };
    let pod = |field: fn(&Pod) -> &String, name: &str| match &info.pod {
        Some(pod) => escape(field(pod).as_bytes()).to_string(),
        None => label(name),
    };
    vec![
        ("Image", info.image.escaped().to_string()),
        (
            "Image digest",
            escape(info.image_digest.as_bytes()).to_string(),
        ),
        ("Compose project", label("com.docker.compose.project")),
        ("Compose service", label("com.docker.compose.service")),
        (
            "Kubernetes namespace",
            pod(|pod| &pod.namespace, "io.kubernetes.pod.namespace"),
        ),
        (
            "Kubernetes pod",
            pod(|pod| &pod.name, "io.kubernetes.pod.name"),
        ),
    ]
}
