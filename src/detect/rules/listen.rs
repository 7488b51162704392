//! What a container listens on.

use crate::detect::alert::Alerts;
use crate::detect::attribution::suspicious;
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, program_roles};
use crate::event::{Listen, Protocol};

/// Ports that the kernel gives to a socket that asks for none, by its default range.
pub(super) const CHOSEN: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// New listening port.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.listen-new",
        title: "Listens on a port its image does not declare",
        severity: Severity::Medium,
        attack: &["T1571", "T1205"],
        needs: &[Requirement::Listen],
        explain: "After start-up a TCP socket began to listen on an address others can reach, on \
                  a port the image does not expose, the container does not publish and it did \
                  not listen on before. High from a shell, a downloader, drifted code or a \
                  command from outside. Information where the kernel chose the port for the \
                  service itself. Loopback does not count.",
        check: "Which program listens, and who connects to it.",
    },
    handlers: &[Handler::Listen(|ctx, memory, socket| {
        listen(ctx, memory.of(), socket)
    })],
};

fn declared(ctx: &RuleContext<'_>, port: u16) -> bool {
    let is = |text: &str| {
        let number = text.split('/').next().unwrap_or(text);
        match number.split_once('-') {
            Some((from, to)) => {
                from.parse().is_ok_and(|f: u16| port >= f)
                    && to.parse().is_ok_and(|t: u16| port <= t)
            }
            None => number.parse() == Ok(port),
        }
    };
    ctx.container.is_some_and(|c| {
        c.info.exposed.iter().any(|p| is(p)) || c.info.ports.iter().any(|p| is(&p.container))
    })
}

fn listen(ctx: &RuleContext<'_>, memory: &mut KnownBehavior, listen: &Listen) -> Alerts {
    let port = listen.local.port();
    if listen.protocol != Protocol::Tcp || port == 0 {
        return Alerts::none();
    }
    let starting = ctx.starting_up();
    let existing = ctx.process.is_some_and(|p| p.existing);
    let known = !memory.learn(Behavior::Port(port));
    if listen.local.ip().to_canonical().is_loopback() {
        return Alerts::none();
    }
    let bad = suspicious(ctx);
    if starting || (!bad && (known || existing || declared(ctx, port))) {
        return Alerts::none();
    }
    let info = ctx.container.map(|c| &c.info);
    if ctx
        .settings
        .policy
        .may_listen(ctx.owner.as_str(), info, port)
    {
        return Alerts::none();
    }
    // Nobody can call on a port that the kernel chose unless the service tells it: test servers,
    // passive transfers and management beans do so, and each time on another one.
    let chosen = !bad && CHOSEN.contains(&port);
    let severity = match (bad, chosen) {
        (true, _) => Severity::High,
        (_, true) => Severity::Info,
        _ => Severity::Medium,
    };
    let subject = if chosen {
        "chosen".to_owned()
    } else {
        port.to_string()
    };
    let line = format!("listens on {}", listen.local);
    let alert = ctx.alert(severity, subject.as_bytes(), |explanation| {
        explanation.title = format!(
            "Listens on {}, which its image does not declare",
            listen.local
        );
        if chosen {
            let line = "the kernel chooses ports of this range: the service asked for any";
            explanation.why.push(line.to_owned());
        }
        if let Some(p) = ctx.process {
            let command = program_roles::command_line(&p.argv, &p.exe, 160);
            explanation.why.push(format!("by: {command}"));
        }
        let exposed = ctx.container.map(|c| c.info.exposed.join(", "));
        if let Some(exposed) = exposed.filter(|e| !e.is_empty()) {
            let exposed = crate::event::escape(exposed.as_bytes()).to_string();
            explanation
                .why
                .push(format!("the image declares {exposed}"));
        }
    });
    if chosen {
        return alert.reason(line).into();
    }
    alert.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;

    #[test]
    fn listening_ports() {
        let mut w = World::starting();
        w.info(|i| i.exposed = vec!["80/tcp".into(), "9000-9010/tcp".into()]);
        let init = w.init();
        w.listen(init, "0.0.0.0:8080");
        w.ticks(60);
        w.listen(init, "0.0.0.0:8080");
        w.listen(init, "0.0.0.0:80");
        w.listen(init, "[::]:9005");
        w.listen(init, "127.0.0.1:5555");
        w.only(&[]);
        w.listen(init, "0.0.0.0:4444");
        assert_eq!(w.finding("net.listen-new").severity, Severity::Medium);
        let s = w.exec(init, "/bin/busybox", &["nc", "-l", "-p", "31337"]);
        w.listen(s, "[::]:31337");
        assert_eq!(w.all("net.listen-new")[1].severity, Severity::High);
    }

    #[test]
    fn a_port_that_the_kernel_chose_is_information_for_a_service() {
        let mut w = World::steady();
        let init = w.init();
        w.listen(init, "0.0.0.0:40001");
        w.listen(init, "[::]:34567");
        let f = w.finding("net.listen-new");
        assert_eq!((f.severity, f.count), (Severity::Info, 2));
        assert_eq!(w.all("net.listen-new").len(), 1);
        let s = w.session(&["sh"]);
        w.listen(s, "0.0.0.0:40002");
        assert_eq!(w.all("net.listen-new")[1].severity, Severity::High);
    }
}
