//! Accepting into the baseline: turns the events of a deviation into items in general form.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::baseline::{Baseline, BaselineItem, Facts, generalise, observed_actions, parse, write};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::escape;
use crate::state::Container;
use crate::user_files;

/// Maximum number of items named in a question.
const NAMED: usize = 3;

/// A change of a baseline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaselineEdit {
    file: PathBuf,
    change: BaselineEditKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BaselineEditKind {
    /// Adds these items to the known ones.
    Accept(Vec<BaselineItem>),
    /// Marks it as complete, or undoes that.
    Freeze(bool),
}

/// Whether a finding is a deviation from a baseline.
pub(super) fn is_deviation(finding: &Finding) -> bool {
    finding.rule.starts_with("base.")
}

/// The items to accept so that a deviation is known; `None` where no baseline applies to its
/// container, or its events are no longer known.
pub(super) fn proposed(core: &Core, finding: &Finding) -> Option<BaselineEdit> {
    let container = core.state.container(&finding.container)?;
    let known = core.detector.baseline_of(container)?;
    // The finding has only its title; its events have the details.
    let matches = |item: &BaselineItem| {
        let text = item.to_string();
        finding.why.iter().any(|why| why.contains(&text))
    };
    let items: Vec<BaselineItem> = finding
        .evidence
        .iter()
        .filter_map(|seq| core.event(*seq))
        .flat_map(|event| observed_actions(&core.state, event))
        .map(|action| action.item)
        .filter(|item| matches(item) && !known.matcher.knows(item))
        .collect();
    let general = added(&known.baseline, &items);
    (!general.is_empty()).then(|| BaselineEdit {
        file: PathBuf::from(&known.file),
        change: BaselineEditKind::Accept(general),
    })
}

/// The baseline's items joined with others, in general form.
fn with(baseline: &Baseline, items: &[BaselineItem]) -> BTreeMap<BaselineItem, Facts> {
    let mut all = baseline.items.clone();
    for item in items {
        all.entry(item.clone()).or_default();
    }
    generalise(&all, &baseline.mounts)
}

/// Items that are new when these are added.
fn added(baseline: &Baseline, items: &[BaselineItem]) -> Vec<BaselineItem> {
    let all = with(baseline, items).into_keys();
    all.filter(|item| !baseline.items.contains_key(item))
        .collect()
}

impl BaselineEdit {
    /// The change as text.
    pub(super) fn question(&self) -> String {
        let file = self.file.display().to_string();
        let file = escape(file.as_bytes());
        match &self.change {
            BaselineEditKind::Accept(items) => {
                let named = items.iter().take(NAMED);
                let named = named.map(|item| format!("{} {item}", item.facet));
                let mut named: Vec<String> = named.collect();
                if items.len() > NAMED {
                    named.push(format!("{} more", items.len() - NAMED));
                }
                format!("accepts into {file}: {}", named.join("; "))
            }
            BaselineEditKind::Freeze(true) => format!("marks {file} as complete"),
            BaselineEditKind::Freeze(false) => format!("marks {file} as incomplete"),
        }
    }

    /// Writes the file; returns the message.
    pub(super) fn make(&self) -> String {
        let file = self.file.display().to_string();
        let file = escape(file.as_bytes()).to_string();
        match self.written() {
            Ok(()) => match &self.change {
                BaselineEditKind::Accept(items) => {
                    let items = super::text::things(items.len() as u64, "item");
                    format!("{items} accepted into {file}")
                }
                BaselineEditKind::Freeze(true) => format!("{file} is frozen"),
                BaselineEditKind::Freeze(false) => format!("{file} is no longer frozen"),
            },
            Err(why) => format!("{file}: {why}"),
        }
    }

    fn written(&self) -> Result<(), String> {
        let text = user_files::read(&self.file).map_err(|e| e.to_string())?;
        let parsed = parse(&text);
        let mut baseline = parsed.map_err(|e| format!("line {}: {}", e.line, e.message))?;
        match &self.change {
            BaselineEditKind::Accept(items) => {
                baseline.items = with(&baseline, items);
                for item in items {
                    baseline.held.remove(item);
                }
            }
            BaselineEditKind::Freeze(frozen) => baseline.frozen = *frozen,
        }
        user_files::write(&self.file, &write(&baseline)).map_err(|e| e.to_string())
    }
}

/// The change that marks the baseline of a container as complete, or undoes that; `None` without a
/// loaded baseline.
pub(super) fn frozen(core: &Core, container: &Container) -> Option<BaselineEdit> {
    let known = core.detector.baseline_of(container)?;
    Some(BaselineEdit {
        file: PathBuf::from(&known.file),
        change: BaselineEditKind::Freeze(!known.baseline.frozen),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::baseline::{Facet, ItemField};

    fn item(path: &str) -> BaselineItem {
        let fields = [
            (ItemField::Path, path.as_bytes()),
            (ItemField::By, &b"/app"[..]),
        ];
        BaselineItem::new(Facet::Write, fields)
    }

    #[test]
    fn accepted_items_are_general_and_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.baseline.toml");
        let mut baseline = Baseline {
            image: "web".into(),
            ..Baseline::default()
        };
        baseline
            .held
            .insert(item("/data/<n>"), "drift F-0001".to_owned());
        std::fs::write(&file, write(&baseline)).unwrap();
        // A number is no part of what is known.
        let items = added(&baseline, &[item("/data/4711")]);
        assert_eq!(items, [item("/data/<n>")]);
        let edit = BaselineEdit {
            file: file.clone(),
            change: BaselineEditKind::Accept(items),
        };
        assert!(
            edit.question().contains("write /data/<n>"),
            "{}",
            edit.question()
        );
        assert!(edit.make().contains("1 item accepted"), "{}", edit.make());
        let now = parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(now.items.contains_key(&item("/data/<n>")));
        assert!(now.held.is_empty());

        let freeze = |on| BaselineEdit {
            file: file.clone(),
            change: BaselineEditKind::Freeze(on),
        };
        assert!(freeze(true).make().ends_with("is frozen"));
        assert!(
            parse(&std::fs::read_to_string(&file).unwrap())
                .unwrap()
                .frozen
        );
        std::fs::write(&file, "no").unwrap();
        assert!(
            freeze(true).make().contains("line "),
            "{}",
            freeze(true).make()
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "no");
    }
}
