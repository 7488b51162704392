//! Keeps the connection to a Docker engine: lists what runs, follows its events, reconnects.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crossbeam_channel::Sender;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout_at};

use super::docker_client::{DockerClient, Inspected, ListedNames, PARALLEL};
use super::docker_event::{DockerEvent, is_id, read_event};
use super::engine::{ContainerEngine, EngineKind, EngineLink, EngineState, RuntimeMessage};
use super::engine_http::{EngineHttp, HttpError};
use crate::event::{ContainerAction, ContainerId, Lost, LostReason};
use crate::system::{now, wall_now};

/// The engine's standard address.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// First and last pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that broke sooner than this counts as a failed attempt.
const STABLE: Duration = Duration::from_secs(30);
/// Interval at which the facts of every container are queried again, regardless of events.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// Time without an event after which the engine is pinged.
const SILENCE: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 10_000 });
/// Image events within this time cause one query of the images' names.
const GATHER: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 2000 });
/// Time limit for all first inspects together; the rest continues in parallel with the events.
const RESYNC: Duration = Duration::from_secs(15);
/// Maximum number of containers of a list; more are counted as lost.
const MAX_CONTAINERS: usize = 4096;
/// Bytes of a list.
const MAX_LIST: usize = 32 << 20;
/// Bytes of the answers about the engine itself.
const MAX_VERSION: usize = 256 << 10;

/// A Docker engine at one address.
pub(super) struct DockerEngine {
    host: String,
}

impl DockerEngine {
    /// The engine at `host`, else at `DOCKER_HOST`, else at the standard socket.
    pub(super) fn new(host: Option<String>) -> Self {
        let host = host
            .or_else(|| std::env::var("DOCKER_HOST").ok())
            .filter(|h| !h.is_empty())
            .unwrap_or_else(|| SOCKET.to_owned());
        // A bare path means a socket.
        let host = if host.starts_with('/') {
            format!("unix://{host}")
        } else {
            host
        };
        Self { host }
    }

    /// Connects: the client, and the engine's version and storage driver.
    pub(super) async fn connect(&self) -> Result<(EngineHttp, EngineState), EngineState> {
        let unreachable = |error: HttpError| match error {
            HttpError::Absent => EngineState::Absent,
            error => EngineState::Unreachable {
                error: format!("{}: {error}", self.host),
            },
        };
        let mut http = EngineHttp::new(&self.host).map_err(unreachable)?;
        let version = http.negotiate(MAX_VERSION).await.map_err(unreachable)?;
        let info = http.get("/info", MAX_VERSION).await.unwrap_or_default();
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let state = EngineState::Connected {
            version: text(&version, "Version"),
            driver: text(&info, "Driver"),
        };
        Ok((http, state))
    }
}

/// The containers an engine lists, and what to say about entries that were left out. Each entry is
/// parsed separately: an invalid one does not hide the others.
pub(super) async fn list(
    http: &EngineHttp,
    all: bool,
) -> Result<(BTreeMap<ContainerId, ListedNames>, Option<String>), HttpError> {
    let path = format!("/containers/json?all={}", u8::from(all));
    let answer = http.get(&path, MAX_LIST).await?;
    let Value::Array(entries) = answer else {
        return Err(HttpError::Failed(
            "its container list is not a list".to_owned(),
        ));
    };
    let mut listed = BTreeMap::new();
    let mut left_out = Vec::new();
    for entry in &entries {
        let names = ListedNames::of(entry);
        let id = entry.get("Id").and_then(Value::as_str);
        match id.filter(|id| is_id(id)) {
            Some(id) if listed.len() < MAX_CONTAINERS => {
                listed.insert(ContainerId::new(id), names);
            }
            _ => left_out.push(names.name),
        }
    }
    Ok((listed, about_left_out(&left_out)))
}

/// "3 entries of its container list were left out: web, db", with the names that they have.
fn about_left_out(names: &[String]) -> Option<String> {
    const NAMED: usize = 8;
    let count = match names.len() {
        0 => return None,
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    let known = names.iter().filter(|name| !name.is_empty()).take(NAMED);
    let known: Vec<&str> = known.map(String::as_str).collect();
    let named = if known.is_empty() { "" } else { ": " };
    Some(format!(
        "{count} of its container list left out{named}{}",
        known.join(", ")
    ))
}

impl ContainerEngine for DockerEngine {
    fn run(self: Box<Self>, link: EngineLink) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { self.keep(link).await })
    }
}

