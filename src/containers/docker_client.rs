//! Queries a Docker engine about containers and images, and reports the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use rustc_hash::FxHasher;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::classic_builds::ClassicBuilds;
use super::docker_facts::ImageFacts;
use super::engine::{EngineKind, RuntimeMessage, RuntimeUpdate};
use super::engine_http::{EngineHttp, HttpError, JsonLines};
use super::exec_client::{SearchedSession, SessionClients};
use super::{build_step, docker_answer};
use crate::event::{
    Bytes, ContainerAction, ContainerEvent, ContainerId, ContainerInfo, Lost, LostReason, Role,
    Timestamp,
};
use crate::system::now;

/// Maximum number of concurrent requests about containers.
pub(super) const PARALLEL: usize = 8;
/// How often a container is inspected about which the engine, which answers otherwise, is silent.
const ATTEMPTS: u32 = 3;
/// Maximum number of containers whose names and reported facts are remembered.
const MAX_NAMES: usize = 4096;
/// Maximum number of images whose facts are remembered; other images are queried again.
const MAX_IMAGES: usize = 256;
/// Images below that of a step which are examined: layers of an image are not more.
const MAX_LAYERS: usize = 127;
/// Bytes of an answer about one container or image.
const MAX_ANSWER: usize = 1 << 20;
/// Characters of a name in the engine's list.
const MAX_NAME: usize = 512;
/// Time after which the probes have reported the command that an engine event announced.
const SETTLE: Duration = Duration::from_millis(300);

/// A container's name, and its Compose service.
type Names = (String, Option<String>);

/// A container's name and image, by the engine's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListedNames {
    pub(super) name: String,
    image: String,
}

impl ListedNames {
    /// Those in an entry of the list; empty where it has none, or an odd one.
    pub(super) fn of(entry: &Value) -> Self {
        let name = text(entry, "/Names/0").trim_start_matches('/');
        let part = |text: &str| text.chars().take(MAX_NAME).collect();
        Self {
            name: part(name),
            image: part(text(entry, "/Image")),
        }
    }
}

/// The image that a container runs, by the latest inspect.
#[derive(Debug, Clone)]
struct RunningImage {
    id: String,
    name: String,
    /// What the name refers to now, if another image.
    now: String,
}

/// State of the query for the names of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamesMoved {
    /// Under way.
    Querying,
    /// Under way, and they moved meanwhile.
    Again,
}

#[derive(Default)]
struct Remembered {
    images: BTreeMap<String, ImageFacts>,
    /// Image names and the ids they point to now.
    image_names: BTreeMap<String, Option<String>>,
    running: BTreeMap<ContainerId, RunningImage>,
    /// The names of images are being queried; or must be once more.
    names_moved: Option<NamesMoved>,
    /// Names in the engine's list, of containers that were not inspected yet.
    listed: BTreeMap<ContainerId, ListedNames>,
    names: BTreeMap<ContainerId, Names>,
    /// Hashes of the facts reported last.
    reported: BTreeMap<ContainerId, u64>,
    /// Containers with a pending inspect.
    waiting: BTreeSet<ContainerId>,
    /// Containers with a reported invalid field.
    odd: BTreeSet<ContainerId>,
    clients: SessionClients,
    builds: ClassicBuilds,
}

/// An answer about one container.
pub(super) struct Inspected {
    pub(super) info: ContainerInfo,
    /// Exit code of its last run.
    pub(super) code: i64,
    pub(super) paused: bool,
}

/// A connection that answered.
#[derive(Clone)]
pub(super) struct DockerClient {
    http: EngineHttp,
    out: Sender<RuntimeMessage>,
    remembered: Arc<Mutex<Remembered>>,
    slots: Arc<Semaphore>,
}

impl DockerClient {
    pub(super) fn new(http: EngineHttp, out: Sender<RuntimeMessage>) -> Self {
        Self {
            http,
            out,
            remembered: Arc::default(),
            slots: Arc::new(Semaphore::new(PARALLEL)),
        }
    }

    pub(super) fn http(&self) -> &EngineHttp {
        &self.http
    }

