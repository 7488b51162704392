use super::*;
use crate::advice::{Advice, Setting, Verdict, WritableDirectory};

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
        !text.contains('\x1b') && text.contains("\\033[31m"),
        "{text}"
    );
    assert!(
        text.contains("--tmpfs /run:size=16m,exec,uid=33,mode=0750"),
        "{text}"
    );
    // What is given to the shell comes back as it was.
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
fn cilium_lets_out_names_addresses_and_services_and_says_what_it_cannot() {
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
