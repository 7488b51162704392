//! Build artefacts inside a container: where they are moved, copied and installed.

use crate::catalog;
use bstr::ByteSlice as _;

use super::Severity;
use super::alert::Alert;
use super::file_change::{Maker, maker};
use super::file_origin::{OrdinaryOrigin, any_ancestor, made};
use super::finding::FindingIndex;
use super::rule_context::RuleContext;
use super::rule_info::RuleInfo;
use super::{attribution, program_roles};
use crate::catalog::path::{directory, is_below, leaf, normal};
use crate::event::{Exec, File, FileEffect, FileOp, Origin};
use crate::state::ProcessEntry;

/// Maximum number of directories above a build tool's own that are examined.
const MAX_DEPTH: usize = 4;
/// Maximum number of arguments of a copy that are examined.
const MAX_ARGUMENTS: usize = 32;
/// Subject of the container's single finding about builds.
pub(crate) const SUBJECT: &[u8] = b"built";
/// Id of the rule of that finding.
pub(crate) const RULE: &str = "drift.exec-built";

/// Whether the container itself builds and its start script continues with the result, or builds sources
/// that it brought, perhaps since it started: only shells and build tools are between the process and
/// the container's root. Scripts of the source tree are then part of the build.
///
/// In an exec session only what descends from the build's own script is, and what a build tool runs
/// of the sources that it builds.
#[must_use]
pub(crate) fn goes_on(ctx: &RuleContext<'_>, script: &[u8]) -> bool {
    let index = ctx.findings.find(RULE, Some(ctx.owner), SUBJECT);
    let of_sources = || builds_sources(ctx).is_some_and(|tree| is_below(script, tree));
    if ctx.session().is_some() {
        let marked = index.is_some() && ctx.marked_by(ctx.event.pid, RULE) == index;
        return marked || of_sources();
    }
    (index.is_some() || of_sources())
        && attribution::by_start_script(ctx, |p| program_roles::is_builder(ctx.names(), p))
}

/// The directory of the sources that the process builds: it is or descends from a build tool of the
/// image that works there, or from the sources' own `configure`.
fn builds_sources<'a>(ctx: &RuleContext<'a>) -> Option<&'a [u8]> {
    let mut above = ctx.ancestors();
    above.find_map(|p| {
        let builds = program_roles::is_builder(ctx.names(), p) || configures(ctx, p);
        builds.then(|| source_tree(ctx, p.cwd.as_bytes())).flatten()
    })
}

/// A shell of the image runs a script of this name that belongs to sources.
fn configures(ctx: &RuleContext<'_>, process: &ProcessEntry) -> bool {
    let script = match &process.script {
        Some(script) => Some(script.as_bytes()),
        None => program_roles::script_argument(&process.argv),
    };
    script.is_some_and(|script| {
        matches!(leaf(script), b"configure" | b"config.status")
            && process.file.origin() == Origin::Image
            && ctx.names().is_shell(program_roles::of(process))
    })
}

/// The directory at or above this one that holds sources: their build description was unpacked,
/// checked out or generated there by programs of the image.
fn source_tree<'a>(ctx: &RuleContext<'_>, mut path: &'a [u8]) -> Option<&'a [u8]> {
    for _ in 0..MAX_DEPTH {
        if catalog::paths::is_shared(path) || path == b"/" {
            return None;
        }
        let own = ctx.memory.get(ctx.owner)?;
        let brought = |name: &&[u8]| {
            own.sources
                .contains([path, b"/", *name].concat().as_slice())
        };
        if catalog::words::BUILD_FILES.iter().any(brought) {
            return Some(path);
        }
        path = directory(path);
    }
    None
}

/// The image's `git`, `tar` or a similar program wrote the file, as when it fetches or unpacks
/// sources.
fn unpacked(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    let writer = ctx.activity(path).and_then(|file| ctx.writer(file));
    writer.is_some_and(|writer| {
        any_ancestor(ctx, writer, |p| {
            p.file.origin() == Origin::Image
                && catalog::programs::UNPACKERS.contains(&program_roles::of(p))
        })
    })
}

