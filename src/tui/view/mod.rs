//! Draws a whole screen: header, tabs, the pane or a detail, and the last line.

mod footer;
mod header;
mod help;
mod lesser;
mod pane;
mod picker;
mod preview;
mod reading;
mod tabs;
mod tone;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::Ui;
use super::mouse::Clickable;
use super::silence;
use super::source::Status;
use super::theme::Theme;
use super::timeline::Timeline;
use crate::core::Core;

/// Draws the core as the person looks at it. Fixes nothing in `ui` but the page size and a
/// selection that is gone.
pub fn draw(
    core: &Core,
    ui: &mut Ui,
    status: &Status,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    ui.spots = Clickable::default();
    let line = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    if area.height == 0 || area.width == 0 {
        return;
    }
    if area.height < 4 {
        header::counts(core, line(0), theme, out);
        return;
    }
    header::status(core, ui, status, line(0), theme, out);
    let top = if ui.zoom && !ui.help { 1 } else { 2 };
    let timeline = status.timeline.as_ref().filter(|_| !ui.help && !ui.zoom);
    let below = timeline.map_or(0, |_| Timeline::lines(area.height));
    let body = Rect::new(
        area.x,
        area.y + top,
        area.width,
        area.height - top - 1 - below,
    );
    if let Some(timeline) = timeline {
        let place = Rect::new(area.x, body.bottom(), area.width, below);
        timeline.draw(place, &ui.zone, theme, out);
    }
    if ui.help {
        ui.page = usize::from(body.height.saturating_sub(1));
        help::draw(ui, body, theme, out);
    } else if ui.listing() {
        pane::draw(core, ui, body, theme, out);
    } else {
        ui.page = usize::from(body.height.saturating_sub(1));
        reading::detail(core, ui, body, theme, out);
    }
    // After the rows: it says how many there are.
    if top == 2 {
        tabs::draw(core, ui, line(1), theme, out);
    }
    if let Some(sheet) = &ui.sheet {
        silence::draw(core, ui, sheet, body, theme, out);
    }
    if let Some(picker) = &ui.picker {
        picker::draw(ui, picker, body, theme, out);
    }
    // After the rows: the keys depend on which one is selected.
    let refused = core.state.policy_refused.as_ref();
    let trouble = match (&status.trouble, refused) {
        (Some((what, why)), _) => Some(format!("{what}: {why}")),
        (None, Some(why)) => Some(format!("policy refused: {why}")),
        (None, None) => None,
    };
    let last = line(area.height - 1);
    footer::draw(ui, status, trouble.as_deref(), last, theme, out);
}