    /// The engine's events of containers and images from `since` on.
    pub(super) async fn events(&self, since: &str) -> Result<JsonLines, HttpError> {
        // {"type":["container","image"]}
        const FILTERS: &str = "%7B%22type%22%3A%5B%22container%22%2C%22image%22%5D%7D";
        let path = format!("/events?since={since}&filters={FILTERS}");
        self.http.lines(&path).await
    }

    pub(super) async fn ping(&self) -> Result<(), HttpError> {
        self.http.ping().await
    }

    /// Reports what is not known by this engine; false when the receiver is gone.
    pub(super) fn lost(&self, detail: String) -> bool {
        let lost = Lost {
            reason: LostReason::Engine,
            count: 0,
            detail,
        };
        self.out.send(RuntimeMessage::Lost(now(), lost)).is_ok()
    }

    /// Remembers the names in the engine's list, for containers whose inspect fails.
    pub(super) fn listed(&self, listed: BTreeMap<ContainerId, ListedNames>) {
        self.remembered.lock().listed = listed;
    }

    /// Reports, once, that the facts of a container cannot be read, and its names by the list. One
    /// that is not there has ended: the events report that.
    pub(super) fn unreadable(&self, id: &ContainerId, error: &HttpError) {
        if matches!(error, HttpError::Status(404, _)) {
            return;
        }
        let listed = {
            let mut remembered = self.remembered.lock();
            if remembered.odd.len() >= MAX_NAMES || !remembered.odd.insert(id.clone()) {
                return;
            }
            remembered.listed.get(id).cloned().unwrap_or_default()
        };
        let of = match listed.name.as_str() {
            "" => id.short().to_owned(),
            name => format!("{} ({name})", id.short()),
        };
        self.lost(format!("the facts of container {of} not read: {error}"));
        let names = ContainerInfo {
            name: listed.name.as_str().into(),
            image: listed.image.as_str().into(),
            ..ContainerInfo::default()
        };
        // The receiver may be gone: then the watch has ended.
        let _ = self
            .out
            .send(RuntimeMessage::Names(now(), id.clone(), Box::new(names)));
    }

    /// Reports; false when the receiver is gone.
    pub(super) fn report(
        &self,
        ts: Timestamp,
        id: ContainerId,
        action: ContainerAction,
        info: Option<ContainerInfo>,
    ) -> bool {
        if let Some(info) = &info {
            let hash = hash(info);
            let mut remembered = self.remembered.lock();
            if remembered.reported.len() >= MAX_NAMES {
                remembered.reported.pop_first();
            }
            let before = remembered.reported.insert(id.clone(), hash);
            // Nothing happened and nothing changed.
            if action == ContainerAction::Info && before == Some(hash) {
                return true;
            }
        }
        let event = ContainerEvent {
            action,
            info: info.map(Box::new),
        };
        self.out
            .send(RuntimeMessage::Update(
                EngineKind::Docker,
                RuntimeUpdate { ts, id, event },
            ))
            .is_ok()
    }

    /// Inspects in parallel with the event stream, so that a slow answer delays no event; once for
    /// concurrent requests.
    pub(super) fn inspect_later(&self, id: ContainerId) {
        if !self.remembered.lock().waiting.insert(id.clone()) {
            return;
        }
        let client = self.clone();
        tokio::spawn(async move {
            for attempt in 1..=ATTEMPTS {
                // Others have their turn between two attempts.
                let slot = client.slots.acquire().await;
                // Later changes need another inspect.
                client.remembered.lock().waiting.remove(&id);
                if slot.is_err() {
                    return;
                }
                let error = match client.inspect(&id).await {
                    Ok(inspected) => {
                        client.report(now(), id, ContainerAction::Info, Some(inspected.info));
                        return;
                    }
                    Err(error) => error,
                };
                // When the engine is gone, the end of the connection reports it.
                if client.ping().await.is_err() {
                    return;
                }
                // It does not answer about a container while it starts it, which takes long on a busy
                // host.
                if error != HttpError::Silent || attempt == ATTEMPTS {
                    return client.unreadable(&id, &error);
                }
            }
        });
    }

