use super::*;
use crate::baseline::{BaselineItem, Facet, Facts, ItemField, LearningSource};

/// nginx of Debian: root master, workers of user 33.
pub(crate) fn nginx() -> Baseline {
    let mut b = Baseline {
        image: "nginx".into(),
        frozen: true,
        ..Baseline::default()
    };
    let source = LearningSource {
        starts: 2,
        stops: 1,
        observed: 3 * 3600,
        memory: 14 << 20,
        tasks: 6,
        ..LearningSource::default()
    };
    b.sources.insert("s".to_owned(), source);
    let by = b"/usr/sbin/nginx";
    let mut add = |facet, fields: &[(ItemField, &[u8])], how: &str| {
        let fields = fields.iter().copied().chain([(ItemField::By, &by[..])]);
        let mut facts = Facts {
            how: how.chars().collect(),
            ..Facts::default()
        };
        facts.start.add("s", 1);
        b.items.insert(BaselineItem::new(facet, fields), facts);
    };
    for name in ["CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"] {
        add(Facet::Capability, &[(ItemField::Name, name.as_bytes())], "");
    }
    for (path, how) in [
        ("/run/nginx.pid", "c"),
        ("/var/lib/nginx/body", "ma"),
        ("/var/lib/nginx/proxy", "ma"),
        ("/var/log/nginx/access.log", "iw"),
        ("/proc/<pid>/comm", "w"),
    ] {
        add(Facet::Write, &[(ItemField::Path, path.as_bytes())], how);
    }
    for uid in ["0", "33"] {
        add(Facet::User, &[(ItemField::Uid, uid.as_bytes())], "");
    }
    add(
        Facet::Listen,
        &[
            (ItemField::Port, b"80"),
            (ItemField::Proto, b"tcp"),
            (ItemField::On, b"any"),
        ],
        "",
    );
    b
}

fn of<'a>(advice: &'a [Advice], name: &str) -> &'a Advice {
    advice.iter().find(|a| a.setting.name() == name).unwrap()
}

#[test]
fn a_root_master_keeps_what_it_used_and_three_directories() {
    let advice = advise(&nginx());
    let caps = of(&advice, "capabilities");
    assert_eq!(caps.verdict, Verdict::Safe);
    let kept = ["CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"].map(str::to_owned);
    assert_eq!(caps.setting, Setting::Capabilities(kept.to_vec()));
    assert!(
        caps.why
            .iter()
            .any(|w| w.starts_with("10 of 14 never used in 3 h, 2 starts"))
    );
    let Setting::ReadOnly(directories) = &of(&advice, "read-only").setting else {
        panic!("no directories");
    };
    let paths: Vec<_> = directories.iter().map(|d| d.path.to_string()).collect();
    assert_eq!(paths, ["/run", "/var/lib/nginx", "/var/log/nginx"]);
    assert!(directories.iter().all(|d| !d.volume && d.uid.is_none()));
    let user = of(&advice, "user");
    assert_eq!(
        (user.verdict, &user.setting),
        (Verdict::Blocked, &Setting::User(33))
    );
    assert_eq!(of(&advice, "egress").setting, Setting::InternalNetwork);
    // Peak of 14 MiB twice, and three tmpfs.
    assert_eq!(of(&advice, "memory").setting, Setting::Memory(80 << 20));
    assert_eq!(of(&advice, "pids").setting, Setting::Pids(64));
}

#[test]
fn without_a_start_nothing_is_promised_and_what_would_break_is_blocked() {
    let mut b = nginx();
    b.frozen = false;
    b.sources.values_mut().for_each(|s| s.starts = 0);
    let advice = advise(&b);
    assert_eq!(of(&advice, "capabilities").verdict, Verdict::Unknown);
    assert_eq!(of(&advice, "read-only").verdict, Verdict::Unknown);
    let mut b = nginx();
    let mut facts = Facts::default();
    facts.how.insert('s');
    let sudo = BaselineItem::new(Facet::Exec, [(ItemField::Exe, &b"/usr/bin/sudo"[..])]);
    b.items.insert(sudo, facts);
    let passwd = BaselineItem::new(Facet::Write, [(ItemField::Path, &b"/etc/passwd"[..])]);
    b.items.insert(passwd, Facts::default());
    let advice = advise(&b);
    assert_eq!(of(&advice, "no-new-privileges").verdict, Verdict::Blocked);
    assert_eq!(of(&advice, "read-only").verdict, Verdict::Blocked);
}

#[test]
fn the_hold_out_test_names_what_would_have_been_refused() {
    let advice = advise(&nginx());
    assert!(check(&advice, &nginx()).is_empty());
    let mut other = nginx();
    for (facet, field, value) in [
        (Facet::Capability, ItemField::Name, "NET_RAW"),
        (Facet::Write, ItemField::Path, "/opt/app/x"),
        (Facet::Connect, ItemField::To, "192.0.2.1"),
    ] {
        let item = BaselineItem::new(facet, [(field, value.as_bytes()), (ItemField::By, b"/x")]);
        other.items.insert(item, Facts::default());
    }
    let names: Vec<_> = check(&advice, &other)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["capabilities", "read-only", "egress"]);
}
