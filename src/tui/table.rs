//! Which columns of a table fit, and how wide they are.

/// The unit of the number behind a cell: how a filter parses it, and whether it is damped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// No number: the text itself.
    Text,
    /// 0 none, 1 info … 5 critical.
    Severity,
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Tenths of a per cent.
    PerMille,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Name in filters and commands.
    pub(super) name: &'static str,
    /// Title.
    pub(super) title: &'static str,
    /// Least width.
    pub(super) width: u16,
    /// Takes the remaining width.
    pub(super) grow: bool,
    /// Drop order when the width does not suffice: the highest first, 0 never.
    pub(super) drop: u8,
    /// Numbers are right-aligned.
    pub(super) right: bool,
    /// Unit of its numbers.
    pub(super) unit: Unit,
    /// The column with the row's name: it shows the selection, and gets its width before columns
    /// that can be dropped.
    pub(super) main: bool,
    /// The name of a container: as wide as the widest needs, within bounds, and shortened in the
    /// middle.
    pub(super) named: bool,
    /// For the column with the row's name: the width up to which columns are dropped for it.
    wish: u16,
    /// For a column of words: the width up to which it is as wide as its longest, though columns that are
    /// needed less are dropped; 0 otherwise.
    pub(super) word: u16,
    /// Hidden unless the user shows it.
    pub(super) spare: bool,
    /// Its text is drawn as a chart.
    pub(super) chart: bool,
}

/// Minimum width of a name, if possible.
const NAME: u16 = 16;
/// Minimum width even if all names are short.
const SHORT: u16 = 9;
/// Below this width (a screen of 60 less the markers) only the most important columns are shown.
const NARROW: u16 = 58;

impl Column {
    pub(super) const fn new(name: &'static str, title: &'static str, width: u16, drop: u8) -> Self {
        Self {
            name,
            title,
            width,
            grow: false,
            drop,
            right: false,
            unit: Unit::Text,
            main: false,
            named: false,
            wish: 0,
            word: 0,
            spare: false,
            chart: false,
        }
    }

    /// The column of the severity's letter.
    pub(super) const fn severity() -> Self {
        Self::new("sev", "!", 1, 0).counts(Unit::Severity)
    }

    /// The number behind a cell for programs: percent, bytes, seconds, a count. A severity is its
    /// letter.
    pub(super) fn value(&self, number: u64) -> Option<serde_json::Value> {
        match self.unit {
            Unit::Text | Unit::Severity => None,
            Unit::Count | Unit::Seconds | Unit::Bytes => Some(number.into()),
            Unit::PerMille => Some((number as f64 / 10.0).into()),
        }
    }

    /// It holds numbers.
    pub(super) fn is_number(&self) -> bool {
        !matches!(self.unit, Unit::Text | Unit::Severity)
    }

    /// Its numbers change all the time.
    pub(super) fn moves(&self) -> bool {
        matches!(self.unit, Unit::Bytes | Unit::PerMille)
    }

    pub(super) const fn grow(mut self) -> Self {
        self.grow = true;
        self
    }

    pub(super) const fn main(mut self) -> Self {
        self.main = true;
        self.grow = true;
        self
    }

    pub(super) const fn named(mut self) -> Self {
        self.named = true;
        self
    }

    /// The column of the container's name.
    pub(super) const fn container(drop: u8) -> Self {
        Self::new("container", "CONTAINER", NAME, drop).named()
    }

    pub(super) const fn wants(mut self, width: u16) -> Self {
        self.wish = width;
        self
    }

    pub(super) const fn words(mut self, width: u16) -> Self {
        self.word = width;
        self
    }

