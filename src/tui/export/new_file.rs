//! New files in the working directory, readable only by their owner.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Timestamp;
use crate::user_files::{self, Creation};

pub(super) fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Creates a file that only its owner can read, named by its content and the time shown.
pub(super) fn create(
    now: Timestamp,
    what: &str,
    extension: &str,
    folder: &Path,
) -> Result<(File, PathBuf), String> {
    let time = now.to_jiff().strftime("%Y%m%d-%H%M%S").to_string();
    let mut number = 1;
    loop {
        let more = if number > 1 {
            format!("-{number}")
        } else {
            String::new()
        };
        let path = folder.join(format!("hullwatch-{what}-{time}{more}.{extension}"));
        match user_files::create(&path, Creation::Write) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1
            }
            Err(error) => return Err(failed(&path, &error)),
        }
    }
}
