//! Learning and comparing baselines from the screen: `:learn`, which begins and then writes the
//! file, and `:diff`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::learned::{BaselineComparison, ScreenLearner, file_of};
use super::run::App;
use super::source::Source;
use super::ui::ActionRequest;
use crate::baseline::{Baseline, diff, readiness};
use crate::collect::Live;
use crate::event::escape;
use crate::learning::{LiveLearner, extend, learner, read};

/// Begins to learn from every container; returns the message.
fn begin(live: &Live) -> Result<ScreenLearner, String> {
    let (settings, since) = {
        let core = live.core().lock();
        (core.detector.settings().clone(), core.state.now)
    };
    let shared = Arc::new(Mutex::new(learner(&settings)));
    let follower = Box::new(LiveLearner(Arc::clone(&shared)));
    live.learn(follower).map_err(|e| e.to_string())?;
    Ok(ScreenLearner::new(shared, since))
}

/// Adds the learned items to the file; returns the message.
fn written(path: &Path, learned: &Baseline) -> Result<String, String> {
    let whole = extend(path, learned)?;
    let items = super::text::things(whole.items.len() as u64, "item");
    let percent = readiness(&whole).percent;
    let file = path.display().to_string();
    Ok(format!(
        "written {}: {items}, readiness {percent} %",
        escape(file.as_bytes())
    ))
}

impl App {
    /// Begins to learn, writes the baseline of the current container, or ends learning.
    pub(super) fn learn(&mut self, requested: &ActionRequest) {
        let message = self.learned(requested.argument.as_deref());
        self.ui.message = Some(message.unwrap_or_else(|why| why));
    }

    fn learned(&mut self, argument: Option<&str>) -> Result<String, String> {
        let ui = &self.ui;
        let id = self.viewpoint.with(|core| ui.container_of(core));
        let id = id.ok_or("it belongs to no container")?;
        let file = self.viewpoint.with(|core| file_of(core, &id));
        let Source::Live(live) = self.viewpoint.source() else {
            return Err(
                "the screen learns while this host is watched; of a recording: hullwatch learn NAME \
                 --recording FILE"
                    .to_owned(),
            );
        };
        match (argument, &self.ui.learner) {
            (Some("stop"), Some(_)) => {
                live.stop_learning();
                self.ui.learner = None;
                Ok("learning ended; unwritten items were discarded".to_owned())
            }
            (Some("stop"), None) => Err("learning is off".to_owned()),
            (Some(other), _) => Err(format!("{other}: the only argument of learn is stop")),
            (None, None) => {
                self.ui.learner = Some(begin(live)?);
                self.viewpoint.with(|core| self.ui.baseline_of(core));
                Ok(format!(
                    "learning: restart the container to include its start; :learn writes {file}"
                ))
            }
            (None, Some(learner)) => {
                let learned = learner.baseline(&id);
                let learned = learned.ok_or("nothing has been learned about it yet")?;
                let path = std::path::absolute(&file).unwrap_or(PathBuf::from(file));
                written(&path, &learned)
            }
        }
    }

    /// Compares a baseline file, or the loaded baseline, with what the container does.
    pub(super) fn compare(&mut self, requested: &ActionRequest) {
        let message = self.compared(requested.argument.as_deref());
        self.ui.message = Some(message.unwrap_or_else(|why| why));
    }

    fn compared(&mut self, file: Option<&str>) -> Result<String, String> {
        let ui = &self.ui;
        let (id, in_force) = self.viewpoint.with(|core| {
            let id = ui.container_of(core);
            let container = id.as_ref().and_then(|id| core.state.containers.get(id));
            let known = container.and_then(|c| core.detector.baseline_of(c));
            (id, known.map(|k| (k.file.clone(), k.baseline.clone())))
        });
        let id = id.ok_or("it belongs to no container")?;
        let learned = self.ui.learner.as_ref().and_then(|l| l.baseline(&id));
        let (with, before, after) = match (file, in_force, learned) {
            (Some(file), _, Some(learned)) => (file.to_owned(), read(Path::new(file))?, learned),
            (Some(file), Some((_, known)), None) => {
                (file.to_owned(), read(Path::new(file))?, known)
            }
            (None, Some((with, known)), Some(learned)) => (with, known, learned),
            (Some(_), None, None) => {
                return Err("nothing has been learned about it: :learn first".to_owned());
            }
            (None, ..) => return Err(":diff FILE compares it with a baseline file".to_owned()),
        };
        let diff = diff(&before, &after, &[]);
        let message = format!("{} new, {} gone", diff.new.len(), diff.gone.len());
        self.ui.compared = Some(BaselineComparison {
            container: id,
            with,
            diff,
        });
        self.viewpoint.with(|core| self.ui.baseline_of(core));
        Ok(message)
    }
}
