//! Clicks and the wheel: finds the action for a click on the last frame.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::action::Action;
use super::ui::Ui;

/// Rows per turn of the wheel.
const WHEEL: isize = 3;

impl Ui {
    /// The action for a click or a turn of the wheel; those that only change the view are carried
    /// out at once.
    pub(super) fn click(&mut self, event: &MouseEvent) -> Option<Action> {
        if !self.display.mouse || self.dialog.takes_keys() {
            return None;
        }
        match event.kind {
            MouseEventKind::ScrollUp => return Some(Action::Move(-WHEEL)),
            MouseEventKind::ScrollDown => return Some(Action::Move(WHEEL)),
            MouseEventKind::Down(MouseButton::Left) => {}
            _ => return None,
        }
        self.drawn.listing = None;
        let at = Position::new(event.column, event.row);
        if let Some((_, pane)) = self
            .drawn
            .clickable
            .tabs
            .iter()
            .find(|(area, _)| area.contains(at))
        {
            let pane = *pane;
            self.dialog.help = false;
            self.tab(pane);
            return None;
        }
        if self.dialog.help {
            return None;
        }
        if let Some((_, column)) = self
            .drawn
            .clickable
            .titles
            .iter()
            .find(|(area, _)| area.contains(at))
        {
            let column = *column;
            let table = self.table_mut();
            table.reverse = table.sort == Some(column) && !table.reverse;
            table.sort = Some(column);
            return None;
        }
        let (_, key) = self
            .drawn
            .clickable
            .rows
            .iter()
            .find(|(area, _)| area.contains(at))?;
        // The first click selects, the second opens.
        if self.drawn.current.as_ref() == Some(key) {
            return Some(Action::Enter);
        }
        self.table_mut().selected = Some(key.clone());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::Pane;
    use crate::tui::rows::RowKey;
    use crossterm::event::KeyModifiers;
    use ratatui::layout::Rect;

    fn at(kind: MouseEventKind, column: u16, row: u16) -> MouseEvent {
        MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }
    }

    #[test]
    fn a_click_selects_opens_and_sorts_only_when_the_mouse_is_used() {
        let click = |x, y| at(MouseEventKind::Down(MouseButton::Left), x, y);
        let mut ui = Ui::default();
        ui.drawn
            .clickable
            .tabs
            .push((Rect::new(0, 1, 8, 1), Pane::Findings));
        ui.drawn
            .clickable
            .titles
            .push((Rect::new(2, 2, 5, 1), "name"));
        ui.drawn
            .clickable
            .rows
            .push((Rect::new(0, 3, 80, 1), RowKey::Process(7)));
        assert_eq!(ui.click(&click(1, 3)), None);
        assert_eq!(ui.table().selected, None, "the mouse is the terminal's");
        ui.display.mouse = true;
        assert_eq!(ui.click(&click(1, 3)), None);
        assert_eq!(ui.table().selected, Some(RowKey::Process(7)));
        ui.drawn.current = Some(RowKey::Process(7));
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
        assert_eq!(ui.at.pane, Pane::Findings);
    }
}
