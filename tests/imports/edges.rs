//! Which file uses which: one edge for each name that a file imports from another.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::modules::{ModulePath, Tree, is_for_tests, leaves};

/// The first place where one file uses another.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) line: usize,
    /// The path as written there.
    pub(crate) path: String,
    /// Only a module was named, not an item in it.
    pub(crate) is_module: bool,
}

/// Edges from file to file, by index in [`Tree::files`].
pub(crate) type Edges = BTreeMap<(usize, usize), Edge>;

/// The edges of a crate. Code for tests is left out: it may use everything.
pub(crate) fn edges(tree: &Tree) -> Edges {
    let mut edges = Edges::new();
    for (index, file) in tree.files.iter().enumerate() {
        if file.test {
            continue;
        }
        let mut finder = Finder {
            tree,
            file: index,
            module: file.module.clone(),
            edges: &mut edges,
        };
        finder.visit_file(&file.syntax);
    }
    edges
}

struct Finder<'a> {
    tree: &'a Tree,
    file: usize,
    module: ModulePath,
    edges: &'a mut Edges,
}

impl Finder<'_> {
    fn uses(&mut self, path: &[String], line: usize) {
        let Some(target) = self.tree.resolve(&self.module, path) else {
            return;
        };
        if target.file == self.file {
            return;
        }
        let edge = Edge {
            line,
            path: path.join("::"),
            is_module: target.is_module,
        };
        // An item is more specific than its module.
        let known = self.edges.entry((self.file, target.file)).or_insert(edge);
        if known.is_module && !target.is_module {
            *known = Edge {
                line,
                path: path.join("::"),
                is_module: false,
            };
        }
    }

    /// Paths of two names or more in the arguments of a macro, which no parser knows.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.finish(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                }
                other => {
                    self.finish(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.finish(&mut path, line);
    }

    fn finish(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.uses(path, line);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Trait(item) => &item.attrs,
            syn::Item::Type(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    /// A re-export is no use by itself, since imports are followed to the defining file; but a
    /// re-export of a name from another folder is an edge between the folders.
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let re_export = !matches!(item.vis, syn::Visibility::Inherited);
        for (path, _, line) in leaves(&item.tree) {
            let other_folder = || {
                let target = self.tree.resolve(&self.module, &path);
                target.is_some_and(|target| {
                    self.tree.files[target.file].folder() != self.tree.files[self.file].folder()
                })
            };
            if !re_export || other_folder() {
                self.uses(&path, line);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = path.segments.first()
            && path.leading_colon.is_none()
        {
            self.uses(&words, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