    pub(super) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    pub(super) const fn counts(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn chart(mut self) -> Self {
        self.chart = true;
        self
    }

    pub(super) const fn spare(mut self) -> Self {
        self.spare = true;
        self
    }
}

/// Maximum width of a name on a screen of this width.
fn bound(width: u16) -> u16 {
    (width.saturating_mul(3) / 10).max(NAME)
}

/// Positions and widths of the columns that fit into `width`, one blank between them. `longest`
/// gives the width of the longest text in a column.
pub(super) fn layout(
    columns: &[Column],
    width: u16,
    longest: impl Fn(usize) -> u16,
) -> Vec<(usize, u16)> {
    let name = |i: usize, most: u16| longest(i).clamp(SHORT, most);
    let word = |i: usize| {
        let column = &columns[i];
        longest(i).clamp(column.width, column.word.max(column.width))
    };
    // The width that a column should have before those of `drop` and above are shown.
    let least = |i: usize, drop: u8| {
        let column = &columns[i];
        if column.named {
            let first = column.drop <= 1 && drop > 1;
            name(i, if first { bound(width) } else { NAME })
        } else if column.main && drop > 1 {
            longest(i).clamp(column.width, column.wish.max(column.width))
        } else if column.word > 0 && drop >= column.drop {
            word(i)
        } else {
            column.width
        }
    };
    let mut kept: Vec<usize> = (0..columns.len())
        .filter(|i| width >= NARROW || columns[*i].drop <= 1)
        .collect();
    let needed = |kept: &[usize], drop: u8| {
        let blanks = u16::try_from(kept.len().saturating_sub(1)).unwrap_or(u16::MAX);
        kept.iter()
            .fold(blanks, |sum, i| sum.saturating_add(least(*i, drop)))
    };
    while let Some(worst) = (0..kept.len())
        .filter(|at| columns[kept[*at]].drop > 0)
        .max_by_key(|at| (columns[kept[*at]].drop, *at))
        .filter(|at| needed(&kept, columns[kept[*at]].drop) > width)
    {
        kept.remove(worst);
    }
    // If it still does not fit, the column with the name is narrowed.
    let over = needed(&kept, 0).saturating_sub(width);
    let mut spare = width.saturating_sub(needed(&kept, 0));
    let mut widths: Vec<u16> = kept.iter().map(|i| least(*i, 0)).collect();
    for (w, i) in widths.iter_mut().zip(&kept) {
        if columns[*i].main {
            *w = w.saturating_sub(over).max(1);
        }
        if columns[*i].named {
            let more = name(*i, bound(width)).saturating_sub(*w).min(spare);
            *w += more;
            spare -= more;
        } else if columns[*i].word > 0 {
            let more = word(*i).saturating_sub(*w).min(spare);
            *w += more;
            spare -= more;
        }
    }
    // The width that a name does not need goes to columns of any length.
    let grows = |i: &usize| columns[*i].grow && !columns[*i].named;
    let other = kept.iter().any(grows);
    let growing = |i: &usize| if other { grows(i) } else { columns[*i].grow };
    let mut left = kept.iter().filter(|i| growing(i)).count();
    for (w, i) in widths.iter_mut().zip(&kept) {
        if growing(i) {
            let extra = spare / u16::try_from(left).unwrap_or(1).max(1);
            left -= 1;
            spare -= extra;
            *w += extra;
        }
    }
    kept.into_iter()
        .zip(widths)
        .map(|(i, w)| (i, w.min(width)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::severity(),
        Column::new("name", "NAME", 16, 0).main().named(),
        Column::new("age", "AGE", 6, 1),
        Column::new("image", "IMAGE", 10, 2).grow(),
        Column::new("find", "FIND", 4, 3).spare(),
    ];

    #[test]
    fn drops_the_least_needed_first_and_fills_the_width() {
        let at = |width, longest| layout(&COLUMNS[..4], width, |_| longest);
        let which = |width, longest| {
            let widths = at(width, longest);
            widths.into_iter().map(|(i, _)| i).collect::<Vec<_>>()
        };
        assert_eq!(at(80, 8).iter().map(|(_, w)| w).sum::<u16>() + 3, 80);
        assert_eq!(which(80, 8), [0, 1, 2, 3]);
        assert_eq!(which(50, 8), [0, 1, 2], "only what is most needed");
        assert_eq!(which(24, 30), [0, 1], "the name wins");
        assert_eq!(which(12, 30), [0, 1], "what is never dropped stays");
        assert_eq!(at(12, 30), [(0, 1), (1, 10)]);
        let all = layout(COLUMNS, 80, |_| 8);
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn one_long_name_does_not_take_the_line() {
        let name = |width, longest| layout(&COLUMNS[..4], width, |_| longest)[1].1;
        assert_eq!(name(80, 60), 24);
        assert_eq!(name(80, 20), 20);
        assert_eq!(name(80, 3), 9);
        assert_eq!(name(60, 60), 18);
        assert_eq!(name(120, 60), 36);
    }

    #[test]
    fn a_word_is_whole_or_its_column_is_not_shown() {
        const STATES: &[Column] = &[
            Column::new("name", "NAME", 16, 0).main().named(),
            Column::new("state", "STATE", 6, 3).words(10),
            Column::new("mem", "MEM", 5, 5),
            Column::new("last", "LAST", 30, 2).grow(),
        ];
        let widths = |width, longest| {
            let longest = move |i| if i == 1 { longest } else { 16 };
            layout(STATES, width, longest)
        };
        assert_eq!(widths(60, 2)[1..], [(1, 6), (2, 5), (3, 30)]);
        // The other column goes for it.
        assert_eq!(widths(60, 9), [(0, 16), (1, 9), (3, 33)]);
        assert_eq!(widths(70, 9)[1..3], [(1, 9), (2, 5)]);
        for width in 58..80 {
            let state = widths(width, 9).iter().find(|(i, _)| *i == 1).copied();
            assert!(state.is_none_or(|(_, w)| w >= 9), "{width}: {state:?}");
        }
        assert_eq!(widths(80, 40)[1], (1, 10), "not one word takes the line");
    }

    #[test]
    fn a_container_stays_before_the_numbers_of_its_finding() {
        const FINDINGS: &[Column] = &[
            Column::severity(),
            Column::new("age", "AGE", 4, 2),
            Column::container(1),
            Column::new("finding", "FINDING", 18, 0).main().wants(34),
            Column::new("n", "N", 4, 3),
        ];
        let widths = |width| layout(FINDINGS, width, |_| 60);
        assert_eq!(widths(80)[2], (2, 24));
        assert_eq!(widths(58), [(0, 1), (2, 17), (3, 38)]);
        assert_eq!(widths(38), [(0, 1), (2, 16), (3, 19)]);
    }
}
