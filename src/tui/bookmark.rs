//! The saved view of a recording, restored by the next run of the program.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::location::Location;
use super::look::{SavedLook, TableLook};
use super::pane::Pane;
use super::rows::RowKey;
use super::ui::Ui;
use super::zone::Zone;
use crate::event::Timestamp;

/// A saved view: screen, filters, sorting, selection, marks and moment, without revealed secrets
/// and open input lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bookmark {
    /// The moment, if it was not the present.
    pub at: Option<Timestamp>,
    here: Location,
    trail: Vec<Location>,
    /// By screen, in their order.
    tables: Vec<SavedLook>,
    marks: BTreeSet<RowKey>,
    folded: BTreeSet<u32>,
    preview: Option<bool>,
    zoom: bool,
    timeline: Option<bool>,
    since: Option<Timestamp>,
    local: bool,
}

impl Bookmark {
    /// Saves the current view, at `at` if that is not the present.
    pub(super) fn of(ui: &Ui, at: Option<Timestamp>) -> Self {
        Self {
            at,
            here: ui.at.clone(),
            trail: ui.route.trail.clone(),
            tables: ui.tables.all.iter().map(TableLook::kept).collect(),
            marks: ui.tables.marks.clone(),
            folded: ui.tables.folded.clone(),
            preview: ui.display.preview,
            zoom: ui.display.zoom,
            timeline: ui.display.timeline,
            since: ui.since,
            local: ui.display.zone != Zone::default(),
        }
    }

    /// Restores the view; the caller restores the moment.
    pub(super) fn open(self, ui: &mut Ui) {
        let panes = Pane::ALL.into_iter().chain(Pane::PAGES);
        for (pane, kept) in panes.zip(self.tables) {
            ui.tables.all[pane.index()] = kept.table(pane);
        }
        ui.move_to(self.here);
        ui.route.trail = self.trail;
        ui.tables.marks = self.marks;
        ui.tables.folded = self.folded;
        ui.display.preview = self.preview;
        ui.display.zoom = self.zoom;
        ui.display.timeline = self.timeline;
        ui.since = self.since;
        if self.local {
            ui.display.zone.turn();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Core;
    use crate::detect::FindingId;
    use crate::tui::Action;

    #[test]
    fn another_run_shows_the_same_view() {
        let core = Core::default();
        let mut ui = Ui::default();
        ui.apply(Action::Show(Pane::Processes), &core);
        ui.table_mut().flat = true;
        ui.table_mut().selected = Some(RowKey::Process(42));
        ui.apply(Action::Show(Pane::Findings), &core);
        ui.table_mut()
            .set_filter(Pane::Findings, "sev>=h !cron")
            .unwrap();
        ui.table_mut().sort = Some("age");
        ui.tables.marks.insert(RowKey::Finding(FindingId(7)));
        ui.open(RowKey::Finding(FindingId(3)));
        ui.display.zone.turn();
        ui.display.reveal = true;
        let at = Timestamp(1_795_442_607_000_000_000);
        let kept = Bookmark::of(&ui, Some(at));
        let text = serde_json::to_string(&kept).unwrap();
        let read: Bookmark = serde_json::from_str(&text).unwrap();
        assert_eq!(read, kept);

        let mut other = Ui::default();
        read.open(&mut other);
        assert_eq!(Bookmark::of(&other, Some(at)), kept);
        assert_eq!(other.filter().text(), "sev>=h !cron");
        assert_eq!(other.at.detail, Some(RowKey::Finding(FindingId(3))));
        assert!(!other.display.reveal, "secrets stay masked");
        other.apply(Action::Back, &core);
        assert!(other.listing() && other.at.pane == Pane::Findings);
        other.apply(Action::Show(Pane::Processes), &core);
        assert!(other.table().flat);
        assert_eq!(other.selected(), Some(&RowKey::Process(42)));
    }

    #[test]
    fn views_saved_by_other_versions_are_read_in_part() {
        let read: Bookmark = serde_json::from_str(
            r#"{"here":{"pane":"network"},"tables":[{"filter":"nocolumn=3","sort":2,"reverse":true,"switched":5},{"sort":"gone"}],"later":1}"#,
        )
        .unwrap();
        let mut ui = Ui::default();
        read.open(&mut ui);
        assert_eq!(ui.at.pane, Pane::Network);
        assert!(ui.filter().is_empty());
        let sorts = ui.tables.all.iter().map(|table| table.sort);
        assert!(sorts.eq([None; Pane::COUNT]));
    }
}
