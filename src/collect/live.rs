//! A running watch: starts and ends its threads, and answers questions about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::baselines::BaselineWatch;
use super::drift_scan::ScanQueue;
use super::policy::{PolicyFile, PolicyWatch};
use super::publishing::LivePublishing;
use super::shared::{LiveShared, Tap, end_follower};
use super::{apply, blind, capabilities, collector, event_queue};
use crate::containers::inventory::Inventory;
use crate::containers::{EngineKind, EngineState, RuntimeOptions};
use crate::core::Core;
use crate::detect::Settings;
use crate::event::{ContainerId, Response};
use crate::machine::Machine;
use crate::probe::{Probe, ProbeConfig, ProbeError, Report};
use crate::recording::{
    BlindRule, Follower, Header, Overview, Past, Player, Recorder, RecorderStatus, RecordingError,
    RecordingSummary, RecordingTarget,
};
use crate::response::{ResponseExecutor, Suggestion};
use crate::sink::{SinkBoard, SinkStatus};
use crate::state;
use crate::system::LoggedCalls;
use crate::user_files;

/// Maximum number of queued drift scans.
const MAX_REQUESTS: usize = 64;

/// Options of a watch.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Also the host's own processes.
    pub host: bool,
    /// Also the first use of each system call by each container.
    pub syscalls: bool,
    /// Settings of the rules.
    pub settings: Settings,
    /// The policy file in `settings`, to be read again when it changes.
    pub policy: Option<PolicyFile>,
    /// A baseline file, or a directory of them.
    pub baselines: Option<PathBuf>,
    /// The engines to query.
    pub runtimes: RuntimeOptions,
    /// How often containers are compared with their images; `None`: at the beginning only.
    pub rescan: Option<Duration>,
    /// Bytes of the recent past to keep in memory; 0: none.
    pub past: usize,
    /// Responses may be made.
    pub allow_actions: bool,
    /// The sinks, for [`Live::status`].
    pub sinks: SinkBoard,
}

/// Why watching or recording could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The probes.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The recording file.
    #[error(transparent)]
    Session(#[from] RecordingError),
    /// There is a recording already.
    #[error("already recording")]
    Recording,
    /// There is none.
    #[error("not recording")]
    NotRecording,
}

/// State of a watch.
#[derive(Debug, Clone)]
pub struct LiveStatus {
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// The queried engines.
    pub engines: BTreeMap<EngineKind, EngineState>,
    /// Running containers, by an engine's report, without a visible process.
    pub unwatched: usize,
    /// Containers that ran before watching began are not visible from this program's namespaces.
    pub older_unwatched: bool,
    /// Attached and refused programs.
    pub report: Report,
    /// The recording.
    pub recording: Option<RecorderStatus>,
    /// The sinks.
    pub sinks: Vec<SinkStatus>,
}

