//! The screen of this host: its recording is complete however the screen ends.

use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

use crate::common::{BUSYBOX, DEBIAN, Engine, engine_is_ready, kernel_is_ready};
use crate::screen::{Screen, at_home};

#[test]
fn time_pauses_and_continues() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&["--name", "hw-paused"], BUSYBOX, &["sleep", "600"]);
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let mut screen = Screen::start(&[program], &at_home(folder.path()));
    screen.shows(24, 80, |picture| picture.contents().contains("hw-paused"));
    screen.type_in("p");
    screen.shows(24, 80, |picture| picture.contents().contains("PAUSED"));
    container.sh("mkdir -p /etc/cron.d && echo x > /etc/cron.d/late");
    // The pending frame is sent once.
    while screen.sent_within(Duration::from_millis(1500)) > 0 {}
    // New events are not sent, not even the time behind the present.
    assert_eq!(screen.sent_within(Duration::from_secs(3)), 0);
    screen.type_in("H");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("PAUSED") && !text.contains("cron.d/late")
    });
    // It continues from there, or at the present.
    screen.type_in("p");
    screen.shows(24, 80, |picture| picture.contents().contains("PLAY x1 -"));
    screen.type_in("=");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.contains("LIVE") && text.contains("cron.d/late")
    });
    screen.type_in("q");
    assert!(screen.ended());
}

/// Also the thread that existed before the probes were attached; keys still work.
#[test]
fn every_thread_of_the_screen_is_confined() {
    if !kernel_is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let file = folder.path().join("screen.jsonl.zst");
    let words = [program, "--no-engine", "--record", file.to_str().unwrap()];
    let mut screen = Screen::start(&words, &at_home(folder.path()));
    screen.shows(24, 80, |picture| picture.contents().contains("● REC"));
    let pid = screen.child.process_id().unwrap();
    let mut names = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let name = field("Name:");
        assert_eq!(field("NoNewPrivs:"), "1", "{name}");
        assert_eq!(field("Seccomp:"), "2", "{name}");
        // CAP_PERFMON and CAP_NET_ADMIN.
        let held = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
        assert_eq!(held & (1 << 38 | 1 << 12), 0, "{name}");
        names.push(name);
    }
    for wanted in ["last resort", "core", "collect", "record", "evidence"] {
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
    }
    quit_recording(&mut screen);
    assert!(screen.left_well());
    assert!(file.metadata().unwrap().len() > 0);
}

type Leave = fn(&mut Screen);

/// The first `q` asks, since a recording is under way.
fn quit_recording(screen: &mut Screen) {
    screen.type_in("q");
    screen.shows(24, 80, |picture| {
        picture
            .contents()
            .contains("again ends the recording and quits")
    });
    screen.type_in("q");
}

#[test]
fn a_recording_is_whole_however_the_screen_ends() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let container = engine.run(&["--name", "hw-recorded"], BUSYBOX, &["sleep", "600"]);
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let environment = at_home(folder.path());
    let ends: [(&str, Leave); 5] = [
        ("q", quit_recording),
        ("C-c", |screen| screen.type_in("\x03")),
        ("TERM", |screen| screen.signal("-TERM")),
        ("HUP", |screen| screen.signal("-HUP")),
        ("hang-up", Screen::hang_up),
    ];
    for (end, leave) in ends {
        let file = place(&format!("{end}.jsonl.zst"));
        let mut screen = Screen::start(&[program, "--record", &file], &environment);
        screen.shows(24, 80, |picture| {
            let text = picture.contents();
            text.contains("● REC") && text.contains("hw-recorded")
        });
        container.sh(&format!("echo '{end}' >> /etc/passwd"));
        screen.shows(24, 80, |picture| picture.contents().contains("/etc/passwd"));
        leave(&mut screen);
        assert!(screen.left_well(), "{end}: left behind");
        let mut replay = Command::new(program);
        let out = replay
            .args(["replay", "--findings", &file])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && stderr.is_empty(), "{end}: {stderr}");
        let found = String::from_utf8_lossy(&out.stdout);
        assert!(found.contains("file.accounts"), "{end}: {found}");
    }
}

#[test]
fn responses_are_copied_and_made_only_when_allowed_and_confirmed() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("hw-respond-{}", std::process::id());
    let container = engine.run(&["--name", &name], BUSYBOX, &["sleep", "600"]);
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let paused = || container.inspect("{{.State.Paused}}");
    let menu = |options: &[&str]| {
        let words = [&[program], options].concat();
        let mut screen = Screen::start(&words, &at_home(folder.path()));
        screen.type_in(&format!("2/{name}\r"));
        // Its row is shown; the name alone is also in the filter.
        screen.shows(24, 80, |picture| {
            let text = picture.contents();
            text.lines()
                .any(|line| line.starts_with('▌') && line.contains(&name))
        });
        screen.type_in("A");
        screen.shows(24, 80, |picture| {
            let text = picture.contents();
            text.contains(&format!("Responses to container {name}"))
                && text.contains("Pause the container")
                // The line is wrapped at its width.
                && text.contains(container.id.as_str())
        });
        screen
    };
    let mut screen = menu(&[]);
    screen.type_in("\r");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("copied the command")
    });
    assert_eq!(paused(), "false");
    screen.type_in("\x03");
    assert!(screen.ended());

    let mut screen = menu(&["--allow-actions"]);
    // Faster than anyone types.
    screen.type_in("\ry");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("look like pasted text")
    });
    assert_eq!(paused(), "false");
    screen.type_in("A");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("Pause the container")
    });
    screen.type_in("\r");
    let question = |picture: &vt100::Screen| {
        let text = picture.contents();
        text.contains("Run it now") && text.contains(&name)
    };
    screen.shows(24, 80, question);
    screen.type_in("n");
    screen.shows(24, 80, |picture| !question(picture));
    assert_eq!(paused(), "false");
    // On a busy host a key and what comes before it may be read together: then it is refused, and
    // whoever pressed it does so again.
    let done = Cell::new(false);
    for _ in 0..5 {
        screen.type_in("\r");
        screen.shows(24, 80, question);
        screen.type_in("y");
        screen.shows(24, 80, |picture| {
            let text = picture.contents();
            done.set(text.contains("pause by root: done"));
            done.get() || text.contains("look like pasted text")
        });
        if done.get() {
            break;
        }
        assert_eq!(paused(), "false");
    }
    assert_eq!(paused(), "true");
    screen.type_in("\x03");
    assert!(screen.ended());
}