    pub(super) fn inspect_all(&self, ids: &BTreeSet<ContainerId>) {
        ids.iter().for_each(|id| self.inspect_later(id.clone()));
    }

    /// Names of images may refer to others now: queries each name once, and inspects only those of
    /// the containers for which that changed something. One query at a time.
    pub(super) fn names_of_images_moved(&self, known: &BTreeSet<ContainerId>) {
        {
            let mut remembered = self.remembered.lock();
            remembered.running.retain(|id, _| known.contains(id));
            if remembered.names_moved.is_some() {
                remembered.names_moved = Some(NamesMoved::Again);
                return;
            }
            remembered.names_moved = Some(NamesMoved::Querying);
        }
        let client = self.clone();
        tokio::spawn(async move {
            loop {
                client.query_names_of_images().await;
                let mut remembered = client.remembered.lock();
                if remembered.names_moved != Some(NamesMoved::Again) {
                    remembered.names_moved = None;
                    return;
                }
                remembered.names_moved = Some(NamesMoved::Querying);
            }
        });
    }

    async fn query_names_of_images(&self) {
        let running = {
            let mut remembered = self.remembered.lock();
            remembered.image_names.clear();
            remembered.running.clone()
        };
        for (id, image) in running {
            let now = self.image_now(&image.id, &image.name).await;
            if now.unwrap_or_default() != image.now {
                self.inspect_later(id);
            }
        }
    }

