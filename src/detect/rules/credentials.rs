//! Reads of secrets.

use bstr::ByteSlice as _;

use super::files::{by_hand, with_a_tool};
use crate::detect::case::Case;
use crate::detect::change::{Maker, by, graded, is_refusal, maker, refused};
use crate::detect::{Fact, Look, Rule, RuleInfo, Severity, place, programs};
use crate::event::{File, FileOp};

/// Secrets read.
pub(super) const CREDENTIALS: Rule = Rule {
    info: RuleInfo {
        id: "file.credential-read",
        title: "Read passwords, keys or tokens",
        severity: Severity::High,
        attack: &["T1552.001", "T1552.004", "T1003.008"],
        needs: &[Fact::Read],
        explain: "shadow, private keys, cloud or cluster credentials, mounted secrets, or the \
                  environment of another process were opened. High from a shell, a common tool, \
                  drifted code or a command from outside; from a service that did not read them \
                  while starting medium for shadow, else low. Programs whose work is to check logins are not flagged.",
        check: "Who read them, and rotate what was read.",
    },
    looks: &[Look::File(credentials)],
};

/// Programs of the image that check or change logins.
fn checks_logins(name: &[u8]) -> bool {
    matches!(
        name,
        b"sshd"
            | b"sshd-session"
            | b"login"
            | b"su"
            | b"sudo"
            | b"cron"
            | b"crond"
            | b"passwd"
            | b"unix_chkpwd"
            | b"useradd"
            | b"userdel"
            | b"usermod"
            | b"groupadd"
            | b"groupmod"
            | b"groupdel"
            | b"chage"
            | b"chpasswd"
            | b"adduser"
            | b"addgroup"
            | b"pwck"
            | b"grpck"
            | b"vsftpd"
            | b"dovecot"
            | b"auth"
            | b"saslauthd"
            | b"smbd"
            | b"nscd"
            | b"sssd"
            | b"gpasswd"
            | b"newusers"
            | b"systemd-sysusers"
            | b"pwconv"
            | b"atd"
            | b"crontab"
            | b"runuser"
            | b"chsh"
            | b"chfn"
            | b"expiry"
            | b"visudo"
            | b"doas"
            | b"screen"
    )
}

fn credentials(case: &mut Case<'_>, file: &File) {
    // A second name by which it can be read unseen is as good as reading it.
    let verb = match (file.op, &file.target) {
        (FileOp::Read, _) => "read",
        (FileOp::Link, Some(target))
            if place::is_secret(&file.path) && !place::is_secret(target) && file.errno == 0 =>
        {
            "linked"
        }
        _ => return,
    };
    // Programs look for keys that are not there; a person who does is worth a line.
    let absent = file.errno == 2 && by_hand(case);
    if file.errno != 0 && !absent && !is_refusal(file.errno) {
        return;
    }
    let path = file.path.as_bytes();
    // Devices and memory have rules of their own.
    if path.starts_with(b"/dev/")
        || path.ends_with(b"/mem")
        || path.ends_with(b"/kcore")
        || path.ends_with(b"/kmem")
        || file.file.is_some_and(|f| f.mode & 0o170_000 == 0o060_000)
    {
        return;
    }
    if place::is_server_key(path) && !with_a_tool(case) {
        return;
    }
    let name = case.process.map(programs::of).unwrap_or_default().to_vec();
    let image = case
        .process
        .is_none_or(|p| p.file.origin() == crate::event::Origin::Image);
    if image && checks_logins(&name) || maker(case) == Maker::Package {
        return;
    }
    let key = {
        let exe = case.process.map_or(&file.comm, |p| &p.exe);
        format!(
            "read {} {}",
            exe.escaped(),
            secret_group(path).escape_ascii()
        )
    };
    let starting = case.starting_up();
    let hand = by_hand(case);
    let own = case.own();
    if starting {
        if own.used.len() < 256 {
            own.used.insert(key);
        }
        return;
    }
    if own.used.contains(&key) && !hand {
        return;
    }
    let environment = path.ends_with(b"/environ");
    let weight = match (hand, environment) {
        _ if absent => Severity::Low,
        (true, false) => Severity::High,
        (true, true) => Severity::Medium,
        // Nothing but a check of logins has business with these.
        (false, false) if secret_group(path) == b"/etc/shadow" => Severity::Medium,
        (false, _) => Severity::Low,
    };
    let severity = graded(weight, file.errno).min(weight);
    let group = secret_group(path).to_vec();
    let line = format!("{verb} {}{}", file.path.escaped(), refused(file.errno));
    let place = case.raise(severity, &group, |case, told| {
        told.title = format!("Read a secret: {}", file.path.escaped());
        told.why.push(by(case, &file.comm));
    });
    if let Some(place) = place {
        case.stories.explain(place, line);
    }
}

/// Secrets of one kind are one story.
fn secret_group(path: &[u8]) -> &[u8] {
    if path.starts_with(b"/proc/") {
        return b"/proc/*/environ";
    }
    for base in [&b"/run/secrets"[..], b"/var/run/secrets"] {
        if path.starts_with(base) {
            return base;
        }
    }
    if matches!(
        path,
        b"/etc/shadow" | b"/etc/shadow-" | b"/etc/gshadow" | b"/etc/gshadow-"
    ) {
        return b"/etc/shadow";
    }
    // Whoever goes through a home takes what it has.
    home(path).unwrap_or_else(|| programs::directory(path))
}

/// The home a path lies in, among those that are people's.
fn home(path: &[u8]) -> Option<&[u8]> {
    if path.starts_with(b"/root/") {
        return path.get(..5);
    }
    let user = path.strip_prefix(b"/home/")?;
    path.get(..6 + user.iter().position(|b| *b == b'/')?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
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
    fn a_service_that_hands_out_files_has_no_business_with_shadow() {
        for (path, severity) in [
            ("/etc/shadow", Severity::Medium),
            ("/run/secrets/token", Severity::Low),
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
    fn a_home_is_one_story_and_a_second_name_is_a_read() {
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
        // How the image's own tools keep a copy.
        let mut w = World::steady();
        let init = w.init();
        let ln = w.exec(init, "/bin/ln", &["ln", "/etc/shadow", "/etc/shadow-"]);
        w.link(ln, FileOp::Link, "/etc/shadow", "/etc/shadow-");
        w.link(ln, FileOp::Link, "/srv/a", "/srv/b");
        w.none("file.credential-read");
    }
}
