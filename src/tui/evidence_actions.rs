//! The actions that write evidence: start, progress, confirmation before leaving.

use super::action::Action;
use super::export::GatheredEvidence;
use super::run::App;
use super::source::Source;
use crate::core::Core;

impl App {
    /// Collects the evidence of the selected row and starts writing it.
    pub(super) fn bundle(&mut self) {
        if let Some(name) = self.evidence.name() {
            self.ui.message = Some(format!("the evidence of {name} is still being written"));
            return;
        }
        let here =
            self.viewpoint.is_present() && matches!(self.viewpoint.source(), Source::Live(_));
        let ui = &self.ui;
        let gather = |core: &Core| (GatheredEvidence::of(core, ui, here), core.state.now);
        let (gathered, now) = self.viewpoint.with(gather);
        let reveal = ui.display.reveal;
        self.ui.message = Some(match gathered {
            Ok(evidence) => self.evidence.begin(evidence, now, reveal),
            Err(error) => error,
        });
    }

    /// Shows the outcome; true when there is something to draw.
    pub(super) fn evidence_written(&mut self) -> bool {
        let (message, draw) = self.evidence.news();
        self.ui.message = message.or(self.ui.message.take());
        draw
    }

    /// The question before leaving while evidence is being written.
    pub(super) fn leaves_evidence(&self) -> Option<String> {
        let name = self.evidence.name()?;
        let key = self.ui.keys.sign(Action::Quit);
        Some(format!(
            "the evidence of {name} is still being written: {key} again quits without it"
        ))
    }
}
