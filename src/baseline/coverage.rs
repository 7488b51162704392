//! Estimates which share of a container's behavior was observed, by the items that were seen only
//! once.

use super::item::{BaselineItem, Facet, LifePhase};
use super::model::{Baseline, BaselineState, LearningSource};

/// Readiness from which a baseline is ready, percent.
pub const READY: u8 = 90;
/// Seconds of steady state that count as long enough.
const LONG: u64 = 30 * 60;
/// Maximum readiness with one start seen: no second one shows what it missed.
const ONE_START: f64 = 60.0;

/// The readiness of a baseline, and the conditions for raising it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// 0 to 100.
    pub percent: u8,
    /// Share of the start that is known, 0 to 100.
    pub starts: u8,
    /// Share of the steady state that is known, 0 to 100.
    pub steady: u8,
    /// Conditions for raising it, the most effective first.
    pub unmet: Vec<String>,
}

/// Whether the frequency of a facet's items shows how much is unknown. Only the first use of a
/// system call is reported in a run: later windows never have it.
pub(super) fn counts(facet: Facet, phase: LifePhase) -> bool {
    facet != Facet::Syscall || phase != LifePhase::Steady
}

/// Items of a phase that were seen in exactly one and in exactly two samples.
fn rare(baseline: &Baseline, phase: LifePhase) -> (u64, u64) {
    let mut rare = (0, 0);
    for (item, facts) in &baseline.items {
        if !counts(item.facet, phase) {
            continue;
        }
        match facts.samples(phase).len() {
            1 => rare.0 += 1,
            2 => rare.1 += 1,
            _ => {}
        }
    }
    rare
}

/// Coverage of a phase over `m` samples (Chao and Jost, for incidences): the share of the behavior
/// that is known, 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn coverage(m: u64, (once, twice): (u64, u64), incidences: u64) -> f64 {
    if once == 0 || incidences == 0 {
        return 1.0;
    }
    let (m, once, twice) = (m as f64 - 1.0, once as f64, twice as f64);
    let rest = if twice > 0.0 {
        m * once / (m * once + 2.0 * twice)
    } else {
        m * (once - 1.0) / (m * (once - 1.0) + 2.0)
    };
    (1.0 - once / incidences as f64 * rest).clamp(0.0, 1.0)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 to 100"
)]
fn percent(part: f64) -> u8 {
    part.round().clamp(0.0, 100.0) as u8
}

/// The readiness of a baseline.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "seconds far below 2^52")]
pub fn readiness(baseline: &Baseline) -> Readiness {
    let sum = |of: fn(&LearningSource) -> u64| baseline.sources.values().map(of).sum::<u64>();
    let (starts, stops) = (sum(|s| s.starts.into()), sum(|s| s.stops.into()));
    let (windows, observed) = (sum(|s| s.windows.into()), sum(|s| s.observed));
    let lost = sum(|s| s.lost);
    let at_start = rare(baseline, LifePhase::Start);
    let at_start = coverage(starts, at_start, sum(|s| s.start_incidences));
    let of_starts = match starts {
        0 => 0.0,
        1 => ONE_START,
        _ => ONE_START.max(100.0 * at_start),
    };
    let once = rare(baseline, LifePhase::Steady);
    let known = coverage(windows, once, sum(|s| s.steady_incidences));
    let of_steady = 100.0 * known * (observed as f64 / LONG as f64).min(1.0);
    let mut all = of_starts.min(of_steady);
    let mut unmet = Vec::new();
    if lost > 0 {
        all = all.min(50.0);
        unmet.push(format!("{lost} events were lost: learn again"));
    }
    match starts {
        0 => unmet.push("no start was seen: restart it".to_owned()),
        1 => unmet.push("one start was seen: restart it once more".to_owned()),
        _ if of_starts < f64::from(READY) => {
            unmet.push("starts differ from each other: restart it once more".to_owned());
        }
        _ => {}
    }
    if stops == 0 {
        all = all.min(89.0);
        unmet.push("no end was seen: stop it once".to_owned());
    }
    if observed < LONG {
        let left = (LONG - observed).div_ceil(60);
        unmet.push(format!(
            "watched for {} min: {left} min more",
            observed / 60
        ));
    }
    if known < f64::from(READY) / 100.0 {
        let counted = |item: &BaselineItem| counts(item.facet, LifePhase::Steady);
        let items = baseline.items.iter();
        let items = items.filter(|(item, f)| !f.steady.is_empty() && counted(item));
        unmet.push(format!(
            "{} of {} steady items were seen in one window only: learn for longer",
            once.0,
            items.count()
        ));
    }
    if !baseline.held.is_empty() {
        all = all.min(89.0);
        unmet.push(format!(
            "{} items are held: accept them or not",
            baseline.held.len()
        ));
    }
    for facet in &baseline.too_large {
        all = all.min(89.0);
        unmet.push(format!("{facet}: too many items to compare"));
    }
    Readiness {
        percent: percent(all.floor()),
        starts: percent(of_starts),
        steady: percent(of_steady),
        unmet,
    }
}

