//! Draws a whole screen: header, tabs, the pane or a detail, and the last line.

mod footer;
mod header;
mod help;
mod minor;
mod pane;
mod picker;
mod preview;
mod process_tree;
mod reading;
mod tabs;
mod tone;
mod tree;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::drawn::Drawn;
use super::guide;
use super::response;
use super::silence;
use super::status::Status;
use super::theme::Theme;
use super::timeline::Timeline;
use super::ui::Ui;
use crate::core::Core;

/// Draws the current view of the core, and returns what was drawn. It changes nothing: [`Ui::keep`]
/// takes the result over before the next key.
#[must_use]
pub fn draw(
    core: &Core,
    ui: &Ui,
    status: &Status,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) -> Drawn {
    let mut drawn = ui.drawn.next(ui.at.scroll);
    let line = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    if area.height == 0 || area.width == 0 {
        return drawn;
    }
    if area.height < 4 {
        header::counts(core, line(0), theme, out);
        return drawn;
    }
    header::status(core, ui, status, line(0), theme, out);
    let help = ui.dialog.help;
    let top = if ui.display.zoom && !help { 1 } else { 2 };
    let timeline = status
        .timeline
        .as_ref()
        .filter(|_| !help && !ui.display.zoom);
    let below = timeline.map_or(0, |_| Timeline::lines(area.height));
    let guided = ui.guide && !help && !ui.display.zoom;
    let guide = if guided {
        guide::height(&ui.keys, area)
    } else {
        0
    };
    drawn.guided = guide > 0;
    let body = Rect::new(
        area.x,
        area.y + top,
        area.width,
        area.height - top - 1 - below - guide,
    );
    let place = Rect::new(area.x, body.bottom() + below, area.width, guide);
    guide::draw(&ui.keys, place, theme, out);
    if let Some(timeline) = timeline {
        let place = Rect::new(area.x, body.bottom(), area.width, below);
        timeline.draw(place, &ui.display.zone, theme, out);
    }
    if help {
        help::draw(ui, &mut drawn, body, theme, out);
    } else if ui.listing() {
        pane::draw(core, ui, &mut drawn, body, theme, out);
    } else if ui.on_file_tree() {
        tree::draw(core, ui, &mut drawn, body, theme, out);
    } else if let Some(pid) = ui.process_of_page() {
        reading::draw_process(core, ui, pid, &mut drawn, body, theme, out);
    } else {
        reading::draw(core, ui, &mut drawn, body, theme, out);
    }
    // After the rows: it shows how many there are.
    if top == 2 {
        tabs::draw(core, ui, &mut drawn, line(1), theme, out);
    }
    if let Some(dialog) = &ui.dialog.silence {
        silence::draw(core, &ui.query(), dialog, body, theme, out);
    }
    if let Some(dialog) = &ui.dialog.response {
        response::draw(&ui.query(), dialog, body, theme, out);
    }
    if let Some(picker) = &ui.dialog.picker {
        picker::draw(ui, picker, body, theme, out);
    }
    let refused = core.state.policy_refused.as_ref();
    let trouble = match (&status.trouble, refused) {
        (Some((what, why)), _) => Some(format!("{what}: {why}")),
        (None, Some(why)) => Some(format!("policy refused: {why}")),
        (None, None) => None,
    };
    // After the rows: the keys depend on which one is selected.
    let subject = ui.at.detail.as_ref().or(drawn.current.as_ref());
    let last = line(area.height - 1);
    footer::draw(ui, subject, status, trouble.as_deref(), last, theme, out);
    drawn
}
