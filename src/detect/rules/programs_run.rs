//! Libraries that are not the image's, and programs that are not what they seem.

use bstr::ByteSlice as _;

use crate::detect::case::Case;
use crate::detect::drift::{Made, attach_history, history, made};
use crate::detect::{Fact, Look, Rule, RuleInfo, Severity, programs};
use crate::event::{Exec, File, FileOp, Origin};

/// Libraries.
pub(super) const LIBRARY: Rule = Rule {
    info: RuleInfo {
        id: "drift.library",
        title: "Loaded a library that is not the image's",
        severity: Severity::Medium,
        attack: &["T1574.006", "T1129"],
        needs: &[Fact::MapExec],
        explain: "A file that was written since the container started was mapped as executable \
                  code. Extensions that a package manager installed, a compiler built or start-up \
                  made are told apart.",
        check: "Who wrote the file, and which process loaded it.",
    },
    looks: &[Look::File(library)],
};

/// Masquerade.
pub(super) const MASQUERADE: Rule = Rule {
    info: RuleInfo {
        id: "exec.masquerade",
        title: "A program hides what it is",
        severity: Severity::High,
        attack: &["T1036.004", "T1036.005", "T1564.001"],
        needs: &[Fact::Exec],
        explain: "A process calls itself a kernel thread, a program that is not the image's \
                  carries a system daemon's name, lies in a hidden directory or pretends by its \
                  extension to be data.",
        check: "The executable behind the name.",
    },
    looks: &[Look::Exec(masquerade)],
};

/// Miners.
pub(super) const MINER: Rule = Rule {
    info: RuleInfo {
        id: "exec.miner",
        title: "A coin miner's command line",
        severity: Severity::Critical,
        attack: &["T1496"],
        needs: &[Fact::Exec],
        explain: "The arguments name a mining pool by its protocol, or options that only miners \
                  have.",
        check: "CPU use, the pool's address, and how the program came in.",
    },
    looks: &[Look::Exec(miner)],
};

fn library(case: &mut Case<'_>, file: &File) {
    if file.op != FileOp::MapExec || file.errno != 0 {
        return;
    }
    let path = file.path.clone();
    // The program itself is mapped, too: its execution was judged.
    if case.process.is_some_and(|p| p.exe == path) || path.as_bytes().is_empty() {
        return;
    }
    let written = case.activity(&path).is_some_and(|a| {
        [
            FileOp::Create,
            FileOp::Write,
            FileOp::Truncate,
            FileOp::Rename,
            FileOp::Link,
        ]
        .iter()
        .any(|op| a.ops.contains_key(op))
    });
    let origin = file.file.map(|f| f.origin());
    let drift = match origin {
        Some(Origin::Upper) => true,
        Some(Origin::Tmpfs | Origin::Volume | Origin::CopiedUp) => written,
        // JITs map memory files and removed ones as code.
        _ => false,
    };
    if !drift || crate::detect::place::of(&path) == Some(crate::detect::place::Place::Managed) {
        return;
    }
    if case.starting_up() {
        super::fold_startup(case, format!("loaded {}", path.escaped()));
        return;
    }
    match made(case, &path) {
        Some(Made::Package) => return,
        Some(Made::Built) => {
            super::drift_exec::built(case, format!("loaded {}", path.escaped()));
            return;
        }
        Some(Made::StartUp) => {
            super::fold_startup(case, format!("loaded {}", path.escaped()));
            return;
        }
        None => {}
    }
    // What /etc/ld.so.preload names is loaded by everything from then on.
    let preload = case
        .stories
        .find("file.ld-preload", Some(case.owner), b"/etc/ld.so.preload");
    if let Some(place) = case.planted(&path).or(preload) {
        let line = format!("then loaded: {}", path.escaped());
        case.stories.explain(place, line);
        case.stories.attach(place, case.event.ts, case.event.seq);
        return;
    }
    if loads_as_program(case, &path) {
        loaded(case, &path);
        return;
    }
    // Upper, never written while watched: it may be old. Worth a line, not an alarm.
    let severity = if written {
        Severity::Medium
    } else {
        Severity::Low
    };
    let place = case.raise(severity, path.as_bytes(), |case, told| {
        told.title = format!(
            "Loaded a library that is not the image's: {}",
            path.escaped()
        );
        history(case, &path, &mut told.why);
        if let Some(p) = case.process {
            let command = programs::command_line(&p.argv, &p.exe, 160);
            told.why.push(format!("loaded by: {command}"));
        }
    });
    if let Some(place) = place {
        attach_history(case, place, path.as_bytes());
    }
}