/// A running watch.
pub struct Live {
    shared: Arc<LiveShared>,
    report: Report,
    older_unwatched: bool,
    blind: Vec<BlindRule>,
    /// The policy file and its watcher.
    policy: Option<(PathBuf, PolicyWatch)>,
    /// Watches the baseline files until the end.
    _baselines: Option<BaselineWatch>,
    threads: Vec<JoinHandle<()>>,
    /// Carries out responses; `None`: they are not allowed.
    responses: Option<ResponseExecutor>,
    sinks: SinkBoard,
    logged: Mutex<LoggedCalls>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Loads and attaches the probes and begins to watch. Returns once the existing containers and
    /// processes are in the state; the engine's facts follow. From then on the calling thread and
    /// those begun here hold only the privileges that watching needs.
    ///
    /// # Errors
    /// When the probes cannot be attached or a thread not be started.
    pub fn start(options: LiveOptions, tap: Option<Box<dyn Tap>>) -> Result<Self, LiveError> {
        let probe = Probe::load(&ProbeConfig {
            host: options.host,
            syscalls: options.syscalls,
            ..ProbeConfig::default()
        })?;
        // Before privileges are dropped: responses need others than watching.
        let (responses, made) = match options.allow_actions {
            true => ResponseExecutor::start().map(|(executor, made)| (Some(executor), made))?,
            false => (None, crossbeam_channel::never()),
        };
        let logged = Mutex::new(LoggedCalls::open());
        user_files::keep_writing()?;
        capabilities::give_up();
        tracing::debug!("capabilities dropped");
        let report = probe.report().clone();
        let missing = blind::missing(&report, !options.runtimes.is_empty());
        let mut settings = options.settings;
        settings.missing.extend(missing.keys().copied());
        let core = Core::new(settings);
        let shared = Arc::new(LiveShared {
            past: (options.past > 0).then(|| Arc::new(Past::new(options.past, &core))),
            core: Arc::new(Mutex::new(core)),
            seq: AtomicU64::new(0),
            recorder: Mutex::new(None),
            learner: Mutex::new(None),
            published: Mutex::new(None),
            engines: Mutex::new(if options.runtimes.docker {
                BTreeMap::from([(EngineKind::Docker, EngineState::Connecting)])
            } else {
                BTreeMap::new()
            }),
            unwatched: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            scanning: Arc::default(),
            scan_requests: Mutex::default(),
            answered: Mutex::default(),
        });
        let (policy, changes) = match options.policy {
            Some(file) => {
                let path = file.path().to_owned();
                let (watch, changes) = PolicyWatch::start(file)?;
                (Some((path, watch)), changes)
            }
            None => (None, crossbeam_channel::never()),
        };
        let (baselines, learned) = match options.baselines {
            Some(path) => {
                let (watch, changes) = BaselineWatch::start(path)?;
                (Some(watch), changes)
            }
            None => (None, crossbeam_channel::never()),
        };
        let (events, queue) = crossbeam_channel::bounded(event_queue::QUEUE);
        let (first, begun) = crossbeam_channel::bounded(1);
        let asks = !options.runtimes.is_empty();
        let inventory = asks.then(|| Inventory::new(options.runtimes.clone()));
        // Without that thread nothing is scanned; everything else continues.
        let scans = ScanQueue::start(inventory, options.rescan, Arc::clone(&shared.scanning)).ok();
        let engine = asks.then_some(options.runtimes);
        let collecting = Arc::clone(&shared);
        let collector = std::thread::Builder::new()
            .name("collect".to_owned())
            .spawn(move || {
                let from = collector::CollectorInputs {
                    engine,
                    policy: changes,
                    baselines: learned,
                    scans,
                    responses: made,
                };
                collector::run(probe, options.host, from, &events, &collecting);
            })?;
        let applying = Arc::clone(&shared);
        let applier = std::thread::Builder::new()
            .name("core".to_owned())
            .spawn(move || {
                capabilities::give_up_files();
                apply::run(&applying, &queue, tap, &first);
            })?;
        // Fails only when the thread ended, which stop() shows.
        let _ = begun.recv();
        Ok(Self {
            shared,
            report,
            older_unwatched: crate::system::unseen_containers().is_some(),
            blind: blind::rules(&missing),
            policy,
            _baselines: baselines,
            threads: vec![collector, applier],
            responses,
            sinks: options.sinks,
            logged,
        })
    }

