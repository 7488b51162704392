//! Writes a commented starter configuration; never overwrites a file.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::CliError;
use crate::user_files::{self, Creation};

/// The text of `config init`.
pub(super) const CONFIG: &str = include_str!("../../packaging/config.toml");
/// The text of `policy init`.
pub(super) const POLICY: &str = include_str!("../../packaging/policy.toml");

/// The named file, or `name` in the configuration folder.
///
/// # Errors
/// When the home directory is unknown.
pub(super) fn path(named: Option<&Path>, name: &str) -> Result<PathBuf, CliError> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => user_files::standard(name)
            .ok_or_else(|| CliError::expected("the home directory is unknown")),
    }
}

/// Creates `path` with this text, and its folder if needed; reports where.
///
/// # Errors
/// When the file exists or cannot be created.
pub(super) fn write(path: &Path, text: &str) -> Result<ExitCode, CliError> {
    create(path, text).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists => "it exists already and was not changed".to_owned(),
            _ => format!("cannot create: {error}"),
        };
        CliError::expected(format!("{}: {why}", path.display()))
    })?;
    writeln!(std::io::stdout().lock(), "{}", path.display())?;
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        let folder = folder.to_owned();
        user_files::with_rights(move || std::fs::create_dir_all(&folder))?;
    }
    let mut file = user_files::create(path, Creation::Write)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // A part of it would only stand in the way.
        let _ = user_files::remove(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Policy;
    use crate::tui::Config;

    /// A starter file with its examples in force: every line that begins with `# name =` or `# [`.
    fn in_force(text: &str) -> String {
        let example = |line: &str| {
            let bare = line.strip_prefix("# ")?;
            let setting = bare.split_once(" = ").is_some_and(|(name, _)| {
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b"-_.\"".contains(&b))
            });
            (setting || bare.starts_with('[')).then(|| bare.to_owned())
        };
        let lines = text
            .lines()
            .map(|line| example(line).unwrap_or(line.to_owned()));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_files_are_valid_as_they_are_and_with_their_examples() {
        Config::parse(CONFIG).unwrap();
        let config = Config::parse(&in_force(CONFIG)).unwrap();
        assert_eq!(config.theme.as_deref(), Some("hull-dark"));
        assert!(Policy::parse(POLICY).unwrap().policy.silence.is_empty());
        let read = Policy::parse(&in_force(POLICY)).unwrap().policy;
        let set = (
            read.silence.len(),
            read.allow.len(),
            read.age.len(),
            read.severity.len(),
        );
        assert_eq!(set, (1, 1, 1, 2));
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/policy.toml");
        write(&path, POLICY).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let refused = write(&path, POLICY).unwrap_err();
        assert!(format!("{refused:?}").contains("exists already"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
