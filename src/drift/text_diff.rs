//! The lines in which a small text file differs from the image's.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff as Lines};

use super::class::is_secret;
use super::layer_tree::LayerTree;
use crate::event::{ContainerInfo, escape};

/// Bounds: bytes of either file, lines listed, characters of a line.
const MAX_SIZE: u64 = 256 << 10;
const MAX_LINES: usize = 2000;
const MAX_LINE: usize = 2000;
/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines that begin with ` `, `+`, `-` or `@`, escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextDiff {
    /// The lines.
    pub lines: Vec<String>,
    /// There were more.
    pub cut: bool,
}

/// How the text of the file at `path` (absolute, as the container sees it) differs from the
/// image's; a file that only one side has is wholly added or removed.
///
/// # Errors One clause: it is not text, too large, holds secrets, or cannot be read.
pub fn diff(info: &ContainerInfo, path: &[u8]) -> Result<TextDiff, String> {
    if is_secret(path) {
        return Err("holds secrets, not shown".to_owned());
    }
    let tree = LayerTree::open(&info.storage)?;
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let old = text(tree.image_file(path)?)?;
    // A container without the file in its own layer shows the image's, unless it was removed; both
    // have no differing lines, and only the latter is requested.
    let new = text(tree.upper_file(path)?)?;
    Ok(compare(&old, &new))
}

fn text(file: Option<File>) -> Result<Vec<u8>, String> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut text)
        .map_err(|e| e.to_string())?;
    if text.len() as u64 > MAX_SIZE {
        return Err(format!("larger than {} KiB, not shown", MAX_SIZE >> 10));
    }
    if text.contains(&0) {
        return Err("not text".to_owned());
    }
    Ok(text)
}

fn compare(old: &[u8], new: &[u8]) -> TextDiff {
    let diff = Lines::configure()
        .algorithm(Algorithm::Myers)
        // Texts that would take too long to compare are reported as one replacing the other.
        .timeout(Duration::from_millis(500))
        .diff_lines(old, new);
    let mut out = TextDiff::default();
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        out.lines.push(format!(
            "@@ -{},{} +{},{} @@",
            first.old_range().start + 1,
            last.old_range().end - first.old_range().start,
            first.new_range().start + 1,
            last.new_range().end - first.new_range().start,
        ));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if out.lines.len() >= MAX_LINES {
                out.cut = true;
                return out;
            }
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let line: &[u8] = change.value();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let shown = escape(line.get(..MAX_LINE).unwrap_or(line));
            out.lines.push(format!("{sign}{shown}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_lines_escaped_and_bounded() {
        let found = compare(b"a\nb\nc\n", b"a\n\x1b[31mB\xff\nc\n");
        assert_eq!(
            found.lines,
            ["@@ -1,3 +1,3 @@", " a", "-b", r"+\x1b[31mB\xff", " c"]
        );
        let many: Vec<u8> = (0..5000)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect();
        let found = compare(b"", &many);
        assert!(found.cut && found.lines.len() == MAX_LINES);
    }

    #[test]
    fn a_slow_comparison_still_ends() {
        let lines = |seed: u32| -> Vec<u8> {
            (0..60_000_u32)
                .flat_map(|n| format!("{}\n", n.wrapping_mul(seed) >> 28).into_bytes())
                .collect()
        };
        let began = std::time::Instant::now();
        compare(&lines(2_654_435_761), &lines(40_503_003));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
