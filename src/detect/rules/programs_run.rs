//! Disguised programs, and miners.

use std::net::SocketAddr;

use super::miner_options::miners_options;
use super::taken_name;
use crate::catalog::{self, paths};
use crate::detect::alert::{Alert, Alerts};
use crate::event::ProgramAdditions;
use bstr::ByteSlice as _;

use crate::detect::file_origin::made;
use crate::detect::finding_store::Occurrence;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Endpoint, Exec, Origin, Protocol};
use crate::state::{ConnectionKey, Direction, ProcessEntry};

/// Masquerade.
pub(super) const MASQUERADE: Rule = Rule {
    info: RuleInfo {
        id: "exec.masquerade",
        title: "Disguised program",
        label: "disguised",
        severity: Severity::High,
        attack: &["T1036.004", "T1036.005", "T1564.001"],
        needs: &[Requirement::Exec],
        explain: "A process has the name of a kernel thread, or takes it while it runs, as inline code \
                  may take a daemon's; or a program that is not in the image \
                  has a system daemon's name, is in a hidden directory or has the file extension \
                  of data.",
        check: "Inspect the executable behind the name.",
    },
    handlers: &[
        Handler::Exec(|ctx, _, exec| masquerade(ctx, exec)),
        Handler::Found(|ctx, _, process| {
            // The process that created it is not known: hidden names in packages are not a
            // disguise.
            if paths::in_package_tree(&process.exe) {
                return Alerts::none();
            }
            let alerts = masquerade(ctx, &process.as_exec());
            if alerts.is_empty() {
                taken_name::found(ctx, &process.comm)
            } else {
                alerts
            }
        }),
        Handler::Connect(|ctx, _, connect| taken_name::examine(ctx, &connect.comm)),
        Handler::Listen(|ctx, _, listen| taken_name::examine(ctx, &listen.comm)),
        Handler::File(|ctx, _, file| taken_name::examine(ctx, &file.comm)),
    ],
};

/// Miners.
pub(super) const MINER: Rule = Rule {
    info: RuleInfo {
        id: "exec.miner",
        title: "Ran a coin miner",
        label: "miner",
        severity: Severity::Critical,
        attack: &["T1496"],
        needs: &[Requirement::Exec],
        explain: "The arguments name a mining pool by its protocol, or options that only miners \
                  have; or a program that is not in the image connected to a port that almost \
                  only mining pools use: critical when the connection lasts, high when it is \
                  retried. A program that tries many peers is a scan and does not count.",
        check: "How much CPU does it use, and what is the pool's address? How did the program get in?",
    },
    handlers: &[
        Handler::Exec(|ctx, _, exec| miner(ctx, exec)),
        Handler::Found(|ctx, _, process| {
            let by_arguments = miner(ctx, &process.as_exec());
            if by_arguments.is_empty() {
                found_at_pool(ctx)
            } else {
                by_arguments
            }
        }),
        Handler::Connect(|ctx, memory, connect| {
            let to = match connect.remote {
                Endpoint::Inet(to) if connect.protocol == Protocol::Tcp => to,
                _ => return Alerts::none(),
            };
            if is_at_pool(ctx, to) {
                memory.of::<AtPools>().wait(ctx, to);
            }
            Alerts::none()
        }),
        Handler::Tick(|ctx, memory, _| match memory.get::<AtPools>() {
            Some(pools) if !pools.0.is_empty() => stayed(ctx, memory.of()),
            _ => Alerts::none(),
        }),
    ],
};

/// Maximum number of connections to pools that are watched in one container.
const MAX_WAITING: usize = 16;
/// A connection that lasts this many seconds is in use.
const LASTS: u64 = 3;
/// A program that tries this many peers is searching for something.
const SEARCHES: usize = 4;

/// Connections to ports of pools whose purpose is not clear yet.
#[derive(Debug, Clone, Default)]
struct AtPools(Vec<PoolConnection>);

#[derive(Debug, Clone)]
struct PoolConnection {
    pid: u32,
    to: SocketAddr,
    first: Occurrence,
}