/// Why a connection ended.
enum ConnectionEnd {
    /// Asked to stop, or the receiver of the messages is gone.
    Stop,
    /// The connection broke, for this reason.
    Broken(String),
}

impl DockerEngine {
    async fn keep(&self, mut link: EngineLink) {
        let mut pause = FIRST_PAUSE;
        let mut connection = EngineConnection::default();
        let mut reported = None;
        let mut say = |out: &Sender<RuntimeMessage>, state: EngineState| {
            if reported.as_ref() == Some(&state) {
                return true;
            }
            tracing::info!(host = self.host, ?state, "engine");
            reported = Some(state.clone());
            out.send(RuntimeMessage::State(EngineKind::Docker, state))
                .is_ok()
        };
        if !say(&link.out, EngineState::Connecting) {
            return;
        }
        loop {
            let listening = match self.connect().await {
                Ok((http, state)) => {
                    let began = Instant::now();
                    if !say(&link.out, state) {
                        return;
                    }
                    let client = DockerClient::new(http, link.out.clone());
                    let end = connection.follow(&client, &mut link).await;
                    let ConnectionEnd::Broken(error) = end else {
                        return;
                    };
                    if began.elapsed() >= STABLE {
                        pause = FIRST_PAUSE;
                    }
                    let lost = Lost {
                        reason: LostReason::Engine,
                        count: 0,
                        detail: format!("{}: {error}", self.host),
                    };
                    let error = lost.detail.clone();
                    link.out.send(RuntimeMessage::Lost(now(), lost)).is_ok()
                        && say(&link.out, EngineState::Unreachable { error })
                }
                // Unlike an engine that is restarting, one that is not installed will not appear
                // soon: the long pause at once, except after it was connected.
                Err(EngineState::Absent) if !connection.synced => {
                    pause = LAST_PAUSE;
                    say(&link.out, EngineState::Absent)
                }
                Err(state) => say(&link.out, state),
            };
            tracing::debug!(
                host = self.host,
                ?pause,
                "engine: connecting again after a pause"
            );
            if !listening || !wait(&mut link, pause).await {
                return;
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Waits; false when the connection must end.
async fn wait(link: &mut EngineLink, pause: Duration) -> bool {
    tokio::select! {
        () = sleep(pause) => true,
        _ = &mut link.stop => false,
    }
}

/// State across the connections to the engine.
#[derive(Default)]
struct EngineConnection {
    /// Containers that run.
    known: BTreeSet<ContainerId>,
    /// The containers were listed once.
    synced: bool,
}

impl EngineConnection {
    async fn follow(&mut self, client: &DockerClient, link: &mut EngineLink) -> ConnectionEnd {
        let broken = |error: HttpError| ConnectionEnd::Broken(error.to_string());
        // The stream begins before the list is made, so nothing is missed between the two. The
        // engine repeats recent events for `since`, which bridges a short interruption.
        let mut events = match client.events(&since_now()).await {
            Ok(events) => events,
            Err(e) => return broken(e),
        };
        tokio::select! {
            end = self.resync(client) => if let Err(end) = end {
                return end;
            },
            _ = &mut link.stop => return ConnectionEnd::Stop,
        }
        self.synced = true;
        let mut again = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        let mut silence = interval_at(Instant::now() + SILENCE, SILENCE);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (pings, mut answers) = mpsc::channel(1);
        let mut pinging = false;
        let mut names_moved: Option<Instant> = None;
        loop {
            let gathered = names_moved.unwrap_or_else(|| Instant::now() + LOOK_AGAIN);
            tokio::select! {
                _ = again.tick() => client.inspect_all(&self.known),
                () = sleep_until(gathered), if names_moved.is_some() => {
                    names_moved = None;
                    client.names_of_images_moved(&self.known);
                }
                _ = silence.tick(), if !pinging => {
                    pinging = true;
                    let (client, pings) = (client.clone(), pings.clone());
                    tokio::spawn(async move {
                        // Fails when the connection ended meanwhile.
                        let _ = pings.send(client.ping().await).await;
                    });
                }
                Some(answer) = answers.recv() => {
                    pinging = false;
                    if let Err(e) = answer {
                        return broken(e);
                    }
                }
                event = events.next() => {
                    silence.reset();
                    match event {
                        Some(Ok(event)) => {
                            let Some(event) = read_event(&event) else { continue };
                            if let DockerEvent::ImageNames { tagged } = event {
                                if tagged {
                                    client.image_tagged();
                                }
                                names_moved.get_or_insert_with(|| Instant::now() + GATHER);
                            } else if !self.event(client, event) {
                                return ConnectionEnd::Stop;
                            }
                        }
                        Some(Err(e)) => return broken(e),
                        None => {
                            let why = "the engine closed its event stream";
                            return ConnectionEnd::Broken(why.to_owned());
                        }
                    }
                }
                _ = &mut link.stop => return ConnectionEnd::Stop,
            }
        }
    }

    /// Lists and inspects the running containers, several at once; reports which ended or began
    /// while the connection was down.
    async fn resync(&mut self, client: &DockerClient) -> Result<(), ConnectionEnd> {
        let (listed, left_out) = list(client.http(), false)
            .await
            .map_err(|e| ConnectionEnd::Broken(e.to_string()))?;
        if left_out.is_some_and(|detail| !client.lost(detail)) {
            return Err(ConnectionEnd::Stop);
        }
        let running: BTreeSet<ContainerId> = listed.keys().cloned().collect();
        client.listed(listed);
        let deadline = Instant::now() + RESYNC;
        let (again, known) = (self.synced, &self.known);
        let inspects = running.iter().map(|id| async move {
            let answer = timeout_at(deadline, client.inspect(id)).await;
            (id, answer)
        });
        let mut inspects = futures_util::stream::iter(inspects).buffer_unordered(PARALLEL);
        while let Some((id, answer)) = inspects.next().await {
            let action = match (again, known.contains(id)) {
                (false, _) => ContainerAction::Existing,
                (true, true) => ContainerAction::Info,
                (true, false) => ContainerAction::Started,
            };
            let listening = match answer {
                Ok(Ok(Inspected { info, paused, .. })) => {
                    let ts = match action {
                        ContainerAction::Started => info.started.unwrap_or_else(now),
                        _ => now(),
                    };
                    client.report(ts, id.clone(), action, Some(info))
                        && (!paused
                            || client.report(now(), id.clone(), ContainerAction::Paused, None))
                }
                // It ended since the list was made: the events report that.
                Ok(Err(HttpError::Status(404, _))) => true,
                Ok(Err(_)) | Err(_) => {
                    client.inspect_later(id.clone());
                    client.report(now(), id.clone(), action, None)
                }
            };
            if !listening {
                return Err(ConnectionEnd::Stop);
            }
        }
        drop(inspects);
        for id in self.known.difference(&running) {
            let reported = match client.inspect(id).await {
                Ok(Inspected { info, code, .. }) => {
                    let ts = info.finished.unwrap_or_else(now);
                    client.report(ts, id.clone(), ContainerAction::Died(code), Some(info))
                }
                Err(_) => client.report(now(), id.clone(), ContainerAction::Removed, None),
            };
            if !reported {
                return Err(ConnectionEnd::Stop);
            }
        }
        self.known = running;
        Ok(())
    }

    /// Passes one engine event on; false when the receiver is gone.
    fn event(&mut self, client: &DockerClient, event: DockerEvent) -> bool {
        let (ts, id, action) = match event {
            DockerEvent::Container(ts, id, action) => (ts, id, action),
            DockerEvent::Client(id) => {
                client.client_later(id, now(), None);
                return true;
            }
            DockerEvent::ImageNames { .. } => return true,
        };
        let ask = match &action {
            ContainerAction::Started => {
                if self.known.len() < MAX_CONTAINERS {
                    self.known.insert(id.clone());
                }
                true
            }
            ContainerAction::Died(_) | ContainerAction::Removed => {
                self.known.remove(&id);
                client.step_ended(&id, ts);
                matches!(action, ContainerAction::Died(_))
            }
            ContainerAction::Created | ContainerAction::Renamed | ContainerAction::Info => true,
            _ => false,
        };
        if let ContainerAction::ExecStarted(command) = &action {
            client.client_later(id.clone(), ts, Some(command));
        }
        if !client.report(ts, id.clone(), action, None) {
            return false;
        }
        if ask {
            client.inspect_later(id);
        }
        true
    }
}

/// The current time in the form of the engine's `since`.
fn since_now() -> String {
    let now = wall_now().0;
    format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000)
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