    /// System calls of this program that the kernel logged because they are not among those that
    /// watching is known to need, and how often each; empty where they cannot be counted.
    #[must_use]
    pub fn logged_calls(&self) -> BTreeMap<&'static str, u64> {
        self.logged.lock().counts().clone()
    }

    /// State and findings. Lock it only to read a frame.
    #[must_use]
    pub fn core(&self) -> &Arc<Mutex<Core>> {
        &self.shared.core
    }

    /// A player of the recent past, if that is kept; it begins now, paused.
    #[must_use]
    pub fn past(&self) -> Option<Player> {
        let past = self.shared.past.as_ref()?;
        // No event may come between the core and the number of events.
        let core = self.shared.core.lock();
        let header = Header::here(core.state.now, core.detector.settings().clone());
        Some(Player::of_past(past, header, core.clone()))
    }

    /// The recent past as a whole, if it is kept: of everything, or of these containers.
    #[must_use]
    pub fn overview(&self, of: Option<&BTreeSet<ContainerId>>) -> Option<Overview> {
        self.shared.past.as_ref().map(|past| past.overview(of))
    }

    /// States of the connections to the queried engines.
    #[must_use]
    pub fn engines(&self) -> BTreeMap<EngineKind, EngineState> {
        self.shared.engines.lock().clone()
    }

    /// State of this watch.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        let uname = rustix::system::uname();
        LiveStatus {
            host: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            engines: self.engines(),
            unwatched: self.shared.unwatched.load(Ordering::Relaxed),
            older_unwatched: self.older_unwatched,
            report: self.report.clone(),
            sinks: self.sinks.statuses(),
            recording: self.shared.recorder.lock().as_ref().map(Recorder::status),
        }
    }

    /// The policy file, where one is watched; it need not exist.
    #[must_use]
    pub fn policy_path(&self) -> Option<&Path> {
        self.policy.as_ref().map(|(path, _)| path.as_path())
    }

    /// Checks the policy file now: it was just written.
    pub fn reread_policy(&self) {
        if let Some((_, watch)) = &self.policy {
            watch.look();
        }
    }

    /// Requests a comparison of a container's files with its image; the result is an event. False
    /// when too many wait.
    #[must_use]
    pub fn scan(&self, id: &ContainerId) -> bool {
        let mut requested = self.shared.scan_requests.lock();
        let room = requested.len() < MAX_REQUESTS;
        if room {
            requested.push(id.clone());
        }
        room
    }

    /// Whether responses are allowed.
    #[must_use]
    pub fn allows_actions(&self) -> bool {
        self.responses.is_some()
    }

    /// Carries out a response in the background; its outcome is an event. Never waits.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn respond(&self, suggestion: Suggestion) -> Result<(), String> {
        match &self.responses {
            Some(responses) => responses.submit(suggestion),
            None => Err("responses need --allow-actions".to_owned()),
        }
    }

    /// The next completed response that was not taken before.
    #[must_use]
    pub fn answered(&self) -> Option<Response> {
        self.shared.answered.lock().pop_front()
    }

    /// The container being compared with its image, and the number of files examined so far.
    #[must_use]
    pub fn scanning(&self) -> Option<(ContainerId, u64)> {
        let current = self.shared.scanning.lock();
        let (id, progress) = current.as_ref()?;
        Some((id.clone(), progress.examined()))
    }

    /// Begins to record: first the current state, then every event.
    ///
    /// # Errors
    /// When there is a recording, or the file exists or cannot be created.
    pub fn start_recording(&self, path: &Path) -> Result<(), LiveError> {
        self.follow(RecordingTarget::File(path), None)
    }

    /// Begins to record, with a follower that sees exactly what is recorded.
    ///
    /// # Errors
    /// When there is a recording, or the file exists or cannot be created.
    pub fn follow(
        &self,
        target: RecordingTarget<'_>,
        follower: Option<Box<dyn Follower>>,
    ) -> Result<(), LiveError> {
        // The core stays locked, so that no event falls between the snapshot and the stream.
        let core = self.shared.core.lock();
        let mut recorder = self.shared.recorder.lock();
        if recorder.is_some() {
            return Err(LiveError::Recording);
        }
        *recorder = Some(self.recorder(&core, target, follower)?);
        Ok(())
    }

    /// Starts another follower of the stream from the current state on, in addition to a recording;
    /// it replaces the one before.
    ///
    /// # Errors
    /// When no thread can be started for it.
    pub fn learn(&self, follower: Box<dyn Follower>) -> Result<(), LiveError> {
        let before = {
            let core = self.shared.core.lock();
            let mut learner = self.shared.learner.lock();
            let next = self.recorder(&core, RecordingTarget::Nowhere, Some(follower))?;
            learner.replace(next)
        };
        end_follower(before);
        Ok(())
    }

    /// Ends what [`Live::learn`] began.
    pub fn stop_learning(&self) {
        end_follower(self.shared.learner.lock().take());
    }

    /// Continues the recording in another file, which begins with the current state; no event is
    /// lost between the two. Returns the outcome of the one before, if there was one.
    ///
    /// # Errors
    /// When the file exists or cannot be created; the recording continues in the previous one.
    pub fn continue_recording(
        &self,
        path: &Path,
    ) -> Result<Option<Result<RecordingSummary, RecordingError>>, LiveError> {
        let before = {
            let core = self.shared.core.lock();
            let mut recorder = self.shared.recorder.lock();
            let next = self.recorder(&core, RecordingTarget::File(path), None)?;
            recorder.replace(next)
        };
        // Without the locks: it waits for the disk.
        Ok(before.map(Recorder::finish))
    }

    /// What a publisher of the stream needs.
    #[must_use]
    pub fn publishing(&self) -> LivePublishing {
        let header = self.header(&self.shared.core.lock(), None);
        LivePublishing::new(Arc::clone(&self.shared), header)
    }

    /// The header of a recording that begins now, in this folder.
    fn header(&self, core: &Core, folder: Option<&Path>) -> Header {
        let machine = Machine::default().read(folder.unwrap_or(Path::new(".")));
        let mut header = Header::here(core.state.now, core.detector.settings().clone());
        header.machine = Some(machine);
        header.tiers.clone_from(&self.report.attached);
        header.blind.clone_from(&self.blind);
        // Readers of the header may be in another directory.
        let file = self.policy_path().and_then(|p| std::path::absolute(p).ok());
        header.policy_file = file.map(|path| path.display().to_string());
        header
    }

    /// A recorder that begins with the state in `core`, which stays locked.
    fn recorder(
        &self,
        core: &Core,
        target: RecordingTarget<'_>,
        follower: Option<Box<dyn Follower>>,
    ) -> Result<Recorder, LiveError> {
        let folder = match &target {
            RecordingTarget::File(path) => path.parent(),
            RecordingTarget::Nowhere | RecordingTarget::Pipe { .. } => None,
        };
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let header = self.header(core, folder);
        let next = self.shared.seq.load(Ordering::Relaxed) + 1;
        let events = state::snapshot(&core.state, next);
        let count = events.len() as u64;
        let recorder = Recorder::start_with(target, &header, events, follower)?;
        // Without a file these numbers would be missing in the one that continues.
        self.shared.seq.fetch_add(count, Ordering::Relaxed);
        Ok(recorder)
    }

    /// Ends the recording and closes its file.
    ///
    /// # Errors
    /// When there is none, or the file could not be written.
    pub fn stop_recording(&self) -> Result<RecordingSummary, LiveError> {
        let recorder = self.shared.recorder.lock().take();
        Ok(recorder.ok_or(LiveError::NotRecording)?.finish()?)
    }

    /// Closes the recording's file, if there is one: for callers that cannot wait for
    /// [`Live::stop`].
    pub fn finisher(&self) -> impl FnOnce() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let recorder = shared.recorder.lock().take();
            // There is no caller left for the outcome.
            let _ = recorder.map(Recorder::finish);
        }
    }

    /// Detaches the probes, applies queued events, and ends a recording that still runs, which
    /// includes them. Returns the recording's outcome, if there was one.
    pub fn stop(mut self) -> Option<Result<RecordingSummary, RecordingError>> {
        self.end()
    }

    fn end(&mut self) -> Option<Result<RecordingSummary, RecordingError>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some((_, progress)) = &*self.shared.scanning.lock() {
            progress.cancel();
        }
        for thread in self.threads.drain(..) {
            // A panicked thread has reported it on stderr.
            let _ = thread.join();
        }
        end_follower(self.shared.learner.lock().take());
        // Its reader may be away: it is not waited for here.
        if let Some(published) = self.shared.published.lock().take() {
            published.close();
        }
        let recorder = self.shared.recorder.lock().take();
        recorder.map(Recorder::finish)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The recording's outcome is returned by stop only.
        let _ = self.end();
    }
}