/// The loader itself was started, with this file as the program to run: no right to execute it
/// is needed then.
fn loads_as_program(case: &Case<'_>, path: &[u8]) -> bool {
    let Some(process) = case.process.filter(|p| programs::is_loader(&p.exe)) else {
        return false;
    };
    let words = process.argv.iter().skip(1).map(|a| a.as_bytes());
    let mut values = words.filter(|a| !a.starts_with(b"-"));
    values.any(|a| programs::leaf(a) == programs::leaf(path))
}

fn loaded(case: &mut Case<'_>, path: &crate::event::Bytes) {
    let rule = &super::drift_exec::NEW.info;
    let place = case.raise_as(rule, Severity::High, path, |case, told| {
        told.title = format!("{}: {}", rule.title, path.escaped());
        told.why
            .push("run through the loader, which needs no right to execute it".to_owned());
        history(case, path, &mut told.why);
        if let Some(p) = case.process {
            let command = programs::command_line(&p.argv, &p.exe, 160);
            told.why.push(format!("ran: {command}"));
        }
    });
    if let Some(place) = place {
        attach_history(case, place, path);
        case.memory.mark(case.event.pid, place);
    }
}

/// Why the path of a drifted program was chosen to mislead, if it was.
pub(super) fn disguise(exe: &[u8]) -> Option<&'static str> {
    if exe
        .split(|b| *b == b'/')
        .any(|part| part == b"..." || part == b".. " || part == b". " || part.ends_with(b" "))
    {
        return Some("its path is made to be overlooked");
    }
    if exe
        .rsplit(|b| *b == b'/')
        .take(2)
        .any(|part| part.starts_with(b".") && part.len() > 1)
    {
        return Some("it lies under a hidden name");
    }
    let data = [
        &b".jpg"[..],
        b".jpeg",
        b".png",
        b".gif",
        b".txt",
        b".log",
        b".pdf",
        b".css",
        b".html",
        b".ico",
        b".mp3",
        b".conf",
        b".json",
        b".xml",
        b".csv",
        b".bak",
    ]
    .iter()
    .any(|e| exe.ends_with(e));
    data.then_some("its extension says it is data")
}

/// Names that only threads of the kernel have.
fn names_kernel_thread(argv0: &[u8]) -> bool {
    [
        &b"kworker/"[..],
        b"ksoftirqd/",
        b"migration/",
        b"cpuhp/",
        b"idle_inject/",
        b"rcu_sched",
        b"rcu_preempt",
        b"kthreadd",
        b"kswapd0",
        b"kdevtmpfs",
        b"khugepaged",
        b"jbd2/",
    ]
    .iter()
    .any(|name| argv0.starts_with(name))
}

/// An interpreter, a shell or a tool of the network under a daemon's name. Other programs may
/// answer to several names on purpose.
fn poses_as_daemon(exec: &Exec, argv0: &[u8]) -> bool {
    let real = programs::name(&exec.exe, &[]);
    let able =
        programs::is_interpreter(real) || programs::is_shell(real) || programs::is_downloader(real);
    let word = argv0
        .split(|b| matches!(b, b' ' | b':'))
        .next()
        .unwrap_or(argv0);
    able && exec.script.is_none()
        && matches!(
            programs::leaf(word),
            b"sshd"
                | b"cron"
                | b"crond"
                | b"systemd"
                | b"systemd-journald"
                | b"systemd-logind"
                | b"systemd-udevd"
                | b"dbus-daemon"
                | b"rsyslogd"
                | b"nginx"
                | b"apache2"
                | b"httpd"
                | b"dockerd"
                | b"containerd"
                | b"containerd-shim"
                | b"kubelet"
                | b"agetty"
        )
}

