//! A report's structure, independent of how it is written.

/// Blocks of plain text. Text from containers has its control bytes escaped already; each writer
/// escapes what its own format would obey.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// One block.
#[derive(Debug)]
pub(super) enum Block {
    /// Level (2 or 3) and text.
    Heading(u8, String),
    /// A paragraph.
    Text(String),
    /// A line for a shell, without control characters.
    Code(String),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    /// Column names, and rows of as many cells.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

impl Document {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            blocks: Vec::new(),
        }
    }

    pub(super) fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    pub(super) fn code(&mut self, line: impl Into<String>) {
        self.blocks.push(Block::Code(line.into()));
    }

    /// Facts with an empty value are left out.
    pub(super) fn facts(&mut self, mut facts: Vec<(&'static str, String)>) {
        facts.retain(|(_, value)| !value.is_empty());
        self.blocks.push(Block::Facts(facts));
    }

    /// At most `most` rows, and a line with the number of further ones.
    pub(super) fn table(
        &mut self,
        columns: Vec<&'static str>,
        mut rows: Vec<Vec<String>>,
        most: usize,
    ) {
        let more = rows.len().saturating_sub(most);
        rows.truncate(most);
        self.blocks.push(Block::Table(columns, rows));
        if more > 0 {
            self.text(format!("+{more} more"));
        }
    }
}