impl RuleMemory for AtPools {
    fn heap_bytes(&self) -> usize {
        self.0.len() * size_of::<PoolConnection>()
    }
}

impl AtPools {
    fn wait(&mut self, ctx: &RuleContext<'_>, to: SocketAddr) {
        let waits = self.0.iter().any(|known| known.to == to);
        if !waits && self.0.len() < MAX_WAITING {
            self.0.push(PoolConnection {
                pid: ctx.event.pid,
                to,
                first: ctx.occurrence(),
            });
        }
    }
}

/// Connections to pools that lasted or are retried belong to a miner.
fn stayed(ctx: &RuleContext<'_>, pools: &mut AtPools) -> Alerts {
    let late = |pool: &PoolConnection| ctx.now().since(pool.first.ts).as_secs() >= LASTS;
    let (late, young) = std::mem::take(&mut pools.0).into_iter().partition(late);
    pools.0 = young;
    let late: Vec<PoolConnection> = late;
    let judge = |pool: &PoolConnection| {
        let row = ctx.state.connections.get(&ConnectionKey {
            owner: Some(ctx.owner.clone()),
            direction: Direction::Outbound,
            protocol: Protocol::Tcp,
            endpoint: Endpoint::Inet(pool.to),
        })?;
        let process = ctx.state.processes.get(&pool.pid)?;
        let severity = match (row.open, row.count) {
            (1.., _) => Severity::Critical,
            (0, 2..) => Severity::High,
            _ => return None,
        };
        (!searches(ctx, pool.pid)).then(|| {
            let alert = pool_alert(ctx, process, pool.to, severity);
            alert.happened(pool.first.clone())
        })
    };
    late.iter().filter_map(judge).collect()
}

/// Whether the process tries many peers, as a scan does.
fn searches(ctx: &RuleContext<'_>, pid: u32) -> bool {
    let rows = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    let own = rows.filter(|(key, row)| row.pid == pid && key.protocol == Protocol::Tcp);
    own.take(SEARCHES).count() >= SEARCHES
}

/// Why the path of a drifted program is misleading, if it is.
pub(super) fn disguise(exe: &[u8]) -> Option<&'static str> {
    if exe
        .split(|b| *b == b'/')
        .any(|part| part == b"..." || part == b".. " || part == b". " || part.ends_with(b" "))
    {
        return Some("misleading path");
    }
    if exe
        .rsplit(|b| *b == b'/')
        .take(2)
        .any(|part| part.starts_with(b".") && part.len() > 1)
    {
        return Some("hidden name");
    }
    let data = catalog::words::DATA_SUFFIXES
        .iter()
        .any(|e| exe.ends_with(e));
    data.then_some("file extension of data")
}

/// An interpreter, a shell or a network tool with a daemon's name. Other programs may have several
/// names on purpose.
fn poses_as_daemon(names: &ProgramAdditions, exec: &Exec, argv0: &[u8]) -> bool {
    let real = program_roles::name(&exec.exe, &[]);
    let able = names.is_interpreter(real) || names.is_shell(real) || names.is_downloader(real);
    let word = argv0
        .split(|b| matches!(b, b' ' | b':'))
        .next()
        .unwrap_or(argv0);
    able && exec.script.is_none() && catalog::programs::DAEMONS.contains(&program_roles::leaf(word))
}