fn masquerade(case: &mut Case<'_>, exec: &Exec) {
    let exe = exec.exe.as_bytes();
    let argv0 = exec.argv.first().map(|a| a.as_bytes()).unwrap_or_default();
    let drifted = matches!(
        exec.file.origin(),
        Origin::Upper | Origin::Tmpfs | Origin::Volume | Origin::Memfd | Origin::Deleted
    );
    let name = programs::leaf(exe);
    let kernel_thread = !exe.is_empty()
        && (argv0.starts_with(b"[") && argv0.contains(&b']') || names_kernel_thread(argv0));
    let reason = if kernel_thread {
        "it calls itself a kernel thread"
    } else if poses_as_daemon(exec, argv0) {
        "an interpreter or tool calls itself a daemon"
    } else if !drifted || case.starting_up() || made(case, exe).is_some() {
        return;
    } else if programs::is_system_name(name)
        && crate::detect::place::of(exe) != Some(crate::detect::place::Place::Program)
    {
        "it carries a system program's name outside the program directories"
    } else if let Some(reason) = disguise(exe) {
        reason
    } else {
        return;
    };
    // `[` is a program, too.
    if kernel_thread && name == b"[" {
        return;
    }
    case.raise(Severity::High, exe, |_, told| {
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        told.title = format!("A program hides what it is ({reason}): {command}");
        told.why
            .push(format!("its executable is {}", exec.exe.escaped()));
    });
}

