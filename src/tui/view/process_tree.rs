//! The tree below the facts on a process's page.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, StatefulWidget, Widget as _};
use tui_tree_widget::{Tree, TreeItem};
use unicode_width::UnicodeWidthStr as _;

use crate::core::Core;
use crate::tui::process_tree::ProcessNode;
use crate::tui::process_tree_look::{ProcessPath, ProcessTreeLook};
use crate::tui::text::fit;
use crate::tui::theme::Theme;
use crate::tui::ui::Ui;

/// Draws the tree of the process whose page is shown.
pub(super) fn draw(core: &Core, ui: &Ui, pid: u32, area: Rect, theme: &Theme, out: &mut Buffer) {
    let Some((root, path)) = ProcessNode::of(core, pid) else {
        return;
    };
    let [above, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let width = usize::from(area.width);
    let title = fit("Process tree (host pid, origin)   → opens, ← closes", width);
    Paragraph::new(Span::styled(title, theme.accent())).render(above, out);
    let look = ui.process_tree.on_page(pid, &path);
    let items: Vec<_> = item(&root, &[], &look, width, theme).into_iter().collect();
    let Ok(tree) = Tree::new(&items) else {
        return;
    };
    let tree = tree.highlight_symbol("▌").highlight_style(theme.title());
    let mut state = look.state();
    state.select(look.selected);
    let tree = tree.node_closed_symbol("+ ").node_open_symbol("- ");
    StatefulWidget::render(tree, body, out, &mut state);
}

/// Height of the tree, with its heading.
pub(super) fn height(core: &Core, ui: &Ui, pid: u32) -> usize {
    let Some((root, path)) = ProcessNode::of(core, pid) else {
        return 0;
    };
    let look = ui.process_tree.on_page(pid, &path);
    1 + root.shown(&look).len()
}

/// The widget's item for a process.
fn item(
    node: &ProcessNode,
    above: &[u32],
    look: &ProcessTreeLook,
    width: usize,
    theme: &Theme,
) -> Option<TreeItem<'static, u32>> {
    let path: ProcessPath = [above, &[node.pid]].concat();
    let style = match node.worst {
        Some(severity) => theme.severity(severity),
        None if node.ended => theme.dim(),
        None => theme.text(),
    };
    let letter = node
        .worst
        .map_or(String::new(), |severity| format!("{} ", severity.letter()));
    let folded = if look.opened.contains(&path) {
        0
    } else {
        node.count()
    };
    let more = match (folded, node.left_out) {
        (0, 0) => String::new(),
        (0, _) if look.opened.contains(&path) && !node.below.is_empty() => String::new(),
        (below, left_out) => format!("  {} below", below + left_out),
    };
    // The widget writes its mark and two cells a level before it.
    let room = width.saturating_sub(1 + 2 * path.len() + more.width());
    let text = format!("{} {letter}{}", node.pid, node.text);
    let line = Line::from(vec![
        Span::styled(fit(&text, room), style),
        Span::styled(more, theme.dim()),
    ]);
    let below = node.below.iter();
    let below = below.filter_map(|node| item(node, &path, look, width, theme));
    TreeItem::new(node.pid, line, below.collect()).ok()
}
