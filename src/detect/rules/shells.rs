//! Shells with a terminal.

use super::bare_shells::{bare, shell};
use crate::detect::alert::{Alert, Alerts};
use bstr::ByteSlice as _;

use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity, attribution, program_roles};
use crate::event::Exec;
use crate::state::ProcessEntry;

/// Shell with a terminal under the init tree.
pub(super) const TERMINAL: Rule = Rule {
    info: RuleInfo {
        id: "exec.shell-terminal",
        title: "Shell got a terminal",
        label: "terminal",
        severity: Severity::Medium,
        attack: &["T1059.004"],
        needs: &[Requirement::Exec],
        explain: "A shell of the container's own service runs with a terminal, although the init \
                  has none: `script` and pty.spawn upgrade shells that way. A container started \
                  with a terminal is not flagged.",
        check: "Which process opened the terminal, and who typed?",
    },
    handlers: &[
        Handler::Exec(|ctx, _, exec| terminal(ctx, exec, |root| root.existing)),
        // Whether its init has a terminal was found as well.
        Handler::Found(|ctx, _, process| terminal(ctx, &process.as_exec(), |_| false)),
    ],
};

fn interactive(exec: &Exec) -> bool {
    exec.argv.iter().skip(1).any(|a| {
        let a = a.as_bytes();
        a.starts_with(b"-") && !a.starts_with(b"--") && a.contains(&b'i')
    })
}

fn terminal(ctx: &RuleContext<'_>, exec: &Exec, unknown: impl Fn(&ProcessEntry) -> bool) -> Alerts {
    if !exec.tty || shell(ctx.names(), exec).is_none() || ctx.session().is_some() {
        return Alerts::none();
    }
    let Some(process) = ctx.process else {
        return Alerts::none();
    };
    // The root of the init tree: when it has a terminal, the container was started with one.
    let root = ctx.ancestors().last();
    let given = root.is_none_or(|r| r.tty || unknown(r) || r.pid == process.pid);
    if given || process.nspid == 1 || !(bare(ctx.names(), exec) || interactive(exec)) {
        return Alerts::none();
    }
    // A login over SSH has a terminal.
    if ctx.ancestors().any(attribution::lets_people_in) {
        return Alerts::none();
    }
    // The terminal of a reverse shell belongs to that finding.
    let reverse = super::reverse_shell::RULE.info.id;
    if let Some(index) = ctx.marked_by(ctx.event.pid, reverse) {
        return Alert::addition(index)
            .reason("the shell got a terminal")
            .into();
    }
    let alert = ctx.alert(Severity::Medium, &exec.exe, |explanation| {
        let command = program_roles::command_line(&exec.argv, &exec.exe, 160);
        explanation.title = format!("Shell got a terminal: {command}");
        explanation
            .why
            .push("the container's init has no terminal".to_owned());
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image};

    #[test]
    fn a_terminal_on_the_network_is_one_finding() {
        let mut w = World::steady();
        let init = w.init();
        let p = w.exec(init, "/usr/bin/python3", &["python3", "-c", "x"]);
        w.connect(p, "10.9.8.7:4444");
        let child = w.fork(p);
        w.exec_as(child, p, "/bin/bash", &["/bin/bash"], |e| e.tty = true);
        w.only(&["net.reverse-shell"]);
    }

    #[test]
    fn a_terminal_that_was_there_already() {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, "/bin/bash", &["bash"], |p| p.tty = true);
        let f = w.finding("exec.shell-terminal");
        assert_eq!(f.severity, Severity::Medium);
        assert!(f.already_since.is_some());
        // docker run -it debian bash, and a shell started there.
        let mut w = World::found_with(|init| init.tty = true);
        let init = w.init();
        w.found_process(init, "/bin/bash", &["bash"], |p| p.tty = true);
        w.only(&[]);
    }

    #[test]
    fn a_terminal_where_the_init_has_none() {
        let (mut w, web) = World::server();
        let p = w.fork(web);
        w.exec_as(p, web, "/bin/bash", &["bash"], |e| e.tty = true);
        assert_eq!(w.finding("exec.shell-terminal").severity, Severity::Medium);
        // docker run -it debian bash
        let mut w = World::starting();
        let init = w.init();
        w.exec_as(init, 1, "/bin/bash", &["bash"], |e| {
            e.tty = true;
            e.file = image(2);
        });
        w.ticks(60);
        let p = w.fork(init);
        w.exec_as(p, init, "/bin/bash", &["bash"], |e| e.tty = true);
        w.only(&[]);
    }
}
