//! CPU and memory per process of containers, from /proc.

use std::collections::BTreeMap;
use std::time::Duration;

use procfs::process::Process;

use crate::event::ProcessUsage;

/// Ticks between two samples: reading each process each second would be most of the work of an idle
/// hullwatch.
const EVERY: u32 = 5;
/// Every 12th sample lists every process, so that late consumers catch up.
const WHOLE: u32 = 12;
/// Maximum number of processes of one sample; the others show no usage.
const MAX_PROCESSES: usize = 1024;

/// The counters at the last sample.
#[derive(Debug, Clone, Copy)]
struct ProcessCounters {
    /// Start time in clock ticks after boot; distinguishes processes of the same id.
    started: u64,
    /// CPU time in clock ticks.
    used: u64,
    /// Resident memory, bytes.
    memory: u64,
}

/// Reads what processes use; keeps the CPU counters between samples.
#[derive(Debug, Default)]
pub struct ProcessSampler {
    known: BTreeMap<u32, ProcessCounters>,
    ticks: u32,
    elapsed: Duration,
}

impl ProcessSampler {
    /// At each tick, `elapsed` after the last: every few ticks the processes of `pids` that used
    /// CPU or whose memory changed, by pid; `None` in between. A process left out used no CPU
    /// and kept its memory. A process's first sample shows no CPU.
    pub fn tick(
        &mut self,
        elapsed: Duration,
        pids: impl FnOnce() -> Vec<u32>,
    ) -> Option<Vec<ProcessUsage>> {
        self.elapsed += elapsed;
        if !self.ticks.is_multiple_of(EVERY) {
            self.ticks += 1;
            return None;
        }
        self.ticks += 1;
        let whole = (self.ticks - 1).is_multiple_of(EVERY * WHOLE);
        let elapsed = std::mem::take(&mut self.elapsed);
        let mut pids = pids();
        pids.sort_unstable();
        pids.dedup();
        pids.truncate(MAX_PROCESSES);
        let read = pids.into_iter().filter_map(|pid| Some((pid, read(pid)?)));
        Some(self.compare(read.collect(), elapsed, whole))
    }

    fn compare(
        &mut self,
        now: BTreeMap<u32, ProcessCounters>,
        elapsed: Duration,
        whole: bool,
    ) -> Vec<ProcessUsage> {
        let second = u128::from(procfs::ticks_per_second().max(1));
        let mut changed = Vec::new();
        for (pid, new) in &now {
            let old = self.known.get(pid).filter(|old| old.started == new.started);
            let used = old.map_or(0, |old| new.used.saturating_sub(old.used));
            if !whole && used == 0 && old.is_some_and(|old| old.memory == new.memory) {
                continue;
            }
            let milli = u128::from(used) * 1_000_000 / second / elapsed.as_millis().max(1);
            changed.push(ProcessUsage {
                pid: *pid,
                cpu_milli: u32::try_from(milli).unwrap_or(u32::MAX),
                memory: new.memory,
            });
        }
        self.known = now;
        changed
    }
}

fn read(pid: u32) -> Option<ProcessCounters> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    Some(ProcessCounters {
        started: stat.starttime,
        used: stat.utime + stat.stime,
        memory: stat.rss.saturating_mul(procfs::page_size()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_reported_and_only_every_few_ticks() {
        let mut sampler = ProcessSampler::default();
        let me = std::process::id();
        let second = Duration::from_secs(1);
        let first = sampler.tick(second, || vec![me, me, 0]).unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].pid, first[0].cpu_milli), (me, 0));
        assert!(first[0].memory > 100_000);
        for _ in 1..EVERY {
            assert_eq!(sampler.tick(second, || panic!("not read")), None);
        }
        assert!(sampler.tick(second, Vec::new).unwrap().is_empty());
    }

    #[test]
    fn a_new_process_of_an_old_id_begins_again() {
        let mut sampler = ProcessSampler::default();
        let known = |started, used, memory| {
            let known = ProcessCounters {
                started,
                used,
                memory,
            };
            BTreeMap::from([(7, known)])
        };
        let second = Duration::from_secs(1);
        sampler.compare(known(1, 100, 4096), second, false);
        let half = procfs::ticks_per_second() / 2;
        let usage = sampler.compare(known(1, 100 + half, 4096), second, false);
        assert_eq!(usage[0].cpu_milli, 500);
        let same = || known(1, 100 + half, 4096);
        assert!(sampler.compare(same(), second, false).is_empty());
        assert_eq!(sampler.compare(same(), second, true)[0].memory, 4096);
        let other = sampler.compare(known(2, 900, 8192), second, false);
        assert_eq!((other[0].cpu_milli, other[0].memory), (0, 8192));
    }
}
