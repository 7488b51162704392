//! The `containers` module with a real engine and real containers.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use hullwatch::containers::compare::{CompareRequest, Comparer, check};
use hullwatch::containers::{
    CgroupDirectory, EngineState, RuntimeMessage, RuntimeOptions, proc_facts, snapshot, start,
    usage,
};
use hullwatch::event::{
    CompareClass, ContainerAction, ContainerId, ContainerInfo, Filesystem, Origin, Protocol,
    Runtime,
};

use crate::common::{self, BUSYBOX, Container, Engine, PATIENCE};

/// Busybox, a program that is not a link to it, and an exposed port.
const IMAGE: &str = "hullwatch-test/runtime:busybox";

fn import_image(engine: &Engine) {
    let script = "cp /bin/busybox /bin/plain; echo >>/bin/plain";
    let container = engine.run_to_end(&[], BUSYBOX, &["sh", "-c", script]);
    let change = "EXPOSE 80";
    engine.docker(&["commit", "-c", change, container.id.as_str(), IMAGE]);
}

fn options(engine: &Engine) -> RuntimeOptions {
    RuntimeOptions::of_docker(Some(engine.0.clone()))
}

/// Waits for the first message for which `wanted` returns a value.
fn wait<T>(
    from: &Receiver<RuntimeMessage>,
    what: &str,
    mut wanted: impl FnMut(&RuntimeMessage) -> Option<T>,
) -> T {
    let until = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Ok(message) = from.recv_deadline(until) {
        if let Some(found) = wanted(&message) {
            return found;
        }
        seen.push(message);
    }
    panic!("no {what} within {PATIENCE:?}; seen: {seen:#?}");
}

fn action_of(
    message: &RuntimeMessage,
    id: &ContainerId,
) -> Option<(ContainerAction, Option<ContainerInfo>)> {
    match message {
        RuntimeMessage::Update(_, u) if u.id == *id => {
            Some((u.event.action.clone(), u.event.info.as_deref().cloned()))
        }
        _ => None,
    }
}

#[test]
fn a_real_engine_and_real_containers() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    import_image(&engine);
    let name = format!("hullwatch-live-{}", std::process::id());
    let settings = [
        "--name",
        &name,
        "--memory",
        "64m",
        "--cap-add",
        "NET_ADMIN",
        "-l",
        "a=b",
        "-v",
        "/data",
    ];
    let old = engine.run(&settings, IMAGE, &["nc", "-l", "-p", "80"]);
    let info = life(&engine, &old, &name);
    cgroups_and_processes(&old);
    without_engine(&old);
    content(&old, info);
}

/// Lists the running containers, then follows one through its life.
fn life(engine: &Engine, old: &Container, name: &str) -> ContainerInfo {
    let (out, from) = unbounded();
    let runtimes = start(options(engine), out);
    wait(&from, "connection", |m| match m {
        RuntimeMessage::State(_, EngineState::Connected { version, driver }) => {
            assert!(!version.is_empty() && !driver.is_empty());
            Some(())
        }
        _ => None,
    });
    let info = wait(&from, "existing container", |m| {
        match action_of(m, &old.id)? {
            (ContainerAction::Existing, info) => info,
            other => panic!("first reported as {other:?}"),
        }
    });
    assert_eq!(info.name, name);
    assert_eq!(info.image, IMAGE);
    assert_eq!(info.labels["a"], "b");
    assert_eq!(info.limits.memory, 64 << 20);
    assert_eq!(info.security.cap_add.len(), 1);
    assert_eq!(info.exposed, ["80/tcp"]);
    assert!(info.started.unwrap() > info.created.unwrap());
    assert!(info.init_pid > 0 && info.mounts.iter().any(|m| m.destination == "/data"));
    assert!(info.networks.contains_key("none"));

    let new = engine.run(&[], IMAGE, &["sh", "-c", "sleep 1; exit 7"]);
    new.sh("echo hi");
    let mut got = Vec::new();
    wait(&from, "end of the new container", |m| {
        let (action, info) = action_of(m, &new.id)?;
        got.push((action.clone(), info.is_some()));
        matches!(action, ContainerAction::Died(7)).then_some(())
    });
    let has = |wanted: &dyn Fn(&ContainerAction) -> bool| got.iter().any(|(a, _)| wanted(a));
    assert!(
        has(&|a| *a == ContainerAction::Created) && has(&|a| *a == ContainerAction::Started),
        "{got:?}"
    );
    assert!(
        has(&|a| matches!(a, ContainerAction::ExecStarted(c) if *c == "sh -c echo hi")),
        "{got:?}"
    );
    assert!(got.contains(&(ContainerAction::Info, true)), "{got:?}");
    runtimes.stop();
    info
}

fn cgroups_and_processes(old: &Container) {
    let (directory, found) = CgroupDirectory::scan();
    let mine = found.iter().find(|f| f.id == old.id).unwrap();
    assert_eq!(mine.runtime, Runtime::Docker);
    assert_eq!(directory.lookup(mine.cgroup), Some(&old.id));

    let sockets = snapshot::sockets(false, &snapshot::Membership::new(&directory));
    let all = snapshot::processes(false, &snapshot::Membership::new(&directory));
    let process = all
        .iter()
        .find(|p| p.container.as_ref() == Some(&old.id))
        .unwrap();
    assert_eq!(process.nspid, 1);
    assert_eq!(process.process.exe, "/bin/busybox");
    assert_eq!(process.process.argv[0], "nc");
    assert_eq!(process.process.file.fs, Filesystem::Overlay);
    assert_eq!(process.process.file.origin(), Origin::Image);
    assert!(all.iter().all(|p| p.container.is_some()));

    let listening = sockets
        .iter()
        .find(|s| s.container.as_ref() == Some(&old.id))
        .unwrap();
    assert_eq!(listening.pid, process.pid);
    assert_eq!(listening.socket.protocol, Protocol::Tcp);
    assert_eq!(
        (listening.socket.local.port(), listening.socket.remote),
        (80, None)
    );

    let list = [(old.id.clone(), mine.path.clone())];
    let mut sampler = usage::UsageSampler::new();
    sampler.sample(&list, Duration::from_secs(1));
    old.sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    let used = sampler.sample(&list, Duration::from_secs(1));
    assert!(
        used[0].cpu_milli > 10 && used[0].memory > 0 && used[0].pids == 1,
        "{used:?}"
    );
}