/// Merges the finding about a script that runs the image's compiler into the finding about builds:
/// the script is a `configure` or similar, whichever program unpacked it. `rule` is the rule about
/// builds.
pub(crate) fn compiles(
    ctx: &RuleContext<'_>,
    rule: &'static RuleInfo,
    exec: &Exec,
    index: FindingIndex,
) -> Option<Alert> {
    let builds = ctx
        .process
        .is_some_and(|p| program_roles::is_builder(ctx.names(), p))
        && !exec.runtime
        && ctx.findings.get(index).is_some_and(|f| {
            // A finding that contains more than a script is not changed. Being the command of an
            // exec session is not more.
            let more = f.why.iter().any(|line| {
                line.starts_with("then: ") && !line.starts_with("then: Command run by exec")
            });
            let script = f.rule == "drift.script" && f.severity <= Severity::Medium && !more;
            // An exec session builds only what it has checked out, not any script.
            script && (ctx.session().is_none() || unpacked(ctx, &f.subject))
        });
    builds.then(|| {
        Alert::addition(index)
            .becomes(rule, Some(SUBJECT), rule.title.to_owned())
            .revise_severity(Severity::Info)
            .reason("it runs the image's compiler: a build")
    })
}

/// Follows built files: a built file stays one when it is moved or copied. Notes build descriptions.
pub(super) fn observe(ctx: &mut RuleContext<'_>, file: &File) {
    if file.errno != 0 {
        return;
    }
    note_build_file(ctx, file);
    if ctx.session().is_some() {
        return;
    }
    let (target, built) = match (file.op, &file.target) {
        (FileOp::Rename | FileOp::Link, Some(target)) => (target, is_built(ctx, &file.path)),
        (FileOp::Create, _) => (&file.path, copies_built(ctx)),
        _ => return,
    };
    let target = target.as_bytes();
    let known = ctx.memory.get(ctx.owner);
    if built {
        ctx.own().built.insert(target);
    } else if known.is_some_and(|own| own.built.contains(target)) {
        // Another file is at the path now.
        ctx.own().built.forget(target);
    }
}

/// Notes whether a file that describes a build came from programs of the image. A long build outlives
/// what is known of its processes: their pids are reused.
fn note_build_file(ctx: &mut RuleContext<'_>, file: &File) {
    if !matches!(file.op.effect(), FileEffect::Content | FileEffect::Name) {
        return;
    }
    let path = match (file.op, &file.target) {
        (FileOp::Rename | FileOp::Link, Some(target)) => target.as_bytes(),
        _ => file.path.as_bytes(),
    };
    if !catalog::words::BUILD_FILES.contains(&leaf(path)) {
        return;
    }
    if unpacked(ctx, path) || is_built(ctx, path) {
        ctx.own().sources.insert(path);
    } else if let Some(own) = ctx.memory.get(ctx.owner)
        && own.sources.contains(path)
    {
        ctx.own().sources.forget(path);
    }
}

fn is_built(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    made(ctx, path) == Some(OrdinaryOrigin::Built)
}

/// The image's `cp` or `install` runs with a built file among its arguments.
fn copies_built(ctx: &RuleContext<'_>) -> bool {
    let Some(process) = ctx.process else {
        return false;
    };
    if process.file.origin() != Origin::Image
        || !catalog::programs::COPIERS.contains(&program_roles::of(process))
    {
        return false;
    }
    let words = process.argv.iter().skip(1).take(MAX_ARGUMENTS);
    words.map(|w| w.as_bytes()).any(|word| {
        let path = match word.first() {
            None | Some(b'-') => return false,
            Some(b'/') => normal(word),
            _ => normal(&[process.cwd.as_bytes(), b"/", word].concat()),
        };
        is_built(ctx, &path)
    })
}

