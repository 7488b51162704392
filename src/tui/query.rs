//! The query of the current view.

use std::sync::Arc;

use super::pane::Pane;
use super::rows::{self, Listing, Query};
use super::ui::Ui;
use crate::core::Core;

impl Ui {
    /// The query of the current screen.
    pub(super) fn query(&self) -> Query<'_> {
        self.query_of(self.at.pane)
    }

    /// The query of a screen in the current scope.
    pub(super) fn query_of(&self, pane: Pane) -> Query<'_> {
        let table = &self.tables.all[pane.index()];
        let typing = self.filtering().filter(|_| pane == self.at.pane);
        Query {
            pane,
            container: self.at.container.as_ref(),
            image: self.at.image.as_ref(),
            filter: &table.filter,
            typing: typing.map(|prompt| (prompt.text(), prompt.error.is_some())),
            sort: table.sort,
            reverse: table.reverse,
            flat: table.flat,
            hide_ended: table.hide_ended,
            marks: &self.tables.marks,
            folded: &self.tables.folded,
            zone: &self.display.zone,
            reveal: self.display.reveal,
            machine: self.machine.as_ref(),
            keys: &self.keys,
            learner: self.learner.as_ref(),
            compared: self.compared.as_ref(),
        }
    }

    /// The rows of the current screen; some may lack their text.
    ///
    /// While a key is held they are those of the last frame: otherwise each step would send every
    /// row that moved meanwhile, which piles up on a slow link and moves the list away from the
    /// cursor.
    pub(super) fn outline(&self, core: &Core) -> Arc<Listing> {
        if let Some(rows) = self.frame_rows.as_ref().and_then(|rows| rows.of(core)) {
            return rows;
        }
        match &self.drawn.listing {
            Some(held) if self.hurry => Arc::clone(held),
            _ => rows::outline(core, &self.query()),
        }
    }
}
