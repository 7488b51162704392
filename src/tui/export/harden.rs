//! The advice about a container: its lines for the clipboard, and files for each target.

use std::io::Write as _;
use std::path::Path;

use super::new_file::{create, failed};
use crate::advice::advise;
use crate::core::Core;
use crate::render::{HardenFormat, render};
use crate::tui::learned::baseline_of;
use crate::tui::pane::Pane;
use crate::tui::ui::Ui;

/// The formats, with the names of their files.
const TARGETS: [(HardenFormat, &str, &str); 3] = [
    (HardenFormat::Run, "harden-run", "sh"),
    (HardenFormat::Compose, "harden-compose", "yaml"),
    (HardenFormat::Kubernetes, "harden-kubernetes", "yaml"),
];

/// Whether the harden tab is shown.
pub(in crate::tui) fn is_shown(ui: &Ui) -> bool {
    ui.at.pane == Pane::Harden && ui.at.detail.is_none()
}

fn rendered(core: &Core, ui: &Ui, format: HardenFormat) -> Option<String> {
    let id = ui.at.container.as_ref()?;
    let container = core.state.containers.get(id)?;
    let baseline = baseline_of(core, ui.learner.as_ref(), id)?;
    let service = &baseline.service;
    let name = if service.is_empty() {
        container.display_name()
    } else {
        service.escaped().to_string()
    };
    let advice = advise(&baseline);
    Some(render(format, &name, &baseline, &advice))
}

/// The options of `docker run`.
pub(super) fn lines(core: &Core, ui: &Ui) -> Option<String> {
    rendered(core, ui, HardenFormat::Run)
}

/// Writes a file for each format; returns the message.
pub(super) fn write(core: &Core, ui: &Ui, folder: &Path) -> Result<String, String> {
    let mut paths = Vec::new();
    for (format, name, extension) in TARGETS {
        let text = rendered(core, ui, format)
            .ok_or("no baseline of it is loaded, and nothing was learned")?;
        let (mut file, path) = create(core.state.now, name, extension, folder)?;
        file.write_all(text.as_bytes())
            .map_err(|e| failed(&path, &e))?;
        paths.push(path.display().to_string());
    }
    Ok(format!("written {}", paths.join(", ")))
}
