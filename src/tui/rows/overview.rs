//! Overview of a container: a page, not a table.

use super::screen::{ScreenDef, written};
use crate::tui::pane::Pane;

pub(super) const SCREEN: ScreenDef = ScreenDef {
    pane: Pane::Overview,
    name: "overview",
    title: "Overview",
    short: "Overview",
    over: "ended",
    columns: &[],
    empty: &[],
    count: |_, _| None,
    outline: |_, _| Vec::new(),
    write: written,
};
