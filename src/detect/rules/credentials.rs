//! Reads of secrets: by users, by services, and by programs whose purpose it is.

use bstr::ByteSlice as _;

use super::backups::backs_up;
use super::own_secrets::{self, SecretOf};
use super::secret_programs;
use super::secret_reads::{MAX_READS, SecretReads, secret_group};
use super::session_scripts;
use crate::catalog;
use crate::catalog::secrets;
use crate::detect::alert::Alerts;
use crate::detect::file_change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemories;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::{Bytes, File, FileOp, Origin};

/// Secrets read.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "file.credential-read",
        title: "Read passwords, keys or tokens",
        label: "secret read",
        severity: Severity::High,
        attack: &["T1552.001", "T1552.004", "T1003.008"],
        needs: &[Requirement::Read],
        explain: "A process opened shadow, a private key, cloud or cluster credentials, a mounted \
                  secret, or the environment of another process. High from a shell, a common \
                  tool, drifted code or an exec session. From a service that did not read them at \
                  start-up: medium for shadow, info for mounted secrets, else low. Programs that \
                  check logins are not flagged.",
        check: "Which process read them? Rotate what was read.",
    },
    handlers: &[Handler::File(|ctx, memories, file| {
        credentials(ctx, memories, file)
    })],
};

/// Tools with which people read files; a service does not read its secrets with them.
fn is_tool(name: &[u8]) -> bool {
    catalog::programs::FILE_TOOLS.contains(&name)
}

/// The process itself is such a tool, a shell, or drifted code.
pub(super) fn with_a_tool(ctx: &RuleContext<'_>) -> bool {
    ctx.memory.is_marked(ctx.event.pid)
        || ctx
            .process
            .map(program_roles::of)
            .is_some_and(|n| is_tool(n) || ctx.names().is_shell(n))
}

/// A person or an intruder reads it, not the service.
pub(super) fn by_hand(ctx: &RuleContext<'_>) -> bool {
    attribution::suspicious(ctx) || with_a_tool(ctx)
}

