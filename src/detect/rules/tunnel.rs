//! Tunnels to another host that a program of the image opens.

use bstr::ByteSlice as _;

use crate::catalog::programs;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, attribution, command_shape, program_roles,
};
use crate::event::{Bytes, Exec};
use crate::state::ProcessEntry;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.tunnel",
        title: "Opened a tunnel to another host",
        label: "tunnel",
        severity: Severity::High,
        attack: &["T1572", "T1090"],
        needs: &[Requirement::Exec],
        explain: "A program of the image was started so that another host reaches this network \
                  through it: `ssh -R`, `-D` or `-w`, `ssh -N` by its configuration, `chisel client`, \
                  `frpc` and the like; or two connections were joined, as by `socat TCP-LISTEN:… \
                  TCP:…` and `nc … | nc …`. High \
                  when an intruder could have started it: a server's shell, drifted code. Medium \
                  by the start script after start-up or by a command from outside, low by a \
                  scheduled job. The container's own command may be a tunnel: one that runs \
                  during start-up, and the same again later, is not flagged.",
        check: "Who opened it, and what does the other host reach through it?",
    },
    handlers: &[
        Handler::Exec(|ctx, memory, exec| examine(ctx, memory.of(), exec)),
        Handler::Found(|ctx, memory, process| {
            let exec = process.as_exec();
            match ctx.made_at_start(process.started) {
                true => {
                    note(memory.of(), &exec);
                    Alerts::none()
                }
                false => examine(ctx, memory.of(), &exec),
            }
        }),
    ],
};

/// Options of `ssh` that take a value.
const WITH_VALUE: &[u8] = b"BbcDEeFIiJLlmOopQRSWw";

/// Tunnels that the container's own command opened.
#[derive(Debug, Clone, Default)]
struct OwnTunnels(SeenSet);

impl RuleMemory for OwnTunnels {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 24
    }
}

/// Whether `ssh` lets the other side in by these arguments, or relays for any address.
fn ssh_lets_in(argv: &[Bytes]) -> bool {
    let option = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        text.starts_with(b"remoteforward") || text.starts_with(b"dynamicforward")
    };
    let mut words = argv.iter().skip(1).map(|a| a.as_bytes());
    let mut host = false;
    // Without a command, and without a forwarding of its own: its configuration has one.
    let mut no_command = false;
    let mut other_purpose = false;
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(b"-") else {
            // The command follows the host.
            if host {
                return false;
            }
            host = true;
            continue;
        };
        for (at, letter) in letters.iter().enumerate() {
            if matches!(letter, b'R' | b'D' | b'w') {
                return true;
            }
            no_command |= *letter == b'N';
            other_purpose |= matches!(letter, b'L' | b'M' | b'O' | b'S' | b'W' | b'V' | b'G');
            if !WITH_VALUE.contains(letter) {
                continue;
            }
            let rest = letters.get(at + 1..).unwrap_or_default();
            let value = match rest {
                [] => words.next().unwrap_or_default(),
                _ => rest,
            };
            if *letter == b'o' && option(value) {
                return true;
            }
            let lower = value.to_ascii_lowercase();
            other_purpose |= *letter == b'o'
                && (lower.starts_with(b"localforward") || lower.starts_with(b"control"));
            break;
        }
    }
    host && no_command && !other_purpose
}

/// Whether `socat` joins two sockets of the network.
fn socat_joins(argv: &[Bytes]) -> bool {
    let network = |word: &&Bytes| {
        let kind = word
            .split(|b| matches!(b, b':' | b','))
            .next()
            .unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        let kinds: &[&[u8]] = &[
            b"tcp", b"udp", b"ssl", b"openssl", b"socks", b"proxy", b"sctp", b"dccp",
        ];
        word.contains(&b':') && kinds.iter().any(|start| kind.starts_with(start))
    };
    argv.iter().skip(1).filter(network).count() >= 2
}

