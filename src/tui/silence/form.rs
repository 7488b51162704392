//! The silence form: which findings, where, until when and why. Enter writes it.

use std::collections::BTreeSet;
use std::time::Duration;

use bstr::ByteSlice as _;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::edit::{PolicyEdit, short};
use crate::core::Core;
use crate::detect::{Finding, Scope, Silence, exactly};
use crate::event::Timestamp;
use crate::incident::Incident;
use crate::tui::prompt::{Prompt, Purpose, Typed};
use crate::tui::text::things;

/// One option of a field: its text and its value.
#[derive(Debug, Clone)]
pub(super) struct FieldOption<T> {
    pub(super) words: String,
    value: T,
}

impl<T> FieldOption<T> {
    fn new(words: impl Into<String>, value: T) -> Self {
        Self {
            words: words.into(),
            value,
        }
    }
}

/// A field with one chosen option.
#[derive(Debug, Clone)]
pub(super) struct OptionField<T> {
    pub(super) choices: Vec<FieldOption<T>>,
    pub(super) at: usize,
}

impl<T> OptionField<T> {
    fn new(choices: Vec<FieldOption<T>>) -> Self {
        Self { choices, at: 0 }
    }

    fn turn(&mut self, by: usize) {
        self.at = (self.at + by) % self.choices.len().max(1);
    }

    fn value(&self) -> Option<&T> {
        self.choices.get(self.at).map(|choice| &choice.value)
    }

    pub(super) fn words(&self) -> &str {
        self.choices.get(self.at).map_or("", |c| c.words.as_str())
    }
}

/// The fields, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormField {
    Scope,
    Subject,
    Exe,
    Parent,
    Hash,
    Until,
    Reason,
}

impl FormField {
    /// Fields that are the same for all findings of an incident.
    const SHARED: [Self; 3] = [Self::Scope, Self::Until, Self::Reason];

    const ALL: [Self; 7] = [
        Self::Scope,
        Self::Subject,
        Self::Exe,
        Self::Parent,
        Self::Hash,
        Self::Until,
        Self::Reason,
    ];
}

/// A silence being edited.
#[derive(Debug, Clone)]
pub(crate) struct SilenceForm {
    pub(super) rule: String,
    /// For an incident: one silence for each of its rules; empty for that of a single finding.
    rules: Vec<Silence>,
    pub(super) title: String,
    pub(super) part: FormField,
    pub(super) scope: OptionField<Scope>,
    /// Patterns of its subjects.
    pub(super) subject: OptionField<Vec<String>>,
    /// Patterns for executable, parent and hash; `None` matches any.
    pub(super) matches: [OptionField<Option<String>>; 3],
    pub(super) until: OptionField<Option<Duration>>,
    pub(super) reason: Prompt,
    pub(super) error: Option<String>,
}

/// A time after now, to the second.
pub(super) fn end(now: Timestamp, after: Duration) -> Timestamp {
    let whole = now.plus(after).seconds();
    Timestamp(whole.saturating_mul(1_000_000_000))
}

impl SilenceForm {
    pub(super) fn new(finding: &Finding, core: &Core) -> Self {
        let hash = core.detector.hash_of(finding).map(str::to_owned);
        let ancestor = |n: usize| {
            let exe = finding.ancestry.get(n)?.exe.to_str().ok()?;
            Some(exe.replace('*', "?")).filter(|exe| !exe.is_empty())
        };
        let day = Duration::from_secs(86_400);
        Self {
            rule: finding.rule.clone(),
            rules: Vec::new(),
            title: finding.title.clone(),
            part: FormField::Scope,
            scope: OptionField::new(scopes(finding, core)),
            subject: OptionField::new(subjects(finding)),
            matches: [
                OptionField::new(optional(ancestor(0))),
                OptionField::new(optional(ancestor(1))),
                OptionField::new(optional(hash)),
            ],
            until: OptionField {
                choices: vec![
                    FieldOption::new("for 1 day", Some(day)),
                    FieldOption::new("for 7 days", Some(day * 7)),
                    FieldOption::new("for 30 days", Some(day * 30)),
                    FieldOption::new("no end", None),
                ],
                at: 2,
            },
            reason: Prompt::new(Purpose::Search, ""),
            error: None,
        }
    }

