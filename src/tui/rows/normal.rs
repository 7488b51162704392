//! Pages inside a container on its normal behavior: baseline, advice, posture.

use super::screen::{ScreenDef, page};
use crate::tui::pane::Pane;

pub(super) const BASELINE: ScreenDef = page(Pane::Baseline, "baseline", "Baseline", "Base");
pub(super) const HARDEN: ScreenDef = page(Pane::Harden, "harden", "Harden", "Hard");
pub(super) const POSTURE: ScreenDef = page(Pane::Posture, "posture", "Posture", "Post");