    /// Searches the program that started a command inside at once, before it ends; reports it a
    /// little later, after the probes have reported the command itself.
    pub(super) fn client_later(&self, id: ContainerId, at: Timestamp, command: Option<&Bytes>) {
        let found = {
            let mut remembered = self.remembered.lock();
            let listed = || {
                (
                    remembered.listed.get(&id).cloned().unwrap_or_default().name,
                    None,
                )
            };
            let names = remembered.names.get(&id).cloned();
            let names = names.unwrap_or_else(listed);
            let requested = SearchedSession {
                id: &id,
                name: &names.0,
                service: names.1.as_deref(),
                command,
                at,
            };
            remembered.clients.find(&requested)
        };
        let Some((pid, client)) = found else {
            return;
        };
        let out = self.out.clone();
        tokio::spawn(async move {
            sleep(SETTLE).await;
            // The receiver may be gone: then the watch has ended.
            let _ = out.send(RuntimeMessage::Client(now(), id, pid, client));
        });
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> Result<Inspected, HttpError> {
        let path = format!("/containers/{id}/json");
        let answer = self.http.get(&path, MAX_ANSWER).await?;
        let code = answer.pointer("/State/ExitCode").and_then(Value::as_i64);
        let paused = answer.pointer("/State/Paused").and_then(Value::as_bool);
        let image_id = text(&answer, "/Image").to_owned();
        let image_name = text(&answer, "/Config/Image").to_owned();
        let image = self.image(&image_id).await;
        let moved = self.image_now(&image_id, &image_name).await;
        let (mut info, odd) = docker_answer::from_answer(answer, &image);
        info.image_now = moved.unwrap_or_default();
        if info.role == Role::Build {
            info.build = self.build_of(id, &image_id).await;
            if build_step::runs_nothing(info.command.iter().map(|word| &***word)) {
                self.step_ended(id, now());
            }
        }
        let image = RunningImage {
            id: image_id,
            name: image_name,
            now: info.image_now.clone(),
        };
        let service = info.labels.get("com.docker.compose.service");
        let service = service.and_then(|s| std::str::from_utf8(s).ok());
        let name = std::str::from_utf8(&info.name).unwrap_or_default();
        let names = (name.to_owned(), service.map(str::to_owned));
        let mut remembered = self.remembered.lock();
        if remembered.names.len() >= MAX_NAMES {
            remembered.names.pop_first();
        }
        remembered.names.insert(id.clone(), names);
        if remembered.running.len() >= MAX_NAMES {
            remembered.running.pop_first();
        }
        remembered.running.insert(id.clone(), image);
        let report = !odd.is_empty()
            && remembered.odd.len() < MAX_NAMES
            && remembered.odd.insert(id.clone());
        drop(remembered);
        if report {
            let name = String::from_utf8_lossy(&info.name);
            let odd = odd.join("; ");
            self.lost(format!("of container {} ({name}): {odd}", id.short()));
        }
        Ok(Inspected {
            info,
            code: code.unwrap_or(0),
            paused: paused.unwrap_or(false),
        })
    }

    /// A step of the classic builder ended.
    pub(super) fn step_ended(&self, id: &ContainerId, at: Timestamp) {
        self.remembered.lock().builds.ended(id, at);
    }

    /// An image got a name, with which a build ends.
    pub(super) fn image_tagged(&self) {
        self.remembered.lock().builds.named();
    }

    /// The build of a step of the classic builder: that of the step whose result it continues.
    async fn build_of(&self, step: &ContainerId, image: &str) -> String {
        let mut image = image.to_owned();
        let mut before = None;
        for _ in 0..MAX_LAYERS {
            if !is_image_name(&image) {
                break;
            }
            let path = format!("/images/{image}/json");
            // Later versions of the API do not name the container of an image.
            let Ok(answer) = self.http.get_as_of((1, 44), &path, MAX_ANSWER).await else {
                break;
            };
            // An image with a name is the result of another build.
            let named = answer.pointer("/RepoTags").and_then(Value::as_array);
            if named.is_some_and(|names| !names.is_empty()) {
                break;
            }
            let container = ContainerId::new(text(&answer, "/Container"));
            if self.remembered.lock().builds.knows(&container) {
                before = Some(container);
                break;
            }
            text(&answer, "/Parent").clone_into(&mut image);
        }
        let mut remembered = self.remembered.lock();
        let build = remembered.builds.begin(step, before.as_ref(), now());
        build.as_str().to_owned()
    }

    /// The id that the image's name refers to, if the container runs another one.
    async fn image_now(&self, running: &str, name: &str) -> Option<String> {
        // An id or a digest always means the same image.
        let bare = running.strip_prefix("sha256:").unwrap_or(running);
        let fixed = name.contains("sha256:") || (name.len() >= 6 && bare.starts_with(name));
        if running.is_empty() || fixed || !is_image_name(name) {
            return None;
        }
        let known = self.remembered.lock().image_names.get(name).cloned();
        let now = if let Some(known) = known {
            known
        } else {
            let path = format!("/images/{name}/json");
            // A removed name refers to nothing.
            let answer = self.http.get(&path, MAX_ANSWER).await.ok();
            let id = answer.map(|image| text(&image, "/Id").to_owned());
            let mut remembered = self.remembered.lock();
            if remembered.image_names.len() >= MAX_IMAGES {
                remembered.image_names.clear();
            }
            remembered.image_names.insert(name.to_owned(), id.clone());
            id
        };
        now.filter(|id| !id.is_empty() && id != running)
    }

    /// An image never changes under its id, so it is queried once per connection.
    async fn image(&self, id: &str) -> ImageFacts {
        if id.is_empty() || !is_image_name(id) {
            return ImageFacts::default();
        }
        if let Some(facts) = self.remembered.lock().images.get(id) {
            return facts.clone();
        }
        // Removed while its container runs: the container's own facts remain.
        let Ok(answer) = self
            .http
            .get(&format!("/images/{id}/json"), MAX_ANSWER)
            .await
        else {
            return ImageFacts::default();
        };
        let facts = docker_answer::image(&answer);
        let mut remembered = self.remembered.lock();
        if remembered.images.len() >= MAX_IMAGES {
            remembered.images.pop_first();
        }
        remembered.images.insert(id.to_owned(), facts.clone());
        facts
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// Names become part of requests: only characters that image names may contain.
fn is_image_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    !name.is_empty() && name.len() <= 512 && name.bytes().all(allowed) && !name.contains("..")
}

fn hash(info: &ContainerInfo) -> u64 {
    let mut hasher = FxHasher::default();
    // Facts that cannot be serialised count as changed each time.
    serde_json::to_vec(info)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}