fn masquerade(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let exe = exec.exe.as_bytes();
    let argv0 = exec.argv.first().map(|a| a.as_bytes()).unwrap_or_default();
    let drifted = matches!(
        exec.file.origin(),
        Origin::Upper | Origin::Tmpfs | Origin::Volume | Origin::Memfd | Origin::Deleted
    );
    let name = program_roles::leaf(exe);
    let kernel_thread = !exe.is_empty()
        && (argv0.starts_with(b"[") && argv0.contains(&b']')
            || catalog::programs::names_kernel_thread(argv0));
    let reason = if kernel_thread {
        "name of a kernel thread"
    } else if poses_as_daemon(ctx.names(), exec, argv0) {
        "tool with a daemon's name"
    } else if !drifted || ctx.starting_up() || made(ctx, exe).is_some() {
        return Alerts::none();
    } else if program_roles::is_system_name(name)
        && ctx.path_class(exe) != Some(catalog::paths::PathClass::Program)
    {
        "system program's name outside the program directories"
    } else if let Some(reason) = disguise(exe) {
        reason
    } else {
        return Alerts::none();
    };
    // `[` is a program as well.
    if kernel_thread && name == b"[" {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::High, exe, |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        explanation.title = format!("Disguised program ({reason}): {command}");
        explanation
            .why
            .push(format!("executable: {}", exec.exe.escaped()));
    });
    alert.into()
}

/// A program that was neither built nor installed here connects to a pool, by the port.
fn is_at_pool(ctx: &RuleContext<'_>, to: SocketAddr) -> bool {
    let pool = catalog::words::POOL_PORTS.contains(&to.port());
    let Some(process) = ctx.process.filter(|_| pool && !to.ip().is_loopback()) else {
        return false;
    };
    let drifted = matches!(
        process.file.origin(),
        Origin::Upper | Origin::Tmpfs | Origin::Memfd | Origin::Deleted
    );
    let ordinary = process.replaced || ctx.starting_up() || made(ctx, &process.exe).is_some();
    drifted && !ordinary && !searches(ctx, process.pid)
}

fn pool_alert(
    ctx: &RuleContext<'_>,
    process: &ProcessEntry,
    to: SocketAddr,
    severity: Severity,
) -> Alert {
    ctx.alert(severity, &process.exe, |explanation| {
        let program = process.exe.escaped();
        explanation.title = format!("Connected to a port of mining pools: {program} to {to}");
        let command = program_roles::command_line(&process.argv, &process.exe, 200);
        explanation.why.push(format!("ran: {command}"));
    })
}

fn found_at_pool(ctx: &RuleContext<'_>) -> Alerts {
    let rows = ctx.state.connections_of(ctx.owner, Direction::Outbound);
    let mut own = rows.filter(|(key, row)| {
        row.pid == ctx.event.pid && row.open > 0 && key.protocol == Protocol::Tcp
    });
    let pool = own.find_map(|(key, _)| match key.endpoint {
        Endpoint::Inet(to) if catalog::words::POOL_PORTS.contains(&to.port()) => Some(to),
        _ => None,
    });
    let pool = pool.filter(|to| is_at_pool(ctx, *to));
    match (pool, ctx.process) {
        (Some(to), Some(process)) => pool_alert(ctx, process, to, Severity::Critical).into(),
        _ => Alerts::none(),
    }
}

