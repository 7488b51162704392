//! A package manager ran: its programs, files and scripts are one finding.

use crate::detect::alert::Alerts;

use crate::detect::rule_context::RuleContext;
use crate::detect::{
    Handler, Requirement, Rule, RuleInfo, Severity, build_artifacts, program_roles,
};
use crate::event::Exec;
use crate::state::ProcessEntry;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.package-manager",
        title: "Package manager run",
        label: "packages",
        severity: Severity::Low,
        attack: &["T1072", "T1105"],
        needs: &[Requirement::Exec],
        explain: "A package manager of the image ran after start-up. Files and programs of the \
                  installation are merged into this finding. A running container should be \
                  replaced, not changed; in a development container this is ordinary.",
        check: "Which packages were installed, and by whom? Rebuild the image with them instead.",
    },
    handlers: &[Handler::Exec(|ctx, _, exec| examine(ctx, exec))],
};

/// The package manager that the process belongs to: the outermost one.
fn packager<'a>(ctx: &RuleContext<'a>) -> Option<&'a ProcessEntry> {
    ctx.ancestors()
        .filter(|p| program_roles::is_packager(ctx.names(), *p))
        .last()
}

fn examine(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    let Some(process) = ctx.process else {
        return Alerts::none();
    };
    let script = || program_roles::environments_packager(ctx.names(), process).is_some();
    if ctx.starting_up() || !(program_roles::is_packager(ctx.names(), process) || script()) {
        return Alerts::none();
    }
    let root = ctx.memory.installing.get(&process.pid);
    let outermost =
        root == Some(&process.pid) && packager(ctx).is_none_or(|root| root.pid == process.pid);
    // Processes that an installation starts are part of it; configuring pending packages installs
    // nothing.
    let settles = exec.argv.iter().any(|a| *a == "--triggers-only");
    if !outermost || settles {
        return Alerts::none();
    }
    let command = program_roles::command_line(&exec.argv, &exec.exe, 200);
    // An environment for the packages of a project, as each build creates one; nothing is installed
    // yet.
    if program_roles::makes_environment(&exec.argv) {
        let (rule, subject) = (build_artifacts::RULE, build_artifacts::SUBJECT);
        if ctx.findings.find(rule, Some(ctx.owner), subject).is_some() {
            return super::built(ctx, format!("created a Python environment: {command}")).into();
        }
        let alert = ctx.alert(Severity::Info, b"environments", |explanation| {
            explanation.title = format!("Created a Python environment: {command}");
        });
        return alert.reason(format!("ran: {command}")).into();
    }
    let alert = ctx.alert(Severity::Low, b"packages", |explanation| {
        explanation.title = format!(
            "Package manager run: {}",
            program_roles::command_line(&exec.argv, &exec.exe, 100)
        );
    });
    alert.reason(format!("ran: {command}")).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn an_installation_is_one_finding() {
        let mut w = World::steady();
        let shell = w.session(&["sh"]);
        let apt = w.exec(
            shell,
            "/usr/bin/apt-get",
            &["apt-get", "install", "-y", "vim"],
        );
        let dpkg = w.exec(apt, "/usr/bin/dpkg", &["dpkg", "--unpack", "vim.deb"]);
        for n in 0..200 {
            let new = format!("/usr/bin/tool{n}.dpkg-new");
            w.create(dpkg, &new);
            w.rename(dpkg, &new, &format!("/usr/bin/tool{n}"));
        }
        w.create(dpkg, "/etc/vim/vimrc");
        w.create(dpkg, "/var/lib/dpkg/info/vim.postinst");
        w.exec_new(dpkg, "/var/lib/dpkg/info/vim.postinst");
        w.file(dpkg, FileOp::Create, "/etc/passwd");
        // Afterwards installed programs run without further findings.
        w.exec_new(shell, "/usr/bin/tool7");
        w.only(&["exec.package-manager", "exec.session"]);
        assert!(w.highest() <= Severity::Low);
    }

    #[test]
    fn an_installation_that_was_under_way_when_watching_began_is_one() {
        let mut w = World::steady();
        let init = w.init();
        w.existing(3000, init, "/usr/bin/dpkg", &["dpkg", "-i", "x.deb"]);
        w.existing(3001, 3000, "/bin/sh", &["sh", "x.postinst", "configure"]);
        w.create(3001, "/usr/bin/x");
        w.create(3000, "/etc/init.d/x");
        w.exec_new(3001, "/usr/bin/x");
        w.only(&[]);
        // Another shell of that time is not part of it.
        w.existing(3002, init, "/bin/sh", &["sh"]);
        w.create(3002, "/usr/bin/y");
        w.only(&["file.program-changed"]);
    }

    #[test]
    fn a_service_started_by_a_package_manager_is_no_installation() {
        let mut w = World::steady();
        let init = w.init();
        let npm = w.exec(init, "/usr/bin/node", &["node", "/usr/bin/npm", "start"]);
        let app = w.exec(npm, "/usr/bin/node", &["node", "server.js"]);
        w.create(app, "/usr/bin/x");
        w.only(&["file.program-changed"]);
        // A daemon that outlives the installation that started it is a service again.
        let mut w = World::steady();
        let init = w.init();
        let dpkg = w.exec(init, "/usr/bin/dpkg", &["dpkg", "-i", "x.deb"]);
        let daemon = w.exec(dpkg, "/usr/sbin/daemon", &["daemon"]);
        w.create(daemon, "/usr/bin/y");
        w.exit(dpkg);
        w.ticks(30);
        w.create(daemon, "/usr/bin/x");
        w.only(&["exec.package-manager", "file.program-changed"]);
        assert_eq!(w.finding("file.program-changed").count, 1);
    }

    #[test]
    fn a_python_environment_is_an_installation_and_so_is_what_its_pip_does() {
        let mut w = World::steady();
        let init = w.init();
        let python = "/usr/bin/python3.13";
        let venv = w.exec(init, python, &["python3", "-m", "venv", "/srv/v"]);
        w.create(venv, "/srv/v/bin/pip");
        w.exit(venv);
        let run = |w: &mut World, script: &str, word: &str| {
            let p = w.fork(init);
            w.exec_as(p, init, python, &["python3", script, word], |e| {
                e.script = Some(script.into());
            });
            p
        };
        let pip = run(&mut w, "/srv/v/bin/pip", "install");
        w.create(pip, "/srv/v/bin/tool");
        w.exit(pip);
        w.ticks(30);
        run(&mut w, "/srv/v/bin/tool", "now");
        // One anywhere in the image is one, too.
        let pip = run(&mut w, "/app/.venv/bin/pip", "install");
        w.create(pip, "/usr/local/bin/other");
        w.only(&["exec.package-manager"]);
        let found = w.all("exec.package-manager");
        let severities: Vec<Severity> = found.iter().map(|f| f.severity).collect();
        assert_eq!(severities, [Severity::Info, Severity::Low]);
        // A job with the package manager's name, and trigger processing, install nothing.
        let mut quiet = World::steady();
        let init = quiet.init();
        quiet.exec(init, "/bin/sh", &["sh", "/etc/cron.daily/dpkg"]);
        let settle = ["dpkg", "--triggers-only", "--pending"];
        quiet.exec(init, "/usr/bin/dpkg", &settle);
        quiet.only(&[]);
        // A script that only has the name is not exempt.
        w.create(init, "/tmp/pip");
        let pip = run(&mut w, "/tmp/pip", "install");
        w.create(pip, "/usr/bin/ls");
        assert_eq!(w.finding("drift.script").severity, Severity::Medium);
        assert_eq!(w.highest(), Severity::High);
    }

    #[test]
    fn a_package_manager_reported_to_run_commands_is_no_installation() {
        let mut w = World::steady();
        let shell = w.session(&["sh"]);
        let hook = "APT::Update::Pre-Invoke::=/bin/sh";
        let apt = w.exec(
            shell,
            "/usr/bin/apt-get",
            &["apt-get", "update", "-o", hook],
        );
        let sh = w.exec(apt, "/bin/sh", &["sh"]);
        w.create(sh, "/etc/sudoers.d/x");
        w.only(&["exec.session", "file.sudoers"]);
    }

    #[test]
    fn queries_are_silent_and_a_dropped_program_gets_no_licence() {
        let mut w = World::steady();
        let shell = w.session(&["sh"]);
        w.exec(shell, "/usr/bin/dpkg", &["dpkg", "-l"]);
        w.only(&["exec.session"]);
        w.create(shell, "/tmp/apt");
        let apt = w.exec_new(shell, "/tmp/apt");
        w.create(apt, "/usr/bin/ls");
        w.only(&["drift.exec-new", "exec.session"]);
        let why = w.finding("drift.exec-new").why.join("\n");
        assert!(
            why.contains("Program or library created: /usr/bin/ls"),
            "{why}"
        );
    }
}
