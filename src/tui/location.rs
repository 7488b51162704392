//! The current location: screen, scope and page.

use serde::{Deserialize, Serialize};

use super::pane::Pane;
use super::rows::{ImageKey, RowKey};
use crate::event::ContainerId;

/// A screen, its scope, and the page that is open on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Location {
    /// The screen.
    pub pane: Pane,
    /// Only this container, when inside one.
    pub container: Option<ContainerId>,
    /// Only containers of this image.
    pub(super) image: Option<ImageKey>,
    /// The row whose page is open.
    pub(super) detail: Option<RowKey>,
    /// First line shown of the page or of help.
    pub(super) scroll: usize,
}

impl Location {
    /// A screen without scope.
    pub(super) fn of(pane: Pane) -> Self {
        Self {
            pane,
            ..Self::default()
        }
    }
}
