//! Draws the silence form and the list of silences.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Clear, Paragraph, Widget as _};

use super::SilenceDialog;
use super::edit::line;
use super::form::{FormField, SilenceForm};
use super::list::SilenceList;
use crate::core::Core;
use crate::event::escape;
use crate::tui::Action;
use crate::tui::rows::Query;
use crate::tui::text::{fit, things};
use crate::tui::theme::Theme;

/// Width of the names of fields.
const NAMES: usize = 9;

/// A line: text, style.
type SheetLine = (String, Style);

/// Draws the sheet over the whole area.
pub(in crate::tui) fn draw(
    core: &Core,
    query: &Query<'_>,
    sheet: &SilenceDialog,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    Clear.render(area, out);
    let (lines, seen) = match sheet {
        SilenceDialog::Form(form) => form_lines(core, form, theme),
        SilenceDialog::List(list) => list_lines(core, query, list, theme),
    };
    let height = usize::from(area.height);
    // The first two lines stay: title and effect.
    let fixed = height.min(2);
    let room = height.saturating_sub(fixed).max(1);
    let skip = (seen + 1).saturating_sub(fixed + room);
    let rest = lines.iter().skip(fixed + skip);
    let shown = lines.iter().take(fixed).chain(rest).take(height);
    let text: Text<'_> = shown
        .map(|(words, style)| {
            let words = escape(query.masked(words).as_bytes()).to_string();
            Line::styled(fit(&words, usize::from(area.width)), *style)
        })
        .collect();
    Paragraph::new(text).style(theme.text()).render(area, out);
}

/// The keys of the dialog.
pub(in crate::tui) fn keys(sheet: &SilenceDialog) -> &'static str {
    match sheet {
        SilenceDialog::Form(_) => "Enter save  Esc cancel  ↑ ↓ field  ← → option",
        SilenceDialog::List(_) => "d delete  U undo  Esc back",
    }
}

fn field(name: &str, value: &str, choices: usize, here: bool, theme: &Theme) -> SheetLine {
    let (marker, style) = if here {
        ("▌", theme.title())
    } else {
        (" ", theme.text())
    };
    let (left, right) = if choices > 1 {
        ("‹ ", " ›")
    } else {
        ("", "")
    };
    (
        format!("{marker}{name:<NAMES$} {left}{value}{right}"),
        style,
    )
}

fn form_lines(core: &Core, form: &SilenceForm, theme: &Theme) -> (Vec<SheetLine>, usize) {
    let silences = form.silences(core.state.now);
    let effects = silences
        .iter()
        .map(|silence| core.detector.would_hide(&core.state, silence));
    let (hidden, all) = effects.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let of = match silences.len() {
        1 => "this rule".to_owned(),
        rules => format!("its {rules} rules, one entry each"),
    };
    let mut lines = vec![
        (
            format!("Silence {}: {}", form.rule, form.title),
            theme.title(),
        ),
        (
            format!("would hide {hidden} of {all} findings of {of}"),
            theme.accent(),
        ),
    ];
    let mut seen = 0;
    for part in form.fields().iter().copied() {
        let here = part == form.part;
        if here {
            seen = lines.len();
        }
        let [exe, parent, hash] = &form.matches;
        let subject = &form.subject;
        let (name, words, choices) = match part {
            FormField::Scope => ("where", form.scope.words(), form.scope.choices.len()),
            FormField::Subject => ("target", subject.words(), subject.choices.len()),
            FormField::Exe => ("program", exe.words(), exe.choices.len()),
            FormField::Parent => ("parent", parent.words(), parent.choices.len()),
            FormField::Hash => ("sha256", hash.words(), hash.choices.len()),
            FormField::Until => ("until", form.until.words(), form.until.choices.len()),
            FormField::Reason => ("reason *", "", 1),
        };
        if part == FormField::Reason {
            let (left, right) = form.reason.halves();
            let cursor = if here { "█" } else { "" };
            let text = match (left, right) {
                ("", "") => format!("{cursor}  (required)"),
                _ => format!("{left}{cursor}{right}"),
            };
            lines.push(field(name, &text, 1, here, theme));
        } else {
            lines.push(field(name, words, choices, here, theme));
        }
    }
    if let Some(error) = &form.error {
        lines.push((format!(" {error}"), theme.bad()));
        seen = lines.len() - 1;
    }
    (lines, seen)
}

fn list_lines(
    core: &Core,
    query: &Query<'_>,
    list: &SilenceList,
    theme: &Theme,
) -> (Vec<SheetLine>, usize) {
    let silences = &core.detector.settings().policy.silence;
    let findings = core.detector.findings();
    let hidden = findings.iter().filter(|f| f.silenced.is_some()).count();
    let mut lines = vec![
        (
            format!(
                "{}, {} silenced",
                things(silences.len() as u64, "silence"),
                things(hidden as u64, "finding")
            ),
            theme.title(),
        ),
        (String::new(), theme.text()),
    ];
    if silences.is_empty() {
        let (ack, form) = (
            query.keys.sign(Action::Acknowledge),
            query.keys.sign(Action::Silence),
        );
        lines.push((
            format!("No silences. On a finding, {ack} accepts just that finding for 30 days;"),
            theme.text(),
        ));
        lines.push((
            format!("{form} opens a form: target, scope, end and reason."),
            theme.text(),
        ));
    }
    let mut seen = 0;
    let at = list.at.min(silences.len().saturating_sub(1));
    for (n, silence) in silences.iter().enumerate() {
        if n == at {
            // Its reason on the next line stays visible, too.
            seen = lines.len() + 1;
        }
        let over = silence.expires.is_some_and(|end| end <= core.state.now);
        let until = match silence.expires {
            Some(end) if over => format!("expired {:.10}", end.to_string()),
            Some(end) => format!("until {:.10}", end.to_string()),
            None => "no end".to_owned(),
        };
        let (hides, _) = core.detector.would_hide(&core.state, silence);
        let (marker, style) = match n == at {
            true => ("▌", theme.title()),
            false if over => (" ", theme.dim()),
            false => (" ", theme.text()),
        };
        lines.push((format!("{marker}{}", line(silence)), style));
        let about = format!("   hides {hides}, {until}: {}", silence.reason);
        lines.push((about, theme.dim()));
    }
    if hidden > 0 {
        lines.push((String::new(), theme.text()));
        lines.push(("Silenced findings".to_owned(), theme.accent()));
    }
    for finding in findings.iter().filter(|f| f.silenced.is_some()).take(200) {
        let reason = finding.silenced.as_deref().unwrap_or_default();
        let (id, severity) = (finding.id, finding.severity.letter());
        let words = format!(" {severity} {id} {} ({reason})", finding.title);
        lines.push((words, theme.dim()));
    }
    (lines, seen)
}
