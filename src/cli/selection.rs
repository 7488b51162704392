//! The selection of events and findings: by container, severity and type.

use std::collections::BTreeSet;

use clap::Args;

use crate::detect::Severity;
use crate::event::KNOWN_TYPES;

/// Which containers, and the lowest severity.
#[derive(Debug, Clone, Args)]
pub(super) struct Selection {
    /// Only this container: a name, an id or its beginning, a pod, or image:NAME (repeatable)
    #[arg(long, value_name = "CONTAINER", add = super::completions::containers())]
    pub(super) container: Vec<String>,

    /// Only findings at least this severe: info, low, medium, high or critical
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    pub(super) min_severity: Severity,

    /// Mask secrets in command lines and settings; the lines show them otherwise
    #[arg(long)]
    pub(super) mask: bool,
}

/// Types of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LineTypes {
    /// Of events.
    pub(super) types: BTreeSet<&'static str>,
    pub(super) findings: bool,
}

/// Reads a list of types: event types, `all`, `findings`.
///
/// # Errors
/// When one of them is no type.
pub(super) fn what(text: &str) -> Result<LineTypes, String> {
    let mut what = LineTypes::default();
    for word in text.split(',').map(str::trim) {
        match word {
            "all" => {
                what.types.extend(KNOWN_TYPES);
                what.findings = true;
            }
            "findings" | "finding" => what.findings = true,
            word => match KNOWN_TYPES.iter().find(|known| **known == word) {
                Some(known) => {
                    what.types.insert(known);
                }
                None => {
                    return Err(format!(
                        "unknown event type; use all, findings or one of {}",
                        KNOWN_TYPES.join(", ")
                    ));
                }
            },
        }
    }
    Ok(what)
}
