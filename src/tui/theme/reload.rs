//! Reloads the chosen theme when its files change.

use super::library::{Stamps, changed};
use super::{Depth, Library, SHIPPED, Theme, ThemeError};

/// The chosen theme, and the modification times of its files.
#[derive(Debug, Clone)]
pub struct Chosen {
    library: Library,
    name: String,
    depth: Depth,
    stamps: Stamps,
    /// The loaded theme.
    pub theme: Theme,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            library: Library::shipped(),
            name: "none".to_owned(),
            depth: Depth::Mono,
            stamps: Vec::new(),
            theme: Theme::mono(),
        }
    }
}

impl Chosen {
    /// Reads a theme.
    ///
    /// # Errors
    /// As [`Library::load`].
    pub fn new(library: Library, name: &str, depth: Depth) -> Result<Self, ThemeError> {
        let (theme, stamps) = library.load_stamped(name, depth)?;
        Ok(Self {
            library,
            name: name.to_owned(),
            depth,
            stamps,
            theme,
        })
    }

    /// Reads it again when one of its files changed: true when its style changed.
    ///
    /// # Errors
    /// When the file is no theme now: the old one is kept, and this is reported once.
    pub fn refresh(&mut self) -> Result<bool, ThemeError> {
        if self.stamps.iter().all(|(path, was)| changed(path) == *was) {
            return Ok(false);
        }
        for (path, was) in &mut self.stamps {
            *was = changed(path);
        }
        let (theme, stamps) = self.library.load_stamped(&self.name, self.depth)?;
        self.theme = theme;
        self.stamps = stamps;
        Ok(true)
    }

    /// The best theme for a terminal of that depth, if none was chosen.
    #[must_use]
    pub fn suited(depth: Depth) -> &'static str {
        if depth <= Depth::Sixteen {
            "ansi16"
        } else {
            SHIPPED[0].0
        }
    }

    /// Switches to the next theme; returns its name. Invalid ones are skipped.
    pub fn advance(&mut self) -> &str {
        let names = self.library.names();
        let now = names
            .iter()
            .position(|name| *name == self.name)
            .unwrap_or(0);
        for step in 1..=names.len() {
            let name = &names[(now + step) % names.len()];
            if let Ok((theme, stamps)) = self.library.load_stamped(name, self.depth) {
                self.name.clone_from(name);
                self.theme = theme;
                self.stamps = stamps;
                break;
            }
        }
        &self.name
    }
}
