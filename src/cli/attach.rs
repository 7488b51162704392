//! `hullwatch attach`: a recording under way on the screen, as it was left.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::config::ScreenArgs;
use super::error::print_message;
use super::{CliError, active_recordings, ring, terminal};
use crate::recording::{Header, Player, path_is_written};
use crate::tui::{self, Attached, Bookmark};
use crate::user_files;

/// Number of recordings whose view is remembered.
const REMEMBERED: usize = 32;

/// Show a running recording on the screen
///
/// Shows the file that hullwatch record writes, from its beginning up to now. Leaving, or losing
/// the terminal, ends only the screen; attaching again returns to the same view, filters and
/// moment. With FILE it needs only permission to read that file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file of the running recording, or the directory of record --ring [default: the only one]
    file: Option<PathBuf>,

    /// Policy file that silences are written to; the recorder must use the same file [default:
    /// hullwatch/policy.toml in $XDG_CONFIG_HOME]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// The remembered view of one recording.
#[derive(Debug, Serialize, Deserialize)]
struct SavedView {
    /// Start time and path of the recording.
    recording: String,
    bookmark: Bookmark,
}

/// The remembered views, the latest last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedViews(Vec<SavedView>);

impl SavedViews {
    fn take(&mut self, recording: &str) -> Option<Bookmark> {
        let at = self.0.iter().position(|view| view.recording == recording)?;
        Some(self.0.remove(at).bookmark)
    }

    fn keep(&mut self, recording: String, bookmark: Bookmark) {
        self.take(&recording);
        let many = self.0.len() + 1;
        self.0.drain(..many.saturating_sub(REMEMBERED));
        self.0.push(SavedView {
            recording,
            bookmark,
        });
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if !terminal::there() {
        return Err(CliError::expected(
            "this is not a terminal; hullwatch replay --events all prints the events recorded so \
             far",
        ));
    }
    let segment = match &args.file {
        Some(path) if path.is_dir() => Some(ring::segment(path, None)?.path),
        other => other.clone(),
    };
    let path = active_recordings::file(segment.as_deref())?;
    let config = args.screen.load()?;
    let policy = args
        .policy
        .clone()
        .or_else(|| user_files::standard("policy.toml"));
    let player = Player::open_within(&path, config.memory)?;
    let recording = recording(&path, player.header());
    let mut file = user_files::state_folder().map(|folder| folder.join("views.json"));
    let mut views = SavedViews::default();
    if let Some(path) = &file {
        match load(path) {
            Ok(read) => views = read,
            Err(why) => {
                print_message(format!("{}: {why}; the view is not saved", path.display()));
                file = None;
            }
        }
    }
    let attached = Attached {
        bookmark: views.take(&recording).unwrap_or_default(),
        policy: policy.and_then(|path| std::path::absolute(path).ok()),
        link: None,
    };
    let bookmark = tui::run_attached(player, &config, attached)
        .map_err(|error| CliError::expected(error.to_string()))?;
    if let Some(file) = &file {
        views.keep(recording, bookmark);
        if let Err(why) = save(file, &views) {
            print_message(format!("{}: {why}; the view is not saved", file.display()));
        }
    }
    if path_is_written(&path) {
        let name = path.display();
        print_message(format!(
            "{name} is still being recorded: hullwatch attach returns to it, hullwatch stop ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that identifies a recording: start time and path.
fn recording(path: &Path, header: &Header) -> String {
    format!("{} {}", header.started, path.display())
}

/// Reads the remembered views; none when there is no file.
fn load(file: &Path) -> Result<SavedViews, String> {
    match user_files::read(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| e.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(SavedViews::default()),
        Err(error) => Err(error.to_string()),
    }
}

fn save(file: &Path, views: &SavedViews) -> Result<(), String> {
    let text = serde_json::to_string(views).map_err(|e| e.to_string())?;
    user_files::write(file, &text).map_err(|e| e.to_string())
}

#[cfg(test)]
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
            views.keep(format!("recording {number}"), bookmark);
        }
        save(&file, &views).unwrap();
        let mut read = load(&file).unwrap();
        assert_eq!(read.0.len(), REMEMBERED);
        let last = read.take("recording 99").unwrap();
        assert_eq!(last.at, Some(Timestamp(99)));
        assert!(read.take("recording 99").is_none() && read.take("recording 0").is_none());
        std::fs::write(&file, "[").unwrap();
        assert!(load(&file).is_err());
    }
}
