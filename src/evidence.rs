//! Keeps the events that findings refer to after they left the recent events.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::event::{Event, pack, unpack};
use crate::memory::{MemoryBudget, Share};
use crate::state::Recent;

/// Maximum number of kept events over all findings.
const MOST: usize = 16_384;

/// Bytes of events.
fn weight(events: &[Arc<Event>]) -> usize {
    events.iter().map(|event| event.weight()).sum()
}

/// Events by the index of their finding.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    kept: Vec<SmallVec<[Arc<Event>; 2]>>,
    total: usize,
    /// Their approximate bytes.
    bytes: usize,
    memory: MemoryBudget,
}

impl Evidence {
    /// Nothing yet, within this budget.
    pub(crate) fn within(memory: MemoryBudget) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// Replaces the kept events of the finding at this index with those in `seqs`.
    pub(crate) fn keep(&mut self, place: usize, seqs: &[u64], recent: &Recent) {
        if self.kept.len() <= place {
            self.kept.resize_with(place + 1, SmallVec::new);
        }
        let Some(slot) = self.kept.get_mut(place) else {
            return;
        };
        let before = std::mem::take(slot);
        self.total -= before.len();
        self.bytes = self.bytes.saturating_sub(weight(&before));
        let room = MOST - self.total;
        let mut bytes = self.memory.of(Share::Evidence).saturating_sub(self.bytes);
        let found = seqs.iter().filter_map(|seq| {
            let known = before.iter().find(|event| event.seq == *seq);
            known.or_else(|| recent.event(*seq)).cloned()
        });
        // The first ones are the beginning: the later ones do not fit.
        let fits = |event: &Arc<Event>| {
            let left = bytes.checked_sub(event.weight());
            bytes = left.unwrap_or(bytes);
            left.is_some()
        };
        *slot = found.take(room).filter(fits).collect();
        self.total += slot.len();
        self.bytes += weight(slot);
    }

    /// Gives the kept events of one finding to another, which it has become a part of.
    pub(crate) fn pass_on(&mut self, from: usize, to: usize) {
        let events = self
            .kept
            .get_mut(from)
            .map(std::mem::take)
            .unwrap_or_default();
        if events.is_empty() {
            return;
        }
        if self.kept.len() <= to {
            self.kept.resize_with(to + 1, SmallVec::new);
        }
        if let Some(slot) = self.kept.get_mut(to) {
            slot.extend(events);
        }
    }

    /// Packs the events; `None` when they cannot be packed.
    pub(crate) fn freeze(&self) -> Option<FrozenEvidence> {
        let counts = self.kept.iter().map(|slot| u16::try_from(slot.len()).ok());
        Some(FrozenEvidence {
            counts: counts.collect::<Option<_>>()?,
            events: pack(self.kept.iter().flatten().map(|event| &**event))?,
            memory: self.memory,
        })
    }

    /// A kept event.
    pub(crate) fn event(&self, seq: u64) -> Option<&Arc<Event>> {
        self.kept.iter().flatten().find(|event| event.seq == seq)
    }
}

/// Packed evidence: the number of events of each finding, and all events in a row.
#[derive(Debug)]
pub(crate) struct FrozenEvidence {
    counts: Box<[u16]>,
    events: Vec<u8>,
    memory: MemoryBudget,
}

impl FrozenEvidence {
    /// Unpacks the evidence; `None` when it is damaged.
    pub(crate) fn thaw(&self) -> Option<Evidence> {
        let mut events = unpack(&self.events)?.into_iter().map(Arc::new);
        let total = events.len();
        let slot = |count: &u16| events.by_ref().take(usize::from(*count)).collect();
        let kept: Vec<SmallVec<_>> = self.counts.iter().map(slot).collect();
        let bytes = kept.iter().map(|slot| weight(slot)).sum();
        Some(Evidence {
            kept,
            total,
            bytes,
            memory: self.memory,
        })
    }

    /// Approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.events.len() + self.counts.len() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Exec, Kind, Timestamp};
    use crate::state::State;

    fn event(seq: u64) -> Arc<Event> {
        Arc::new(Event {
            seq,
            ts: Timestamp(i64::try_from(seq).unwrap()),
            container: None,
            pid: 1,
            nspid: 1,
            kind: Kind::Exec(Box::<Exec>::default()),
        })
    }

    #[test]
    fn evidence_outlives_the_recent_past_and_is_bounded() {
        let mut state = State::default();
        let mut evidence = Evidence::default();
        state.apply(&event(1));
        state.apply(&event(2));
        evidence.keep(3, &[1, 2], &state.recent);
        for seq in 3..20_000 {
            state.apply(&event(seq));
        }
        assert!(state.recent.event(2).is_none(), "the past moved on");
        // The second one is replaced, as the latest of a finding are.
        evidence.keep(3, &[1, 19_999], &state.recent);
        assert_eq!(evidence.event(1).unwrap().seq, 1);
        assert!(evidence.event(2).is_none());
        assert_eq!(evidence.event(19_999).unwrap().seq, 19_999);
        for place in 0..5_000 {
            evidence.keep(place, &[19_996, 19_997, 19_998, 19_999], &state.recent);
        }
        assert_eq!(evidence.total, MOST);
    }
}
