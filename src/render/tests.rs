use super::*;
use crate::advice::{Advice, Setting, Verdict, WritableDirectory};
use crate::baseline::{BaselineItem, Facet, ItemField};

fn hostile() -> Vec<Advice> {
    let directory = |path: &[u8]| WritableDirectory {
        path: path.into(),
        volume: false,
        exec: true,
        uid: Some(33),
        size: 16,
    };
    let settings = [
        Setting::Capabilities(vec!["CHOWN".to_owned()]),
        Setting::ReadOnly(vec![
            directory(b"/run"),
            directory(b"/tmp/a b;$(id)'\n\x1b[31m\"\\x"),
        ]),
        Setting::Peers(vec!["x.org\n; id:443".into(), "192.0.2.1:80".into()]),
    ];
    settings
        .into_iter()
        .map(|setting| Advice {
            setting,
            verdict: Verdict::Safe,
            why: Vec::new(),
        })
        .collect()
}

#[test]
fn hostile_names_stay_one_word_of_the_shell() {
    let text = render(HardenFormat::Run, "web", &Baseline::default(), &hostile());
    assert!(
        !text.contains('\x1b') && text.contains("\\033\\133"),
        "{text}"
    );
    assert!(
        text.contains("--tmpfs /run:size=16m,exec,uid=33,mode=0750"),
        "{text}"
    );
    // The shell returns the arguments unchanged.
    let script = text.replace("docker run", "printf '%s\\0'");
    let out = std::process::Command::new("bash")
        .arg("-c")
        .arg(&script)
        .output();
    let Ok(out) = out else { return };
    let words: Vec<&[u8]> = out.stdout.split(|b| *b == 0).collect();
    let wanted = &b"/tmp/a b;$(id)'\n\x1b[31m\"\\x:size=16m,exec,uid=33,mode=0750"[..];
    assert!(words.contains(&wanted), "{words:?}");
    assert!(!text.lines().any(|line| line.starts_with("; id")), "{text}");
}

#[test]
fn yaml_holds_hostile_names_in_strings() {
    for format in [HardenFormat::Compose, HardenFormat::Kubernetes] {
        let text = render(format, "we\nb: x", &Baseline::default(), &hostile());
        assert!(
            !text.contains('\x1b') && text.contains("\\u001b[31m"),
            "{text}"
        );
        assert!(text.contains("\"we\\nb: x\""), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("; id")), "{text}");
    }
}

#[test]
fn json_has_every_advice() {
    let text = render(HardenFormat::Json, "web", &Baseline::default(), &hostile());
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["advice"].as_array().unwrap().len(), 3);
    assert_eq!(value["advice"][0]["setting"]["add"][0], "CHOWN");
}

#[test]
fn cilium_allows_names_addresses_and_services_and_notes_the_rest() {
    let peers = [
        "api.example.org:443",
        "*.example.net:443",
        "192.0.2.1:80",
        "2001:db8::1:53",
        "service:db:5432",
        "public:443",
        "x.org\n; id:443",
    ];
    let advice = [Advice {
        setting: Setting::Peers(peers.map(Into::into).to_vec()),
        verdict: Verdict::Try,
        why: Vec::new(),
    }];
    let text = render(
        HardenFormat::Cilium,
        "we\nb: x",
        &Baseline::default(),
        &advice,
    );
    for part in [
        "toFQDNs: [{matchName: \"api.example.org\"}]",
        "toFQDNs: [{matchPattern: \"*.example.net\"}]",
        "toCIDR: [192.0.2.1/32]",
        "toCIDR: [2001:db8::1/128]",
        "toEndpoints: [{matchLabels: {app: \"db\"}}]",
        "k8s-app: kube-dns",
        "# to be added by hand: public:443",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("; id") || line.starts_with("b: x")),
        "{text}"
    );
}

