//! Meanings of colours: the names that theme files style, in one table.

use crate::detect::Severity;

macro_rules! tokens {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The meaning of a part of the screen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Token {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Token {
            /// Every token, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in theme files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

tokens! {
    /// Ordinary text.
    Text = "text",
    /// Less important text.
    Muted = "muted",
    /// Titles of columns and sections.
    Heading = "heading",
    /// Lines and frames.
    Border = "border",
    /// The program's name, the input line.
    Accent = "accent",
    /// A key in a hint.
    Key = "key",
    /// The selected row.
    Selection = "selection",
    /// A search match.
    Match = "match",
    /// A message.
    ToastInfo = "toast.info",
    /// A warning.
    ToastWarn = "toast.warn",
    /// An error, lost events.
    ToastError = "toast.error",
    /// Critical.
    Critical = "sev.critical",
    /// High.
    High = "sev.high",
    /// Medium.
    Medium = "sev.medium",
    /// Low.
    Low = "sev.low",
    /// Informational.
    Info = "sev.info",
    /// All is well.
    Ok = "ok",
    /// Added since the image.
    Added = "drift.added",
    /// Changed since the image.
    Changed = "drift.changed",
    /// Deleted since the image.
    Deleted = "drift.deleted",
    /// A file from the image.
    Image = "origin.image",
    /// A file from the container's own layer.
    Upper = "origin.upper",
    /// A file of the host.
    Host = "origin.host",
    /// A process that ended.
    Exited = "proc.exited",
    /// The present.
    Live = "time.live",
    /// Stopped time.
    Paused = "time.paused",
    /// Recorded time.
    Replay = "time.replay",
    /// Small charts.
    Spark = "spark",
    /// Received.
    Rx = "rx",
    /// Sent.
    Tx = "tx",
}

impl Token {
    /// The token of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|token| token.name() == name)
    }

    /// The token of a severity.
    #[must_use]
    pub fn severity(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Critical,
            Severity::High => Self::High,
            Severity::Medium => Self::Medium,
            Severity::Low => Self::Low,
            Severity::Info => Self::Info,
        }
    }
}
