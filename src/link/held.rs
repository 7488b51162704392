//! The bytes of a stream that the other side has not confirmed yet.

use std::collections::VecDeque;

/// Bytes with their offsets in the stream: those that were sent and may be needed again, then those
/// that were not sent.
#[derive(Debug, Default)]
pub(super) struct HeldBytes {
    bytes: VecDeque<u8>,
    /// Offset of the first.
    base: u64,
    /// Offset of the first that was not sent.
    next: u64,
}

impl HeldBytes {
    /// Number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Number of bytes that were sent and not confirmed.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.next - self.base).unwrap_or(usize::MAX)
    }

    /// Number of bytes that were not sent.
    pub(super) fn unsent(&self) -> usize {
        self.len().saturating_sub(self.in_flight())
    }

    /// The next bytes to send, at most `most`, with the offset of the first; they count as sent.
    pub(super) fn take(&mut self, most: usize) -> (u64, Vec<u8>) {
        let (from, count) = (self.in_flight(), self.unsent().min(most));
        let offset = self.next;
        self.next += count as u64;
        (
            offset,
            self.bytes.range(from..from + count).copied().collect(),
        )
    }

    /// The other side has everything before `offset`. Returns how many bytes that confirms; `None`
    /// when they were never sent.
    pub(super) fn confirm(&mut self, offset: u64) -> Option<usize> {
        if offset > self.next {
            return None;
        }
        let count = usize::try_from(offset.saturating_sub(self.base)).ok()?;
        self.bytes.drain(..count.min(self.bytes.len()));
        self.base = self.base.max(offset);
        Some(count)
    }

    /// Continues at `offset`, where the other side was interrupted; false when these bytes are gone.
    pub(super) fn resume(&mut self, offset: u64) -> bool {
        if offset < self.base || self.confirm(offset).is_none() {
            return false;
        }
        self.next = offset;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_held_until_they_are_confirmed() {
        let mut held = HeldBytes::default();
        held.push(b"abcdef");
        assert_eq!(held.take(4), (0, b"abcd".to_vec()));
        assert_eq!((held.in_flight(), held.unsent()), (4, 2));
        assert_eq!(held.confirm(2), Some(2));
        assert_eq!(
            held.confirm(1),
            Some(0),
            "an old confirmation changes nothing"
        );
        assert_eq!(held.confirm(5), None, "it was never sent");
        // Interrupted: the other side has three bytes.
        assert!(held.resume(3));
        held.push(b"g");
        assert_eq!(held.take(100), (3, b"defg".to_vec()));
        assert!(!held.resume(2), "those are gone");
        assert!(!held.resume(8), "those were never sent");
        assert_eq!(held.confirm(7), Some(4));
        assert_eq!((held.len(), held.in_flight(), held.unsent()), (0, 0, 0));
    }

    proptest::proptest! {
        #[test]
        fn whatever_breaks_the_other_side_gets_each_byte_once(
            steps in proptest::collection::vec((0..4_u8, 0..30_usize), 0..200),
        ) {
            let mut held = HeldBytes::default();
            let (mut made, mut got) = (0_u64, Vec::<u8>::new());
            for (step, count) in steps {
                match step {
                    0 => {
                        let bytes: Vec<u8> = (0..count as u64).map(|n| (made + n) as u8).collect();
                        held.push(&bytes);
                        made += count as u64;
                    }
                    1 => {
                        let (offset, bytes) = held.take(count);
                        proptest::prop_assert_eq!(offset, got.len() as u64);
                        got.extend(bytes);
                    }
                    2 => {
                        proptest::prop_assert!(held.confirm(got.len() as u64).is_some());
                    }
                    // The last bytes were sent, and lost on the way.
                    _ => {
                        let arrived = got.len() - count.min(held.in_flight());
                        got.truncate(arrived);
                        proptest::prop_assert!(held.resume(arrived as u64));
                    }
                }
            }
            got.extend(held.take(usize::MAX).1);
            let wanted: Vec<u8> = (0..made).map(|n| n as u8).collect();
            proptest::prop_assert_eq!(got, wanted);
        }
    }
}
