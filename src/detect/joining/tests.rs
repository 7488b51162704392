//! Facts about one process give the same findings in whatever order they come.

use crate::detect::testkit::{World, added, copied_up, image, upper};
use crate::detect::{Detector, Finding, Policy, Settings};
use crate::event::{
    CompareClass, Differing, DriftScan, FileClass, FileFacts, Fork, Kind, PolicyChange,
};
use crate::incident::IncidentId;

/// A fact about the container, of which the processes are known by their places.
type Fact = Box<dyn Fn(&mut World, &mut Vec<u32>)>;

fn fact(of: impl Fn(&mut World, &mut Vec<u32>) + 'static) -> Fact {
    Box::new(of)
}

/// The orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let inserted = shorter.iter().flat_map(|order| {
        (0..n).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, n - 1);
            longer
        })
    });
    inserted.collect()
}

/// What a person sees of the findings: not their numbers and times.
fn outcome(detector: &Detector) -> Vec<String> {
    let open = detector.findings().iter().filter(|f| f.is_open());
    let mut all: Vec<String> = open
        .map(|f| {
            let mut then: Vec<&String> = f.why.iter().filter(|l| l.starts_with("then:")).collect();
            then.sort();
            let mut links: Vec<_> = f.chain.iter().map(|l| (&l.rule, l.severity)).collect();
            links.sort();
            let (rule, subject) = (&f.rule, f.subject.escaped());
            format!(
                "{rule} {subject} {:?} x{} {then:?} {links:?}",
                f.severity, f.count
            )
        })
        .collect();
    all.sort();
    all
}

/// Everything that leads from a number to a finding holds.
fn sound(w: &World) {
    for (place, finding) in w.detector.findings().iter().enumerate() {
        assert_eq!(finding.id.0 as usize, place + 1);
        let shown = w.detector.finding(finding.id).unwrap();
        assert!(shown.part_of.is_none(), "{shown:?}");
        assert_eq!(shown.id == finding.id, finding.part_of.is_none());
        if let Some(whole) = finding.part_of {
            assert!(finding.why.is_empty() && whole != finding.id);
        }
    }
    for incident in w.incidents.ranked(&w.state, &w.detector) {
        let ids = &incident.findings;
        assert!(
            ids.iter()
                .all(|id| w.detector.finding(*id).unwrap().id == *id)
        );
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{incident:?}");
        assert!(
            ids.iter()
                .all(|id| w.incidents.of(*id) == Some(incident.id))
        );
    }
}

/// Applies the facts in every order that `allowed` permits; all must give the same findings, which
/// are returned. The rules' memory is packed and unpacked after each fact, as by a keyframe.
fn same_in_all_orders(
    begin: impl Fn() -> (World, Vec<u32>),
    facts: &[Fact],
    allowed: impl Fn(&[usize]) -> bool,
) -> Vec<String> {
    let mut first: Option<(Vec<usize>, Vec<String>)> = None;
    for order in orders(facts.len())
        .into_iter()
        .filter(|order| allowed(order))
    {
        let (mut w, mut pids) = begin();
        for at in &order {
            facts[*at](&mut w, &mut pids);
            w.detector = w.detector.freeze().unwrap().thaw().unwrap();
        }
        w.ticks(70);
        sound(&w);
        let now = outcome(&w.detector);
        match &first {
            None => first = Some((order, now)),
            Some((other, known)) => assert_eq!(*known, now, "{other:?} {order:?}"),
        }
    }
    first.unwrap().1
}

/// `b` does not come before `a`.
fn before(order: &[usize], a: usize, b: usize) -> bool {
    let at = |n: usize| order.iter().position(|known| *known == n);
    at(a) < at(b)
}

fn scan(paths: &'static [&'static str]) -> Fact {
    fact(move |w, _| {
        let entry = |path: &&str| -> Differing { added(path, FileClass::Binary) };
        let scan = DriftScan {
            entries: paths.iter().map(entry).collect(),
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
    })
}

/// A process that ran before watching began, below the one at `parent`, or the init.
fn found(
    parent: Option<usize>,
    exe: &'static str,
    argv: &'static [&'static str],
    ino: u64,
) -> Fact {
    fact(move |w, pids| {
        let parent = parent.map_or(w.init(), |at| pids[at]);
        let file = if ino == 0 { image(2) } else { upper(ino) };
        let pid = w.found_process(parent, exe, argv, |p| p.file = file);
        pids.push(pid);
    })
}

fn late() -> (World, Vec<u32>) {
    (World::found(), Vec::new())
}

