//! Bounds how often within a second the collector reads `/proc` or a file for an event: a container can
//! start programs at any rate.

use crate::event::Timestamp;

/// Maximum number of looks within a second, unless another one is given.
const MAX_LOOKS: u32 = 8;

/// Counts the looks of the present second.
#[derive(Debug)]
pub(super) struct LookLimit {
    second: i64,
    looks: u32,
    most: u32,
}

impl Default for LookLimit {
    fn default() -> Self {
        Self::of(MAX_LOOKS)
    }
}

impl LookLimit {
    /// A limit of so many looks within a second.
    pub(super) fn of(most: u32) -> Self {
        Self {
            second: 0,
            looks: 0,
            most,
        }
    }

    /// Whether there may be another look at this time; it is counted.
    pub(super) fn allows(&mut self, ts: Timestamp) -> bool {
        if self.second != ts.seconds() {
            (self.second, self.looks) = (ts.seconds(), 0);
        }
        self.looks += 1;
        self.looks <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_looked_at_within_the_bound() {
        let mut limit = LookLimit::default();
        let at = |second: i64| Timestamp(second * 1_000_000_000 + 5);
        let looked = (0..100).filter(|_| limit.allows(at(7))).count();
        assert_eq!(looked, 8);
        assert!(limit.allows(at(8)));
    }
}
