//! Overview of a container: a page, not a table.

use super::screen::{ScreenDef, page};
use crate::tui::pane::Pane;

pub(super) const SCREEN: ScreenDef = page(Pane::Overview, "overview", "Overview", "Overview");
