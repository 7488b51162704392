//! Clicks and the wheel: what was drawn where, and what that asks for.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::action::Action;
use super::app::{Pane, Ui};
use super::rows::RowKey;

/// Rows that a turn of the wheel moves.
const WHEEL: isize = 3;

/// What was drawn where.
#[derive(Debug, Clone, Default)]
pub(super) struct Clickable {
    /// Views and tabs.
    pub(super) tabs: Vec<(Rect, Pane)>,
    /// Titles of columns, with the columns' names.
    pub(super) titles: Vec<(Rect, &'static str)>,
    /// Rows.
    pub(super) rows: Vec<(Rect, RowKey)>,
}

impl Ui {
    /// What a click or a turn of the wheel asks for; what only looks elsewhere is done at once.
    pub(super) fn click(&mut self, event: &MouseEvent) -> Option<Action> {
        if !self.mouse || self.prompt.is_some() || self.picker.is_some() || self.sheet.is_some() {
            return None;
        }
        match event.kind {
            MouseEventKind::ScrollUp => return Some(Action::Move(-WHEEL)),
            MouseEventKind::ScrollDown => return Some(Action::Move(WHEEL)),
            MouseEventKind::Down(MouseButton::Left) => {}
            _ => return None,
        }
        self.held = None;
        let at = Position::new(event.column, event.row);
        if let Some((_, pane)) = self.spots.tabs.iter().find(|(area, _)| area.contains(at)) {
            let pane = *pane;
            self.help = false;
            self.tab(pane);
            return None;
        }
        if self.help {
            return None;
        }
        if let Some((_, column)) = self.spots.titles.iter().find(|(area, _)| area.contains(at)) {
            let column = *column;
            let table = self.table_mut();
            table.reverse = table.sort == Some(column) && !table.reverse;
            table.sort = Some(column);
            return None;
        }
        let (_, key) = self.spots.rows.iter().find(|(area, _)| area.contains(at))?;
        // The first click selects, the second goes in.
        if self.current.as_ref() == Some(key) {
            return Some(Action::Enter);
        }
        self.table_mut().selected = Some(key.clone());
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crossterm::event::KeyModifiers;

    fn at(kind: MouseEventKind, column: u16, row: u16) -> MouseEvent {
        MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }
    }

    #[test]
    fn a_click_selects_goes_in_sorts_and_shows_only_when_the_mouse_is_ours() {
        let click = |x, y| at(MouseEventKind::Down(MouseButton::Left), x, y);
        let mut ui = Ui::default();
        ui.spots.tabs.push((Rect::new(0, 1, 8, 1), Pane::Findings));
        ui.spots.titles.push((Rect::new(2, 2, 5, 1), "name"));
        ui.spots
            .rows
            .push((Rect::new(0, 3, 80, 1), RowKey::Process(7)));
        assert_eq!(ui.click(&click(1, 3)), None);
        assert_eq!(ui.table().selected, None, "the mouse is the terminal's");
        ui.mouse = true;
        assert_eq!(ui.click(&click(1, 3)), None);
        assert_eq!(ui.table().selected, Some(RowKey::Process(7)));
        ui.current = Some(RowKey::Process(7));
        assert_eq!(ui.click(&click(1, 3)), Some(Action::Enter));
        ui.click(&click(3, 2));
        assert_eq!((ui.table().sort, ui.table().reverse), (Some("name"), false));
        ui.click(&click(3, 2));
        assert!(ui.table().reverse);
        assert_eq!(
            ui.click(&at(MouseEventKind::ScrollDown, 0, 0)),
            Some(Action::Move(WHEEL))
        );
        ui.click(&click(1, 1));
        assert_eq!(ui.pane, Pane::Findings);
    }
}
