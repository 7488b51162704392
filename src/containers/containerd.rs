//! Keeps the connection to a containerd: lists what runs in all its namespaces, follows its one
//! stream of events, reconnects. Docker's containers are left to Docker.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, sleep, sleep_until};

use super::containerd_answer::{container_id, is_dockers, time_of};
use super::containerd_api as api;
use super::containerd_client::{ContainerdClient, KnownContainer};
use super::engine::{
    ContainerEngine, EngineKind, EngineLink, EngineState, RuntimeMessage, RuntimeUpdate,
};
use super::exec_client::{SearchedSession, SessionClients};
use super::grpc::GrpcError;
use super::proc_files::split_argv;
use crate::event::{
    Bytes, Client, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Lost, LostReason,
    Timestamp,
};
use crate::system::now;

/// First and last pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that broke sooner than this counts as a failed attempt.
const STABLE: Duration = Duration::from_secs(30);
/// Maximum number of clients that wait to be reported.
const MAX_WAITING: usize = 64;
/// Time after which the probes have reported the command that an event announced.
const SETTLE: Duration = Duration::from_millis(300);

/// A containerd at one socket.
pub(super) struct Containerd {
    socket: PathBuf,
}

impl Containerd {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }
}

impl ContainerEngine for Containerd {
    fn run(self: Box<Self>, link: EngineLink) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let mut session = ContainerdSession {
                socket: self.socket,
                link,
                running: BTreeSet::new(),
                synced: false,
                reported: None,
                clients: SessionClients::default(),
                waiting: VecDeque::new(),
                dropped_clients: 0,
            };
            // Ends when the receiver is gone.
            let _ = session.keep().await;
        })
    }
}

/// The receiver of the messages is gone.
struct Gone;

/// Why the stream ended.
enum FollowEnd {
    Gone,
    Broken(GrpcError),
}

