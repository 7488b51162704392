//! `hullwatch attach`: a recording under way on the screen, as it was left.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::config::ScreenArgs;
use super::failure::say;
use super::{Failure, terminal, underway};
use crate::recording::{Header, Player, path_is_written};
use crate::tui::{self, Attached, Bookmark};
use crate::user_files;

/// Recordings whose view is remembered.
const REMEMBERED: usize = 32;

/// Show a recording that is under way
///
/// What hullwatch record writes, on the same screen as this host itself: its present and, back to
/// its beginning, its past. Leaving, or losing the terminal, ends the screen only; attaching again
/// returns to the same view, filters and moment. With FILE it needs nothing but to read that.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session file that is being recorded [default: the only one under way]
    file: Option<PathBuf>,

    /// The policy file that accepted findings are written into; the recording must use the same
    /// [default: hullwatch/policy.toml in $XDG_CONFIG_HOME]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// What was looked at of a recording.
#[derive(Debug, Serialize, Deserialize)]
struct View {
    /// Which: its file, and when it began.
    session: String,
    bookmark: Bookmark,
}

/// What was looked at of some recordings, the latest last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Views(Vec<View>);

impl Views {
    fn take(&mut self, session: &str) -> Option<Bookmark> {
        let at = self.0.iter().position(|view| view.session == session)?;
        Some(self.0.remove(at).bookmark)
    }

    fn keep(&mut self, session: String, bookmark: Bookmark) {
        self.take(&session);
        let many = self.0.len() + 1;
        self.0.drain(..many.saturating_sub(REMEMBERED));
        self.0.push(View { session, bookmark });
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if !terminal::there() {
        return Err(Failure::expected(
            "this is not a terminal; hullwatch replay --events all prints what was recorded so far",
        ));
    }
    let path = underway::file(args.file.as_deref())?;
    let config = args.screen.load()?;
    let policy = args
        .policy
        .clone()
        .or_else(|| user_files::standard("policy.toml"));
    let player = Player::open(&path)?;
    let session = session(&path, player.header());
    let mut file = user_files::state_folder().map(|folder| folder.join("views.json"));
    let mut views = Views::default();
    if let Some(path) = &file {
        match load(path) {
            Ok(read) => views = read,
            Err(why) => {
                say(format!("{}: {why}; no view is kept", path.display()));
                file = None;
            }
        }
    }
    let attached = Attached {
        bookmark: views.take(&session).unwrap_or_default(),
        policy: policy.and_then(|path| std::path::absolute(path).ok()),
    };
    let bookmark = tui::run_attached(player, &config, attached)
        .map_err(|error| Failure::expected(error.to_string()))?;
    if let Some(file) = &file {
        views.keep(session, bookmark);
        if let Err(why) = save(file, &views) {
            say(format!("{}: {why}; the view is not kept", file.display()));
        }
    }
    if path_is_written(&path) {
        let name = path.display();
        say(format!(
            "{name} is still being recorded: hullwatch attach returns to it, hullwatch stop ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What tells a recording from any other.
fn session(path: &Path, header: &Header) -> String {
    format!("{} {}", header.started, path.display())
}

/// What was kept; nothing where there is no file.
fn load(file: &Path) -> Result<Views, String> {
    match user_files::read(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| e.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Views::default()),
        Err(error) => Err(error.to_string()),
    }
}

fn save(file: &Path, views: &Views) -> Result<(), String> {
    let text = serde_json::to_string(views).map_err(|e| e.to_string())?;
    user_files::write(file, &text).map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    #[test]
    fn the_latest_views_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/views.json");
        let mut views = load(&file).unwrap();
        for number in 0..100 {
            let mut bookmark = Bookmark::default();
            bookmark.at = Some(Timestamp(number));
            views.keep(format!("session {number}"), bookmark);
        }
        save(&file, &views).unwrap();
        let mut read = load(&file).unwrap();
        assert_eq!(read.0.len(), REMEMBERED);
        let last = read.take("session 99").unwrap();
        assert_eq!(last.at, Some(Timestamp(99)));
        assert!(read.take("session 99").is_none() && read.take("session 0").is_none());
        std::fs::write(&file, "[").unwrap();
        assert!(load(&file).is_err());
    }
}
