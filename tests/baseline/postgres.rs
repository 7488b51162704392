//! A database under load: its many files are few items, new tables are no deviation, and a program
//! that its service drops is one.

use super::common::{self, Container, Engine, SERVERS, Watch};
use super::{Learning, freeze, until};
use hullwatch::baseline::{Baseline, Facet};

/// The database, beside a process of the same service that waits for a file.
const SERVICE: &str = "cd /; \
    (while ! [ -e /tmp/go ]; do sleep 0.2; done; cp /bin/true /usr/bin/x; sleep 1000) & \
    exec setpriv --reuid postgres --regid postgres --clear-groups \
    $(ls -d /usr/lib/postgresql/*/bin)/postgres -D $(ls -d /etc/postgresql/*/main) \
    -c listen_addresses=127.0.0.1";

/// A command as the database's user.
fn client(command: &str) -> String {
    format!(
        "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin) PGHOST=/var/run/postgresql \
         PGDATABASE=postgres setpriv --reuid postgres --regid postgres --clear-groups {command}"
    )
}

fn load(postgres: &Container) {
    until(postgres, &client("psql -c 'select 1'"));
    postgres.sh(&client("pgbench -i -q"));
    postgres.sh(&client("pgbench -T 15 -c 4 -n"));
}

fn start(options: &[&str]) -> Container {
    let options = [&["--shm-size", "64m"], options].concat();
    Engine::tests().run(&options, SERVERS, &["sh", "-c", SERVICE])
}

fn writes(baseline: &Baseline) -> Vec<String> {
    let items = baseline.facet(Facet::Write);
    items.map(|(item, _)| item.to_string()).collect()
}

#[test]
fn a_database_under_load_is_few_items_and_new_tables_are_known() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let name = format!("baseline-postgres-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let postgres = start(&["--name", &name]);
    load(&postgres);
    learning.until_said("one start was seen");
    let learned = writes(&learning.stop(&name));
    assert!(learned.len() <= 60, "{}: {learned:#?}", learned.len());
    drop(postgres);

    let file = learning.path("live.toml");
    freeze(&learning, &file);
    let baseline = file.to_str().unwrap();
    let watch = Watch::start(&["--events", "findings,container", "--baseline", baseline]);
    let postgres = start(&[]);
    watch.expect_facts(&postgres.id);
    load(&postgres);
    postgres.sh(&client(
        "psql -c 'create table fresh (a int primary key)' -c 'insert into fresh values (1)' \
         -c checkpoint",
    ));
    postgres.sh("touch /tmp/go");
    let found = watch.expect_finding(&postgres.id, "base.write", |f| {
        f["title"].as_str().unwrap().contains("/usr/bin/x")
    });
    assert_eq!(
        (found["severity"].as_str(), &found["count"]),
        (Some("medium"), &1.into()),
        "{found}"
    );
}