/// `make install` of the service's own build, or of sources that an exec session builds, into a
/// directory for local software.
#[must_use]
pub(crate) fn installs(ctx: &RuleContext<'_>, path: &[u8]) -> bool {
    if maker(ctx) == Maker::Session {
        return path.starts_with(b"/usr/local/") && builds_sources(ctx).is_some();
    }
    let carried = ctx
        .memory
        .get(ctx.owner)
        .is_some_and(|own| own.built.contains(path));
    path.starts_with(b"/usr/local/")
        && maker(ctx) == Maker::Service
        && (carried
            || ctx.process.is_some_and(|p| {
                any_ancestor(ctx, p, |p| program_roles::is_builder(ctx.names(), p))
            }))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    /// A container whose start script works in it, and the script's pid.
    fn work() -> (World, u32) {
        let mut w = World::steady();
        let init = w.init();
        w.exec_as(init, 1, "/bin/sh", &["sh", "/start.sh"], |_| {});
        (w, init)
    }

    fn compile(w: &mut World, parent: u32, out: &str) {
        let ld = w.exec(parent, "/usr/bin/x86_64-linux-gnu-ld.bfd", &["ld"]);
        w.create(ld, out);
        w.exit(ld);
    }

    #[test]
    fn a_script_that_compiles_is_a_build_and_so_is_what_follows() {
        let (mut w, init) = work();
        let tar = w.exec(init, "/bin/tar", &["tar", "xf", "p.tar"]);
        w.create(tar, "/srv/p/configure");
        w.create(tar, "/srv/p/test.sh");
        let p = w.exec(init, "/bin/sh", &["sh", "/srv/p/configure"]);
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
        w.exec(p, "/usr/lib/gcc/cc1", &["cc1"]);
        w.only(&["drift.exec-built"]);
        compile(&mut w, p, "/srv/p/conftest");
        w.exec_new(p, "/srv/p/conftest");
        w.exec(init, "/bin/sh", &["sh", "/srv/p/test.sh"]);
        let make = w.exec(init, "/usr/bin/make", &["make", "check"]);
        w.exec(make, "/bin/sh", &["sh", "/srv/p/test.sh"]);
        w.only(&["drift.exec-built"]);
        assert_eq!(w.highest(), Severity::Info);
        // Programs run by a command from outside or a server's shell are not part of it.
        w.create(tar, "/srv/x.sh");
        let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
        w.exec(web, "/bin/sh", &["sh", "/srv/x.sh"]);
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
    }

    #[test]
    fn a_build_that_lasts_longer_than_the_start_is_a_build() {
        let mut w = World::starting();
        let init = w.init();
        w.exec_as(init, 1, "/bin/sh", &["sh", "/start.sh"], |_| {});
        let git = w.exec(init, "/usr/bin/git", &["git", "clone", "https://x/p"]);
        w.create(git, "/srv/p/configure");
        w.exit(git);
        let shell = |w: &mut World, parent: u32, script: &str| {
            let pid = w.fork(parent);
            w.exec_as(pid, parent, "/bin/sh", &["/bin/sh", script], |e| {
                e.cwd = "/srv/p".into();
                e.script = Some(format!("/srv/p/{script}").as_str().into());
            });
            pid
        };
        let configure = shell(&mut w, init, "configure");
        w.create(configure, "/srv/p/config.status");
        w.ticks(120);
        let status = shell(&mut w, configure, "config.status");
        w.create(status, "/srv/p/confX/subs.awk");
        let awk = |w: &mut World, parent: u32| {
            let pid = w.fork(parent);
            let argv = ["mawk", "-f", "confX/subs.awk"];
            w.exec_as(pid, parent, "/usr/bin/mawk", &argv, |e| {
                e.cwd = "/srv/p".into()
            });
        };
        awk(&mut w, status);
        w.none("drift.script");
        // A server in it that runs a script of the sources is not the build.
        let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
        awk(&mut w, web);
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
    }

    #[test]
    fn a_checkout_that_a_session_builds_is_a_build() {
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        let git = w.exec(s, "/usr/bin/git", &["git", "clone", "https://x/p"]);
        w.create(git, "/srv/p/configure");
        w.create(git, "/srv/p/evil.sh");
        w.exit(git);
        let p = w.exec(s, "/bin/sh", &["sh", "/srv/p/configure"]);
        w.exec(p, "/usr/lib/gcc/cc1", &["cc1"]);
        w.create(p, "/srv/p/config.status");
        w.exec(p, "/bin/sh", &["sh", "/srv/p/config.status"]);
        w.exit(p);
        let make = w.exec(s, "/usr/bin/make", &["make"]);
        compile(&mut w, make, "/srv/p/prog");
        w.exec_new(s, "/srv/p/prog");
        w.only(&["drift.exec-built", "exec.session"]);
        assert!(w.finding("drift.exec-built").severity == Severity::Info);
        // Scripts of the sources that the build tool runs, and what it installs.
        let git = w.exec(s, "/usr/bin/git", &["git", "pull"]);
        w.create(git, "/srv/p/depcomp");
        let make = w.fork(s);
        w.exec_as(make, s, "/usr/bin/make", &["make", "install"], |e| {
            e.cwd = "/srv/p".into();
        });
        w.exec(make, "/bin/sh", &["sh", "/srv/p/depcomp"]);
        let install = w.exec(
            make,
            "/usr/bin/install",
            &["install", "prog", "/usr/local/bin"],
        );
        w.create(install, "/usr/local/bin/prog");
        w.only(&["drift.exec-built", "exec.session"]);
        // A script elsewhere, whatever runs it.
        w.create(git, "/srv/q.sh");
        w.exec(make, "/bin/sh", &["sh", "/srv/q.sh"]);
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
        // Another script of the checkout, run by a user, is not part of it.
        w.exec(s, "/bin/sh", &["sh", "/srv/p/evil.sh"]);
        assert_eq!(w.finding("drift.script").count, 2);
        // The pids of the checkout are used by others before the build ends.
        w.existing(git, 1, "/bin/sh", &["sh"]);
        w.create(install, "/usr/local/bin/more");
        w.none("file.program-changed");
    }

    #[test]
    fn steps_of_a_build_may_be_commands_of_their_own() {
        let mut w = World::steady();
        let tar = w.session(&["tar", "xf", "p.tgz"]);
        for name in ["configure", "depcomp", "t.sh"] {
            w.create(tar, &format!("/srv/p/{name}"));
        }
        w.exit(tar);
        let configure = w.session(&["/bin/sh", "./configure"]);
        w.exec_as(configure, 1, "/bin/sh", &["/bin/sh", "./configure"], |e| {
            e.cwd = "/srv/p".into();
            e.script = Some("/srv/p/configure".into());
        });
        w.exec(configure, "/usr/lib/gcc/cc1", &["cc1"]);
        let cp = w.exec(configure, "/bin/cp", &["cp", "depcomp", "conftest.dir"]);
        w.create(cp, "/srv/p/conftest.dir/depcomp");
        let sh = w.fork(configure);
        w.exec_as(sh, configure, "/bin/bash", &["bash", "./depcomp"], |e| {
            e.cwd = "/srv/p/conftest.dir".into();
        });
        w.none("drift.script");
        w.only(&["drift.exec-built", "exec.session"]);
    }

    #[test]
    fn a_typed_build_file_does_not_make_a_session_a_build() {
        for (directory, by) in [("/srv/p", "sh"), ("/tmp", "tar")] {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let writer = w.exec(s, &format!("/bin/{by}"), &[by, "x"]);
            w.create(writer, &format!("{directory}/Makefile"));
            w.create(writer, &format!("{directory}/x.sh"));
            let make = w.fork(s);
            w.exec_as(make, s, "/usr/bin/make", &["make"], |e| {
                e.cwd = directory.into();
            });
            w.exec(make, "/bin/sh", &["sh", &format!("{directory}/x.sh")]);
            assert_eq!(w.finding("drift.script").severity, Severity::Medium);
            w.create(make, "/usr/local/bin/x");
            assert_eq!(w.finding("file.program-changed").severity, Severity::High);
        }
    }

    #[test]
    fn a_script_of_a_session_stays_what_it_is() {
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        w.create(s, "/tmp/x.sh");
        let p = w.exec(s, "/bin/sh", &["sh", "/tmp/x.sh"]);
        w.exec(p, "/usr/lib/gcc/cc1", &["cc1"]);
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
    }

    #[test]
    fn built_files_may_be_moved_and_copied() {
        let (mut w, init) = work();
        compile(&mut w, init, "/srv/t");
        w.rename(init, "/srv/t", "/srv/bin/t");
        w.exec_new(init, "/srv/bin/t");
        let cp = w.exec(init, "/bin/cp", &["cp", "srv/bin/t", "/opt/t"]);
        w.create(cp, "/opt/t");
        w.exec_new(init, "/opt/t");
        w.only(&["drift.exec-built"]);
        // Another file at the same path is not a built one.
        w.create(init, "/opt/t");
        w.exec_new(init, "/opt/t");
        w.rename(init, "/tmp/evil", "/srv/bin/t");
        w.exec_new(init, "/srv/bin/t");
        assert_eq!(w.all("drift.exec-new").len(), 2);
        // A copy of another file by the same tool.
        let cp = w.exec(init, "/bin/cp", &["cp", "/tmp/evil", "/opt/u"]);
        w.create(cp, "/opt/u");
        w.exec_new(init, "/opt/u");
        assert_eq!(w.all("drift.exec-new").len(), 3);
    }

    #[test]
    fn make_installs_beside_the_image_and_not_over_it() {
        let (mut w, init) = work();
        let make = w.exec(init, "/usr/bin/make", &["make", "install"]);
        let install = w.exec(
            make,
            "/usr/bin/install",
            &["install", "t", "/usr/local/bin"],
        );
        w.create(install, "/usr/local/bin/t");
        compile(&mut w, init, "/srv/v");
        let cp = w.exec(init, "/bin/cp", &["cp", "/srv/v", "/usr/local/bin/v"]);
        w.create(cp, "/usr/local/bin/v");
        w.only(&["drift.exec-built"]);
        w.create(install, "/usr/bin/t");
        w.file(init, FileOp::Create, "/usr/local/bin/u");
        assert_eq!(w.finding("file.program-changed").severity, Severity::High);
        assert_eq!(w.all("file.program-changed").len(), 2);
    }
}
