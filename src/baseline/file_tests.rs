//! Tests: a baseline survives its file, and wrong files are refused.

use super::*;
use crate::baseline::general::tests::items;
use crate::baseline::{ItemField, write};
use proptest::prelude::*;

fn example() -> Baseline {
    let mut b = Baseline {
        image: "nginx".into(),
        service: "web".into(),
        digests: ["sha256:9f1c".to_owned()].into_iter().collect(),
        mounts: [Bytes::from("/data")].into_iter().collect(),
        ..Baseline::default()
    };
    let source = LearningSource {
        from: Timestamp(1_700_000_000_000_000_000),
        until: Timestamp(1_700_000_600_000_000_001),
        starts: 2,
        under: [("seccomp".to_owned(), "default".to_owned())]
            .into_iter()
            .collect(),
        ..LearningSource::default()
    };
    b.sources.insert("7f3a".to_owned(), source);
    let mut facts = Facts::default();
    facts.start.add("7f3a", 1);
    facts.start.add("7f3a", 2);
    facts.uid.insert(0);
    let exec = BaselineItem::new(
        Facet::Exec,
        [
            (ItemField::Exe, &b"/usr/sbin/ng\ninx\xff\"\\"[..]),
            (ItemField::By, b"init"),
        ],
    );
    b.items.insert(exec.clone(), facts.clone());
    let listen = BaselineItem::new(
        Facet::Listen,
        [(ItemField::Port, &b"80"[..]), (ItemField::Proto, b"tcp")],
    );
    b.items.insert(listen, facts.clone());
    let user = BaselineItem::new(Facet::User, [(ItemField::Uid, &b"33"[..])]);
    facts.uid.clear();
    b.items.insert(user, facts);
    b.held.insert(exec, "drift.exec-new F-0007".to_owned());
    b
}

#[test]
fn a_file_is_read_as_it_was_written_and_has_an_item_a_line() {
    let text = write(&example());
    assert_eq!(parse(&text).unwrap(), example(), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(text.lines().filter(|l| l.contains("ng\\ninx")).count(), 2);
    assert!(
        text.contains("{ port = 80, proto = \"tcp\", uid = [0], start = [1, 2] }"),
        "{text}"
    );
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let good = write(&example());
    let line = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        parse(&good.replacen(from, to, 1)).unwrap_err()
    };
    assert_eq!(line("baseline = 1", "baseline = 2").line, 1);
    assert_eq!(line("state = \"learning\"", "state = \"done\"").line, 4);
    let e = line("port = 80", "prot = 80");
    assert!(e.message.contains("needs port"), "{e}");
    let e = line("proto = \"tcp\"", "protocol = \"tcp\"");
    assert!(e.message.contains("protocol"), "{e}");
    assert_eq!(
        e.line,
        1 + good.lines().position(|l| l.contains("port = 80")).unwrap()
    );
    assert!(
        line("start = [1, 2]", "start = [\"x/1\"]")
            .message
            .contains("sources")
    );
    assert!(line("[facets]", "[facet]").message.contains("facets"));
    assert!(
        line("starts = 2", "starts = -2")
            .message
            .contains("too small")
    );
    assert!(parse("").is_err() && parse("baseline = ").is_err());
}

#[test]
fn ten_thousand_items_are_read_in_a_moment() {
    let mut b = example();
    for n in 0..10_000 {
        let facet = [Facet::Exec, Facet::Call, Facet::Capability][n % 3];
        let name = format!("/a/quite/ordinary/path/of/a/program/{n}");
        let field = facet.fields()[0];
        let mut facts = Facts::default();
        facts.steady.add("7f3a", 1);
        b.items
            .insert(BaselineItem::new(facet, [(field, name.as_bytes())]), facts);
    }
    let text = write(&b);
    // The thread's own CPU time: other load on the machine does not count.
    let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let began = spent();
    assert_eq!(parse(&text).unwrap().items.len(), 10_003);
    // 100 ms is the budget of an optimised build.
    assert!(spent().tv_sec - began.tv_sec < 10);
}

proptest! {
    #[test]
    fn any_items_survive_the_file(items in items()) {
        let mut b = example();
        for (item, mut facts) in items {
            let starts = facts.start.len();
            facts.start = Default::default();
            facts.steady = Default::default();
            facts.steady.add("7f3a", u32::try_from(starts).unwrap());
            b.items.insert(item, facts);
        }
        prop_assert_eq!(parse(&write(&b)).unwrap(), b);
    }
}