impl Baseline {
    /// The state of a baseline.
    #[must_use]
    pub fn state(&self) -> BaselineState {
        let sum = |of: fn(&LearningSource) -> u64| self.sources.values().map(of).sum::<u64>();
        if self.frozen {
            BaselineState::Frozen
        } else if readiness(self).percent >= READY {
            BaselineState::Ready
        } else if sum(|s| s.starts.into()) == 0 || sum(|s| s.lost) > 0 {
            BaselineState::Partial
        } else {
            BaselineState::Learning
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{BaselineItem, Facet, Facts, ItemField};

    fn baseline(starts: u32, once: u32, twice: u32, observed: u64) -> Baseline {
        let mut b = Baseline::default();
        for n in 0..once + twice {
            let mut facts = Facts::default();
            facts.start.add("s", 1);
            if n >= once {
                facts.start.add("s", 2);
            }
            for window in 1..=3 {
                facts.steady.add("s", window);
            }
            let name = n.to_string();
            let item = BaselineItem::new(Facet::Call, [(ItemField::Name, name.as_bytes())]);
            b.items.insert(item, facts);
        }
        let source = LearningSource {
            starts,
            stops: 1,
            windows: 12,
            observed,
            start_incidences: (once + 2 * twice).into(),
            steady_incidences: (12 * (once + twice)).into(),
            ..LearningSource::default()
        };
        b.sources.insert("s".to_owned(), source);
        b
    }

    #[test]
    fn readiness_follows_from_starts_time_and_losses() {
        // The example of the design: two starts, ten items of which three only once.
        let ready = readiness(&baseline(2, 3, 7, 3600));
        assert_eq!((ready.starts, ready.steady, ready.percent), (97, 100, 96));
        assert!(ready.unmet.is_empty(), "{ready:?}");
        assert_eq!(readiness(&baseline(0, 3, 7, 3600)).percent, 0);
        assert_eq!(readiness(&baseline(1, 10, 0, 3600)).percent, 60);
        assert_eq!(readiness(&baseline(2, 3, 7, 900)).percent, 50);
        let mut lost = baseline(2, 3, 7, 3600);
        lost.sources.get_mut("s").unwrap().lost = 1;
        let ready = readiness(&lost);
        assert_eq!(ready.percent, 50);
        assert!(ready.unmet[0].contains("lost"));
        assert_eq!(lost.state(), BaselineState::Partial);
        let mut never = baseline(2, 3, 7, 3600);
        never.sources.get_mut("s").unwrap().stops = 0;
        assert_eq!(readiness(&never).percent, 89);
        never.frozen = true;
        assert_eq!(never.state(), BaselineState::Frozen);
    }
}