/// Also one that has no path any more.
#[test]
fn the_evidence_of_an_incident_has_the_programs_that_run() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let name = format!("hw-evidence-{}", std::process::id());
    let script = "f=/tmp/busybox; cp /bin/busybox $f; echo >>$f; $f sleep 600 & sleep 1; rm $f; >/tmp/gone; wait";
    let container = engine.run(&["--name", &name], BUSYBOX, &["sh", "-c", script]);
    // Watching begins after that.
    while !container.exec(&["ls", "/tmp"]).contains("gone") {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_hullwatch");
    let line = format!("cd {} && exec {program}", folder.path().display());
    let mut screen = Screen::start(&["sh", "-c", &line], &at_home(folder.path()));
    screen.shows(24, 80, |picture| picture.contents().contains(&name));
    screen.type_in("1");
    screen.shows(24, 80, |picture| picture.contents().contains("▌"));
    screen.type_in("/");
    screen.shows(24, 80, |picture| !picture.contents().contains("? help"));
    screen.type_in(&format!("container={name}"));
    screen.shows(24, 80, |picture| picture.contents().contains(&name));
    screen.type_in("\r");
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        text.lines()
            .any(|line| line.starts_with('▌') && line.contains("hw-evidence"))
    });
    // Keys that follow one another faster than anyone types write no file.
    std::thread::sleep(std::time::Duration::from_secs(1));
    screen.type_in("E");
    screen.shows(24, 80, |picture| {
        picture.contents().contains("written hullwatch-I-")
    });
    screen.type_in("\x03");
    assert!(screen.ended());
    let files = std::fs::read_dir(folder.path()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let archive = files.find(|path| path.extension().is_some_and(|e| e == "tar"));
    let mut archive = tar::Archive::new(std::fs::File::open(archive.unwrap()).unwrap());
    let entries = archive.entries().unwrap().map(|entry| entry.unwrap());
    let sizes: Vec<(String, u64)> = entries
        .map(|entry| (entry.path().unwrap().display().to_string(), entry.size()))
        .collect();
    let copied = |(path, size): &(String, u64)| path.contains("exe-") && *size > 100_000;
    assert!(sizes.iter().any(copied), "{sizes:?}");
}

/// From a container that hides the host's cgroups, the engine's containers are counted as not
/// watched.
#[test]
fn containers_that_are_not_watched_are_counted_on_the_first_line() {
    if !engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let _other = engine.run(&[], BUSYBOX, &["sleep", "600"]);
    let socket = engine.0.strip_prefix("unix://").unwrap();
    let mounts = [
        format!("{}:/hullwatch:ro", env!("CARGO_BIN_EXE_hullwatch")),
        format!("{socket}:/engine.sock"),
    ];
    let folder = tempfile::tempdir().unwrap();
    // Not --privileged, which a host that is itself a container may not permit.
    let rights = [
        "--cap-add=SYS_ADMIN",
        "--cap-add=SYS_PTRACE",
        "--cap-add=NET_ADMIN",
        "--cap-add=DAC_READ_SEARCH",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
    ];
    let start = |engine_options: &[&str]| {
        let words = ["docker", "-H", &engine.0, "run", "--rm", "-it"];
        let inside = [
            "--network=none",
            "--cgroupns=private",
            "-e",
            "LC_ALL=C.UTF-8",
        ];
        let volumes = ["-v", &mounts[0], "-v", &mounts[1], DEBIAN, "/hullwatch"];
        let words = [&words[..], &rights, &inside, &volumes, engine_options].concat();
        Screen::start(&words, &at_home(folder.path()))
    };
    let mut screen = start(&["--docker-host", "unix:///engine.sock"]);
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        let first = text.lines().next().unwrap_or_default();
        first.contains("not watched") && first.contains("container") && !first.contains("older")
    });
    screen.type_in("q");
    assert!(screen.ended());
    let mut screen = start(&["--no-engine"]);
    screen.shows(24, 80, |picture| {
        let text = picture.contents();
        let first = text.lines().next().unwrap_or_default();
        first.contains("older containers not watched")
    });
    screen.type_in("q");
    assert!(screen.ended());
}
