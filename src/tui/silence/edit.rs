//! A change of the policy file, and a silence as text.

use crate::detect::Silence;

/// A change of the policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) enum PolicyEdit {
    /// Add silences.
    Add(Vec<Silence>),
    /// Remove a silence.
    Remove(Box<Silence>),
    /// Undo the last change.
    Undo,
}

/// A silence in one line, without its reason.
pub(super) fn line(silence: &Silence) -> String {
    let mut words = vec![silence.rule.clone()];
    let mut part = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            words.push(format!("{name}={value}"));
        }
    };
    let subject = silence.subject.join(" or ");
    part(
        "subject",
        &Some(subject).filter(|subject| !subject.is_empty()),
    );
    part("exe", &silence.exe);
    part("parent", &silence.parent);
    part("sha256", &silence.sha256.as_deref().map(short));
    part("digest", &silence.scope.digest.as_deref().map(short));
    part("image", &silence.scope.image);
    part("container", &silence.scope.container);
    part("pod", &silence.scope.pod);
    part("namespace", &silence.scope.namespace);
    for (key, value) in &silence.scope.label {
        words.push(format!("{key}={value}"));
    }
    words.join(" ")
}

/// The first digits of a hash.
pub(super) fn short(hash: &str) -> String {
    let digits = hash.rsplit(':').next().unwrap_or(hash);
    digits.chars().take(12).collect()
}
