//! Which columns of a table fit, and how wide they are.

/// What the number behind a cell counts: how a filter reads it, and whether it is steadied.
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
    /// Takes what is left over.
    pub(super) grow: bool,
    /// Dropped when there is no room: the highest first, 0 never.
    pub(super) drop: u8,
    /// Numbers stand to the right.
    pub(super) right: bool,
    /// What its numbers count.
    pub(super) unit: Unit,
    /// What a row is called: it shows the selection, is cut in the middle, and gets the width it
    /// needs before columns that can be dropped.
    pub(super) main: bool,
    /// Of what a row is called: the width up to which columns are dropped for it.
    wish: u16,
    /// Shown only when asked for.
    pub(super) spare: bool,
}

/// Width up to which columns are dropped for what a row is called.
const NAMED: u16 = 32;
/// Below this width (a screen of 60 less the marks) only what is most needed is shown.
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
            wish: NAMED,
            spare: false,
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

    /// Its numbers move all the time.
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

    pub(super) const fn wants(mut self, width: u16) -> Self {
        self.wish = width;
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

    pub(super) const fn spare(mut self) -> Self {
        self.spare = true;
        self
    }
}

/// Places and widths of the columns that fit into `width`, one blank between them. `longest` is
/// the width of the longest name.
pub(super) fn layout(columns: &[Column], width: u16, longest: u16) -> Vec<(usize, u16)> {
    let least = |i: usize| {
        let column = &columns[i];
        if column.main {
            longest.clamp(column.width, column.wish.max(column.width))
        } else {
            column.width
        }
    };
    let mut kept: Vec<usize> = (0..columns.len())
        .filter(|i| width >= NARROW || columns[*i].drop <= 1)
        .collect();
    let needed = |kept: &[usize]| {
        let blanks = u16::try_from(kept.len().saturating_sub(1)).unwrap_or(u16::MAX);
        kept.iter()
            .fold(blanks, |sum, i| sum.saturating_add(least(*i)))
    };
    while needed(&kept) > width {
        let Some(worst) = (0..kept.len())
            .filter(|at| columns[kept[*at]].drop > 0)
            .max_by_key(|at| (columns[kept[*at]].drop, *at))
        else {
            break;
        };
        kept.remove(worst);
    }
    // What even so does not fit is taken from the name.
    let over = needed(&kept).saturating_sub(width);
    let growing = kept.iter().filter(|i| columns[**i].grow).count();
    let mut spare = width.saturating_sub(needed(&kept));
    let share = spare
        .checked_div(u16::try_from(growing).unwrap_or(1))
        .unwrap_or(0);
    let mut last = growing;
    kept.into_iter()
        .map(|i| {
            let mut w = least(i);
            if columns[i].main {
                w = w.saturating_sub(over).max(1);
            }
            if columns[i].grow {
                last -= 1;
                let extra = if last == 0 { spare } else { share };
                spare -= extra;
                w += extra;
            }
            (i, w.min(width))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::severity(),
        Column::new("name", "NAME", 16, 0).main(),
        Column::new("age", "AGE", 6, 1),
        Column::new("image", "IMAGE", 10, 2).grow(),
        Column::new("find", "FIND", 4, 3).spare(),
    ];

    #[test]
    fn drops_the_least_needed_first_and_fills_the_width() {
        let at = |width, longest| layout(&COLUMNS[..4], width, longest);
        let which = |width, longest| {
            let widths = at(width, longest);
            widths.into_iter().map(|(i, _)| i).collect::<Vec<_>>()
        };
        assert_eq!(at(80, 8).iter().map(|(_, w)| w).sum::<u16>() + 3, 80);
        assert_eq!(which(80, 8), [0, 1, 2, 3]);
        assert_eq!(which(50, 8), [0, 1, 2], "only what is most needed");
        assert_eq!(which(38, 30), [0, 1], "the name wins");
        assert_eq!(which(12, 30), [0, 1], "what is never dropped stays");
        assert_eq!(at(12, 30), [(0, 1), (1, 10)]);
        let all = layout(COLUMNS, 80, 8);
        assert_eq!(all.len(), 5);
    }
}
