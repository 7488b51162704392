//! The byte budget of the program, divided among the tables and queues that grow with the input from
//! containers, engines and files. Each share is a part of one number, `--memory`.
//!
//! The program itself (code, ring buffers, the screen) and the memory of rules are not included.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The smallest useful budget, bytes.
const LEAST: u64 = 16 << 20;
/// The largest budget, bytes; a recording's header cannot exceed it.
const MOST: u64 = 1 << 30;
/// The default, bytes.
const USUAL: u64 = 128 << 20;
/// Number of parts of the budget.
const PARTS: u64 = 128;

/// The use of a share. Sizes are estimates of the heap of an entry; text shared by several tables counts in
/// each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Packed events and keyframes for going back in time on the screen.
    Past,
    /// The latest events.
    Recent,
    /// Evidence of findings that is no longer among the latest events.
    Evidence,
    /// Findings: titles, reasons, subjects.
    Findings,
    /// Processes, including ended ones.
    Processes,
    /// Paths and the operations on them.
    Files,
    /// Connections and listening sockets.
    Connections,
    /// Facts of containers from engines.
    Containers,
    /// Events between the collector and the core.
    Queue,
    /// Events that are waiting for the disk.
    Backlog,
    /// Lines that are waiting for the reader of the output.
    Lines,
}

impl Share {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Past,
        Self::Recent,
        Self::Evidence,
        Self::Findings,
        Self::Processes,
        Self::Files,
        Self::Connections,
        Self::Containers,
        Self::Queue,
        Self::Backlog,
        Self::Lines,
    ];

    /// Its size in parts of [`PARTS`].
    const fn parts(self) -> u64 {
        match self {
            Self::Past | Self::Processes => 12,
            Self::Recent | Self::Evidence | Self::Findings | Self::Files | Self::Containers => 8,
            Self::Connections => 4,
            Self::Queue | Self::Backlog => 24,
            Self::Lines => 12,
        }
    }
}

/// The total number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryBudget(u64);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl MemoryBudget {
    /// The size of a share, bytes.
    #[must_use]
    pub fn of(self, share: Share) -> usize {
        // A recording's header may contain any number.
        let all = self.0.clamp(LEAST, MOST);
        usize::try_from(all * share.parts() / PARTS).unwrap_or(usize::MAX)
    }

    /// Whether it is the default.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

impl FromStr for MemoryBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: ByteSize = text
            .parse()
            .map_err(|_| "expected a size such as 64MiB or 1GiB".to_owned())?;
        let bytes = size.as_u64();
        if !(LEAST..=MOST).contains(&bytes) {
            return Err(format!(
                "between {} and {}",
                ByteSize::b(LEAST),
                ByteSize::b(MOST)
            ));
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_the_whole() {
        let parts: u64 = Share::ALL.into_iter().map(Share::parts).sum();
        assert_eq!(parts, PARTS);
        let small: MemoryBudget = "64MiB".parse().unwrap();
        let all: usize = Share::ALL.into_iter().map(|share| small.of(share)).sum();
        assert_eq!(all, 64 << 20);
        assert_eq!(MemoryBudget::default().of(Share::Past), 12 << 20);
        for text in ["1MiB", "2GiB", "much", ""] {
            assert!(text.parse::<MemoryBudget>().is_err(), "{text}");
        }
        // A hostile header.
        let large: MemoryBudget = serde_json::from_str("18446744073709551615").unwrap();
        assert!(large.of(Share::Queue) < 1 << 30);
    }
}
