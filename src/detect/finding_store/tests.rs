//! Findings are raised, joined, bounded and listed.

use super::*;

const RULE: RuleInfo = RuleInfo {
    id: "a.b",
    title: "",
    label: "",
    severity: Severity::Low,
    attack: &[],
    needs: &[],
    explain: "",
    check: "",
};

fn try_raise(
    findings: &mut FindingStore,
    owner: Option<&ContainerId>,
    subject: &[u8],
    seq: u64,
) -> Option<FindingIndex> {
    let at = (Timestamp(seq.cast_signed()), seq);
    let raised = findings.raise(&RULE, Severity::Low, owner, subject, at, || {
        let occurrence = Occurrence {
            ts: at.0,
            seq,
            ancestry: Vec::new(),
        };
        (occurrence, Explanation::default())
    });
    raised.map(|(index, _)| index)
}

fn raise(findings: &mut FindingStore, subject: &[u8], seq: u64) -> FindingIndex {
    try_raise(findings, None, subject, seq).unwrap()
}

#[test]
fn evidence_keeps_the_first_and_the_latest() {
    let mut findings = FindingStore::default();
    for seq in 1..=100 {
        assert_eq!(raise(&mut findings, b"s", seq).get(), 0);
    }
    let f = &findings.all()[0];
    assert_eq!(f.count, 100);
    assert_eq!(f.evidence[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(f.evidence[8..], [93, 94, 95, 96, 97, 98, 99, 100]);
    assert_eq!(findings.latest(), [FindingIndex::new(0)]);
    findings.begin_event();
    assert!(findings.latest().is_empty());
}

#[test]
fn no_finding_that_an_event_changed_is_passed_over() {
    let mut findings = FindingStore::default();
    let containers = |n: u64| ContainerId::new(&format!("{:064x}", n / 60));
    for n in 0..3_000u64 {
        let id = containers(n);
        try_raise(&mut findings, Some(&id), n.to_string().as_bytes(), n + 1);
    }
    let all = findings.all().len();
    assert_eq!(all, 3_000);
    findings.begin_event();
    // Each of them four times, all by one event.
    for index in (0..4 * all).map(|n| FindingIndex::new(n % all)) {
        findings.edit(index, |finding| finding.count += 1);
    }
    let mut latest = findings.latest().to_vec();
    assert!(latest.len() <= 2 * all, "{}", latest.len());
    latest.sort_unstable();
    latest.dedup();
    assert_eq!(latest.len(), all);
}

#[test]
fn findings_beyond_their_share_of_the_memory_are_one() {
    let mut findings = FindingStore::within("16MiB".parse().unwrap());
    let long = "x".repeat(4_000);
    for n in 0..2_000u64 {
        let id = ContainerId::new(&format!("{:064x}", n / 60));
        try_raise(
            &mut findings,
            Some(&id),
            format!("{n}{long}").as_bytes(),
            n + 1,
        );
    }
    let bytes: usize = findings.all().iter().map(|f| f.subject.len()).sum();
    assert!(bytes <= (1 << 20) + 8_000, "{bytes}");
    let counted: u64 = findings.all().iter().map(|f| f.count).sum();
    assert_eq!(counted, 2_000);
}

#[test]
fn subjects_are_bounded_and_the_rest_is_counted() {
    let mut findings = FindingStore::default();
    for n in 0..200u64 {
        raise(&mut findings, n.to_string().as_bytes(), n + 1);
    }
    assert_eq!(findings.all().len(), MAX_SUBJECTS as usize + 1);
    assert_eq!(findings.all().last().unwrap().count, 200 - 64);
}

#[test]
fn findings_are_bounded_however_many_containers_come_and_what_has_no_place_is_counted() {
    let mut findings = FindingStore::default();
    let most = MAX_FINDINGS + MAX_FINDINGS / 10;
    let mut not_kept = 0;
    for n in 0..2 * most as u64 {
        let owner = ContainerId::new(&n.to_string());
        not_kept += u64::from(try_raise(&mut findings, Some(&owner), b"s", n + 1).is_none());
    }
    assert_eq!(findings.all().len(), most);
    assert!(findings.subjects.len() <= most && findings.by_identity.len() <= most);
    assert_eq!((findings.not_kept(), not_kept), (most as u64, most as u64));
    // Existing ones continue.
    let first = ContainerId::new("0");
    assert_eq!(
        try_raise(&mut findings, Some(&first), b"s", 1),
        Some(FindingIndex::new(0))
    );
}

#[test]
fn a_long_running_watch_does_not_grow() {
    let mut findings = FindingStore::default();
    let index = raise(&mut findings, b"s", 1);
    for n in 0..1000_u32 {
        findings.reassign(index, &RULE, n.to_string().as_bytes());
    }
    assert_eq!(findings.by_identity.len(), 1);
    assert_eq!(findings.find(RULE.id, None, b"999"), Some(index));
}
