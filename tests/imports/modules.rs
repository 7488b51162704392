//! The modules of a crate, their names, and where each name is defined.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A module path below the crate's root; the root's own is empty.
pub(crate) type ModulePath = Vec<String>;

/// A source file.
pub(crate) struct SourceFile {
    /// Its path below the directory of the crate's sources.
    pub(crate) path: PathBuf,
    pub(crate) module: ModulePath,
    pub(crate) syntax: syn::File,
    pub(crate) lines: usize,
    /// Compiled for tests only, by `#[cfg(test)]` on its `mod` line.
    pub(crate) test: bool,
}

impl SourceFile {
    /// The folder directly below the sources that the file is in, or the file's own name.
    pub(crate) fn folder(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// The meaning of a name in a module.
enum Name {
    /// An item of this file.
    Item,
    Module,
    /// Imported or re-exported from this path.
    Import(Vec<String>),
}

#[derive(Default)]
struct Module {
    file: usize,
    names: HashMap<String, Vec<Name>>,
    globs: Vec<Vec<String>>,
    test: bool,
}

/// The target of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) file: usize,
    /// The path names a module, not an item in it.
    pub(crate) is_module: bool,
}

/// A crate's files, and its modules by path.
pub(crate) struct Tree {
    pub(crate) files: Vec<SourceFile>,
    modules: BTreeMap<ModulePath, Module>,
}

impl Tree {
    /// Reads every file below the directory that holds the crate's root file.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut paths = Vec::new();
        rust_files(directory, &mut paths);
        paths.sort();
        let files: Vec<_> = paths
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                let syntax = syn::parse_file(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let path = path.strip_prefix(directory).unwrap().to_owned();
                SourceFile {
                    module: module_of(&path),
                    path,
                    syntax,
                    lines: text.lines().count(),
                    test: false,
                }
            })
            .collect();
        let mut tree = Self {
            files,
            modules: BTreeMap::new(),
        };
        let mut test_files = Vec::new();
        for file in 0..tree.files.len() {
            let mut collector = Collector {
                modules: &mut tree.modules,
                file,
                path: tree.files[file].module.clone(),
                test: false,
                test_files: &mut test_files,
            };
            collector.module().file = file;
            collector.visit_file(&tree.files[file].syntax);
        }
        for file in &mut tree.files {
            let by_path = test_files.iter().any(|name| file.path.ends_with(name));
            file.test = by_path
                || (0..=file.module.len()).any(|end| {
                    let module = tree.modules.get(&file.module[..end]);
                    module.is_some_and(|module| module.test)
                });
        }
        tree
    }

    /// Resolves a path written in a module, through imports and re-exports, to the file that
    /// defines what it names. `None` for what other crates define.
    pub(crate) fn resolve(&self, from: &[String], path: &[String]) -> Option<Target> {
        self.resolve_within(from, path, 0)
    }

    fn resolve_within(&self, from: &[String], path: &[String], depth: usize) -> Option<Target> {
        // Deeper chains of re-exports are circles of globs.
        if depth > 16 {
            return None;
        }
        let mut at = from.to_vec();
        let mut rest = path;
        let mut anchored = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop()?;
                }
                _ => break,
            }
            anchored = true;
            rest = &rest[1..];
        }
        let Some(name) = rest.first() else {
            let module = self.modules.get(&at).filter(|_| anchored)?;
            return Some(Target {
                file: module.file,
                is_module: true,
            });
        };
        let rest = &rest[1..];
        let module = self.modules.get(&at)?;
        let mut names: Vec<&Name> = module.names.get(name).into_iter().flatten().collect();
        // A function and a module may share a name: a path that ends here means the item.
        names.sort_by_key(|name| matches!(name, Name::Module) == rest.is_empty());
        for name_is in names {
            let found = match name_is {
                Name::Item => Some(Target {
                    file: module.file,
                    is_module: false,
                }),
                Name::Module => {
                    at.push(name.clone());
                    let inner = [&["self".to_owned()], rest].concat();
                    let found = self.resolve_within(&at, &inner, depth + 1);
                    at.pop();
                    found
                }
                Name::Import(target) if target.as_slice() == path => None,
                Name::Import(target) => {
                    let through = [target.as_slice(), rest].concat();
                    self.resolve_within(&at, &through, depth + 1)
                }
            };
            if found.is_some() {
                return found;
            }
        }
        module.globs.iter().find_map(|glob| {
            let through = [glob.as_slice(), path_tail(path)].concat();
            self.resolve_within(&at, &through, depth + 1)
        })
    }
}

