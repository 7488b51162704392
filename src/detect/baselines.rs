//! The loaded baselines, and the choice of the one that applies to a container.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::baseline::{
    Baseline, BaselineState, Facet, Matcher, Readiness, container_command, parse, readiness,
    repository,
};
use crate::event::{BaselineChange, ContainerInfo, Severity};
use crate::state::Container;

/// Maximum number of loaded baselines.
const MOST: usize = 1_024;

/// A loaded baseline.
#[derive(Debug)]
pub(crate) struct LoadedBaseline {
    /// Its content.
    pub(crate) baseline: Baseline,
    /// The same content, indexed for look-ups.
    pub(crate) matcher: Matcher,
    /// The file it was read from.
    pub(crate) file: String,
    /// How complete it is.
    pub(crate) readiness: Readiness,
    /// It was learned with the system calls.
    pub(crate) has_syscalls: bool,
    state: BaselineState,
}

/// The loaded baselines, by file.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadedBaselines {
    files: BTreeMap<String, Arc<LoadedBaseline>>,
    /// Incremented with every change, so that no rule keeps an outdated choice.
    pub(crate) generation: u64,
}

impl LoadedBaselines {
    /// Whether no baseline is loaded.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Applies a baseline event: loads, replaces or removes a file's baseline.
    pub(super) fn apply(&mut self, change: &BaselineChange) {
        self.generation += 1;
        if change.refused.is_some() {
            return;
        }
        let Some(content) = &change.content else {
            self.files.remove(&change.file);
            return;
        };
        if self.files.len() >= MOST && !self.files.contains_key(&change.file) {
            return;
        }
        // The sender of the event has parsed it already.
        if let Ok(baseline) = parse(content) {
            let has_syscalls = baseline.facet(Facet::Syscall).next().is_some();
            let loaded = LoadedBaseline {
                matcher: Matcher::new(&baseline),
                has_syscalls,
                state: baseline.state(),
                file: change.file.clone(),
                readiness: readiness(&baseline),
                baseline,
            };
            self.files.insert(change.file.clone(), Arc::new(loaded));
        }
    }

    /// The baseline for a container: it must have the same image name and service or command; one
    /// of the same image digest is preferred.
    pub(crate) fn of(&self, container: &Container) -> Option<ChosenBaseline> {
        let info = &container.info;
        let image = repository(&info.image);
        if image.is_empty() {
            return None;
        }
        let mut own = None;
        let fits = self.files.values().filter(|loaded| {
            let b = &loaded.baseline;
            if &**b.image != image {
                return false;
            }
            let (service, command) = own.get_or_insert_with(|| container_command(container));
            b.service == *service && b.command == *command
        });
        let same = |loaded: &Arc<LoadedBaseline>| is_of(&loaded.baseline, info);
        let best = fits.max_by_key(|loaded| same(loaded))?;
        Some(ChosenBaseline {
            other_image: !same(best),
            loaded: Arc::clone(best),
        })
    }
}

fn is_of(baseline: &Baseline, info: &ContainerInfo) -> bool {
    baseline.digests.is_empty() || baseline.digests.contains(&info.image_digest)
}

/// The baseline of a container.
#[derive(Debug, Clone)]
pub(crate) struct ChosenBaseline {
    pub(crate) loaded: Arc<LoadedBaseline>,
    /// It was learned from another image of the same name.
    pub(crate) other_image: bool,
}

impl ChosenBaseline {
    /// The severity of a deviation: information while the baseline is partial, one less while it
    /// learns and for another image of the name.
    pub(crate) fn grade(&self, severity: Severity) -> Severity {
        let severity = match self.loaded.state {
            BaselineState::Partial => Severity::Info,
            BaselineState::Learning => severity.lowered(),
            BaselineState::Ready | BaselineState::Frozen => severity,
        };
        if self.other_image {
            severity.lowered()
        } else {
            severity
        }
    }

    /// The baseline behind a finding, as text.
    pub(crate) fn basis(&self) -> String {
        let b = &self.loaded.baseline;
        let digest = b.digests.iter().next().filter(|_| self.other_image);
        let other = digest.map_or(String::new(), |digest| {
            let short: String = digest.chars().take(19).collect();
            let short = crate::event::escape(short.as_bytes()).to_string();
            format!("; learned from another image of that name ({short})")
        });
        format!(
            "baseline of {}, {}{other}",
            b.title(),
            self.loaded.state.name()
        )
    }
}