impl From<Gone> for FollowEnd {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<GrpcError> for FollowEnd {
    fn from(error: GrpcError) -> Self {
        Self::Broken(error)
    }
}

/// State across connections.
struct ContainerdSession {
    socket: PathBuf,
    link: EngineLink,
    /// Containers that run.
    running: BTreeSet<ContainerId>,
    /// The containers were listed once.
    synced: bool,
    reported: Option<EngineState>,
    clients: SessionClients,
    /// Clients of sessions, and when they are to be reported.
    waiting: VecDeque<(Instant, ContainerId, u32, Client)>,
    /// Clients dropped because too many waited, since that was last reported.
    dropped_clients: u64,
}

impl ContainerdSession {
    async fn keep(&mut self) -> Result<(), Gone> {
        let mut pause = FIRST_PAUSE;
        self.report_state(EngineState::Connecting)?;
        loop {
            match ContainerdClient::connect(&self.socket).await {
                Ok(client) => {
                    let began = Instant::now();
                    self.report_state(EngineState::Connected {
                        version: client.version.clone(),
                        driver: String::new(),
                    })?;
                    let error = match self.follow(&client).await {
                        Err(FollowEnd::Broken(error)) => error.to_string(),
                        Err(FollowEnd::Gone) => return Err(Gone),
                        Ok(()) => "it closed its event stream".to_owned(),
                    };
                    if began.elapsed() >= STABLE {
                        pause = FIRST_PAUSE;
                    }
                    let error = format!("containerd at {}: {error}", self.socket.display());
                    // A containerd that only serves Docker has reported nothing, and is not missed.
                    if !self.running.is_empty() {
                        let lost = Lost {
                            reason: LostReason::Engine,
                            count: 0,
                            detail: error.clone(),
                        };
                        self.send(RuntimeMessage::Lost(now(), lost))?;
                    }
                    self.report_state(EngineState::Unreachable { error })?;
                }
                Err(GrpcError::Absent) => self.report_state(EngineState::Absent)?,
                Err(error) => {
                    let error = format!("containerd at {}: {error}", self.socket.display());
                    self.report_state(EngineState::Unreachable { error })?;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn send(&self, message: RuntimeMessage) -> Result<(), Gone> {
        self.link.out.send(message).map_err(|_| Gone)
    }

    fn report_state(&mut self, state: EngineState) -> Result<(), Gone> {
        if self.reported.as_ref() == Some(&state) {
            return Ok(());
        }
        tracing::info!(socket = %self.socket.display(), ?state, "containerd");
        self.reported = Some(state.clone());
        self.send(RuntimeMessage::State(EngineKind::Containerd, state))
    }

    fn report(
        &self,
        ts: Timestamp,
        id: &ContainerId,
        action: ContainerAction,
        info: Option<ContainerInfo>,
    ) -> Result<(), Gone> {
        let event = ContainerEvent {
            action,
            info: info.map(Box::new),
        };
        let update = RuntimeUpdate {
            ts,
            id: id.clone(),
            event,
        };
        self.send(RuntimeMessage::Update(EngineKind::Containerd, update))
    }

    async fn follow(&mut self, client: &ContainerdClient) -> Result<(), FollowEnd> {
        // Subscribed before the list is made, so that little is missed between the two; the kernel
        // programs and the files cover that.
        let mut events = client.events()?;
        self.list(client).await?;
        loop {
            let due = self.waiting.front().map(|(due, ..)| *due);
            let settled = sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event? else {
                        return Ok(());
                    };
                    self.event(client, &event).await?;
                }
                () = settled, if due.is_some() => self.report_client()?,
            }
        }
    }

    async fn list(&mut self, client: &ContainerdClient) -> Result<(), FollowEnd> {
        let (known, left_out) = client.containers(false).await?;
        if left_out > 0 {
            let lost = Lost {
                reason: LostReason::Engine,
                count: 0,
                detail: format!("{left_out} of containerd's containers were left out"),
            };
            self.send(RuntimeMessage::Lost(now(), lost))?;
        }
        let mut running = BTreeSet::new();
        for KnownContainer { id, info, paused } in known {
            // The kernel programs have seen containers that began meanwhile.
            let action = match (self.synced, self.running.contains(&id)) {
                (false, _) => ContainerAction::Existing,
                (true, true) => ContainerAction::Info,
                (true, false) => ContainerAction::Started,
            };
            self.report(now(), &id, action, Some(info))?;
            if paused {
                self.report(now(), &id, ContainerAction::Paused, None)?;
            }
            running.insert(id);
        }
        // The kernel has reported the ends.
        self.running = running;
        self.synced = true;
        Ok(())
    }

    async fn event(
        &mut self,
        client: &ContainerdClient,
        event: &api::Envelope,
    ) -> Result<(), Gone> {
        let namespace = event.namespace.as_str();
        if is_dockers(namespace) {
            return Ok(());
        }
        let ts = time_of(event.timestamp.as_ref());
        let content = event.event.as_ref().map(|any| any.value.as_slice());
        let content = content.unwrap_or_default();
        match event.topic.as_str() {
            "/tasks/start" => {
                let Ok(start) = api::TaskStart::decode(content) else {
                    return Ok(());
                };
                let id = container_id(namespace, &start.container_id);
                let requested = client
                    .container(namespace, &start.container_id, start.pid)
                    .await;
                // It has ended already, or was queried too late: the files have the most important
                // facts.
                let info = requested.ok().map(|known| known.info);
                self.running.insert(id.clone());
                self.report(ts, &id, ContainerAction::Started, info)?;
            }
            "/tasks/exit" => {
                let Ok(exit) = api::TaskExit::decode(content) else {
                    return Ok(());
                };
                // The kernel reports the end of an exec.
                if exit.id == exit.container_id {
                    let id = container_id(namespace, &exit.container_id);
                    self.running.remove(&id);
                    let code = i64::from(exit.exit_status);
                    self.report(ts, &id, ContainerAction::Died(code), None)?;
                }
            }
            "/tasks/exec-started" => {
                if let Ok(started) = api::TaskExecStarted::decode(content) {
                    self.exec(ts, namespace, &started)?;
                }
            }
            "/tasks/oom" | "/tasks/paused" | "/tasks/resumed" => {
                let Ok(of) = api::TaskStart::decode(content) else {
                    return Ok(());
                };
                let action = match event.topic.as_str() {
                    "/tasks/oom" => ContainerAction::Oom,
                    "/tasks/paused" => ContainerAction::Paused,
                    _ => ContainerAction::Unpaused,
                };
                self.report(ts, &container_id(namespace, &of.container_id), action, None)?;
            }
            "/containers/delete" => {
                if let Ok(of) = api::ContainerEventId::decode(content) {
                    let id = container_id(namespace, &of.id);
                    self.report(ts, &id, ContainerAction::Removed, None)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A command was started inside: reports it, and searches its client at once, before that ends.
    fn exec(
        &mut self,
        ts: Timestamp,
        namespace: &str,
        started: &api::TaskExecStarted,
    ) -> Result<(), Gone> {
        let id = container_id(namespace, &started.container_id);
        let argv = fs::read(format!("/proc/{}/cmdline", started.pid)).unwrap_or_default();
        let argv: Vec<Bytes> = split_argv(&argv);
        let command = Bytes::from(bstr::join(" ", argv.iter().map(|arg| &**arg)));
        let known = (!argv.is_empty()).then_some(&command);
        let requested = SearchedSession {
            id: &id,
            name: &started.container_id,
            service: None,
            command: known,
            at: ts,
        };
        if let Some((pid, client)) = self.clients.find(&requested) {
            if self.waiting.len() < MAX_WAITING {
                let due = Instant::now() + SETTLE;
                let waiting = (due, id.clone(), pid, client);
                self.waiting.push_back(waiting);
            } else {
                self.dropped_clients += 1;
            }
        }
        self.report(ts, &id, ContainerAction::ExecStarted(command), None)
    }

    /// Reports the client that has waited longest, and the number of dropped ones.
    fn report_client(&mut self) -> Result<(), Gone> {
        if self.dropped_clients > 0 {
            let detail = "clients of exec sessions not named: too many sessions at once";
            let lost = Lost {
                reason: LostReason::Engine,
                count: std::mem::take(&mut self.dropped_clients),
                detail: detail.to_owned(),
            };
            self.send(RuntimeMessage::Lost(now(), lost))?;
        }
        match self.waiting.pop_front() {
            Some((_, id, pid, client)) => self.send(RuntimeMessage::Client(now(), id, pid, client)),
            None => Ok(()),
        }
    }
}