#[test]
fn a_disguised_program_that_ran_already_is_one_finding() {
    let facts = [
        scan(&["/tmp/.x/upd"]),
        found(None, "/tmp/.x/upd", &["[kworker/0:0]"], 70),
    ];
    let seen = same_in_all_orders(late, &facts, |_| true);
    assert_eq!(seen.len(), 1, "{seen:#?}");
    // So it is in a recording that begins now, in which both are there from the start.
    let (mut w, mut pids) = late();
    facts.iter().rev().for_each(|fact| fact(&mut w, &mut pids));
    let mut core = crate::core::Core::default();
    for event in crate::state::snapshot(&w.state, 1) {
        core.apply(&std::sync::Arc::new(event));
    }
    assert_eq!(outcome(&core.detector), outcome(&w.detector));
    assert!(
        seen[0].starts_with("drift.exec-new /tmp/.x/upd High x1"),
        "{seen:#?}"
    );
    assert!(seen[0].contains("then: Disguised program (name of a kernel thread)"));
    // The image's own program in that disguise is a finding of its own.
    let facts = [
        scan(&["/tmp/.x/upd"]),
        found(None, "/tmp/.x/upd", &["upd"], 70),
        found(None, "/usr/bin/sleep", &["[kworker/0:1]"], 0),
    ];
    let seen = same_in_all_orders(late, &facts, |order| before(order, 1, 2));
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert!(
        seen[1].starts_with("exec.masquerade /usr/bin/sleep"),
        "{seen:#?}"
    );
}

#[test]
fn what_a_dropped_program_and_its_children_did_meanwhile_belongs_to_it() {
    // A miner, its child in a disguise, a cron job and a preloaded library.
    let facts = [
        scan(&["/tmp/.x/upd", "/var/y"]),
        found(
            None,
            "/tmp/.x/upd",
            &["[kworker/0:0]", "-o", "stratum+tcp://p.example:3333"],
            70,
        ),
        found(Some(0), "/usr/bin/sleep", &["kworker/u8:1"], 0),
        fact(|w, pids| w.create(pids[0], "/etc/cron.d/upd")),
        fact(|w, pids| w.create(pids[1], "/etc/ld.so.preload")),
        found(Some(0), "/var/y", &["y"], 71),
    ];
    let live = |order: &[usize]| {
        before(order, 1, 2) && before(order, 2, 5) && before(order, 1, 3) && before(order, 2, 4)
    };
    let seen = same_in_all_orders(late, &facts, live);
    // What is worse than the program is a finding of its own.
    let rules: Vec<&str> = seen.iter().filter_map(|f| f.split(' ').next()).collect();
    assert_eq!(
        rules,
        ["drift.exec-new", "exec.miner", "file.ld-preload"],
        "{seen:#?}"
    );
    for part in [
        "Disguised program",
        "Cron job planted",
        "file.cron",
        "/var/y",
    ] {
        assert!(seen[0].contains(part), "{part}: {seen:#?}");
    }
}

#[test]
fn a_program_over_one_of_the_image_takes_up_what_came_before_its_comparison() {
    let begin = || {
        let mut w = World::steady();
        let init = w.init();
        let earlier = w.exec(init, "/bin/sh", &["sh"]);
        let changed = w.changed_now(copied_up(51));
        let program = w.exec_file(init, "/bin/cat", &["cat"], changed);
        let child = w.exec(program, "/bin/sh", &["sh", "-c", "x"]);
        (w, vec![earlier, program, child])
    };
    let facts = [
        fact(|w, _| w.compare("/bin/cat", 51, CompareClass::Modified)),
        fact(|w, pids| w.create(pids[1], "/etc/cron.d/a")),
        fact(|w, pids| {
            w.create(pids[2], "/root/.ssh/authorized_keys");
            w.exit(pids[2]);
        }),
        // Another process's, and worse than the program.
        fact(|w, pids| w.create(pids[0], "/etc/profile.d/b.sh")),
        fact(|w, pids| w.create(pids[1], "/etc/ld.so.preload")),
    ];
    let seen = same_in_all_orders(begin, &facts, |_| true);
    let rules: Vec<&str> = seen.iter().filter_map(|f| f.split(' ').next()).collect();
    let wanted = [
        "drift.exec-modified",
        "file.ld-preload",
        "file.shell-startup",
    ];
    assert_eq!(rules, wanted, "{seen:#?}");
    for part in ["file.cron", "file.ssh"] {
        assert!(seen[0].contains(part), "{part}: {seen:#?}");
    }
}

#[test]
fn a_reverse_shell_and_a_dropped_program_are_two_findings_with_the_same_parts() {
    let begin = || {
        let mut w = World::steady();
        let init = w.init();
        let changed = w.changed_now(copied_up(51));
        let program = w.exec_file(init, "/bin/cat", &["cat"], changed);
        (w, vec![program])
    };
    let facts = [
        fact(|w, _| w.compare("/bin/cat", 51, CompareClass::Modified)),
        fact(|w, pids| {
            w.connect(pids[0], "10.9.8.7:4444");
            let shell = w.exec(pids[0], "/bin/sh", &["sh", "-i"]);
            pids.push(shell);
        }),
        fact(|w, pids| w.create(pids[1], "/etc/cron.d/a")),
        fact(|w, pids| {
            w.exec(pids[1], "/bin/sleep", &["[kworker/0:0]"]);
        }),
    ];
    let live = |order: &[usize]| before(order, 1, 2) && before(order, 1, 3);
    let seen = same_in_all_orders(begin, &facts, live);
    let rules: Vec<&str> = seen.iter().filter_map(|f| f.split(' ').next()).collect();
    assert_eq!(
        rules,
        ["drift.exec-modified", "net.reverse-shell"],
        "{seen:#?}"
    );
    assert!(
        seen[0].contains("file.cron") && seen[0].contains("Disguised"),
        "{seen:#?}"
    );
}