fn miner(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let mark = exec.argv.iter().map(|a| a.as_bytes()).find(|a| {
        catalog::words::MINER_ARGUMENTS
            .iter()
            .any(|m| a.starts_with(m) || (m.ends_with(b"://") && a.find(m).is_some()))
            || catalog::words::POOL_CALLS
                .iter()
                .any(|call| a.find(call).is_some())
    });
    let Some(mark) = mark.or_else(|| miners_options(&exec.argv)) else {
        return Alerts::none();
    };
    // A program that searches for these words, or writes them, does not mine. Wrappers of the image
    // such as `nohup` only start the program, which is examined itself.
    let name = program_roles::name(&exec.exe, &exec.argv);
    let starts = ctx.names().is_wrapper(name) && exec.file.origin() == Origin::Image;
    if starts || catalog::programs::TEXT_TOOLS.contains(&name) || ctx.names().is_shell(name) {
        return Alerts::none();
    }
    let alert = ctx.alert(Severity::Critical, &exec.exe, |explanation| {
        explanation.title = format!("Ran a coin miner: {}", exec.exe.escaped());
        explanation
            .why
            .push(format!("argument {}", crate::event::escape(mark)));
        let command = program_roles::command_line(&exec.argv, &exec.exe, 200);
        explanation.why.push(format!("ran: {command}"));
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::FileOp;

    #[test]
    fn a_miner_that_ran_already_is_found_and_a_word_in_a_text_is_not() {
        let mut w = World::found();
        let init = w.init();
        let pool = "stratum+tcp://pool.example:3333";
        w.found_process(init, "/usr/bin/grep", &["grep", pool], |_| {});
        w.only(&[]);
        w.found_process(init, "/opt/app/x", &["x", "-o", pool], |_| {});
        let f = w.finding("exec.miner");
        assert_eq!(f.severity, Severity::Critical);
        assert!(f.already_since.is_some());
    }

    #[test]
    fn programs_of_the_images_compiler_are_one_line() {
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
    fn a_file_that_a_build_fetches_is_not_built() {
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
        // Drift is one finding with it; the image's own program has a finding of its own.
        assert_eq!(w.all("exec.masquerade").len(), 1);
        let drift = w.all("drift.exec-new");
        assert_eq!(drift.len(), 3);
        for finding in drift {
            let why = finding.why.join("\n");
            assert!(why.contains("then: Disguised program"), "{why}");
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
        // The image's own wrapper is not a second miner; another program with its name is not a
        // wrapper.
        let mut w = World::steady();
        let init = w.init();
        let words = ["nohup", "worker", "-o", "stratum+tcp://pool.example:3333"];
        let nohup = w.exec(init, "/usr/bin/nohup", &words);
        w.none("exec.miner");
        w.exec_as(nohup, init, "/usr/bin/worker", &words[1..], |_| {});
        assert_eq!(w.all("exec.miner").len(), 1);
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/tmp/nohup", &words, upper(9));
        assert!(w.highest() >= Severity::High);
        assert!(!w.all("drift.exec-new").is_empty() || !w.all("exec.miner").is_empty());
        let mut w = World::steady();
        let init = w.init();
        w.exec(init, "/bin/grep", &["grep", "stratum+tcp://", "/etc/hosts"]);
        w.exec(init, "/usr/bin/app", &["app", "--threads=4"]);
        w.only(&[]);
    }

    #[test]
    fn a_program_that_is_not_the_images_at_a_pools_port() {
        let judged = |file, to: &str| {
            let mut w = World::steady();
            let init = w.init();
            let pid = w.exec_file(init, "/tmp/x", &["x"], file);
            w.connect(pid, to);
            w.ticks(5);
            w.all("exec.miner").first().map(|f| f.severity)
        };
        let pool = "203.0.113.9:3333";
        assert_eq!(judged(upper(9), pool), Some(Severity::Critical));
        assert_eq!(judged(image(9), pool), None, "the image's own client");
        assert_eq!(judged(upper(9), "203.0.113.9:443"), None);
        assert_eq!(judged(upper(9), "127.0.0.1:3333"), None, "no pool is here");
        // One that only looks for open ports; the scan rule reports it.
        let mut w = World::steady();
        let init = w.init();
        let pid = w.exec_file(init, "/tmp/x", &["x"], upper(9));
        for port in [3333, 7777, 80, 443, 22, 14433] {
            w.connect(pid, &format!("203.0.113.9:{port}"));
        }
        w.ticks(5);
        assert!(
            w.all("exec.miner")
                .iter()
                .all(|f| f.severity <= Severity::High)
        );
        // It was connected before watching began.
        let mut w = World::found();
        let init = w.init();
        w.found_socket(0, "10.0.0.2:50000", Some(pool));
        w.found_process(init, "/tmp/x", &["x"], |p| p.file = upper(9));
        let f = w.finding("exec.miner");
        assert!(f.title.contains(pool), "{}", f.title);
        // A typed program speaks the protocol itself.
        let mut w = World::steady();
        let s = w.session(&["sh"]);
        let typed = "s.send(b'{\"method\":\"mining.subscribe\"}')";
        w.exec(s, "/usr/bin/python3", &["python3", "-c", typed]);
        assert_eq!(w.finding("exec.miner").severity, Severity::Critical);
    }
}
