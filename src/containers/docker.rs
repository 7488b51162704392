//! The Docker engine's API: lists and inspects containers, follows events, reconnects.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use bstr::ByteSlice as _;
use crossbeam_channel::Sender;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::docker_facts::{self, ImageFacts};
use super::engine::{ContainerEngine, EngineLink, EngineState, RuntimeMessage, RuntimeUpdate};
use super::exec_client;
use crate::event::{
    Action, Bytes, ContainerEvent, ContainerId, ContainerInfo, Lost, LostReason, Timestamp,
};
use crate::system::now;
use crate::text::error_chain;

/// The engine's standard address.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// First and last pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// Containers whose names are remembered.
const NAMES: usize = 4096;
/// Images whose facts are remembered; those of another are asked for again.
const IMAGES: usize = 256;
/// After this time the probes have reported the command that an engine event announced.
const SETTLE: Duration = Duration::from_millis(300);
/// How often the facts of every container are asked for again, whatever the events say.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// An engine that takes longer than this to answer is treated as away.
const PATIENCE: Duration = Duration::from_secs(10);

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
        // A bare path is meant as a socket.
        let host = if host.starts_with('/') {
            format!("unix://{host}")
        } else {
            host
        };
        Self { host }
    }
}

impl ContainerEngine for DockerEngine {
    fn run(self: Box<Self>, link: EngineLink) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { self.keep(link).await })
    }
}

/// Why a connection's work ended.
enum ConnectionEnd {
    /// Asked to stop, or the receiver of the messages is gone.
    Stop,
    /// The engine went away, for this reason.
    Broken(String),
}

