//! A kernel map that counts losses by cgroup, on each CPU.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;

use super::object::{load_error, take};
use super::{Loss, ProbeError};
use crate::event::LostReason;

/// One such map.
pub(super) struct Losses {
    map: PerCpuHashMap<MapData, u64, u64>,
    /// Reported so far, by cgroup.
    reported: BTreeMap<u64, u64>,
    reason: LostReason,
    detail: &'static str,
}

impl Losses {
    /// Takes the map, and prepares the entry for losses without a cgroup.
    pub(super) fn take(
        programs: &mut Ebpf,
        name: &'static str,
        reason: LostReason,
        detail: &'static str,
    ) -> Result<Self, ProbeError> {
        let mut map = PerCpuHashMap::try_from(take(programs, name)?).map_err(load_error)?;
        let none = vec![0; nr_cpus().map_err(|(_, error)| load_error(error))?];
        let none = PerCpuValues::try_from(none).map_err(load_error)?;
        map.insert(0, none, 0).map_err(load_error)?;
        Ok(Self {
            map,
            reported: BTreeMap::new(),
            reason,
            detail,
        })
    }

    /// Losses since the last call.
    pub(super) fn since(&mut self, losses: &mut Vec<Loss>) {
        for (cgroup, counts) in self.map.iter().flatten() {
            let total: u64 = counts.iter().sum();
            let reported = self.reported.entry(cgroup).or_default();
            if total > *reported {
                losses.push(Loss {
                    reason: self.reason,
                    count: total - *reported,
                    cgroup: (cgroup != 0).then_some(cgroup),
                    detail: self.detail.to_owned(),
                });
                *reported = total;
            }
        }
    }
}
