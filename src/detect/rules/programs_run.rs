//! Programs and scripts that are not what they seem, or not the image's.

use bstr::ByteSlice as _;

use crate::detect::case::Case;
use crate::detect::drift::{Made, attach_history, history, made};
use crate::detect::{Fact, Look, Rule, RuleInfo, Severity, build, programs};
use crate::event::{CompareClass, Exec, FileOp, Origin};

/// Scripts.
pub(super) const SCRIPT: Rule = Rule {
    info: RuleInfo {
        id: "drift.script",
        title: "An interpreter ran a script that is not the image's",
        severity: Severity::Medium,
        attack: &["T1059", "T1105"],
        needs: &[Fact::Exec, Fact::File],
        explain: "A shell or another interpreter of the image ran a script, by its `#!` line or \
                  as an argument, that was written since the container started or lies on a \
                  tmpfs. The executable is the image's, so only the script tells.",
        check: "The script's text, and who wrote it.",
    },
    looks: &[Look::Exec(script)],
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

/// The script an exec interprets: by `#!`, or an interpreter's first argument, made absolute.
fn script_path(exec: &Exec) -> Option<Vec<u8>> {
    let path = match &exec.script {
        Some(script) => script.as_bytes(),
        None => {
            let name = programs::name(&exec.exe, &exec.argv);
            if !programs::is_shell(name) && !programs::is_interpreter(name)
                || name.ends_with(b"awk")
            {
                return None;
            }
            let skip = usize::from(
                exec.argv
                    .first()
                    .is_some_and(|a| programs::leaf(a.as_bytes()) == b"busybox"),
            );
            programs::script_argument(exec.argv.get(skip..)?)?
        }
    };
    if path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/") {
        return None;
    }
    if path.starts_with(b"/") {
        return Some(programs::normal(path));
    }
    let cwd = exec.cwd.as_bytes();
    if cwd.is_empty() {
        return None;
    }
    Some(programs::normal(&[cwd, b"/", path].concat()))
}

fn script(case: &mut Case<'_>, exec: &Exec) {
    // A drifted interpreter is its own finding.
    if !matches!(
        exec.file.origin(),
        Origin::Image | Origin::CopiedUp | Origin::Unknown
    ) {
        return;
    }
    let Some(path) = script_path(exec) else {
        return;
    };
    let in_memory = path.starts_with(b"/dev/shm/")
        || case.container.is_some_and(|c| {
            c.info.mounts.iter().any(|m| {
                let at = m.destination.as_bytes();
                m.kind == "tmpfs"
                    && path
                        .strip_prefix(at)
                        .is_some_and(|rest| rest.starts_with(b"/"))
            })
        });
    let activity = case.activity(&path);
    let content = [
        FileOp::Create,
        FileOp::Write,
        FileOp::Truncate,
        FileOp::Rename,
        FileOp::Link,
    ];
    let written = activity.is_some_and(|a| {
        let landed = a.refused < a.ops.values().sum::<u64>();
        landed
            && content.iter().any(|op| a.ops.contains_key(op))
            && !matches!(a.class, Some(CompareClass::CopiedUp))
    });
    if !written && !in_memory {
        return;
    }
    let shown = crate::event::escape(&path).to_string();
    if case.starting_up() {
        super::fold_startup(case, format!("interpreted {shown}"));
        return;
    }
    let made = match made(case, &path) {
        None | Some(Made::StartUp) if build::goes_on(case) => Some(Made::Built),
        made => made,
    };
    match made {
        Some(Made::Package) => return,
        Some(Made::Built) => {
            super::drift_exec::built(case, format!("interpreted {shown}"));
            return;
        }
        Some(Made::StartUp) => {
            super::fold_startup(case, format!("interpreted {shown}"));
            return;
        }
        None => {}
    }
    if let Some(place) = case.planted(&path) {
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        case.stories
            .explain(place, format!("then interpreted: {command}"));
        case.stories.attach(place, case.event.ts, case.event.seq);
        return;
    }
    let place = case.raise(Severity::Medium, &path, |case, told| {
        told.title = format!("Ran a script that is not the image's: {shown}");
        let command = programs::command_line(&exec.argv, &exec.exe, 160);
        told.why.push(format!("ran: {command}"));
        if in_memory {
            told.why.push("the script lies on a tmpfs".to_owned());
        }
        history(case, &path, &mut told.why);
    });
    if let Some(place) = place {
        attach_history(case, place, &path);
        if !case.memory.marks.contains_key(&case.event.pid) {
            case.memory.mark(case.event.pid, place);
        }
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

fn masquerade(case: &mut Case<'_>, exec: &Exec) {
    let exe = exec.exe.as_bytes();
    let argv0 = exec.argv.first().map(|a| a.as_bytes()).unwrap_or_default();
    let drifted = matches!(
        exec.file.origin(),
        Origin::Upper | Origin::Tmpfs | Origin::Volume | Origin::Memfd | Origin::Deleted
    );
    let name = programs::leaf(exe);
    let kernel_thread = argv0.starts_with(b"[") && argv0.contains(&b']') && !exe.is_empty();
    let reason = if kernel_thread {
        "it calls itself a kernel thread"
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
    use crate::detect::testkit::{World, image, upper};
    use crate::event::{FileOp, Mount};

    #[test]
    fn scripts_by_every_way() {
        // As an argument, by a relative path, by its own `#!`.
        for (argv, shebang) in [
            (&["sh", "/tmp/p"][..], None),
            (&["bash", "-x", "p"], None),
            (&["python3", "./p"], None),
            (&["sh", "/tmp/p"], Some("/tmp/p")),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, "/tmp/p");
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| {
                e.cwd = "/tmp".into();
                e.script = shebang.map(Into::into);
            });
            assert_eq!(w.finding("drift.script").severity, Severity::Medium);
            w.only(&["drift.script"]);
        }
        let mut w = World::steady();
        let init = w.init();
        w.exec(init, "/bin/sh", &["sh", "/dev/shm/p"]);
        w.only(&["drift.script"]);
    }

    #[test]
    fn the_images_own_scripts_are_silent() {
        let mut w = World::starting();
        let init = w.init();
        w.create(init, "/run/generated.sh");
        w.ticks(60);
        w.exec(init, "/bin/sh", &["sh", "/run/generated.sh"]);
        w.exec(init, "/bin/sh", &["sh", "/usr/local/bin/job.sh"]);
        w.exec(init, "/bin/sh", &["sh", "-c", "/tmp/x"]);
        w.refused(init, FileOp::Write, "/app.py", 30);
        w.exec(init, "/usr/bin/python3", &["python3", "/app.py"]);
        assert_eq!(w.highest(), Severity::Info);
        w.info(|i| {
            i.mounts.push(Mount {
                kind: "tmpfs".into(),
                destination: "/run".into(),
                ..Mount::default()
            });
        });
        w.exec(init, "/bin/sh", &["sh", "/run/other.sh"]);
        assert_eq!(w.highest(), Severity::Medium);
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
        let mut w = World::steady();
        let init = w.init();
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