    /// The form for all findings of an incident, with one silence for each rule; `None` without a
    /// finding.
    pub(super) fn of_all(incident: &Incident, rules: Vec<Silence>, core: &Core) -> Option<Self> {
        let finding = core.detector.finding(*incident.findings.first()?)?;
        let mut form = Self::new(finding, core);
        // A silence for an intruder's findings in one container does not cover other containers
        // unless the user chooses that.
        let narrowest = |choice: &FieldOption<Scope>| choice.value.container.is_some();
        form.scope.at = form.scope.choices.iter().position(narrowest).unwrap_or(0);
        form.rule = incident.id.to_string();
        form.title = format!(
            "{}, {}",
            incident.sentence("›"),
            things(incident.findings.len() as u64, "finding")
        );
        form.rules = rules;
        Some(form)
    }

    /// The fields of the form.
    pub(super) fn fields(&self) -> &'static [FormField] {
        match self.rules.is_empty() {
            true => &FormField::ALL,
            false => &FormField::SHARED,
        }
    }

    /// The silences that the form describes.
    pub(super) fn silences(&self, now: Timestamp) -> Vec<Silence> {
        let chosen = self.silence(now);
        if self.rules.is_empty() {
            return vec![chosen];
        }
        let of = |rule: &Silence| Silence {
            rule: rule.rule.clone(),
            subject: rule.subject.clone(),
            ..chosen.clone()
        };
        self.rules.iter().map(of).collect()
    }

    /// The silence that the fields describe.
    fn silence(&self, now: Timestamp) -> Silence {
        let [exe, parent, sha256] = &self.matches;
        let chosen = |field: &OptionField<Option<String>>| field.value().cloned().flatten();
        Silence {
            rule: self.rule.clone(),
            subject: self.subject.value().cloned().unwrap_or_default(),
            exe: chosen(exe),
            parent: chosen(parent),
            sha256: chosen(sha256),
            scope: self.scope.value().cloned().unwrap_or_default(),
            reason: self.reason.text().trim().to_owned(),
            expires: self.until.value().copied().flatten().map(|d| end(now, d)),
        }
    }

    /// Handles a key: whether the form stays open, and the change to write.
    pub(super) fn press(&mut self, key: &KeyEvent, core: &Core) -> (bool, Option<PolicyEdit>) {
        self.error = None;
        let fields = self.fields();
        let at = fields.iter().position(|p| *p == self.part).unwrap_or(0);
        let count = fields.len();
        let (down, up) = (fields[(at + 1) % count], fields[(at + count - 1) % count]);
        let typing = self.part == FormField::Reason && !key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Esc => return (false, None),
            KeyCode::Enter => return self.done(core),
            KeyCode::Down | KeyCode::Tab => self.part = down,
            KeyCode::Up | KeyCode::BackTab => self.part = up,
            // Backspace in an empty line does not close the form.
            _ if typing => {
                let _: Typed = self.reason.press(key);
            }
            KeyCode::Char('j') => self.part = down,
            KeyCode::Char('k') => self.part = up,
            KeyCode::Char('q' | '!') => return (false, None),
            KeyCode::Right | KeyCode::Char(' ' | 'l') => self.turn(true),
            KeyCode::Left | KeyCode::Char('h') => self.turn(false),
            _ => {}
        }
        (true, None)
    }

    /// Takes pasted text into the reason, where that is being typed.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        let typing = self.part == FormField::Reason;
        if typing {
            let _: Typed = self.reason.paste(text);
        }
        typing
    }

    fn turn(&mut self, on: bool) {
        fn by<T>(field: &mut OptionField<T>, on: bool) {
            let back = field.choices.len().saturating_sub(1);
            field.turn(if on { 1 } else { back });
        }
        let [exe, parent, hash] = &mut self.matches;
        let subject = &mut self.subject;
        match self.part {
            FormField::Scope => by(&mut self.scope, on),
            FormField::Subject => by(subject, on),
            FormField::Exe => by(exe, on),
            FormField::Parent => by(parent, on),
            FormField::Hash => by(hash, on),
            FormField::Until => by(&mut self.until, on),
            FormField::Reason => {}
        }
    }

    fn done(&mut self, core: &Core) -> (bool, Option<PolicyEdit>) {
        if self.reason.text().trim().is_empty() {
            self.part = FormField::Reason;
            self.error = Some("a reason is required".to_owned());
            return (true, None);
        }
        let silences = self.silences(core.state.now);
        (false, Some(PolicyEdit::Add(silences)))
    }
}

