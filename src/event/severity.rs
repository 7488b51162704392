//! Severity of findings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A severity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Unusual.
    Low,
    /// Should be examined.
    Medium,
    /// Probably an attack.
    High,
    /// Almost certainly an attack.
    Critical,
}

impl Severity {
    /// One step lower; `Info` stays.
    #[must_use]
    pub(crate) fn lowered(self) -> Self {
        match self {
            Self::Critical => Self::High,
            Self::High => Self::Medium,
            Self::Medium => Self::Low,
            Self::Low | Self::Info => Self::Info,
        }
    }

    /// Its letter on screen.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Info => 'I',
            Self::Low => 'L',
            Self::Medium => 'M',
            Self::High => 'H',
            Self::Critical => 'C',
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

impl std::str::FromStr for Severity {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Ok(match s.to_ascii_lowercase().as_str() {
            "info" | "i" => Self::Info,
            "low" | "l" => Self::Low,
            "medium" | "m" => Self::Medium,
            "high" | "h" => Self::High,
            "critical" | "c" => Self::Critical,
            _ => {
                return Err(format!(
                    "unknown severity {s:?}: info, low, medium, high or critical"
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_fills_its_column() {
        assert_eq!(format!("{:<8}|", Severity::Low), "low     |");
        assert_eq!(Severity::Critical.to_string(), "critical");
    }
}
