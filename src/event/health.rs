//! The stream about itself: ticks and losses.

use serde::{Deserialize, Serialize};

use super::ContainerId;

/// One second passed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tick {
    /// Usage per container, sorted by id.
    #[serde(default)]
    pub usage: Vec<ContainerUsage>,
    /// Usage per process, sorted by pid, every few ticks: those that used CPU or whose memory
    /// changed. `None`: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<ProcessUsage>>,
    /// Events lost since watching began.
    #[serde(default)]
    pub lost_total: u64,
    /// Difference of the host's wall clock to the stream's times, nanoseconds: not 0 if the clock
    /// was set since watching began.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub clock_step: i64,
}

fn is_nothing(step: &i64) -> bool {
    *step == 0
}

/// The usage of a process at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// The process.
    pub pid: u32,
    /// CPU since the last sample, thousandths of one core.
    pub cpu_milli: u32,
    /// Resident memory, bytes.
    pub memory: u64,
}

/// The usage of a container at a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// The container.
    pub id: ContainerId,
    /// CPU since the last tick, thousandths of one core.
    pub cpu_milli: u32,
    /// Memory in use, bytes, without reclaimable page cache.
    pub memory: u64,
    /// Tasks, as the pids controller counts them.
    pub pids: u32,
}

/// Why events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// The kernel's ring buffer was full.
    RingFull,
    /// A program did not run because it was already running on that CPU.
    Recursion,
    /// A record could not be decoded.
    BadRecord,
    /// A queue inside hullwatch was full.
    Queue,
    /// A kernel map was full.
    MapFull,
    /// The engine's event stream broke; what happened meanwhile is not known.
    Engine,
    /// The recording could not be written.
    Recorder,
}

/// Events were lost; the event's container is set where it can be attributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The reason.
    pub reason: LostReason,
    /// The number since the last such record; 0 if it cannot be counted.
    pub count: u64,
    /// The place as text, e.g. a probe's name.
    #[serde(default)]
    pub detail: String,
}