impl DockerEngine {
    async fn keep(&self, mut link: EngineLink) {
        let mut pause = FIRST_PAUSE;
        let mut known = BTreeSet::new();
        let mut synced = false;
        let mut told = None;
        let mut say = |out: &Sender<RuntimeMessage>, state: EngineState| {
            if told.as_ref() == Some(&state) {
                return true;
            }
            told = Some(state.clone());
            out.send(RuntimeMessage::State(state)).is_ok()
        };
        if !say(&link.out, EngineState::Connecting) {
            return;
        }
        loop {
            let listening = match self.connect().await {
                Ok((client, state)) => {
                    pause = FIRST_PAUSE;
                    if !say(&link.out, state) {
                        return;
                    }
                    let client = DockerClient::new(client, link.out.clone());
                    let end = client.follow(&mut link, &mut known, &mut synced).await;
                    let ConnectionEnd::Broken(error) = end else {
                        return;
                    };
                    let lost = Lost {
                        reason: LostReason::Engine,
                        count: 0,
                        detail: format!("{}: {error}", self.host),
                    };
                    let error = lost.detail.clone();
                    link.out.send(RuntimeMessage::Lost(now(), lost)).is_ok()
                        && say(&link.out, EngineState::Unreachable { error })
                }
                // Unlike an engine that is restarting, one that is not installed will not
                // come soon: the long pause at once, except after it was there.
                Err(EngineState::Absent) if !synced => {
                    pause = LAST_PAUSE;
                    say(&link.out, EngineState::Absent)
                }
                Err(state) => say(&link.out, state),
            };
            if !listening || !wait(&mut link, pause).await {
                return;
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    pub(super) async fn connect(&self) -> Result<(bollard::Docker, EngineState), EngineState> {
        let unreachable = |error: &dyn std::fmt::Display| EngineState::Unreachable {
            error: format!("{}: {error}", self.host),
        };
        let api = match bollard::Docker::connect_with_host(&self.host) {
            Ok(api) => api.with_timeout(PATIENCE),
            Err(Error::SocketNotFoundError(_)) => return Err(EngineState::Absent),
            Err(e) => return Err(unreachable(&e)),
        };
        let api = match timeout(PATIENCE, api.negotiate_version()).await {
            Ok(Ok(api)) => api,
            Ok(Err(e)) => return Err(unreachable(&error_chain(&e))),
            Err(_) => return Err(unreachable(&"no answer")),
        };
        let version = match timeout(PATIENCE, api.version()).await {
            Ok(Ok(version)) => version.version.unwrap_or_default(),
            Ok(Err(e)) => return Err(unreachable(&error_chain(&e))),
            Err(_) => return Err(unreachable(&"no answer")),
        };
        let driver = match timeout(PATIENCE, api.info()).await {
            Ok(Ok(info)) => info.driver.unwrap_or_default(),
            _ => String::new(),
        };
        Ok((api, EngineState::Connected { version, driver }))
    }
}

/// Waits; false when asked to stop.
async fn wait(link: &mut EngineLink, pause: Duration) -> bool {
    tokio::select! {
        () = sleep(pause) => true,
        _ = &mut link.stop => false,
    }
}

/// A container's name, and its Compose service.
type Names = (String, Option<String>);

/// A connection that answered.
#[derive(Clone)]
pub(super) struct DockerClient {
    api: bollard::Docker,
    out: Sender<RuntimeMessage>,
    images: Arc<Mutex<BTreeMap<String, ImageFacts>>>,
    names: Arc<Mutex<BTreeMap<ContainerId, Names>>>,
}

impl DockerClient {
    pub(super) fn new(api: bollard::Docker, out: Sender<RuntimeMessage>) -> Self {
        Self {
            api,
            out,
            images: Arc::default(),
            names: Arc::default(),
        }
    }

    async fn follow(
        &self,
        link: &mut EngineLink,
        known: &mut BTreeSet<ContainerId>,
        synced: &mut bool,
    ) -> ConnectionEnd {
        // The stream begins before the list is made, so nothing falls between the two. The
        // engine repeats a little of the past for `since`, which bridges a short break.
        let options = EventsOptions {
            since: Some(since_now()),
            until: None,
            filters: Some(
                [(
                    "type".to_owned(),
                    vec!["container".to_owned(), "image".to_owned()],
                )]
                .into(),
            ),
        };
        let events = self.api.events(Some(options));
        tokio::pin!(events);
        let running = match self.resync(known, *synced).await {
            Ok(running) => running,
            Err(end) => return end,
        };
        *known = running;
        *synced = true;
        let mut again = tokio::time::interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        loop {
            tokio::select! {
                _ = again.tick() => known.iter().for_each(|id| self.inspect_later(id.clone())),
                event = events.next() => match event {
                    Some(Ok(event)) if event.typ == Some(EventMessageTypeEnum::IMAGE) => {
                        if moves_names(&event) {
                            known.iter().for_each(|id| self.inspect_later(id.clone()));
                        }
                    }
                    Some(Ok(event)) => {
                        if !self.told(event, known) {
                            return ConnectionEnd::Stop;
                        }
                    }
                    Some(Err(e)) => return ConnectionEnd::Broken(error_chain(&e)),
                    None => return ConnectionEnd::Broken("the engine closed its event stream".to_owned()),
                },
                _ = &mut link.stop => return ConnectionEnd::Stop,
            }
        }
    }

    /// Lists and inspects the running containers; reports which ended or began while the
    /// connection was down.
    async fn resync(
        &self,
        known: &BTreeSet<ContainerId>,
        again: bool,
    ) -> Result<BTreeSet<ContainerId>, ConnectionEnd> {
        let list = timeout(
            PATIENCE,
            self.api.list_containers(None::<ListContainersOptions>),
        );
        let list = match list.await {
            Ok(Ok(list)) => list,
            Ok(Err(e)) => return Err(ConnectionEnd::Broken(error_chain(&e))),
            Err(_) => {
                return Err(ConnectionEnd::Broken(
                    "no answer to the container list".to_owned(),
                ));
            }
        };
        let mut ids: Vec<ContainerId> = list
            .iter()
            .filter_map(|c| c.id.as_deref().map(ContainerId::new))
            .collect();
        ids.sort();
        for id in &ids {
            let action = match (again, known.contains(id)) {
                (false, _) => Action::Existing,
                (true, true) => Action::Info,
                (true, false) => Action::Started,
            };
            // One that ended since the list tells so through the events.
            if let Ok(info) = self.inspect(id).await {
                let ts = match action {
                    Action::Started => info.started.unwrap_or_else(now),
                    _ => now(),
                };
                if !self.tell(ts, id.clone(), action, Some(info)) {
                    return Err(ConnectionEnd::Stop);
                }
            }
        }
        let running: BTreeSet<ContainerId> = ids.into_iter().collect();
        for id in known.difference(&running) {
            let told = match self.inspect_with_code(id).await {
                Ok((info, code)) => {
                    let ts = info.finished.unwrap_or_else(now);
                    self.tell(ts, id.clone(), Action::Died(code), Some(info))
                }
                Err(_) => self.tell(now(), id.clone(), Action::Removed, None),
            };
            if !told {
                return Err(ConnectionEnd::Stop);
            }
        }
        Ok(running)
    }

    /// Passes one engine event on; false when the receiver is gone.
    fn told(&self, event: EventMessage, known: &mut BTreeSet<ContainerId>) -> bool {
        let Some((ts, id, action)) = read_event(event) else {
            return true;
        };
        let ask = match &action {
            Action::Started => {
                known.insert(id.clone());
                true
            }
            Action::Died(_) | Action::Removed => {
                known.remove(&id);
                matches!(action, Action::Died(_))
            }
            Action::Created | Action::Renamed | Action::Info => true,
            _ => false,
        };
        if matches!(action, Action::ExecStarted(_)) {
            self.client_later(id.clone());
        }
        if !self.tell(ts, id.clone(), action, None) {
            return false;
        }
        if ask {
            self.inspect_later(id);
        }
        true
    }

    fn tell(
        &self,
        ts: Timestamp,
        id: ContainerId,
        action: Action,
        info: Option<ContainerInfo>,
    ) -> bool {
        let event = ContainerEvent {
            action,
            info: info.map(Box::new),
        };
        self.out
            .send(RuntimeMessage::Update(RuntimeUpdate { ts, id, event }))
            .is_ok()
    }

    /// Inspects beside the event stream, so that one slow answer delays no event.
    fn inspect_later(&self, id: ContainerId) {
        let client = self.clone();
        tokio::spawn(async move {
            // Gone already: the events say so.
            if let Ok(info) = client.inspect(&id).await {
                client.tell(now(), id, Action::Info, Some(info));
            }
        });
    }

    /// Looks for the program that asked for a command inside at once, before it ends; reports it
    /// a little later, after the probes have reported the command itself.
    fn client_later(&self, id: ContainerId) {
        let known = self.names.lock().get(&id).cloned().unwrap_or_default();
        let Some((pid, client)) = exec_client::find(&id, &known.0, known.1.as_deref()) else {
            return;
        };
        let out = self.out.clone();
        tokio::spawn(async move {
            sleep(SETTLE).await;
            // Nobody listens any more: nobody misses it.
            let _ = out.send(RuntimeMessage::Client(now(), id, pid, client));
        });
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo, Error> {
        self.inspect_with_code(id).await.map(|(info, _)| info)
    }

    async fn inspect_with_code(&self, id: &ContainerId) -> Result<(ContainerInfo, i64), Error> {
        let asked = self.api.inspect_container(id.as_str(), None);
        let answer = timeout(PATIENCE, asked)
            .await
            .map_err(|_| Error::RequestTimeoutError)??;
        let code = answer.state.as_ref().and_then(|s| s.exit_code).unwrap_or(0);
        let image = self.image(answer.image.as_deref()).await;
        let now = self.image_now(&answer).await.unwrap_or_default();
        let mut info = docker_facts::container(answer, &image);
        info.image_now = now;
        let service = info.labels.get("com.docker.compose.service");
        let service = service.and_then(|s| s.to_str().ok()).map(str::to_owned);
        let name = info.name.to_str().unwrap_or_default().to_owned();
        let mut names = self.names.lock();
        if names.len() >= NAMES {
            names.pop_first();
        }
        names.insert(id.clone(), (name, service));
        drop(names);
        Ok((info, code))
    }

    /// The id that the image's name points to, where the container runs another one.
    async fn image_now(&self, answer: &ContainerInspectResponse) -> Option<String> {
        let running = answer.image.as_deref()?;
        let name = answer.config.as_ref()?.image.as_deref()?;
        // An id or a digest always means the same image.
        let bare = running.strip_prefix("sha256:").unwrap_or(running);
        if name.contains("sha256:") || (name.len() >= 6 && bare.starts_with(name)) {
            return None;
        }
        // A name that is gone points nowhere.
        let image = timeout(PATIENCE, self.api.inspect_image(name)).await.ok()?;
        image.ok()?.id.filter(|id| id != running)
    }

    /// An image never changes under its id, so it is asked for once per connection.
    async fn image(&self, id: Option<&str>) -> ImageFacts {
        let Some(id) = id else {
            return ImageFacts::default();
        };
        if let Some(facts) = self.images.lock().get(id) {
            return facts.clone();
        }
        match timeout(PATIENCE, self.api.inspect_image(id)).await {
            Ok(Ok(image)) => {
                let facts = ImageFacts::from_inspect(image);
                let mut images = self.images.lock();
                if images.len() >= IMAGES {
                    images.pop_first();
                }
                images.insert(id.to_owned(), facts.clone());
                facts
            }
            // Removed while its container runs: the container's own facts remain.
            _ => ImageFacts::default(),
        }
    }
}

/// An image event after which a name may mean another image.
fn moves_names(event: &EventMessage) -> bool {
    let action = event.action.as_deref().unwrap_or_default();
    matches!(
        action,
        "tag" | "untag" | "pull" | "load" | "import" | "create" | "delete"
    )
}

/// What an engine event means, if it is about a container's life.
fn read_event(event: EventMessage) -> Option<(Timestamp, ContainerId, Action)> {
    let actor = event.actor?;
    let id = ContainerId::new(&actor.id?);
    let text = event.action?;
    let (verb, rest) = text.split_once(": ").unwrap_or((text.as_str(), ""));
    let code = || {
        let attributes = actor.attributes.as_ref()?;
        attributes.get("exitCode")?.parse().ok()
    };
    let action = match verb {
        "create" => Action::Created,
        "start" => Action::Started,
        "die" => Action::Died(code().unwrap_or(-1)),
        "oom" => Action::Oom,
        "destroy" => Action::Removed,
        "pause" => Action::Paused,
        "unpause" => Action::Unpaused,
        "rename" => Action::Renamed,
        "health_status" => Action::Health(rest.to_owned()),
        "exec_start" => Action::ExecStarted(Bytes::from(rest)),
        // `restart` follows the start it caused; `update` changes limits: only the facts change.
        "restart" | "update" => Action::Info,
        _ => return None,
    };
    let ts = event.time_nano.map_or_else(now, Timestamp);
    Some((ts, id, action))
}

/// The present as the engine's `since` wants it.
fn since_now() -> String {
    let now = now().0;
    format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(action: &str) -> Option<Action> {
        let event = serde_json::json!({"Type": "container", "Action": action,
            "Actor": {"ID": "abc", "Attributes": {"exitCode": "137"}}, "timeNano": 42});
        read_event(serde_json::from_value(event).unwrap()).map(|(ts, id, action)| {
            assert_eq!((ts, id.as_str()), (Timestamp(42), "abc"));
            action
        })
    }

    #[test]
    fn understands_engine_events() {
        assert_eq!(read("start"), Some(Action::Started));
        assert_eq!(read("die"), Some(Action::Died(137)));
        assert_eq!(
            read("health_status: unhealthy"),
            Some(Action::Health("unhealthy".into()))
        );
        assert_eq!(
            read("exec_start: sh -c id: x"),
            Some(Action::ExecStarted("sh -c id: x".into()))
        );
        assert_eq!(read("exec_create: sh"), None);
        assert_eq!(read("attach"), None);
    }

    #[test]
    fn the_option_wins_and_a_path_is_a_socket() {
        assert_eq!(
            DockerEngine::new(Some("/run/x.sock".into())).host,
            "unix:///run/x.sock"
        );
        assert_eq!(
            DockerEngine::new(Some("tcp://h:1".into())).host,
            "tcp://h:1"
        );
    }
}
