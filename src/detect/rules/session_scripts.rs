//! Scripts that exec sessions wrote into a container, without fetching them.

use bstr::ByteSlice as _;

use super::script_paths::{is_drift, locate_from};
use crate::catalog;
use crate::detect::file_origin::{OrdinaryOrigin, made};
use crate::detect::rule_context::RuleContext;
use crate::detect::{attribution, program_roles};
use crate::event::{Endpoint, Origin};
use crate::state::{Direction, Lineage, ProcessEntry};

/// Why a script that a command from outside wrote is ordinary work of administrators, if it is.
pub(super) fn ordinary(ctx: &RuleContext<'_>, path: &[u8]) -> Option<&'static str> {
    if deployed(ctx, path) {
        return Some("one command from outside wrote it, and another one ran it");
    }
    if edited(ctx, path) {
        return Some("the service's own script, changed by a command from outside");
    }
    pulled(ctx, path).then_some("the service's own script, which it brought up to date with git")
}

/// One command from outside wrote the script, and another one runs it, as deployment tools do.
pub(super) fn deployed(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let own = ctx.session();
    let typed = ctx.process.is_some_and(|p| p.tty);
    own.is_some() && !typed && writing_session(ctx, path).is_some_and(|root| Some(root) != own)
}

/// The service runs a script of its own again after a command from outside changed it: a reload
/// during development, a correction.
fn edited(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    ctx.session().is_none()
        && !attribution::suspicious(ctx)
        && writing_session(ctx, path).is_some()
        && ran_before(ctx, path)
}

/// The service runs a script of its own again after `git`, which it started itself, changed it: a checkout
/// has an address that somebody configured.
fn pulled(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let Some(git) = ctx.activity(path).and_then(|activity| ctx.writer(activity)) else {
        return false;
    };
    let is_git = |p: &ProcessEntry| {
        p.file.origin() == Origin::Image && !p.entered && program_roles::of(p) == b"git"
    };
    // git runs itself for its parts: who started the first of them?
    let service = |p: &ProcessEntry| {
        p.lineage == Lineage::Init
            && !ctx.names().is_shell(program_roles::of(p))
            && runs_itself(ctx, p, path)
    };
    let mut line = ctx.state.ancestry(git.pid);
    let starter = line.find(|p| !is_git(p));
    is_git(git) && ctx.session().is_none() && starter.is_some_and(service)
}

/// Whether the process runs this script.
fn runs_itself(ctx: &RuleContext<'_>, process: &ProcessEntry, path: &[u8]) -> bool {
    script_of(process)
        .and_then(|script| locate_from(ctx, &process.cwd, script))
        .is_some_and(|script| script == path)
}

/// The exec session whose shell, editor or tool of the image wrote the file without a connection of
/// its own.
fn writing_session(ctx: &RuleContext<'_>, path: &[u8]) -> Option<u32> {
    let writer = ctx.writer(ctx.activity(path)?)?;
    let Lineage::ExecSession(root) = writer.lineage else {
        return None;
    };
    let name = program_roles::of(writer);
    let copies = name == b"rsync" || catalog::programs::UNPACKERS.contains(&name);
    let tools = [catalog::programs::FILE_TOOLS, catalog::programs::COPIERS];
    let tool = ctx.names().is_shell(name) || copies || tools.iter().any(|t| t.contains(&name));
    let lineage = |pid| ctx.state.processes.get(&pid).map(|p| p.lineage);
    let mut connections = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    // What unpacks an archive may get it from another program of the same command; a repository has
    // an address that somebody configured.
    let fetched = name != b"git"
        && connections.any(|(key, row)| {
            matches!(key.endpoint, Endpoint::Inet(_))
                && (row.pid == writer.pid || copies && lineage(row.pid) == Some(writer.lineage))
        });
    let image = writer.file.origin() == Origin::Image && !writer.entered;
    let able = tool || runs_own_script(ctx, writer);
    (able && image && !fetched).then_some(root)
}

/// An interpreter of the image runs a script that is the image's or was made at start-up.
pub(super) fn runs_own_script(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let path = script_of(process).and_then(|script| locate_from(ctx, &process.cwd, script));
    process.file.origin() == Origin::Image
        && ctx.names().is_interpreter(program_roles::of(process))
        && path.is_some_and(|path| {
            !is_drift(ctx, &path) || made(ctx, &path) == Some(OrdinaryOrigin::StartUp)
        })
}

fn script_of(process: &ProcessEntry) -> Option<&[u8]> {
    match &process.script {
        Some(script) => Some(script.as_bytes()),
        None => program_roles::script_argument(&process.argv),
    }
}

/// A process of the service had run the script before it was changed.
fn ran_before(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let Some(activity) = ctx.activity(path) else {
        return false;
    };
    let runs = |p: &ProcessEntry| runs_itself(ctx, p, path);
    ctx.state.processes.values().any(|p| {
        p.owner.as_ref() == Some(ctx.owner)
            && p.lineage == Lineage::Init
            && p.started < activity.last
            && runs(p)
    })
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    fn script(w: &World) -> Severity {
        w.finding("drift.script").severity
    }

    #[test]
    fn a_deployment_tool_writes_with_one_command_and_runs_with_another() {
        let run = |writer: &[&str]| {
            let mut w = World::steady();
            for n in 0..3 {
                let path = format!("/root/.tool/{n}/m.py");
                let wrote = w.session(writer);
                w.create(wrote, &path);
                w.exit(wrote);
                let s = w.session(&["sh", "-c", &format!("python3 {path}")]);
                w.exec(s, "/usr/bin/python3", &["python3", &path]);
            }
            let all = w.all("drift.script");
            (all.len(), all[0].severity)
        };
        assert_eq!(run(&["dd", "of=x"]), (1, Severity::Low));
        assert_eq!(run(&["sh", "-c", "cat >x"]), (1, Severity::Low));
        assert_eq!(run(&["rsync", "-a", "/src/", "/app/"]), (1, Severity::Low));
        assert_eq!(run(&["git", "pull"]), (1, Severity::Low));
        // Fetched, by whatever tool.
        assert_eq!(run(&["curl", "-o", "x"]), (3, Severity::Medium));
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "curl -s http://h/x | tar -x"]);
        let curl = w.exec(s, "/usr/bin/curl", &["curl", "-s", "http://h/x"]);
        w.connect(curl, "10.9.8.7:80");
        let tar = w.exec(s, "/bin/tar", &["tar", "-x"]);
        w.create(tar, "/srv/x.sh");
        let other = w.session(&["sh", "/srv/x.sh"]);
        w.exec_as(other, 1, "/bin/sh", &["sh", "/srv/x.sh"], |_| {});
        assert_eq!(script(&w), Severity::Medium);
        let mut w = World::steady();
        let s = w.session(&["bash", "-c", "cat <&3 >x"]);
        w.connect(s, "10.9.8.7:80");
        w.create(s, "/srv/x.sh");
        let other = w.session(&["sh", "/srv/x.sh"]);
        w.exec_as(other, 1, "/bin/sh", &["sh", "/srv/x.sh"], |_| {});
        assert_eq!(script(&w), Severity::Medium);
        // Written and run in one go, or by a server's shell.
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "cat >x; python3 x"]);
        w.create(s, "/srv/x");
        w.exec(s, "/usr/bin/python3", &["python3", "/srv/x"]);
        assert_eq!(script(&w), Severity::Medium);
    }

    #[test]
    fn a_service_reloads_its_script_after_a_person_changed_it() {
        let reload = |path: &str, by_session: bool, server: bool| {
            let (mut w, web) = World::server();
            let init = w.init();
            w.exec(init, "/usr/bin/python3", &["python3", "/app/a.py"]);
            w.ticks(60);
            let by = if by_session { w.session(&["sh"]) } else { web };
            let sed = w.exec(by, "/bin/sed", &["sed", "-i", "s/a/b/", path]);
            w.rename(sed, "/app/sedXy", path);
            let mut parent = init;
            if server {
                parent = w.exec(web, "/bin/sh", &["sh", "-c", "x"]);
            }
            w.exec(parent, "/usr/bin/python3", &["python3", path]);
            script(&w)
        };
        assert_eq!(reload("/app/a.py", true, false), Severity::Low);
        // A script that the service did not run before, one that the server itself changed, and one
        // that its shell runs.
        assert_eq!(reload("/app/b.py", true, false), Severity::Medium);
        assert_eq!(reload("/app/a.py", false, false), Severity::Medium);
        assert_eq!(reload("/app/a.py", true, true), Severity::Medium);
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Write, "/app/a.py");
        w.exec(init, "/usr/bin/python3", &["python3", "/app/a.py"]);
        assert_eq!(script(&w), Severity::Medium);
    }

    #[test]
    fn a_service_begins_again_with_what_it_pulled() {
        let began = |by_shell: bool, tool: &str| {
            let (mut w, _) = World::server();
            let init = w.init();
            let app = w.exec(init, "/usr/bin/python3", &["python3", "/srv/app.py"]);
            w.ticks(60);
            let by = match by_shell {
                true => w.exec(app, "/bin/sh", &["sh", "-c", "git pull"]),
                false => app,
            };
            let pull = w.exec(by, &format!("/usr/bin/{tool}"), &[tool, "pull"]);
            let part = w.exec(pull, &format!("/usr/bin/{tool}"), &[tool, "merge"]);
            w.create(part, "/srv/app.py");
            w.exec_as(
                app,
                init,
                "/usr/bin/python3",
                &["python3", "/srv/app.py"],
                |_| {},
            );
            script(&w)
        };
        assert_eq!(began(false, "git"), Severity::Low);
        assert_eq!(began(true, "git"), Severity::Medium);
        assert_eq!(began(false, "curl"), Severity::Medium);
    }
}
