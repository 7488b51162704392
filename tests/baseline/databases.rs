//! A database under load: its many files are few items, and what another writes is none of them.

use hullwatch::baseline::{Facet, ItemField};

use super::common::{self, Engine, SERVERS, Watch};
use super::{Learning, freeze, names, until};

/// A cluster of its own. Beside it, as an intruder in the service would, the container's first
/// process copies a program once it is asked to.
const POSTGRES: &str = "cd /; bin=$(echo /usr/lib/postgresql/*/bin); \
    as='setpriv --reuid postgres --regid postgres --clear-groups'; \
    mkdir /tmp/data; chown postgres /tmp/data; \
    $as $bin/initdb -D /tmp/data >/dev/null; \
    $as $bin/postgres -D /tmp/data -k /tmp -c listen_addresses='' & \
    while ! [ -e /tmp/go ]; do sleep 0.2; done; cp /bin/true /usr/bin/x; wait";

/// Statements outside a transaction block, each one an option of its own.
fn query(statements: &[&str]) -> String {
    let options = statements.iter().map(|sql| format!(" -c \"{sql}\""));
    format!(
        "psql -h /tmp -U postgres -q{} postgres",
        options.collect::<String>()
    )
}

#[test]
fn a_database_under_load_has_few_items_and_a_new_table_is_none() {
    if !common::images_are_ready(&[SERVERS]) {
        return;
    }
    let engine = Engine::tests();
    let name = format!("baseline-postgres-{}", std::process::id());
    let mut learning = Learning::start(&name);
    let database = engine.run(&["--name", &name], SERVERS, &["sh", "-c", POSTGRES]);
    until(&database, &query(&["select 1"]));
    let bench = "$(echo /usr/lib/postgresql/*/bin)/pgbench -h /tmp -U postgres";
    let load = format!("{bench} -i -q postgres && {bench} -T 10 -c 4 postgres");
    until(&database, &load);
    for n in 0..20 {
        let create = format!("create table t{n} as select * from pg_class");
        let rewrite = format!("vacuum full t{n}");
        until(&database, &query(&[&create, &rewrite, "checkpoint"]));
    }
    learning.until_stderr_has("one start was seen");
    let learned = learning.stop(&name);
    let writes = names(&learned, Facet::Write, ItemField::Path);
    assert!(!writes.is_empty() && writes.len() <= 60, "{writes:#?}");
    drop(database);

    // Judged by it, another cluster and more tables are as usual, and a copied program is not.
    let file = learning.path("live.toml");
    freeze(&learning, &file);
    let file = file.to_str().unwrap();
    let watch = Watch::start(&["--events", "findings,container", "--baseline", file]);
    let database = engine.run(&[], SERVERS, &["sh", "-c", POSTGRES]);
    watch.expect_facts(&database.id);
    until(&database, &query(&["select 1"]));
    let unseen = "create table unseen as select * from pg_class";
    let statements = [unseen, "create index on unseen(oid)", "checkpoint"];
    until(&database, &query(&statements));
    for rule in ["base.write", "base.exec"] {
        let found = watch.finding(&database.id, rule);
        assert_eq!(found, None, "before the copy");
    }
    database.sh("touch /tmp/go");
    let found = watch.expect_finding(&database.id, "base.write", |_| true);
    assert_eq!(found["severity"], "medium");
    assert!(found.to_string().contains("/usr/bin/x"), "{found}");
    watch.stop();
}
