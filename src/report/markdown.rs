//! A report as Markdown.

use std::fmt::Write as _;

use super::document::{Block, Document};

/// The document as Markdown; text from containers stays text.
pub(super) fn write(document: &Document) -> String {
    let mut out = format!("# {}\n", escape(&document.title));
    for block in &document.blocks {
        out.push('\n');
        // Writing to a String does not fail.
        let _ = match block {
            Block::Heading(level, text) => {
                writeln!(out, "{} {}", "#".repeat(usize::from(*level)), escape(text))
            }
            Block::Text(text) => writeln!(out, "{}", escape(text)),
            Block::Code(line) => {
                let fence = fence(line);
                writeln!(out, "{fence}sh\n{line}\n{fence}")
            }
            Block::Facts(facts) => facts
                .iter()
                .try_for_each(|(name, value)| writeln!(out, "- **{name}**: {}", escape(value))),
            Block::Table(columns, rows) => table(&mut out, columns, rows),
        };
    }
    out
}

/// Longer than any row of backticks in `code`, so that nothing in it ends the block.
fn fence(code: &str) -> String {
    let runs = code.split(|c| c != '`').map(str::len);
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}

fn table(out: &mut String, columns: &[&str], rows: &[Vec<String>]) -> std::fmt::Result {
    writeln!(out, "| {} |", columns.join(" | "))?;
    writeln!(out, "|{}", " --- |".repeat(columns.len()))?;
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// Every character with a meaning in Markdown or HTML is escaped.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_end_its_block() {
        let mut document = Document::new("r");
        document.code("rm '````' x");
        let text = write(&document);
        assert!(text.contains("\n`````sh\nrm '````' x\n`````\n"), "{text}");
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut document = Document::new("r");
        document.table(
            vec!["what"],
            vec![vec![
                "a|b <script>x</script> [k](javascript:1) `c`\n# h".to_owned(),
            ]],
            10,
        );
        let text = write(&document);
        assert!(
            text.contains(
                "| a\\|b \\<script\\>x\\</script\\> \\[k\\](javascript:1) \\`c\\` \\# h |"
            ),
            "{text}"
        );
    }
}
