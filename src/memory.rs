//! The byte budget of the program, shared out among all that grows with what containers, engines and
//! files send. Each share is a part of one number, `--memory`.
//!
//! The program itself (code, ring buffers, the screen) and the memory of rules are not included.

use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The smallest budget with which watching is of use.
const LEAST: u64 = 16 << 20;
/// The largest; a file that asks for more gets so much.
const MOST: u64 = 1 << 30;
/// Without the option.
const USUAL: u64 = 128 << 20;
/// The shares are parts of so many.
const PARTS: u64 = 128;

/// What a share is for. Sizes are estimates of the heap that an entry takes with its bytes; words
/// that several tables share count in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Packed events and keyframes, where the screen goes back in time.
    Past,
    /// The latest events.
    Recent,
    /// Events that findings rest on, after they left the latest.
    Evidence,
    /// Findings: titles, reasons, subjects.
    Findings,
    /// Processes, those that ended included.
    Processes,
    /// Paths and what was done to them.
    Files,
    /// Connections and listening sockets.
    Connections,
    /// What engines report of containers.
    Containers,
    /// Events between the collecting and the core's thread.
    Queue,
    /// Events that wait for the disk.
    Backlog,
    /// Lines that wait for whoever reads the output.
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

    /// In parts of [`PARTS`].
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

/// How many bytes may be held in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryBudget(u64);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl MemoryBudget {
    /// Bytes that one share may hold.
    #[must_use]
    pub fn of(self, share: Share) -> usize {
        // A recording's header may say anything.
        let all = self.0.clamp(LEAST, MOST);
        usize::try_from(all * share.parts() / PARTS).unwrap_or(usize::MAX)
    }

    /// Whether it is what it is without the option.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for MemoryBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: ByteSize = text
            .parse()
            .map_err(|_| "write it like 64MiB or 1GiB".to_owned())?;
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
