//! The page of files that differ from the image, as a tree.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, StatefulWidget, Widget as _};
use tui_tree_widget::{Tree, TreeItem};

use crate::core::Core;
use crate::tui::drawn::Drawn;
use crate::tui::file_tree::Node;
use crate::tui::text::things;
use crate::tui::theme::{Theme, Token};
use crate::tui::ui::Ui;

pub(super) fn draw(
    core: &Core,
    ui: &Ui,
    drawn: &mut Drawn,
    area: Rect,
    theme: &Theme,
    out: &mut Buffer,
) {
    drawn.current = None;
    let [above, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let root = Node::of(core, &ui.query());
    let title = match root.files {
        0 => "No file is known to differ from its image.".to_owned(),
        count => format!(
            "{} differ from the image   → opens, ← closes",
            things(count, "file")
        ),
    };
    Paragraph::new(Span::styled(title, theme.title())).render(above, out);
    drawn.page = usize::from(body.height);
    let items = items(&root, theme);
    let tree = || {
        let tree = Tree::new(&items).ok()?;
        let tree = tree.highlight_symbol("▌").highlight_style(theme.title());
        Some(tree.node_closed_symbol("+ ").node_open_symbol("- "))
    };
    let mut state = ui.file_tree.state();
    let selected = if ui.file_tree.selected.is_empty() {
        items.first().map(|item| vec![item.identifier().clone()])
    } else {
        Some(ui.file_tree.selected.clone())
    };
    // The scroll range is only known after rendering.
    let mut scratch = Buffer::empty(body);
    if let Some(tree) = tree() {
        StatefulWidget::render(tree, body, &mut scratch, &mut state);
    }
    state.scroll_down(ui.at.scroll);
    state.select(selected.unwrap_or_default());
    if let Some(tree) = tree() {
        StatefulWidget::render(tree, body, out, &mut state);
    }
    drawn.scroll = state.get_offset();
}

/// The widget's items below a node.
fn items(node: &Node, theme: &Theme) -> Vec<TreeItem<'static, String>> {
    let item = |(name, child): (String, &Node)| {
        let style = child.worst.map_or(theme.text(), |s| theme.severity(s));
        let letter = child
            .worst
            .map_or(String::new(), |s| format!("{} ", s.letter()));
        let Some((sign, did)) = &child.file else {
            let line = Line::from(vec![
                Span::styled(format!("{letter}{name}"), style),
                Span::styled(format!("  {}", things(child.files, "file")), theme.dim()),
            ]);
            return TreeItem::new(name, line, items(child, theme)).ok();
        };
        let token = match sign {
            '+' => Token::Added,
            '-' => Token::Deleted,
            _ => Token::Changed,
        };
        let line = Line::from(vec![
            Span::styled(format!("{sign} "), theme.style(token)),
            Span::styled(format!("{letter}{name}"), style),
            Span::styled(format!("  {did}"), theme.dim()),
        ]);
        Some(TreeItem::new_leaf(name, line))
    };
    node.children().into_iter().filter_map(item).collect()
}
