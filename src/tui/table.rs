//! Which columns of a table fit, and how wide they are.

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
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
}

impl Column {
    pub(super) const fn new(title: &'static str, width: u16, drop: u8) -> Self {
        Self {
            title,
            width,
            grow: false,
            drop,
            right: false,
        }
    }

    pub(super) const fn grow(mut self) -> Self {
        self.grow = true;
        self
    }

    pub(super) const fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

/// Places and widths of the columns that fit into `width`, one blank between them.
pub(super) fn layout(columns: &[Column], width: u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed = |kept: &[usize]| {
        let blanks = u16::try_from(kept.len().saturating_sub(1)).unwrap_or(u16::MAX);
        kept.iter()
            .fold(blanks, |sum, i| sum.saturating_add(columns[*i].width))
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
    let growing = kept.iter().filter(|i| columns[**i].grow).count();
    let mut spare = width.saturating_sub(needed(&kept));
    let share = spare
        .checked_div(u16::try_from(growing).unwrap_or(1))
        .unwrap_or(0);
    let mut last = growing;
    kept.into_iter()
        .map(|i| {
            let mut w = columns[i].width;
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
        Column::new("S", 1, 0),
        Column::new("NAME", 8, 0).grow(),
        Column::new("AGE", 6, 2),
        Column::new("IMAGE", 10, 1).grow(),
    ];

    #[test]
    fn drops_the_least_needed_first_and_fills_the_width() {
        let at = |width| layout(COLUMNS, width);
        assert_eq!(at(80).iter().map(|(_, w)| w).sum::<u16>() + 3, 80);
        assert_eq!(
            at(24).iter().map(|(i, _)| *i).collect::<Vec<_>>(),
            [0, 1, 3]
        );
        assert_eq!(at(12).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(at(5).len(), 2, "what is never dropped stays");
    }
}
