//! The client that started an exec session: one line of the session's finding, if a client was seen
//! on this host.

use bstr::ByteSlice as _;

use super::alert::{Alert, Alerts};
use super::exec_session::Sessions;
use super::program_roles;
use super::rule_context::RuleContext;
use crate::event::{Client, Timestamp};

/// Nanoseconds after its start in which a session can still be matched to a client.
const RECENT: i64 = 3_000_000_000;
/// Maximum number of such lines in one finding.
const MAX_LINES: usize = 4;
const STARTED_BY: &str = "probably started by";
/// The same of one that entered the namespaces itself.
const ENTERED: &str = "entered by";

/// The session that the client started: the latest that runs its command, or the only recent one.
/// Another may have begun meanwhile, by another client or through the engine's API.
fn started(ctx: &RuleContext<'_>, sessions: &Sessions, client: &Client) -> Option<u32> {
    let recent = sessions.since(Timestamp(ctx.now().0.saturating_sub(RECENT)));
    let runs = |root: &&u32| {
        let process = ctx.state.processes.get(root);
        process.is_some_and(|p| !p.argv.is_empty() && client.argv.ends_with(&p.argv))
    };
    match (recent.iter().find(runs), &recent[..]) {
        (Some(root), _) | (None, [root]) => Some(*root),
        _ => None,
    }
}

/// Adds the client to the finding of the session that it started, or who entered to the finding of that
/// session.
pub(super) fn look(ctx: &RuleContext<'_>, sessions: &Sessions, client: &Client) -> Alerts {
    let now = ctx.now();
    let (root, phrase) = match client.entered {
        // The kernel saw it.
        Some(root) => (Some(root), ENTERED),
        None => (started(ctx, sessions, client), STARTED_BY),
    };
    let Some(index) = root.and_then(|root| ctx.session_finding(root)) else {
        return Alerts::none();
    };
    let listed = ctx.findings.get(index).map_or(0, |f| {
        f.why.iter().filter(|line| line.starts_with(phrase)).count()
    });
    if listed >= MAX_LINES {
        return Alerts::none();
    }
    let mut line = format!(
        "{phrase} {}",
        program_roles::command_line(&client.argv, &crate::event::Bytes::default(), 160)
    );
    let who = match client.user.as_bytes() {
        [] => format!("user {}", client.login_uid.unwrap_or(client.uid)),
        name => crate::event::escape(name).to_string(),
    };
    line.push_str(&format!(" (pid {} on the host, {who}", ctx.event.pid));
    if client.login_uid.is_some_and(|login| login != client.uid) {
        line.push_str(&format!(" as user {}", client.uid));
    }
    if !client.tty.is_empty() {
        line.push_str(&format!(", on {}", client.tty.escaped()));
    }
    if !client.parent.is_empty() {
        let parent = client.parent.escaped();
        line.push_str(&format!(", started by {parent}, pid {}", client.ppid));
    }
    line.push(')');
    Alert::addition(index)
        .reason(line)
        .evidence(now, ctx.event.seq)
        .into()
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::event::{Client, Kind};

    #[test]
    fn an_entering_process_is_named_in_the_finding_of_its_session() {
        let mut w = World::steady();
        let ls = w.entered(&["ls"], false);
        w.session(&["id"]);
        w.ticks(10);
        let nsenter = Client {
            argv: ["nsenter", "-t", "7", "-m", "ls"].map(Into::into).to_vec(),
            login_uid: Some(1000),
            user: "ann".into(),
            tty: "pts/3".into(),
            entered: Some(ls),
            parent: "bash".into(),
            ppid: 70,
            ..Client::default()
        };
        w.emit(77, 0, Kind::Client(Box::new(nsenter)));
        let all = w.all("exec.session");
        let wanted = "entered by nsenter -t 7 -m ls (pid 77 on the host, ann as user 0, on pts/3, \
                      started by bash, pid 70)";
        assert!(
            all[0].why.iter().any(|line| line == wanted),
            "{:?}",
            all[0].why
        );
        assert!(!all[1].why.iter().any(|line| line == wanted));
    }

    fn client(world: &mut World) {
        let client = Client {
            argv: vec!["docker".into(), "exec".into(), "web".into(), "id".into()],
            uid: 0,
            login_uid: Some(1000),
            user: "ann".into(),
            tty: "pts/3".into(),
            ..Client::default()
        };
        world.emit(77, 0, Kind::Client(Box::new(client)));
    }

    #[test]
    fn the_finding_of_a_session_names_its_client() {
        let mut w = World::steady();
        w.session(&["id"]);
        client(&mut w);
        let why = &w.finding("exec.session").why;
        let wanted =
            "probably started by docker exec web id (pid 77 on the host, ann as user 0, on pts/3)";
        assert!(why.iter().any(|line| line == wanted), "{why:?}");
    }

    #[test]
    fn a_session_that_began_meanwhile_is_not_the_clients() {
        let mut w = World::steady();
        let its = w.session(&["id"]);
        let other = w.session(&["sh"]);
        client(&mut w);
        let named = |w: &World| -> Vec<bool> {
            let all = w.all("exec.session");
            let by = |f: &&crate::detect::Finding| f.why.iter().any(|l| l.contains("docker exec"));
            all.iter().map(by).collect()
        };
        assert_eq!(named(&w), [true, false], "{its} {other}");
        // None of several runs its command.
        let mut w = World::steady();
        w.session(&["sh"]);
        w.session(&["ls"]);
        client(&mut w);
        assert_eq!(named(&w), [false, false]);
    }

    #[test]
    fn a_late_client_or_one_without_a_session_is_ignored() {
        let mut w = World::steady();
        client(&mut w);
        w.only(&[]);
        w.session(&["id"]);
        w.ticks(10);
        client(&mut w);
        assert_eq!(w.finding("exec.session").why.len(), 1);
    }
}