/// Whether a shell's text joins two connections: `nc a 1 <f | nc b 2 >f`.
fn joins_connections(text: &[u8]) -> bool {
    let relay = |part: &[u8]| {
        let mut words = part.split(|b| b.is_ascii_whitespace() || *b == b'(');
        let mut words = words.by_ref().filter(|word| !word.is_empty());
        let name = words.find(|word| programs::STREAM_TOOLS.contains(&program_roles::leaf(word)));
        name.is_some_and(|name| program_roles::leaf(name) != b"openssl")
            // A test of a port, or a message.
            && !words.any(|word| word.starts_with(b"-") && word.contains(&b'z'))
    };
    let statements = text.split(|b| matches!(b, b';' | b'\n' | b'&'));
    statements.into_iter().any(|statement| {
        let parts: Vec<&[u8]> = statement.split(|b| *b == b'|').collect();
        parts
            .windows(2)
            .any(|pair| pair.iter().all(|part| relay(part)))
    })
}

/// Whether the program with these arguments opens a tunnel.
fn is_tunnel(name: &[u8], argv: &[Bytes]) -> bool {
    if programs::SHELLS.contains(&name) {
        return program_roles::shell_text(argv).is_some_and(joins_connections);
    }
    let has = |word: &str| argv.iter().skip(1).any(|a| *a == word);
    let begins = |word: &[u8]| argv.iter().skip(1).any(|a| a.starts_with(word));
    match name {
        b"ssh" | b"autossh" | b"dbclient" | b"plink" => ssh_lets_in(argv),
        b"chisel" => has("client") || has("server"),
        b"cloudflared" => has("tunnel") || has("access"),
        b"ngrok" => has("tcp") || has("http") || has("start"),
        b"gost" => begins(b"-L") || begins(b"-F"),
        b"bore" => has("local"),
        b"socat" => socat_joins(argv),
        b"frpc" | b"rathole" | b"sshuttle" | b"revsocks" | b"iodine" | b"ptunnel" => true,
        _ => false,
    }
}

fn shape(exec: &Exec) -> Vec<Bytes> {
    command_shape::of(&exec.argv)
}

fn note(own: &mut OwnTunnels, exec: &Exec) {
    if is_tunnel(program_roles::name(&exec.exe, &exec.argv), &exec.argv) {
        own.0.insert(shape(exec));
    }
}