/// Where: the narrowest first.
fn scopes(finding: &Finding, core: &Core) -> Vec<FieldOption<Scope>> {
    let mut out = Vec::new();
    let container = finding.container.as_ref();
    let info = container
        .and_then(|id| core.state.containers.get(id))
        .map(|c| &c.info);
    if let Some(info) = info {
        if !info.image_digest.is_empty() {
            let words = format!("this image (digest {})", short(&info.image_digest));
            let scope = Scope {
                digest: Some(info.image_digest.clone()),
                ..Scope::default()
            };
            out.push(FieldOption::new(words, scope));
        }
        if let Some(image) = info.image.to_str().ok().filter(|i| !i.is_empty()) {
            let words = format!("any image named {image}");
            let scope = Scope {
                image: Some(image.replace('*', "?")),
                ..Scope::default()
            };
            out.push(FieldOption::new(words, scope));
        }
    }
    if let Some(id) = container {
        let name = info
            .and_then(|i| i.name.to_str().ok())
            .filter(|n| !n.is_empty());
        let name = name.unwrap_or_else(|| id.short());
        let scope = Scope {
            container: Some(name.to_owned()),
            ..Scope::default()
        };
        out.push(FieldOption::new(format!("container {name}"), scope));
    }
    if let Some(pod) = info.and_then(|info| info.pod.as_ref()) {
        let whole = format!("{}/{}", pod.namespace, pod.name);
        let scope = Scope {
            pod: Some(whole.clone()),
            ..Scope::default()
        };
        out.push(FieldOption::new(format!("pod {whole}"), scope));
        let scope = Scope {
            namespace: Some(pod.namespace.clone()),
            ..Scope::default()
        };
        let words = format!("all pods of {}", pod.namespace);
        out.push(FieldOption::new(words, scope));
    }
    out.push(FieldOption::new("all containers", Scope::default()));
    out
}

/// Targets: exactly these, everything else, any.
fn subjects(finding: &Finding) -> Vec<FieldOption<Vec<String>>> {
    let mut out = Vec::new();
    let exact = exactly(finding);
    if !exact.is_empty() {
        let words = match exact.as_slice() {
            [one] => format!("exactly {one}"),
            many => format!("these {}: {}", many.len(), many.join(" ")),
        };
        // One pattern, if all of them are in one directory or on one host.
        let beside: BTreeSet<Option<String>> = exact.iter().map(|text| beside(text)).collect();
        out.push(FieldOption::new(words, exact));
        if let [Some(pattern)] = beside.into_iter().collect::<Vec<_>>().as_slice() {
            out.push(FieldOption::new(pattern.clone(), vec![pattern.clone()]));
        }
    }
    out.push(FieldOption::new("any", Vec::new()));
    out
}

/// A pattern for the same directory, or for any port of the same host.
fn beside(text: &str) -> Option<String> {
    let sign = if text.starts_with('/') { '/' } else { ':' };
    let (before, _) = text.rsplit_once(sign)?;
    (!before.is_empty()).then(|| format!("{before}{sign}*"))
}

/// Any, or exactly this.
fn optional(value: Option<String>) -> Vec<FieldOption<Option<String>>> {
    let mut out = vec![FieldOption::new("any", None)];
    if let Some(value) = value {
        out.push(FieldOption::new(format!("exactly {value}"), Some(value)));
    }
    out
}
