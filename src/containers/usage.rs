//! CPU, memory and tasks per container, from cgroup files of both versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::{ContainerId, ContainerUsage};
use crate::system;

/// Maximum depth of cgroups inside a container.
const DEEPEST: usize = 4;

/// Reads the usage of containers; keeps the CPU counters between samples.
#[derive(Debug, Default)]
pub struct UsageSampler {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    cpuacct: Option<PathBuf>,
    /// CPU time used so far, microseconds.
    last: BTreeMap<ContainerId, u64>,
}

impl UsageSampler {
    /// Finds this host's hierarchies.
    #[must_use]
    pub fn new() -> Self {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            unified: system::cgroup2_mount().ok(),
            memory: controller(&table, "memory"),
            pids: controller(&table, "pids"),
            cpuacct: controller(&table, "cpuacct"),
            last: BTreeMap::new(),
        }
    }

    /// Samples `containers` (id, cgroup path below the mount), `elapsed` after the last sample.
    /// Sorted by id; a container without a cgroup is left out, and its first sample shows no CPU.
    pub fn sample(
        &mut self,
        containers: &[(ContainerId, String)],
        elapsed: Duration,
    ) -> Vec<ContainerUsage> {
        let mut now = BTreeMap::new();
        let mut out = Vec::new();
        for (id, path) in containers {
            let Some(cpu) = self.cpu(path) else { continue };
            let used = self
                .last
                .get(id)
                .map_or(0, |last| cpu.saturating_sub(*last));
            now.insert(id.clone(), cpu);
            let elapsed = elapsed.as_micros().max(1);
            out.push(ContainerUsage {
                id: id.clone(),
                cpu_milli: u32::try_from(u128::from(used) * 1000 / elapsed).unwrap_or(u32::MAX),
                memory: self.memory(path),
                pids: self.pids(path),
            });
        }
        self.last = now;
        out.sort_by(|a, b| a.id.cmp(&b.id));
        out
    }

    /// Host pids of the processes of `containers`, also of cgroups that they made below their
    /// own.
    #[must_use]
    pub fn processes(&self, containers: &[(ContainerId, String)]) -> Vec<u32> {
        let mounts = [&self.unified, &self.pids, &self.memory];
        let mut found = Vec::new();
        for (_, path) in containers {
            // A hierarchy that the runtime does not use lacks such a directory.
            let mut dirs = mounts
                .iter()
                .filter_map(|mount| inside(mount.as_deref(), path));
            if let Some(dir) = dirs.find(|dir| dir.is_dir()) {
                below(&dir, DEEPEST, &mut found);
            }
        }
        found
    }

    fn cpu(&self, path: &str) -> Option<u64> {
        let unified = inside(self.unified.as_deref(), path)
            .and_then(|dir| fs::read_to_string(dir.join("cpu.stat")).ok())
            .and_then(|stat| field(&stat, "usage_usec"));
        // Version 1 counts nanoseconds.
        unified.or_else(|| {
            Some(number(&inside(self.cpuacct.as_deref(), path)?, "cpuacct.usage")? / 1000)
        })
    }

    fn memory(&self, path: &str) -> u64 {
        let v2 = || {
            let dir = inside(self.unified.as_deref(), path)?;
            Some((number(&dir, "memory.current")?, dir, "inactive_file"))
        };
        let v1 = || {
            let dir = inside(self.memory.as_deref(), path)?;
            Some((
                number(&dir, "memory.usage_in_bytes")?,
                dir,
                "total_inactive_file",
            ))
        };
        let Some((used, dir, cache)) = v2().or_else(v1) else {
            return 0;
        };
        let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        used.saturating_sub(field(&stat, cache).unwrap_or(0))
    }

    fn pids(&self, path: &str) -> u32 {
        let at = |base: &Option<PathBuf>| number(&inside(base.as_deref(), path)?, "pids.current");
        let pids = at(&self.unified).or_else(|| at(&self.pids)).unwrap_or(0);
        u32::try_from(pids).unwrap_or(u32::MAX)
    }
}

/// Adds the processes of a cgroup and of those below it.
fn below(dir: &Path, depth: usize, found: &mut Vec<u32>) {
    let listed = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    found.extend(listed.lines().filter_map(|pid| pid.parse::<u32>().ok()));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&entry.path(), depth - 1, found);
        }
    }
}

fn inside(mount: Option<&Path>, path: &str) -> Option<PathBuf> {
    Some(mount?.join(path.trim_start_matches('/')))
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

/// A value of a file with `key value` lines.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Where a version 1 controller is mounted.
fn controller(table: &str, name: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let options = (back.next()? == "cgroup").then(|| back.nth(1))??;
        options
            .split(',')
            .any(|o| o == name)
            .then(|| front.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(dir).unwrap();
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn hybrid_takes_cpu_from_version_2_and_the_rest_from_version_1() {
        let root = tempfile::tempdir().unwrap();
        let at = |v: &str| root.path().join(v);
        write(
            &at("unified/docker/x"),
            &[("cpu.stat", "usage_usec 1000\nuser_usec 1\n")],
        );
        write(
            &at("memory/docker/x"),
            &[
                ("memory.usage_in_bytes", "5000\n"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 2000\n"),
            ],
        );
        write(&at("pids/docker/x"), &[("pids.current", "3\n")]);
        let mut sampler = UsageSampler {
            unified: Some(at("unified")),
            memory: Some(at("memory")),
            pids: Some(at("pids")),
            ..UsageSampler::default()
        };
        let id = ContainerId::new("x");
        let list = [
            (id.clone(), "/docker/x".to_owned()),
            (ContainerId::new("gone"), "/docker/gone".to_owned()),
        ];
        let first = sampler.sample(&list, Duration::from_secs(1));
        assert_eq!(
            first,
            [ContainerUsage {
                id,
                cpu_milli: 0,
                memory: 3000,
                pids: 3
            }]
        );
        write(
            &at("unified/docker/x"),
            &[("cpu.stat", "usage_usec 251000\n")],
        );
        let second = sampler.sample(&list, Duration::from_millis(500));
        assert_eq!(second[0].cpu_milli, 500);
    }

    #[test]
    fn finds_version_1_controllers() {
        let table = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(
            controller(table, "cpuacct").unwrap(),
            Path::new("/sys/fs/cgroup/cpu,cpuacct")
        );
        assert_eq!(controller(table, "memory"), None);
    }
}
