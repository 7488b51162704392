//! What a list of all hosts needs of one: its worst incidents, counts, and what was lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::event::{ContainerId, Severity, Timestamp, escape};
use crate::masking::mask;

/// Maximum number of incidents, and of kinds of findings; the others are counted.
const INCIDENTS: usize = 16;
const FINDINGS: usize = 64;
/// Characters of a text.
const TEXT: usize = 160;
/// Bytes of a summary that a reader accepts.
pub(super) const MOST: usize = 128 << 10;

/// An incident in few words.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentDigest {
    /// Its number on its host, `I-0001`.
    pub id: String,
    /// Its severity.
    pub severity: Severity,
    /// As `Incident::rank`.
    pub rank: u32,
    /// The container's name, else the beginning of its id.
    pub container: String,
    /// Its image.
    pub image: String,
    /// What happened, as stages.
    pub what: String,
    /// First time of any of its findings.
    pub first: Timestamp,
    /// Latest time of any of them.
    pub last: Timestamp,
    /// It continues.
    pub active: bool,
}

/// Findings of one rule about containers of one image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingDigest {
    /// The rule.
    pub rule: String,
    /// The image; empty for the host.
    pub image: String,
    /// The highest severity.
    pub severity: Severity,
    /// The title of the worst one.
    pub title: String,
    /// Number of findings.
    pub findings: u64,
    /// Latest time.
    pub last: Timestamp,
}

/// The state of a host as it reports it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSummary {
    /// Version of hullwatch there.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// The segment that is being published.
    pub segment: String,
    /// Time of the stream.
    pub at: Timestamp,
    /// Number of the latest event.
    pub seq: u64,
    /// Running containers.
    pub containers: u64,
    /// Events that were lost on the host, and those that were not published.
    pub lost: u64,
    /// Events that could not be published in time.
    pub unpublished: u64,
    /// The worst incidents, the likeliest break-in first.
    pub incidents: Vec<IncidentDigest>,
    /// Number of all.
    pub all_incidents: u64,
    /// Kinds of findings, the most severe first.
    pub findings: Vec<FindingDigest>,
    /// Number of all kinds.
    pub all_findings: u64,
    /// It is the last one: hullwatch there was ended.
    pub ended: bool,
}

impl HostSummary {
    /// The summary of a stream. Secrets are masked.
    #[must_use]
    pub fn of(core: &Core) -> Self {
        let incidents = core.ranked_incidents();
        let names = |id: &ContainerId| {
            let info = core.state.containers.get(id).map(|one| &one.info);
            let image = info.map(|info| text(info.image.escaped().to_string()));
            let name = info.map(|info| text(info.name.escaped().to_string()));
            let short = || id.to_string().chars().take(12).collect();
            let name = name.filter(|name| !name.is_empty()).unwrap_or_else(short);
            (name, image.unwrap_or_default())
        };
        let worst = incidents.iter().take(INCIDENTS).map(|incident| {
            let (container, image) = names(&incident.container);
            IncidentDigest {
                id: incident.id.to_string(),
                severity: incident.severity,
                rank: incident.rank,
                container,
                image,
                what: text(incident.sentence(">")),
                first: incident.first,
                last: incident.last,
                active: incident.active,
            }
        });
        let mut kinds: BTreeMap<(&str, String), FindingDigest> = BTreeMap::new();
        let open = core.detector.findings().iter();
        for finding in open.filter(|finding| finding.silenced.is_none()) {
            let image = finding.container.as_ref().map(|id| names(id).1);
            let image = image.unwrap_or_default();
            let kind = kinds.entry((&finding.rule, image.clone())).or_default();
            if kind.findings == 0 || finding.severity > kind.severity {
                kind.severity = finding.severity;
                kind.title = text(finding.title.clone());
            }
            kind.rule.clone_from(&finding.rule);
            kind.image = image;
            kind.findings += 1;
            kind.last = kind.last.max(finding.last);
        }
        let mut findings: Vec<FindingDigest> = kinds.into_values().collect();
        findings.sort_by_key(|kind| std::cmp::Reverse((kind.severity, kind.last)));
        let all_findings = findings.len() as u64;
        findings.truncate(FINDINGS);
        let running = core.state.containers.values().filter(|one| one.running);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            at: core.state.now,
            containers: running.count() as u64,
            lost: core.state.totals.lost,
            incidents: worst.collect(),
            all_incidents: incidents.len() as u64,
            findings,
            all_findings,
            ..Self::default()
        }
    }

    /// Whether a reader of a list would see a difference, apart from the time.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        let timeless = |one: &Self| Self {
            at: Timestamp::default(),
            seq: 0,
            ..one.clone()
        };
        timeless(self) != timeless(other)
    }

    /// Reads one of another host: bounded, and without what could steer a terminal.
    ///
    /// # Errors
    /// When it is too large, or not a summary.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        if json.len() > MOST {
            return Err("the summary is too large".to_owned());
        }
        let mut read: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        read.incidents.truncate(INCIDENTS);
        read.findings.truncate(FINDINGS);
        let texts = [&mut read.version, &mut read.kernel, &mut read.segment].into_iter();
        let of_incidents = read.incidents.iter_mut().flat_map(|one| {
            [
                &mut one.id,
                &mut one.container,
                &mut one.image,
                &mut one.what,
            ]
        });
        let of_findings = read
            .findings
            .iter_mut()
            .flat_map(|one| [&mut one.rule, &mut one.image, &mut one.title]);
        for one in texts.chain(of_incidents).chain(of_findings) {
            let short: String = one.chars().take(TEXT).collect();
            *one = escape(short.as_bytes()).to_string();
        }
        Ok(read)
    }

    /// The worst severity of its incidents.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.incidents
            .iter()
            .map(|incident| incident.severity)
            .max()
    }
}

/// A text of few characters, without secrets.
fn text(text: String) -> String {
    mask(&text).chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::demo;

    #[test]
    fn the_demo_in_few_words() {
        let mut player = demo::player();
        while player.step() {}
        let summary = HostSummary::of(player.core());
        assert_eq!(summary.worst(), Some(Severity::Critical));
        assert!(summary.containers > 0 && !summary.findings.is_empty());
        let json = serde_json::to_vec(&summary).unwrap();
        assert!(json.len() < MOST / 4, "{}", json.len());
        assert_eq!(HostSummary::read(&json), Ok(summary.clone()));
        let later = HostSummary {
            at: Timestamp(5),
            ..summary.clone()
        };
        assert!(!summary.differs(&later));
        assert!(summary.differs(&HostSummary::default()));
    }

    #[test]
    fn the_words_of_another_host_steer_no_terminal() {
        let hostile = br#"{"version": "\u001b[2J", "incidents": [{"what": "\u202ex"}], "new": 1}"#;
        let read = HostSummary::read(hostile).unwrap();
        assert_eq!(read.version, "\\x1b[2J");
        assert_eq!(read.incidents[0].what, "\\u{202e}x");
        assert!(HostSummary::read(&vec![b' '; MOST + 1]).is_err());
    }
}
