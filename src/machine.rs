//! The machine: name, kernel, uptime, load, memory, processors, and space on a disk.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::System;

/// Facts about the machine at one time. Sizes are bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFacts {
    /// Host name.
    pub name: String,
    /// The distribution and its version.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Runnable processes, averaged over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Logical processors.
    pub processors: usize,
    /// Percent of all processors that was busy since the reading before; none at the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<f32>,
    /// Total memory.
    pub memory: u64,
    /// Memory that programs use.
    pub memory_used: u64,
    /// Swap space.
    pub swap: u64,
    /// Swap space in use.
    pub swap_used: u64,
    /// Space on the disk of recordings; none when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskRoom>,
}

/// Space on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskRoom {
    /// Its size.
    pub size: u64,
    /// Space available to ordinary users.
    pub free: u64,
}

/// Reads the machine; keeps the processors' counters between readings.
#[derive(Debug, Default)]
pub struct Machine {
    /// None before the first reading, and where the kernel does not report it.
    system: Option<System>,
}

impl Machine {
    /// The machine now, with the disk that holds `recordings`.
    pub fn read(&mut self, recordings: &Path) -> MachineFacts {
        let again = self.system.is_some();
        if !again {
            self.system = System::new().ok();
        }
        let load = System::load_average().unwrap_or_default();
        let mut facts = MachineFacts {
            name: System::host_name().unwrap_or_default(),
            system: System::long_os_version().unwrap_or_default(),
            kernel: System::kernel_version().unwrap_or_default(),
            architecture: System::cpu_arch(),
            uptime: System::uptime().unwrap_or_default(),
            load: [load.one, load.five, load.fifteen],
            disk: room(recordings),
            ..MachineFacts::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_memory();
            system.refresh_cpu_usage();
            facts.processors = system.cpus().len();
            facts.busy = again.then(|| system.global_cpu_usage());
            facts.memory = system.total_memory();
            facts.memory_used = system.used_memory();
            facts.swap = system.total_swap();
            facts.swap_used = system.used_swap();
        }
        facts
    }
}

/// The space on the disk of one path. A list of all mounted disks would wait for an unreachable
/// network server.
fn room(path: &Path) -> Option<DiskRoom> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(DiskRoom {
        size: disk.f_blocks.saturating_mul(disk.f_frsize),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_with_its_disk() {
        let mut machine = Machine::default();
        let facts = machine.read(Path::new("/"));
        assert!(facts.busy.is_none() && facts.processors > 0 && facts.uptime > 0);
        assert!(facts.memory_used > 0 && facts.memory_used <= facts.memory);
        assert!(facts.disk.is_some_and(|disk| disk.free <= disk.size));
        assert!(!facts.kernel.is_empty());
        assert!(machine.read(Path::new("/nowhere")).busy.is_some());
        let none = machine.read(Path::new("/nowhere")).disk;
        assert_eq!(none, None);
    }
}
