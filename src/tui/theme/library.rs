//! The source of themes: those of the program, and the user's files, read again after changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file::{ThemeError, ThemeFile, parse};
use super::{Depth, Theme};
use crate::user_files;

/// Themes of the program; the first is the default.
pub const SHIPPED: &[(&str, &str)] = &[
    ("hull-dark", include_str!("../../../themes/hull-dark.toml")),
    (
        "hull-light",
        include_str!("../../../themes/hull-light.toml"),
    ),
    ("contrast", include_str!("../../../themes/contrast.toml")),
    ("ansi16", include_str!("../../../themes/ansi16.toml")),
];

/// Maximum depth of inheritance.
const DEPTH: usize = 8;
/// Maximum size of a theme file.
const SIZE: u64 = 1 << 20;

/// Finds themes by name: files of a folder before those of the program.
#[derive(Debug, Clone, Default)]
pub struct Library {
    folder: Option<PathBuf>,
    /// Files of this owner and of root are read, others are refused.
    owner: Option<u32>,
}

impl Default for Theme {
    fn default() -> Self {
        Self::mono()
    }
}

impl Theme {
    /// A theme without colours: attributes replace them.
    #[must_use]
    pub fn mono() -> Self {
        Self::named(SHIPPED[0].0, Depth::Mono).unwrap_or_else(|_| Self::plain())
    }

    /// A theme that comes with the program.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(name: &str, depth: Depth) -> Result<Self, ThemeError> {
        Library::shipped().load(name, depth)
    }
}

/// Modification times of a theme's files, the base first.
pub(in crate::tui) type Stamps = Vec<(PathBuf, Option<SystemTime>)>;

impl Library {
    /// Only the program's themes.
    #[must_use]
    pub fn shipped() -> Self {
        Self::default()
    }

    /// Files of a folder too; if `owner` is given, only that user's and root's.
    #[must_use]
    pub fn of(folder: Option<PathBuf>, owner: Option<u32>) -> Self {
        Self { folder, owner }
    }

    /// The names to choose from.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        let files = self.folder.iter().filter_map(|f| user_files::list(f).ok());
        let mut own: Vec<String> = files
            .flatten()
            .filter_map(|path| {
                let toml = path.extension()? == "toml";
                let name = path.file_stem()?.to_str()?.to_owned();
                (toml && !names.contains(&name)).then_some(name)
            })
            .collect();
        own.sort();
        names.append(&mut own);
        names
    }

    /// A theme by name, or by the path of its file.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it is no theme: with file, line and cause.
    pub fn load(&self, name: &str, depth: Depth) -> Result<Theme, ThemeError> {
        self.load_stamped(name, depth).map(|(theme, _)| theme)
    }

    pub(in crate::tui) fn load_stamped(
        &self,
        name: &str,
        depth: Depth,
    ) -> Result<(Theme, Stamps), ThemeError> {
        let mut stamps = Vec::new();
        let mut chain: Vec<ThemeFile> = Vec::new();
        let mut wanted = name.to_owned();
        let mut inherited_by = None;
        loop {
            let file = self.read(&wanted, inherited_by.as_ref(), &mut stamps)?;
            let next = file.inherits.clone();
            chain.push(file);
            let Some(word) = next else { break };
            if chain.len() == DEPTH {
                let message = format!("themes inherit from each other more than {DEPTH} deep");
                return Err(word.place.wrong(message));
            }
            // A file may inherit from the shipped theme of the same name.
            if word.text == wanted {
                let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == wanted) else {
                    return Err(word.place.wrong("a theme cannot inherit from itself"));
                };
                chain.push(parse(&wanted, text)?);
                break;
            }
            wanted.clone_from(&word.text);
            inherited_by = Some(word.place);
        }
        chain.reverse();
        stamps.reverse();
        Theme::resolve(name, chain, depth).map(|theme| (theme, stamps))
    }

    fn read(
        &self,
        name: &str,
        inherited_by: Option<&super::file::ThemePosition>,
        stamps: &mut Stamps,
    ) -> Result<ThemeFile, ThemeError> {
        let own = self.folder.as_ref().map(|f| f.join(format!("{name}.toml")));
        let path = if name.contains('/') || name.ends_with(".toml") {
            Some(PathBuf::from(name))
        } else {
            own.filter(|path| path.exists())
        };
        if let Some(path) = path {
            stamps.push((path.clone(), changed(&path)));
            let display = path.display().to_string();
            let text = self.text(&path).map_err(|message| ThemeError {
                file: display.clone(),
                line: 1,
                message,
            })?;
            return parse(&display, &text);
        }
        match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            Some((_, text)) => parse(name, text),
            None => {
                let message = format!(
                    "there is no theme {name:?}; known: {}",
                    self.names().join(", ")
                );
                Err(match inherited_by {
                    Some(place) => place.wrong(message),
                    None => ThemeError {
                        file: name.to_owned(),
                        line: 1,
                        message,
                    },
                })
            }
        }
    }

    fn text(&self, path: &Path) -> Result<String, String> {
        use std::os::unix::fs::MetadataExt as _;
        let about = std::fs::metadata(path).map_err(|e| e.to_string())?;
        if !about.is_file() {
            return Err("it is not a file".to_owned());
        }
        if about.len() > SIZE {
            return Err(format!("a theme of {} bytes is too large", about.len()));
        }
        match self.owner {
            Some(owner) if about.uid() != owner && about.uid() != 0 => Err(format!(
                "it belongs to user {}, not to user {owner} who called sudo",
                about.uid()
            )),
            _ => user_files::read(path).map_err(|e| e.to_string()),
        }
    }
}

/// When a file was changed last; `None` when it is not there.
pub(in crate::tui) fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|about| about.modified())
        .ok()
}
