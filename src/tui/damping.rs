//! Damps numbers that change all the time: they are redrawn only after a change of more than 2 %,
//! because each change costs bytes.

use std::collections::BTreeMap;

use super::rows::RowKey;

/// The numbers of a frame, as text, by row and column.
#[derive(Debug, Clone, Default)]
pub(super) struct DampedNumbers(BTreeMap<(RowKey, usize), (u64, String)>);

impl DampedNumbers {
    /// The text of a number in column `at` of a row, after the frame `before`.
    pub(super) fn text(
        &mut self,
        before: &Self,
        key: &RowKey,
        at: usize,
        number: u64,
        text: &str,
    ) -> String {
        let place = (key.clone(), at);
        let shown = match before.0.get(&place) {
            Some(shown) if shown.0.abs_diff(number).saturating_mul(50) <= shown.0 => shown.clone(),
            _ => (number, text.to_owned()),
        };
        let text = shown.1.clone();
        self.0.insert(place, shown);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_moves_are_not_shown() {
        let mut before = DampedNumbers::default();
        let mut show = |number: u64| {
            let mut next = DampedNumbers::default();
            let text = next.text(&before, &RowKey::Event(1), 2, number, &number.to_string());
            before = next;
            text
        };
        assert_eq!(show(1000), "1000");
        assert_eq!(show(1020), "1000");
        assert_eq!(show(1021), "1021");
        assert_eq!(show(0), "0");
        assert_eq!(show(1), "1");
    }
}