fn without_engine(old: &Container) {
    let (_, found) = CgroupDirectory::scan();
    let info = proc_facts::facts(found.iter().find(|f| f.id == old.id).unwrap()).unwrap();
    assert_eq!(info.command[0], "nc");
    assert_eq!(info.security.cap_add, ["NET_ADMIN"]);
    assert!(!info.security.privileged && !info.security.readonly_root);
    check(&info.storage).unwrap();
}

fn content(old: &Container, info: ContainerInfo) {
    check(&info.storage).unwrap();
    let pid = info.init_pid;
    let info = Arc::new(info);
    let (out, from) = unbounded();
    let comparer = Comparer::start(out).unwrap();
    old.sh("touch /bin/plain; cp /bin/busybox /tmp/tool; echo new >/tmp/new; chmod 755 /tmp/new");
    // Numbers in the container's own file system, as the kernel reports them.
    let compare = |path: &str| {
        let meta = std::fs::metadata(format!("/proc/{pid}/root{path}")).unwrap();
        let dev = rustix::fs::major(meta.dev()) << 20 | rustix::fs::minor(meta.dev());
        assert!(comparer.request(CompareRequest {
            container: old.id.clone(),
            info: Arc::clone(&info),
            pid,
            path: path.into(),
            ino: meta.ino(),
            dev,
            on_root: true,
        }));
        let (id, result) = from.recv_timeout(PATIENCE).unwrap();
        assert_eq!(id, old.id);
        result.class
    };
    assert_eq!(compare("/bin/plain"), CompareClass::CopiedUp);
    assert_eq!(compare("/bin/busybox"), CompareClass::CopiedUp);
    assert_eq!(
        compare("/tmp/tool"),
        CompareClass::Relocated("/bin/busybox".into())
    );
    assert_eq!(compare("/tmp/new"), CompareClass::New);
    old.sh("echo changed >>/bin/plain");
    assert_eq!(compare("/bin/plain"), CompareClass::Modified);
}

/// Forwards connections to the engine until dropped: an engine that can be disconnected.
struct Door {
    at: std::path::PathBuf,
    open: Arc<std::sync::Mutex<Option<Vec<UnixStream>>>>,
}

impl Door {
    fn open(engine: &Engine, at: &std::path::Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        let open = Arc::new(std::sync::Mutex::new(Some(Vec::new())));
        let kept = Arc::clone(&open);
        let path = engine.0.strip_prefix("unix://").unwrap().to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let engine = UnixStream::connect(&path).unwrap();
                let mut kept = kept.lock().unwrap();
                let Some(kept) = kept.as_mut() else { return };
                for (from, to) in [(&client, &engine), (&engine, &client)] {
                    kept.push(from.try_clone().unwrap());
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        Self {
            at: at.to_owned(),
            open,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        std::fs::remove_file(&self.at).unwrap();
        for stream in self.open.lock().unwrap().take().unwrap() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[test]
fn a_reconnected_engine_is_caught_up_with() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    import_image(&engine);
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("engine.sock");
    let door = Door::open(&engine, &at);
    let ended = engine.run(&[], IMAGE, &["sleep", "1000"]);
    let stayed = engine.run(&[], IMAGE, &["sleep", "1000"]);
    let (out, from) = unbounded();
    let options = RuntimeOptions::of_docker(Some(at.to_str().unwrap().to_owned()));
    let runtimes = start(options, out);
    let mut missing = vec![ended.id.clone(), stayed.id.clone()];
    wait(&from, "both containers", |m| {
        missing.retain(|id| action_of(m, id).is_none());
        missing.is_empty().then_some(())
    });
    drop(door);
    wait(&from, "loss", |m| {
        matches!(m, RuntimeMessage::Lost(..)).then_some(())
    });
    ended.control("kill");
    let began = engine.run(&[], IMAGE, &["sleep", "1000"]);
    let _door = Door::open(&engine, &at);
    let mut got = Vec::new();
    wait(&from, "the end that was missed", |m| {
        for c in [&stayed, &began, &ended] {
            got.extend(
                action_of(m, &c.id).map(|(action, info)| (c.id.clone(), action, info.is_some())),
            );
        }
        got.iter().any(|(id, ..)| *id == ended.id).then_some(())
    });
    for expected in [
        (stayed.id.clone(), ContainerAction::Info, true),
        (began.id.clone(), ContainerAction::Started, true),
        (ended.id.clone(), ContainerAction::Died(137), true),
    ] {
        assert!(got.contains(&expected), "{expected:?} not in {got:?}");
    }
    runtimes.stop();
}

#[test]
fn a_missing_engine_is_reported_at_once() {
    let (out, from) = unbounded();
    let options = RuntimeOptions::of_docker(Some("unix:///nonexistent/docker.sock".to_owned()));
    let runtimes = start(options, out);
    wait(&from, "absence", |m| {
        matches!(m, RuntimeMessage::State(_, EngineState::Absent)).then_some(())
    });
    runtimes.stop();
}