#[test]
fn nftables_has_addresses_and_leaves_names_to_the_user() {
    let peers = [
        "192.0.2.1:443",
        "2001:db8::1:443",
        "x.org\n; id:443",
        "private:5432",
    ];
    let advice = [Advice {
        setting: Setting::Peers(peers.map(Into::into).into()),
        verdict: Verdict::Try,
        why: Vec::new(),
    }];
    let text = render(
        HardenFormat::Nftables,
        "we\nb",
        &Baseline::default(),
        &advice,
    );
    for part in [
        "table inet hullwatch_we_b {",
        "ip daddr 192.0.2.1 meta l4proto { tcp, udp } th dport 443 accept",
        "ip6 daddr 2001:db8::1 ",
        "ip daddr { 10.0.0.0/8, ",
        "th dport 53 accept",
        "add the addresses of x.org\\n; id:443\n",
        "    reject\n",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.lines().any(|line| line.starts_with("; id")), "{text}");
}

#[test]
fn apparmor_has_what_was_written_and_run_and_no_hostile_path() {
    let mut baseline = Baseline::default();
    let item = |facet, field, value: &str| BaselineItem::new(facet, [(field, value.as_bytes())]);
    for item in [
        item(Facet::Write, ItemField::Path, "/var/lib/x/<n>.db"),
        item(Facet::Write, ItemField::Path, "/var/log/*/"),
        item(Facet::Write, ItemField::Path, "/tmp/a\nb"),
        item(Facet::Write, ItemField::Path, "/tmp/x\" ix,\\*"),
        item(Facet::Exec, ItemField::Exe, "/usr/bin/[x"),
    ] {
        baseline.items.insert(item, Default::default());
    }
    let advice = hostile();
    let text = render(HardenFormat::Apparmor, "web", &baseline, &advice);
    for part in [
        "profile hullwatch-web flags=",
        "complain)",
        "  \"/var/lib/x/*.db\" rwkl,\n",
        "  \"/var/log/*/\" rwkl,\n",
        "  \"/usr/bin/\\[x\" ix,\n",
        "  capability chown,\n",
        "# 2 paths cannot be expressed here; add them\n",
        "peer=hullwatch-web,",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains("/tmp/"), "{text}");
}

#[test]
fn a_seccomp_profile_keeps_the_conditions_of_the_default() {
    let item = |name: &str| BaselineItem::new(Facet::Syscall, [(ItemField::Name, name.as_bytes())]);
    let mut baseline = Baseline {
        frozen: true,
        ..Baseline::default()
    };
    let seen = ["socket", "clone", "personality", "mount", "rename"];
    for name in seen {
        baseline.items.insert(item(name), Default::default());
    }
    let advice = crate::advice::advise_with_seccomp(&baseline);
    let text = render(HardenFormat::Seccomp, "web", &baseline, &advice);
    let profile: Value = serde_json::from_str(&text).unwrap();
    let rules = profile["syscalls"].as_array().unwrap();
    let of = |name: &str| -> Vec<&Value> {
        let has = |rule: &&Value| rule["names"].as_array().unwrap().contains(&json!(name));
        rules.iter().filter(has).collect()
    };
    // Two families of sockets are refused, namespaces, and all but five personalities.
    assert_eq!(of("socket").len(), 3);
    assert_eq!(of("personality").len(), 5);
    assert_eq!(of("clone")[0]["args"][0]["value"], 0x7e02_0000);
    // Never more than the default.
    assert!(of("mount").is_empty());
    assert_eq!(of("renameat2")[0]["action"], "SCMP_ACT_ALLOW");
    for name in ["clone3", "shmget"] {
        assert_eq!(of(name)[0]["errnoRet"], 38, "{name}");
    }
    // Without system calls none is made.
    baseline.items.clear();
    let advice = crate::advice::advise_with_seccomp(&baseline);
    let text = render(HardenFormat::Seccomp, "web", &baseline, &advice);
    assert!(!text.contains("SCMP_ACT"), "{text}");
    let text = render(HardenFormat::Run, "web", &baseline, &advice);
    assert!(!text.contains("seccomp"), "{text}");
}

#[test]
fn a_pod_says_that_its_image_does_not_run_as_root() {
    let kept = |verdict| {
        let advice = [Advice {
            setting: Setting::User(33),
            verdict,
            why: Vec::new(),
        }];
        let text = render(
            HardenFormat::Kubernetes,
            "web",
            &Baseline::default(),
            &advice,
        );
        text.contains("runAsNonRoot: true\n      runAsUser: 33\n")
    };
    assert!(kept(Verdict::Keep) && kept(Verdict::Try));
    assert!(!kept(Verdict::Blocked) && !kept(Verdict::Unknown));
}