fn credentials(ctx: &RuleContext<'_>, memories: &mut RuleMemories<'_>, file: &File) -> Alerts {
    // A second name, by which the file can be read unnoticed, counts as a read.
    let verb = match (file.op, &file.target) {
        (FileOp::Read, _) => "read",
        (FileOp::Link, Some(target))
            if secrets::is_secret(&file.path) && !secrets::is_secret(target) && file.errno == 0 =>
        {
            "linked"
        }
        _ => return Alerts::none(),
    };
    // Programs look for keys that do not exist; a person who does so is reported.
    let absent = file.errno == 2 && by_hand(ctx);
    if file.errno != 0 && !absent && !is_refusal(file.errno) {
        return Alerts::none();
    }
    let path = file.source.as_ref().unwrap_or(&file.path).as_bytes();
    // Other rules cover devices and memory.
    if path.starts_with(b"/dev/")
        || path.ends_with(b"/mem")
        || path.ends_with(b"/kcore")
        || path.ends_with(b"/kmem")
        || file.file.is_some_and(|f| f.mode & 0o170_000 == 0o060_000)
    {
        return Alerts::none();
    }
    let whose = own_secrets::of(ctx, file);
    if whose == SecretOf::Nobody {
        return Alerts::none();
    }
    if secrets::is_server_key(path) && !with_a_tool(ctx) {
        return Alerts::none();
    }
    if ctx
        .process
        .is_some_and(|p| secret_programs::is_for_reading(p, path))
        || maker(ctx) == Maker::Installer
    {
        return Alerts::none();
    }
    let key = {
        let exe = ctx.process.map_or(&file.comm, |p| &p.exe);
        format!(
            "read {} {}",
            exe.escaped(),
            secret_group(path).escape_ascii()
        )
    };
    // A command from outside may start a script of the image, such as a backup.
    let own = |p| session_scripts::runs_own_script(ctx, p);
    let started = ctx.session() == Some(ctx.event.pid) && ctx.process.is_some_and(own);
    let hand = by_hand(ctx) && !started;
    // A file without hashes reveals no password; the reader is still reported.
    let empty = file.hashes == Some(false);
    if empty && !hand {
        return Alerts::none();
    }
    let starting = ctx.starting_up();
    let backup = ctx.process.is_some_and(|p| backs_up(ctx, p, path));
    let reads: &mut SecretReads = memories.of();
    if starting {
        if reads.at_startup.len() < MAX_READS {
            reads.at_startup.insert(key);
        }
        return Alerts::none();
    }
    if reads.at_startup.contains(&key) && !hand {
        return Alerts::none();
    }
    let environment = path.ends_with(b"/environ");
    let group = secret_group(path).to_vec();
    let weight = match (hand, environment) {
        _ if absent || empty || backup || digests(ctx) => Severity::Low,
        _ if whose == SecretOf::OtherTree => Severity::Low,
        // Perl reads the password with each account that it looks up.
        _ if file.errno != 0 && group == b"/etc/shadow" && runs_script(ctx) => Severity::Low,
        (true, false) => Severity::High,
        (true, true) => Severity::Medium,
        // Mounted for the service, which may read it at any time.
        (false, _) if group == b"/run/secrets" || group == b"/var/run/secrets" => Severity::Info,
        (false, _) if file.source.is_some() && group != b"/etc/shadow" => Severity::Info,
        // Only login checks need these files.
        (false, false) if group == b"/etc/shadow" => Severity::Medium,
        (false, _) => Severity::Low,
    };
    let severity = graded(weight, file.errno).min(weight);
    let line = format!("{verb} {}{}", file.path.escaped(), refused(file.errno));
    let subject = if absent {
        Bytes::new(group.as_slice())
    } else {
        reads.subject(ctx, &group)
    };
    let action = match (absent, file.errno, verb) {
        (_, 0, "read") if backup => "Backup read a secret",
        (true, ..) => "Looked for a secret",
        (_, 0, "read") => "Read a secret",
        (_, 0, _) => "Linked a secret",
        _ => "Tried to read a secret",
    };
    let title = || format!("{action}: {}", file.path.escaped());
    let alert = ctx
        .alert(severity, &subject, |explanation| {
            explanation.title = title();
            explanation.why.push(by(ctx, &file.comm));
            if let Some(source) = &file.source {
                let source = source.escaped();
                explanation.why.push(format!(
                    "a mount of the host's {source}, under another name"
                ));
            }
        })
        .part(file.path.clone())
        .reason(line);
    let alert = if empty {
        alert.reason("it holds no password hashes".to_owned())
    } else {
        alert
    };
    // The worst of them gives the finding its title.
    let known = ctx.findings.find(ctx.rule.id, Some(ctx.owner), &subject);
    let worse = known
        .and_then(|index| ctx.findings.get(index))
        .is_some_and(|finding| finding.severity < severity);
    if worse {
        alert.title(title()).into()
    } else {
        alert.into()
    }
}

/// A program of the image that prints a digest or a verdict, not the content.
fn digests(ctx: &RuleContext<'_>) -> bool {
    ctx.process.is_some_and(|p| {
        p.file.origin() == Origin::Image
            && catalog::programs::DIGESTERS.contains(&program_roles::of(p))
            && !ctx.memory.is_marked(p.pid)
    })
}

