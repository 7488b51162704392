//! Numbers that move all the time: shown anew only when they moved by more than 2 %.

use std::collections::BTreeMap;

use super::rows::RowKey;

/// What was shown of the rows of the last picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Steady {
    shown: BTreeMap<(RowKey, usize), (u64, String)>,
    next: BTreeMap<(RowKey, usize), (u64, String)>,
}

impl Steady {
    /// The text of a number in column `at` of a row.
    pub(super) fn text(&mut self, key: &RowKey, at: usize, number: u64, text: &str) -> String {
        let place = (key.clone(), at);
        let shown = match self.shown.remove(&place) {
            Some(before) if before.0.abs_diff(number).saturating_mul(50) <= before.0 => before,
            _ => (number, text.to_owned()),
        };
        let text = shown.1.clone();
        self.next.insert(place, shown);
        text
    }

    /// The picture is done: what it did not show is forgotten.
    pub(super) fn turn(&mut self) {
        self.shown = std::mem::take(&mut self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_moves_are_not_shown() {
        let mut steady = Steady::default();
        let mut show = |number: u64| {
            let text = steady.text(&RowKey::Event(1), 2, number, &number.to_string());
            steady.turn();
            text
        };
        assert_eq!(show(1000), "1000");
        assert_eq!(show(1020), "1000");
        assert_eq!(show(1021), "1021");
        assert_eq!(show(0), "0");
        assert_eq!(show(1), "1");
    }
}
