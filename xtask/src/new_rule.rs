//! `new-rule`: the file of a rule from a template, and its lines in the list of rules.

use std::fs;

const RULES: &str = "src/detect/rules";

const TEMPLATE: &str = r#"//! Replace this line by what the rule flags.

use bstr::ByteSlice as _;

use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Exec;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "exec.@ID@",
        title: "Ran @ID@",
        label: "@ID@",
        severity: Severity::Medium,
        attack: &[],
        needs: &[Requirement::Exec],
        explain: "Why this is dangerous, and what similar harmless activity is not flagged.",
        check: "What to look at to decide whether it was legitimate.",
    },
    handlers: &[Handler::Exec(|ctx, _, exec| examine(ctx, exec))],
};

fn examine(ctx: &RuleContext<'_>, exec: &Exec) -> Alerts {
    if !exec.exe.as_bytes().ends_with(b"/@ID@") {
        return Alerts::none();
    }
    let subject = exec.exe.as_bytes();
    let alert = ctx.alert(Severity::Medium, subject, |explanation| {
        explanation.title = format!("Ran {}", exec.exe.escaped());
    });
    alert.into()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, image};

    #[test]
    fn the_dangerous_case_is_found() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/usr/bin/@ID@", &["@ID@"], image(3));
        assert_eq!(w.finding("exec.@ID@").severity, Severity::Medium);
    }

    #[test]
    fn its_harmless_twin_is_not() {
        let mut w = World::steady();
        let init = w.init();
        w.exec_file(init, "/usr/bin/not-@ID@", &["@ID@"], image(3));
        assert!(w.all("exec.@ID@").is_empty());
    }
}
"#;

/// Writes the file of a rule and lists it.
///
/// # Errors
/// When the name is no module name, the file exists, or the list is not as expected.
pub(crate) fn write(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !name.bytes().all(fits) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("{name}: a rule's name is like a_b"));
    }
    let file = super::root().join(RULES).join(format!("{name}.rs"));
    if file.exists() {
        return Err(format!("{} exists", file.display()));
    }
    let list = super::root().join(RULES).join("mod.rs");
    let text = fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
    let listed = listed(&text, name)
        .ok_or_else(|| format!("{}: no list of rules as expected", list.display()))?;
    let rule = TEMPLATE.replace("@ID@", &name.replace('_', "-"));
    fs::write(&file, rule).map_err(|e| format!("{}: {e}", file.display()))?;
    fs::write(&list, listed).map_err(|e| format!("{}: {e}", list.display()))?;
    println!("src/detect/rules/{name}.rs: fill it in, then cargo test --lib {name}");
    Ok(())
}

/// The list of rules with one more: its `mod` line in alphabetical order, its rule at the end.
fn listed(text: &str, name: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_module = |line: &String| line.starts_with("mod ") && line.ends_with(';');
    let new = format!("mod {name};");
    let after = lines.iter().rposition(|l| is_module(l) && *l < new);
    let at = after.map_or_else(|| lines.iter().position(is_module), |at| Some(at + 1))?;
    lines.insert(at, new);
    let begin = lines
        .iter()
        .position(|l| l.contains("const ALL: &[&Rule]"))?;
    let end = begin + lines[begin..].iter().position(|l| l == "];")?;
    lines.insert(end, format!("    &{name}::RULE,"));
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn a_rule_is_added_in_two_places() {
        let before = "mod a;\nmod c;\n\npub(crate) const ALL: &[&Rule] = &[\n    &a::RULE,\n];\n";
        let after = "mod a;\nmod b;\nmod c;\n\npub(crate) const ALL: &[&Rule] = &[\n    &a::RULE,\n    &b::RULE,\n];\n";
        assert_eq!(listed(before, "b").as_deref(), Some(after));
        assert_eq!(listed("mod a;\n", "b"), None);
    }
}
