//! The socket by which the process that ssh starts finds its collector.
//!
//! In a directory that only its owner can enter: unlike an abstract name, a container in the host's network
//! namespace can neither connect to it nor take its place.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::destination::SessionId;

/// The directory of the sockets.
pub const LINK_FOLDER: &str = "/run/hullwatch/link";

/// Path of the socket of a session.
#[must_use]
pub fn socket_path(folder: &Path, session: &SessionId) -> PathBuf {
    folder.join(session.to_string())
}

/// Listens for the screen of a session. Removes the sockets of collectors that were killed.
///
/// # Errors
/// When the session exists, the directory belongs to another user, or nothing can be created in it.
pub fn listen(folder: &Path, session: &SessionId) -> io::Result<UnixListener> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let facts = fs::symlink_metadata(folder)?;
    if !facts.is_dir() || facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "{}: it belongs to another user",
            folder.display()
        )));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        if UnixStream::connect(&path).is_err_and(refused) {
            // Another collector that starts may have removed it.
            let _ = fs::remove_file(&path);
        }
    }
    UnixListener::bind(socket_path(folder, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_without_a_collector_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("hullwatch/link");
        let [dead, running, new] = [(); 3].map(|()| SessionId::random().unwrap());
        drop(listen(&folder, &dead).unwrap());
        assert!(socket_path(&folder, &dead).exists());
        let listener = listen(&folder, &running).unwrap();
        assert!(!socket_path(&folder, &dead).exists());
        // A name that exists is not taken over.
        assert!(listen(&folder, &running).is_err());
        listen(&folder, &new).unwrap();
        assert!(UnixStream::connect(socket_path(&folder, &running)).is_ok());
        drop(listener);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_closed_and_a_link_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("open");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        listen(&folder, &SessionId::random().unwrap()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(listen(&link, &SessionId::random().unwrap()).is_err());
    }
}