fn miner(case: &mut Case<'_>, exec: &Exec) {
    let mark = exec.argv.iter().map(|a| a.as_bytes()).find(|a| {
        [
            &b"stratum+tcp://"[..],
            b"stratum+ssl://",
            b"stratum+tls://",
            b"stratum2+tcp://",
            b"stratum1+tcp://",
            b"--donate-level",
            b"--randomx-",
            b"--cpu-max-threads-hint",
            b"--nicehash",
            b"daemon+http://",
            b"--rig-id",
            b"--coin=",
            b"--algo=rx/",
            b"--max-cpu-usage",
        ]
        .iter()
        .any(|m| a.starts_with(m) || (m.ends_with(b"://") && a.find(m).is_some()))
    });
    let Some(mark) = mark else { return };
    // Somebody who looks for the words, or writes them, does not mine.
    let name = programs::name(&exec.exe, &exec.argv);
    if matches!(
        name,
        b"grep"
            | b"egrep"
            | b"fgrep"
            | b"sed"
            | b"awk"
            | b"echo"
            | b"printf"
            | b"rg"
            | b"pgrep"
            | b"pkill"
            | b"find"
            | b"vi"
            | b"vim"
            | b"curl"
            | b"wget"
            | b"git"
    ) || programs::is_shell(name)
    {
        return;
    }
    case.raise(Severity::Critical, &exec.exe, |_, told| {
        told.title = format!("A coin miner's command line: {}", exec.exe.escaped());
        told.why
            .push(format!("argument {}", crate::event::escape(mark)));
        let command = programs::command_line(&exec.argv, &exec.exe, 200);
        told.why.push(format!("ran: {command}"));
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, tmpfs, upper};
    use crate::event::{FileFacts, FileOp};

    #[test]
    fn libraries_written_since_and_jits() {
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/evil.so");
        w.file(init, FileOp::MapExec, "/tmp/evil.so");
        assert_eq!(w.finding("drift.library").severity, Severity::Medium);
        w.only(&["drift.library"]);
        let mut w = World::steady();
        let init = w.init();
        let memfd = FileFacts {
            memfd: true,
            ..FileFacts::default()
        };
        for file in [
            image(5),
            memfd,
            tmpfs(6),
            FileFacts {
                unlinked: true,
                ..upper(7)
            },
        ] {
            w.file_as(init, FileOp::MapExec, "/x", |f| f.file = Some(file));
        }
        w.only(&[]);
    }

    #[test]
    fn a_program_may_be_run_through_the_loader() {
        let mut w = World::steady();
        let init = w.init();
        let loader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
        w.create(init, "/tmp/t");
        let p = w.exec(init, loader, &["/lib64/ld-linux-x86-64.so.2", "/tmp/t"]);
        w.file(p, FileOp::MapExec, "/tmp/t");
        assert_eq!(w.finding("drift.exec-new").severity, Severity::High);
        w.only(&["drift.exec-new"]);
        // What the image's own program loads so is a library.
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/t.so");
        let p = w.exec(init, loader, &["ld.so", "--list", "/bin/true"]);
        w.file(p, FileOp::MapExec, "/tmp/t.so");
        w.only(&["drift.library"]);
    }

    #[test]
    fn what_the_images_compiler_made_is_one_line() {
        let mut w = World::steady();
        let init = w.init();
        let ld = w.exec(init, "/usr/bin/ld", &["ld"]);
        w.create(ld, "/tmp/x.so");
        w.create(ld, "/tmp/app");
        w.file(init, FileOp::MapExec, "/tmp/x.so");
        w.exec_new(init, "/tmp/app");
        w.only(&["drift.exec-built"]);
        assert_eq!(w.all("drift.exec-built").len(), 1);
    }

    #[test]
    fn what_a_build_fetches_was_made_elsewhere() {
        let mut w = World::steady();
        let init = w.init();
        let make = w.exec(init, "/usr/bin/make", &["make", "-f", "/srv/x"]);
        let sh = w.exec(make, "/bin/sh", &["sh", "-c", "curl -o /tmp/x y"]);
        let curl = w.exec(sh, "/usr/bin/curl", &["curl", "-o", "/tmp/x", "y"]);
        w.create(curl, "/tmp/x");
        let chmod = w.exec(sh, "/bin/chmod", &["chmod", "+x", "/tmp/x"]);
        w.file(chmod, FileOp::Chmod, "/tmp/x");
        w.exec_new(sh, "/tmp/x");
        w.only(&["drift.exec-new"]);
        let mut w = World::steady();
        let init = w.init();
        let make = w.exec(init, "/usr/bin/make", &["make"]);
        let cp = w.exec(make, "/bin/cp", &["cp", "a", "/srv/b"]);
        w.create(cp, "/srv/b");
        w.exec_new(make, "/srv/b");
        w.only(&["drift.exec-built"]);
    }

    #[test]
    fn masquerades() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/tmp/.x/y", &["y"], upper(4));
        w.exec_file(init, "/srv/sshd", &["sshd"], upper(5));
        w.exec_file(init, "/srv/photo.jpg", &["photo.jpg"], upper(6));
        w.exec_file(init, "/bin/sleep", &["[kworker/0:0]"], image(7));
        // What is drift already is one story with it; the image's own program stands alone.
        assert_eq!(w.all("exec.masquerade").len(), 1);
        let drift = w.all("drift.exec-new");
        assert_eq!(drift.len(), 3);
        for story in drift {
            let why = story.why.join("\n");
            assert!(why.contains("then: A program hides what it is"), "{why}");
        }
        for (exe, argv0) in [
            ("/usr/bin/sleep", "kworker/0:1"),
            ("/usr/bin/python3.13", "/usr/sbin/sshd -D"),
            ("/usr/bin/bash", "nginx: worker process"),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.exec(init, exe, &[argv0, "-c", "1"]);
            assert_eq!(w.finding("exec.masquerade").severity, Severity::High);
        }
        let mut w = World::steady();
        let init = w.init();
        w.exec(init, "/usr/sbin/mariadbd", &["mysqld"]);
        w.exec(init, "/usr/bin/bash", &["-bash"]);
        w.exec(init, "/usr/bin/busybox", &["crond", "-f"]);
        w.exec(init, "/usr/bin/[", &["[", "-f", "x", "]"]);
        w.exec(init, "/root/.cargo/bin/cargo", &["cargo"]);
        w.exec(init, "/bin/busybox", &["-sh"]);
        w.exec(init, "/usr/sbin/sshd", &["sshd: user [priv]"]);
        w.none("exec.masquerade");
    }

    #[test]
    fn miners() {
        let mut w = World::steady();
        let init = w.init();
        w.exec(
            init,
            "/usr/bin/worker",
            &["worker", "-o", "stratum+tcp://pool.example:3333"],
        );
        assert_eq!(w.finding("exec.miner").severity, Severity::Critical);
        let mut w = World::steady();
        let init = w.init();
        w.exec(init, "/bin/grep", &["grep", "stratum+tcp://", "/etc/hosts"]);
        w.exec(init, "/usr/bin/app", &["app", "--threads=4"]);
        w.only(&[]);
    }
}