fn examine(ctx: &RuleContext<'_>, own: &mut OwnTunnels, exec: &Exec) -> Alerts {
    let name = program_roles::name(&exec.exe, &exec.argv);
    // A program that is not the image's is its own finding.
    if !exec.file.origin().is_or_may_be_the_images() || !is_tunnel(name, &exec.argv) {
        return Alerts::none();
    }
    if ctx.starting_up() {
        note(own, exec);
        return Alerts::none();
    }
    // A supervisor of tunnels, as autossh, starts its tunnel again.
    let supervises = |p: &ProcessEntry| is_tunnel(program_roles::of(p), &p.argv);
    let again = own.0.contains(shape(exec)) || ctx.ancestors().skip(1).any(supervises);
    if again && ctx.session().is_none() {
        return Alerts::none();
    }
    let severity = if ctx.session().is_some() {
        Severity::Medium
    } else if ctx.ancestors().skip(1).any(attribution::schedules) {
        Severity::Low
    } else if attribution::suspicious(ctx) {
        Severity::High
    } else {
        Severity::Medium
    };
    let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
    let subject = program_roles::command_line(&shape(exec), &exec.exe, 160);
    let alert = ctx.alert(severity, subject.as_bytes(), |explanation| {
        explanation.title = format!("Opened a tunnel to another host: {command}");
        explanation.why.push(format!("ran: {command}"));
    });
    alert.follows(ctx.event.pid).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testkit::World;

    #[test]
    fn which_arguments_let_the_other_host_in() {
        let opens = |line: &str| {
            let argv: Vec<Bytes> = line.split(' ').map(Bytes::from).collect();
            is_tunnel(&argv[0], &argv)
        };
        for line in [
            "ssh -N -R 9000:127.0.0.1:22 u@h",
            "ssh -fNR 0:h:22 u@h",
            "ssh -i /k -p 443 u@h -D1080",
            "ssh -o StrictHostKeyChecking=no -o RemoteForward=1:h:2 h",
            "autossh -M 0 -N -R 1:h:2 h",
            "dbclient -R 1:h:2 h",
            "chisel client https://h R:socks",
            "ssh -N -F /tmp/c u@h",
            "ssh -fN h",
            "socat TCP-LISTEN:8080,fork TCP:10.0.0.1:80",
            "socat -d openssl:h:443 tcp4:127.0.0.1:22",
        ] {
            assert!(opens(line), "{line}");
        }
        for line in [
            "ssh u@h ls -R /srv",
            "ssh -L 5432:db:5432 u@h",
            "ssh -i /R u@h git-upload-pack x",
            "ssh -W h:22 -p 22 bastion",
            "chisel --help",
            "scp -R x",
            "ssh -N -L 5432:db:5432 h",
            "ssh -fNM -S /run/s h",
            "ssh -N -o LocalForward=1:h:2 h",
            "socat - TCP:h:80",
            "socat UNIX-LISTEN:/run/s TCP:h:80",
        ] {
            assert!(!opens(line), "{line}");
        }
    }

    #[test]
    fn texts_that_join_two_connections() {
        for text in [
            "nc 203.0.113.9 4448 </tmp/f | nc 127.0.0.1 80 >/tmp/f",
            "mkfifo f; nc -l -p 8080 <f | /bin/nc db 5432 1>f",
            "while :; do (nc -l 80 <f) | (nc b 80 >f); done",
        ] {
            assert!(joins_connections(text.as_bytes()), "{text}");
        }
        for text in [
            "nc -z a 80 || nc -z b 80",
            "nc -z a 80 | nc -z b 80",
            "echo x | nc a 80; cat f | nc b 80",
            "nc a 80 | grep x",
            "nc a 80 & nc b 80",
        ] {
            assert!(!joins_connections(text.as_bytes()), "{text}");
        }
    }

    const SSH: &[&str] = &["ssh", "-N", "-R", "9000:127.0.0.1:22", "u@h"];

    #[test]
    fn a_tunnel_of_a_server_and_one_that_is_the_containers_purpose() {
        let (mut w, web) = World::server();
        let sh = w.exec(web, "/bin/sh", &["sh", "-c", "x"]);
        w.exec(sh, "/usr/bin/ssh", SSH);
        assert_eq!(w.finding("net.tunnel").severity, Severity::High);
        let mut w = World::steady();
        let s = w.session(&["sh", "-c", "x"]);
        w.exec(s, "/usr/bin/ssh", SSH);
        w.exec(s, "/usr/bin/ssh", &["ssh", "u@h", "ls"]);
        assert_eq!(w.finding("net.tunnel").severity, Severity::Medium);
        // The container's command, started again by autossh and by a loop.
        let mut w = World::starting();
        let init = w.init();
        let auto = &["autossh", "-M", "0", "-N", "-R", "9000:127.0.0.1:22", "u@h"];
        w.exec_as(init, 1, "/usr/bin/autossh", auto, |_| {});
        w.exec(init, "/usr/bin/ssh", SSH);
        w.ticks(60);
        w.exec(init, "/usr/bin/ssh", SSH);
        w.exec(init, "/usr/bin/ssh", &["ssh", "-N", "-R", "1:h:2", "u@h"]);
        w.none("net.tunnel");
    }

    #[test]
    fn a_tunnel_that_was_open_already() {
        for (at_start, found) in [(true, None), (false, Some(Severity::Medium))] {
            let mut w = World::found();
            let init = w.init();
            w.found_process(init, "/usr/bin/ssh", SSH, |p| {
                if at_start {
                    p.started = crate::event::Timestamp(1_700_000_001_000_000_000);
                }
            });
            let all = w.all("net.tunnel");
            assert_eq!(all.first().map(|f| f.severity), found);
        }
    }
}