/// A path without leading `crate`, `self` and `super`.
fn path_tail(path: &[String]) -> &[String] {
    let anchors = path
        .iter()
        .take_while(|word| matches!(word.as_str(), "crate" | "self" | "super"));
    &path[anchors.count()..]
}

fn rust_files(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn module_of(path: &Path) -> ModulePath {
    let mut words: Vec<_> = path
        .with_extension("")
        .iter()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let last = words.last().map(String::as_str);
    let root = words.len() == 1 && matches!(last, Some("lib" | "main"));
    if last == Some("mod") || root {
        words.pop();
    }
    words
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|a| a.path().is_ident("path"))?;
    let value = &attribute.meta.require_name_value().ok()?.value;
    let syn::Expr::Lit(literal) = value else {
        return None;
    };
    match &literal.lit {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

/// True for `#[cfg(test)]` and its combinations.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let text = list.tokens.to_string();
                text == "test" || text.starts_with("any (test") || text.starts_with("all (test")
            })
    })
}

/// Every leaf of a `use` tree: its full path, the name it gets here (`None` for a glob), its line.
pub(crate) fn leaves(tree: &syn::UseTree) -> Vec<(Vec<String>, Option<String>, usize)> {
    fn walk(
        tree: &syn::UseTree,
        before: &[String],
        into: &mut Vec<(Vec<String>, Option<String>, usize)>,
    ) {
        let with = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            // `use a::{self}` names `a`.
            if ident != "self" || path.is_empty() {
                path.push(ident.to_string());
            }
            path
        };
        match tree {
            syn::UseTree::Path(path) => walk(&path.tree, &with(&path.ident), into),
            syn::UseTree::Name(name) => {
                let path = with(&name.ident);
                let last = path.last().cloned();
                into.push((path, last, name.ident.span().start().line));
            }
            syn::UseTree::Rename(rename) => into.push((
                with(&rename.ident),
                Some(rename.rename.to_string()),
                rename.ident.span().start().line,
            )),
            syn::UseTree::Glob(glob) => {
                into.push((before.to_vec(), None, glob.star_token.spans[0].start().line));
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    walk(tree, before, into);
                }
            }
        }
    }
    let mut into = Vec::new();
    walk(tree, &[], &mut into);
    into
}

/// Fills the modules of one file.
struct Collector<'a> {
    modules: &'a mut BTreeMap<ModulePath, Module>,
    file: usize,
    path: ModulePath,
    test: bool,
    /// Files of tests that a `#[path]` names.
    test_files: &'a mut Vec<String>,
}

impl Collector<'_> {
    fn module(&mut self) -> &mut Module {
        self.modules.entry(self.path.clone()).or_default()
    }

    fn name(&mut self, ident: &syn::Ident) {
        let names = &mut self.module().names;
        names.entry(ident.to_string()).or_default().push(Name::Item);
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Const(item) => self.name(&item.ident),
            syn::Item::Enum(item) => self.name(&item.ident),
            syn::Item::Fn(item) => self.name(&item.sig.ident),
            syn::Item::Static(item) => self.name(&item.ident),
            syn::Item::Struct(item) => self.name(&item.ident),
            syn::Item::Trait(item) => self.name(&item.ident),
            syn::Item::Type(item) => self.name(&item.ident),
            syn::Item::Union(item) => self.name(&item.ident),
            syn::Item::Macro(item) => item.ident.iter().for_each(|ident| self.name(ident)),
            syn::Item::Mod(item) => {
                let (outer, name) = (self.test, item.ident.to_string());
                let names = &mut self.module().names;
                names.entry(name.clone()).or_default().push(Name::Module);
                self.path.push(name);
                self.test |= is_for_tests(&item.attrs);
                let (file, test) = (self.file, self.test);
                if let Some(path) = path_attribute(&item.attrs) {
                    assert!(test, "#[path] is read for modules of tests only: {path}");
                    self.test_files.push(path);
                }
                let module = self.module();
                module.test |= test;
                // A module with a body is part of this file; another has a file of its own.
                if item.content.is_some() {
                    module.file = file;
                }
                visit::visit_item_mod(self, item);
                self.path.pop();
                self.test = outer;
                return;
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (path, name, _) in leaves(&item.tree) {
            let module = self.module();
            match name {
                Some(name) => {
                    let names = module.names.entry(name).or_default();
                    names.push(Name::Import(path));
                }
                None => module.globs.push(path),
            }
        }
    }
}