/// An interpreter runs a script that no process was seen changing.
fn runs_script(ctx: &RuleContext<'_>) -> bool {
    let script = ctx.process.and_then(|p| p.script.as_ref());
    script.is_some_and(|path| ctx.activity(path).is_none()) && !ctx.memory.is_marked(ctx.event.pid)
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image, upper};
    use crate::event::FileOp;

    #[test]
    fn secrets_read_by_hand_and_by_services() {
        for path in ["/etc/shadow", "/root/.ssh/id_rsa", "/run/secrets/token"] {
            let mut w = World::steady();
            let init = w.init();
            let cat = w.exec(init, "/bin/cat", &["cat", path]);
            w.file(cat, FileOp::Read, path);
            assert_eq!(w.finding("file.credential-read").severity, Severity::High);
            w.only(&["file.credential-read"]);
        }
        let mut w = World::steady();
        let init = w.init();
        let cat = w.exec(init, "/bin/cat", &["cat"]);
        w.refused(cat, FileOp::Read, "/etc/shadow", 13);
        assert_eq!(w.highest(), Severity::Medium);
    }

    #[test]
    fn a_password_file_without_hashes_is_no_secret() {
        let read = |hashes, by: fn(&mut World) -> u32| {
            let mut w = World::steady();
            let pid = by(&mut w);
            w.file_as(pid, FileOp::Read, "/etc/shadow", |f| f.hashes = hashes);
            w.all("file.credential-read").first().map(|f| f.severity)
        };
        let service: fn(&mut World) -> u32 = |w| w.init();
        let hand: fn(&mut World) -> u32 = |w| {
            let s = w.session(&["sh"]);
            w.exec(s, "/bin/cat", &["cat", "/etc/shadow"])
        };
        assert_eq!(read(Some(false), service), None);
        assert_eq!(read(Some(false), hand), Some(Severity::Low));
        for hashes in [Some(true), None] {
            assert_eq!(read(hashes, service), Some(Severity::Medium));
            assert_eq!(read(hashes, hand), Some(Severity::High));
        }
    }

    #[test]
    fn a_copy_of_etc_is_one_finding_whatever_the_password_file_holds() {
        let (shadow, key) = ("/etc/shadow", "/etc/ssh/ssh_host_rsa_key");
        for paths in [[shadow, key], [key, shadow]] {
            let mut w = World::steady();
            let init = w.init();
            let tar = w.exec(init, "/bin/tar", &["tar", "-cf", "/srv/x.tar", "/etc"]);
            for path in paths {
                w.file_as(tar, FileOp::Read, path, |f| {
                    f.hashes = (path == shadow).then_some(false);
                });
            }
            let finding = w.finding("file.credential-read");
            assert_eq!(finding.severity, Severity::High);
            assert!(
                finding.title.contains("ssh_host_rsa_key"),
                "{}",
                finding.title
            );
        }
    }

    #[test]
    fn a_mount_does_not_hide_what_it_shows() {
        let mut w = World::steady();
        let init = w.init();
        let cat = w.exec(init, "/bin/cat", &["cat", "/data/config.txt"]);
        w.file_as(cat, FileOp::Read, "/data/config.txt", |f| {
            f.source = Some("/etc/shadow".into());
        });
        let finding = w.finding("file.credential-read");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.title.contains("/data/config.txt"));
        // A server's key that is mounted for it.
        let mut w = World::steady();
        let init = w.init();
        w.file_as(init, FileOp::Read, "/certs/site.key", |f| {
            f.source = Some("/etc/ssl/private/site.key".into());
        });
        w.only(&[]);
    }

    #[test]
    fn a_service_may_come_to_its_mounted_secrets_late() {
        let mut w = World::steady();
        let init = w.init();
        w.file(init, FileOp::Read, "/run/secrets/token");
        assert_eq!(w.highest(), Severity::Info);
        w.file(init, FileOp::Read, "/root/.aws/credentials");
        assert_eq!(w.highest(), Severity::Low);
    }

    #[test]
    fn logins_and_what_start_up_reads_are_silent() {
        let mut w = World::starting();
        let init = w.init();
        w.file(
            init,
            FileOp::Read,
            "/run/secrets/kubernetes.io/serviceaccount/token",
        );
        w.ticks(60);
        w.file(
            init,
            FileOp::Read,
            "/run/secrets/kubernetes.io/serviceaccount/token",
        );
        let sshd = w.exec(init, "/usr/sbin/sshd", &["sshd"]);
        w.file(sshd, FileOp::Read, "/etc/shadow");
        let su = w.exec(init, "/bin/su", &["su"]);
        w.file(su, FileOp::Read, "/etc/shadow");
        w.refused(init, FileOp::Read, "/root/.netrc", 2);
        w.only(&[]);
    }

    #[test]
    fn programs_that_do_their_work_read_no_secret() {
        let read = |argv: &[&str], path: &str| {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let p = w.exec(s, &format!("/usr/bin/{}", argv[0]), argv);
            w.file(p, FileOp::Read, path);
            !w.all("file.credential-read").is_empty()
        };
        assert!(!read(&["ps", "aux"], "/proc/1/environ"));
        assert!(!read(&["ps", "-ef"], "/proc/1/environ"));
        assert!(!read(&["pgrep", "nginx"], "/proc/1/environ"));
        assert!(!read(
            &["ssh", "-i", "/root/.ssh/id_rsa", "x"],
            "/root/.ssh/id_rsa"
        ));
        assert!(read(&["ps", "auxe"], "/proc/1/environ"));
        assert!(read(&["cat", "/proc/1/environ"], "/proc/1/environ"));
        assert!(read(&["ssh"], "/run/secrets/token"));
        assert!(read(&["scp"], "/root/.ssh/id_rsa"));
    }

    #[test]
    fn a_file_server_that_reads_shadow_is_found() {
        for (path, severity) in [
            ("/etc/shadow", Severity::Medium),
            ("/root/.aws/credentials", Severity::Low),
        ] {
            let mut w = World::steady();
            let init = w.init();
            w.file(init, FileOp::Read, path);
            assert_eq!(w.finding("file.credential-read").severity, severity);
        }
    }

    #[test]
    fn a_servers_key_is_for_its_users_and_not_for_tools() {
        for (tool, flagged) in [("base64", true), ("openssl", false), ("nginx", false)] {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let p = w.exec(s, &format!("/usr/bin/{tool}"), &[tool]);
            w.file(p, FileOp::Read, "/etc/ssl/private/site.key");
            assert_eq!(!w.all("file.credential-read").is_empty(), flagged, "{tool}");
        }
    }

    #[test]
    fn a_copy_of_a_directory_is_one_finding_and_low_as_the_containers_backup() {
        const SECRETS: &[&str] = &[
            "/etc/shadow",
            "/etc/gshadow-",
            "/etc/ssh/ssh_host_rsa_key",
            "/etc/ssl/private/site.key",
        ];
        let copy = |parent: fn(&mut World) -> u32, argv: &[&str]| {
            let mut w = World::steady();
            let init = w.init();
            w.exec_as(init, 1, "/bin/sh", &["sh", "/start.sh"], |_| {});
            let parent = parent(&mut w);
            let tar = w.exec(parent, "/bin/tar", argv);
            for path in SECRETS {
                w.file(tar, FileOp::Read, path);
            }
            let all = w.all("file.credential-read");
            assert_eq!(all.len(), 1, "{argv:?}");
            assert!(all[0].count >= 2);
            all[0].severity
        };
        let job: fn(&mut World) -> u32 = |w| {
            let init = w.init();
            let cron = w.exec(init, "/usr/sbin/cron", &["cron"]);
            w.exec(cron, "/bin/sh", &["sh", "-c", "backup"])
        };
        let session: fn(&mut World) -> u32 = |w| w.session(&["sh"]);
        let web: fn(&mut World) -> u32 = |w| {
            let init = w.init();
            let web = w.exec(init, "/usr/sbin/nginx", &["nginx"]);
            w.exec(web, "/bin/sh", &["sh", "-c", "x"])
        };
        let backup = &["tar", "-cf", "/var/backups/b.tar", "/etc"][..];
        assert_eq!(copy(job, backup), Severity::Low);
        for (parent, argv) in [
            (session, backup),
            (web, backup),
            (job, &["tar", "-cf", "-", "/etc"]),
            (job, &["tar", "c", "/etc"]),
            (job, &["tar", "-cf", "/tmp/b.tar", "/etc"]),
            (
                job,
                &[
                    "tar",
                    "-cf",
                    "/var/b.tar",
                    "/etc/shadow",
                    "/etc/ssl/private",
                ],
            ),
        ] {
            assert_eq!(copy(parent, argv), Severity::High, "{argv:?}");
        }
    }

    #[test]
    fn a_home_directory_is_one_finding_and_a_second_name_is_a_read() {
        let mut w = World::steady();
        let init = w.init();
        let cp = w.exec(init, "/bin/cp", &["cp", "-r", "/root", "/tmp"]);
        w.file(cp, FileOp::Read, "/root/.aws/credentials");
        w.file(cp, FileOp::Read, "/root/.kube/config");
        w.file(cp, FileOp::Read, "/root/.netrc");
        let all = w.all("file.credential-read");
        assert_eq!((all.len(), all[0].count), (1, 3));
        let mut w = World::steady();
        let init = w.init();
        let ln = w.exec(init, "/bin/ln", &["ln", "/etc/shadow", "/tmp/n"]);
        w.link(ln, FileOp::Link, "/etc/shadow", "/tmp/n");
        w.only(&["file.credential-read"]);
        // The way in which the image's own tools keep a copy.
        let mut w = World::steady();
        let init = w.init();
        let ln = w.exec(init, "/bin/ln", &["ln", "/etc/shadow", "/etc/shadow-"]);
        w.link(ln, FileOp::Link, "/etc/shadow", "/etc/shadow-");
        w.link(ln, FileOp::Link, "/srv/a", "/srv/b");
        w.none("file.credential-read");
    }

    #[test]
    fn a_digest_reveals_no_secret_and_a_program_of_its_name_does() {
        let read = |tool: &str, file| {
            let mut w = World::steady();
            let init = w.init();
            let pid = w.exec_file(init, tool, &[tool, "/etc/shadow"], file);
            w.file(pid, FileOp::Read, "/etc/shadow");
            w.highest()
        };
        assert_eq!(read("/usr/bin/sha256sum", image(3)), Severity::Low);
        assert_eq!(read("/usr/sbin/aide", image(3)), Severity::Low);
        assert_eq!(read("/usr/bin/base64", image(3)), Severity::High);
        assert_eq!(read("/tmp/sha256sum", upper(3)), Severity::High);
    }

    #[test]
    fn a_script_that_looks_accounts_up_is_refused_the_passwords() {
        let refused = |script: Option<&str>, errno| {
            let mut w = World::steady();
            let init = w.init();
            let pid = w.fork(init);
            w.exec_as(pid, init, "/usr/bin/perl", &["perl", "/usr/bin/x"], |e| {
                e.script = script.map(Into::into);
            });
            w.refused(pid, FileOp::Read, "/etc/shadow", errno);
            w.finding("file.credential-read").severity
        };
        let own = Some("/usr/bin/x");
        assert_eq!(refused(own, 13), Severity::Low);
        assert!(refused(own, 0) >= Severity::Medium);
        // A script that was written in the container: part of its finding, and at least as severe.
        let mut w = World::steady();
        let init = w.init();
        w.create(init, "/tmp/x");
        let pid = w.fork(init);
        w.exec_as(pid, init, "/usr/bin/perl", &["perl", "/tmp/x"], |e| {
            e.script = Some("/tmp/x".into());
        });
        w.refused(pid, FileOp::Read, "/etc/shadow", 13);
        assert_eq!(w.highest(), Severity::Medium);
    }
}
