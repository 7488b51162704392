//! Loads the configuration of the screen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CliError, live};
use crate::tui::theme::{Chosen, Library};
use crate::tui::{Bps, Config, Depth};
use crate::user_files::{self, InvokingUser};

/// Options of every command that shows a screen.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Screen")]
pub(super) struct ScreenArgs {
    /// Configuration of keys and screen [default: hullwatch/config.toml in $XDG_CONFIG_HOME, if it
    /// exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Theme: hull-dark, hull-light, contrast, ansi16, a file, or a name in hullwatch/themes in
    /// $XDG_CONFIG_HOME [default: $HULLWATCH_THEME, else as configured, else by the terminal]
    #[arg(long, value_name = "THEME")]
    theme: Option<String>,

    /// Use the mouse to click and scroll; m toggles it
    #[arg(long)]
    mouse: bool,

    /// Limit of background redraws in bytes per second: a number, auto (2048 over SSH, else no
    /// limit) or off; answers to keys are not limited
    #[arg(long, value_name = "BYTES", default_value = "auto")]
    bps: Bps,

    /// Panic after this time, to test that the terminal is restored
    #[arg(long, value_name = "TIME", hide = true, value_parser = live::duration)]
    panic_after: Option<Duration>,
}

impl ScreenArgs {
    /// The configuration of the named file, or of the standard one where that exists.
    ///
    /// # Errors
    /// When the file cannot be read, is not a valid configuration, or belongs to another user: with
    /// file, line and cause.
    pub(super) fn load(&self) -> Result<Config, CliError> {
        let folder = ConfigFolder::standard();
        let mut config = match &self.config {
            Some(path) => read(path)?,
            None => folder.config()?,
        };
        config.bps = self.bps;
        config.mouse |= self.mouse;
        if let Some(after) = self.panic_after {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                panic!("as requested by --panic-after");
            });
        }
        let depth = Depth::promised(|name| std::env::var(name).ok());
        let set = std::env::var("HULLWATCH_THEME").ok();
        let requested = [self.theme.clone(), set, config.theme.clone()];
        let name = requested
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| Chosen::suited(depth).to_owned());
        config.look = Chosen::new(folder.themes(), &name, depth)
            .map_err(|error| CliError::expected(error.to_string()))?;
        Ok(config)
    }
}

/// Path of a user's own configuration.
pub(super) struct ConfigFolder {
    path: Option<PathBuf>,
    invoking: Option<InvokingUser>,
}

impl ConfigFolder {
    /// `hullwatch` in the configuration of the user who runs the program or called sudo.
    pub(super) fn standard() -> Self {
        Self {
            path: user_files::folder(),
            invoking: InvokingUser::from_environment(),
        }
    }

    /// The configuration in it, or none.
    fn config(&self) -> Result<Config, CliError> {
        let path = self.path.as_ref().map(|folder| folder.join("config.toml"));
        let Some(path) = path.filter(|path| path.exists()) else {
            return Ok(Config::default());
        };
        read(&path)
    }

    /// The themes in it, and those that come with the program.
    pub(super) fn themes(&self) -> Library {
        Library::of(
            self.path.as_ref().map(|folder| folder.join("themes")),
            self.invoking.as_ref().map(|invoking| invoking.uid),
        )
    }
}

/// Reads a configuration.
///
/// # Errors
/// When it cannot be read or is not valid: with file, line and cause.
pub(super) fn read(path: &Path) -> Result<Config, CliError> {
    let at = |why: &dyn std::fmt::Display| CliError::expected(format!("{}: {why}", path.display()));
    let text = user_files::read(path).map_err(|e| at(&e))?;
    Config::parse(&text).map_err(|e| at(&e))
}