#[test]
fn a_deleted_program_that_listens_is_one_finding() {
    let facts = [
        fact(|w, pids| {
            let deleted = FileFacts {
                unlinked: true,
                ..upper(70)
            };
            let init = w.init();
            pids.push(w.found_process(init, "/tmp/p", &["[kworker/1:1]"], |p| p.file = deleted));
        }),
        fact(|w, pids| w.listen(pids[0], "0.0.0.0:4444")),
        fact(|w, pids| w.create(pids[0], "/etc/cron.d/a")),
    ];
    let live = |order: &[usize]| before(order, 0, 1) && before(order, 0, 2);
    let seen = same_in_all_orders(late, &facts, live);
    let rules: Vec<&str> = seen.iter().filter_map(|f| f.split(' ').next()).collect();
    assert_eq!(rules, ["drift.exec-fileless"], "{seen:#?}");
}

#[test]
fn a_copy_of_an_image_program_takes_up_the_same_before_and_after_it_was_compared() {
    let begin = || {
        let mut w = World::steady();
        let init = w.init();
        let copy = w.exec_file(init, "/tmp/x", &["x"], upper(60));
        (w, vec![copy])
    };
    let facts = [
        fact(|w, _| w.compare("/tmp/x", 60, CompareClass::Relocated("/bin/busybox".into()))),
        fact(|w, pids| w.create(pids[0], "/etc/cron.d/a")),
    ];
    let seen = same_in_all_orders(begin, &facts, |_| true);
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert!(
        seen[0].starts_with("drift.exec-relocated /tmp/x High"),
        "{seen:#?}"
    );
}

/// A late program whose disguise has been reported as a finding.
fn disguised() -> (World, u32) {
    let mut w = World::found();
    let init = w.init();
    let argv = ["[kworker/0:0]"];
    let pid = w.found_process(init, "/tmp/.x/upd", &argv, |p| p.file = upper(70));
    assert_eq!(w.finding("exec.masquerade").id.0, 1);
    (w, pid)
}

#[test]
fn the_number_that_was_shown_stays_and_the_incident_is_the_same() {
    let (mut w, pid) = disguised();
    w.create(pid, "/etc/cron.d/a");
    assert_eq!(w.finding("file.cron").id.0, 2);
    scan(&["/tmp/.x/upd"])(&mut w, &mut Vec::new());
    let f = w.finding("drift.exec-new");
    assert_eq!((f.id.0, f.count), (1, 1));
    let parts: Vec<&Finding> = { w.detector.findings().iter() }.map(|f| &**f).collect();
    assert_eq!(parts[1].part_of, Some(f.id));
    sound(&w);
    let incidents = w.incidents.ranked(&w.state, &w.detector);
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
    assert_eq!(
        (incidents[0].id, incidents[0].findings.len()),
        (IncidentId(1), 1)
    );
    // What is added to a part is added to the whole.
    w.create(pid, "/etc/cron.d/a");
    let f = w.finding("drift.exec-new");
    assert_eq!((f.count, w.all("file.cron").len()), (1, 0), "{f:#?}");
}

#[test]
fn findings_that_other_processes_share_and_silenced_heads_join_nothing() {
    let (mut w, _) = disguised();
    let init = w.init();
    w.found_process(init, "/usr/bin/a", &["a"], |p| p.file = upper(90));
    let argv = ["[kworker/0:0]"];
    // The same file's name, but another program there now.
    w.found_process(init, "/tmp/.x/upd", &argv, |p| p.file = image(2));
    scan(&["/tmp/.x/upd"])(&mut w, &mut Vec::new());
    w.only(&["drift.exec-new", "exec.masquerade"]);
    let (mut w, _) = disguised();
    let mut settings = Settings::default();
    let policy = "[[silence]]\nrule = \"drift.*\"\nreason = \"ours\"";
    settings.adopt(Policy::parse(policy).unwrap());
    let change = PolicyChange {
        file: "policy.toml".to_owned(),
        rules: Some(settings.policy_settings()),
        refused: None,
    };
    w.emit(0, 0, Kind::Policy(Box::new(change)));
    scan(&["/tmp/.x/upd"])(&mut w, &mut Vec::new());
    assert!(w.finding("drift.exec-new").silenced.is_some());
    assert!(w.finding("exec.masquerade").is_open());
}

#[test]
fn a_later_process_with_the_pid_is_another_process() {
    let (mut w, pid) = disguised();
    w.exit(pid);
    w.ticks(1);
    let init = w.init();
    let fork = Fork {
        ppid: init,
        ..Fork::default()
    };
    w.fact(pid, Kind::Fork(fork));
    w.create(pid, "/etc/cron.d/a");
    scan(&["/tmp/.x/upd"])(&mut w, &mut Vec::new());
    w.only(&["drift.exec-new", "file.cron"]);
    assert!(
        w.finding("drift.exec-new")
            .why
            .join("\n")
            .contains("then: Disguised")
    );
}
