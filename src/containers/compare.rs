//! Compares the content of a container's file with its image, on a thread of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub(crate) use super::content_cache::{ContentCache, ContentHash, FileStamp};
use super::file_facts::kernel_dev;
pub use super::layers::check;
use super::layers::{ImageEntry, is_metadata_only, look_in_image, open_regular};
use super::{mounted, overlay};
use crate::event::{Bytes, Compare, CompareClass, ContainerId, ContainerInfo, Storage};
use crate::text::hex;

/// Larger files are not read. Statically linked programs of engines have about 100 MiB.
pub(crate) const MAX_SIZE: u64 = 128 << 20;
/// Maximum number of waiting requests.
const QUEUE: usize = 1024;

/// A file to compare.
#[derive(Debug, Clone)]
pub struct CompareRequest {
    /// The container.
    pub container: ContainerId,
    /// The container's facts; its layers are taken from here, else from the process.
    pub info: Arc<ContainerInfo>,
    /// A process that runs the file, for its mount table and for an unlinked file.
    pub pid: u32,
    /// Resolved path as the container sees it.
    pub path: Bytes,
    /// Inode as the kernel reported it; 0 accepts any.
    pub ino: u64,
    /// Device as the kernel reported it.
    pub dev: u32,
    /// It is on the container's root. A file elsewhere, on a volume or in memory, can be no file of the
    /// image: only that it is a copy of one is reported.
    pub on_root: bool,
}

/// The comparing thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Comparer {
    requests: Sender<CompareRequest>,
    dropped: AtomicU64,
}

impl Comparer {
    /// Starts the thread; results come through `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(out: Sender<(ContainerId, Compare)>) -> io::Result<Self> {
        let (requests, receiver) = bounded(QUEUE);
        thread::Builder::new()
            .name("compare".to_owned())
            .spawn(move || run(&receiver, &out))?;
        Ok(Self {
            requests,
            dropped: AtomicU64::new(0),
        })
    }

    /// Requests a comparison without waiting; false, and counted, when too many wait.
    pub fn request(&self, request: CompareRequest) -> bool {
        match self.requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Requests refused since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

fn run(requests: &Receiver<CompareRequest>, out: &Sender<(ContainerId, Compare)>) {
    let mut comparison = ContentComparison::default();
    for request in requests {
        let result = match request.on_root {
            true => Some(comparison.compare(&request)),
            false => comparison.copy(&request),
        };
        let Some(result) = result else { continue };
        if out.send((request.container, result)).is_err() {
            return;
        }
    }
}

/// The file to compare, found and verified.
enum Subject {
    File(File),
    /// It is the image's own file, or its copy with changed metadata only.
    Untouched(u64),
}

/// Compares, with the remembered hashes.
#[derive(Debug, Default)]
pub(super) struct ContentComparison {
    cache: ContentCache,
}

impl ContentComparison {
    pub(super) fn compare(&mut self, request: &CompareRequest) -> Compare {
        let mut result = Compare {
            path: request.path.clone(),
            ino: request.ino,
            dev: request.dev,
            class: CompareClass::CopiedUp,
            sha256: None,
            size: 0,
        };
        if let Err(reason) = self.classify(request, &mut result) {
            result.class = CompareClass::Unknown(reason);
        }
        result
    }

    /// The result for a program outside of the root, if it has the content of a program of the image.
    fn copy(&mut self, request: &CompareRequest) -> Option<Compare> {
        let storage = storage_of(request);
        if storage.lower.is_empty() {
            return None;
        }
        let file = mounted::program_of(request.pid).ok()?;
        let meta = file.metadata().ok()?;
        // The process may run another program by now.
        if meta.ino() != request.ino || meta.size() > MAX_SIZE {
            return None;
        }
        // Most have no file of their size in the image, and are not read.
        let alike = self
            .cache
            .index(&storage.lower)
            .get(&meta.size())
            .cloned()?;
        let hash = self.cache.hash(&file).ok()?;
        let class = self.relocated(&storage.lower, &alike, hash).ok()?;
        matches!(class, CompareClass::Relocated(_)).then(|| Compare {
            path: request.path.clone(),
            ino: request.ino,
            dev: request.dev,
            class,
            sha256: Some(hex(&hash)),
            size: meta.size(),
        })
    }

    fn classify(&mut self, request: &CompareRequest, result: &mut Compare) -> Result<(), String> {
        let storage = storage_of(request);
        if storage.upper.is_empty() || storage.lower.is_empty() {
            return Err(format!(
                "storage driver {:?} does not report its layers",
                storage.driver
            ));
        }
        let below = look_in_image(&storage.lower, &request.path)?;
        let subject = match find_subject(request, &storage, &below)? {
            Subject::File(file) => file,
            Subject::Untouched(size) => {
                result.size = size;
                return Ok(());
            }
        };
        result.size = size_of(&subject)?;
        let hash = if result.size > MAX_SIZE {
            None
        } else {
            Some(self.cache.hash(&subject)?)
        };
        result.sha256 = hash.map(|h| hex(&h));
        let too_large = || format!("larger than {} MiB", MAX_SIZE >> 20);
        result.class = match below {
            ImageEntry::Regular(image) if size_of(&image)? != result.size => CompareClass::Modified,
            ImageEntry::Regular(image) => match hash {
                None => return Err(too_large()),
                Some(hash) if self.cache.hash(&image)? == hash => CompareClass::CopiedUp,
                Some(_) => CompareClass::Modified,
            },
            ImageEntry::Nothing | ImageEntry::Other => {
                let index = self.cache.index(&storage.lower);
                let alike = index.get(&result.size).cloned().unwrap_or_default();
                match hash {
                    None if alike.is_empty() => CompareClass::New,
                    None => return Err(too_large()),
                    Some(hash) => self.relocated(&storage.lower, &alike, hash)?,
                }
            }
        };
        Ok(())
    }

    /// Which of the image's files of this size has this content, if any.
    fn relocated(
        &mut self,
        lower: &[Bytes],
        alike: &[Bytes],
        hash: ContentHash,
    ) -> Result<CompareClass, String> {
        for path in alike {
            // Through the layers, since an upper layer may hide files of a lower one.
            if let ImageEntry::Regular(file) = look_in_image(lower, path)?
                && size_of(&file)? <= MAX_SIZE
                && self.cache.hash(&file)? == hash
            {
                return Ok(CompareClass::Relocated(path.clone()));
            }
        }
        Ok(CompareClass::New)
    }
}

/// The layers of the container's root, as its engine reports them or as they are mounted.
fn storage_of(request: &CompareRequest) -> Storage {
    let known = &request.info.storage;
    let mounted = known.upper.is_empty() || known.lower.is_empty();
    let mounted = mounted.then(|| overlay::of_process(request.pid)).flatten();
    mounted.unwrap_or_else(|| known.clone())
}

/// Finds the file that the kernel reported. An overlay inode has the number of its upper file, or
/// of the image's file it was copied from.
fn find_subject(
    request: &CompareRequest,
    storage: &Storage,
    below: &ImageEntry,
) -> Result<Subject, String> {
    let image = match below {
        ImageEntry::Regular(file) => file.metadata().ok().map(|m| (m.ino(), m.size())),
        ImageEntry::Nothing | ImageEntry::Other => None,
    };
    let is_it = |ino: u64| request.ino == 0 || request.ino == ino;
    match open_regular(&storage.upper, &request.path) {
        Ok(file) => {
            let meta = file.metadata().map_err(|e| e.to_string())?;
            let of_image = image.is_some_and(|(ino, _)| is_it(ino));
            if is_it(meta.ino()) || of_image || seen_as(request, storage) {
                if is_metadata_only(&storage.upper, &request.path) {
                    return Ok(Subject::Untouched(meta.size()));
                }
                return Ok(Subject::File(file));
            }
        }
        Err(_) => {
            if let Some((ino, size)) = image
                && is_it(ino)
            {
                return Ok(Subject::Untouched(size));
            }
        }
    }
    // Unlinked or replaced: the process that runs it still holds it.
    if let Ok(file) = File::open(format!("/proc/{}/exe", request.pid))
        && let Ok(meta) = file.metadata()
        && meta.ino() == request.ino
        && kernel_dev(meta.dev()) == request.dev
    {
        return Ok(Subject::File(file));
    }
    Err("it was removed or replaced before it could be read".to_owned())
}

/// Whether the mounted overlay shows the given inode at the path.
fn seen_as(request: &CompareRequest, storage: &Storage) -> bool {
    let roots = [
        storage.merged.clone(),
        format!("/proc/{}/root", request.pid).as_str().into(),
    ];
    roots.iter().filter(|r| !r.is_empty()).any(|root| {
        open_regular(root, &request.path)
            .and_then(|f| f.metadata())
            .is_ok_and(|m| m.ino() == request.ino && kernel_dev(m.dev()) == request.dev)
    })
}

fn size_of(file: &File) -> Result<u64, String> {
    file.metadata().map(|m| m.size()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use sha2::{Digest as _, Sha256};

    use super::*;
    use std::path::PathBuf;

    struct TestLayers(tempfile::TempDir);

    impl TestLayers {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for dir in ["lower/bin", "lower/usr/lib", "upper/bin", "upper/tmp"] {
                fs::create_dir_all(root.path().join(dir)).unwrap();
            }
            fs::write(root.path().join("lower/bin/tool"), "the tool").unwrap();
            fs::write(root.path().join("lower/bin/other"), "the othe").unwrap();
            Self(root)
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn compare(
            &self,
            comparison: &mut ContentComparison,
            path: &str,
            ino: Option<u64>,
        ) -> Compare {
            let real = fs::metadata(self.at(&format!("upper{path}"))).map_or(0, |m| m.ino());
            let ino = ino.unwrap_or(real);
            comparison.compare(&CompareRequest {
                ino,
                ..self.request(path)
            })
        }

        fn request(&self, path: &str) -> CompareRequest {
            let bytes = |p: PathBuf| Bytes::from(p.as_os_str().as_bytes());
            let info = ContainerInfo {
                storage: Storage {
                    driver: "overlay2".to_owned(),
                    lower: vec![bytes(self.at("lower"))],
                    upper: bytes(self.at("upper")),
                    merged: Bytes::default(),
                },
                ..ContainerInfo::default()
            };
            CompareRequest {
                container: ContainerId::new("c"),
                info: Arc::new(info),
                pid: 0,
                path: path.into(),
                ino: 0,
                dev: 0,
                on_root: true,
            }
        }
    }

    #[test]
    fn reports_the_classes_apart_by_content() {
        let layers = TestLayers::new();
        fs::write(layers.at("upper/bin/tool"), "the tool").unwrap();
        fs::write(layers.at("upper/bin/other"), "changed!").unwrap();
        fs::write(layers.at("upper/tmp/moved"), "the tool").unwrap();
        fs::write(layers.at("upper/tmp/new"), "the evil").unwrap();
        let mut comparison = ContentComparison::default();
        let mut class = |path: &str| layers.compare(&mut comparison, path, None).class;
        assert_eq!(class("/bin/tool"), CompareClass::CopiedUp);
        assert_eq!(class("/bin/other"), CompareClass::Modified);
        assert_eq!(
            class("/tmp/moved"),
            CompareClass::Relocated("/bin/tool".into())
        );
        assert_eq!(class("/tmp/new"), CompareClass::New);
        let new = layers.compare(&mut comparison, "/tmp/new", None);
        assert_eq!(new.size, 8);
        assert_eq!(new.sha256.unwrap(), hex(&Sha256::digest(b"the evil")));
    }

    #[test]
    fn a_running_copy_of_an_image_program_is_recognized_anywhere() {
        let layers = TestLayers::new();
        let elsewhere = tempfile::tempdir().unwrap();
        let program = elsewhere.path().join("x");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut running = std::process::Command::new(&program);
        let mut running = running.arg("1000").spawn().unwrap();
        let ino = fs::metadata(&program).unwrap().ino();
        let pid = running.id();
        // A new comparison each time: the content of an image does not change.
        let copy = |ino| {
            let request = CompareRequest {
                pid,
                ino,
                on_root: false,
                ..layers.request("/mem/x")
            };
            let found = ContentComparison::default().copy(&request);
            found.map(|found| found.class)
        };
        assert_eq!(copy(ino), None, "the image has no such program");
        fs::copy("/bin/sleep", layers.at("lower/bin/sleep")).unwrap();
        let of_image = CompareClass::Relocated("/bin/sleep".into());
        assert_eq!(copy(ino), Some(of_image));
        assert_eq!(copy(ino + 1), None, "it runs another file");
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(copy(ino), None, "it has ended");
    }

    #[test]
    fn a_replaced_file_is_not_confused_with_the_given_one() {
        let layers = TestLayers::new();
        fs::write(layers.at("upper/tmp/x"), "x").unwrap();
        let mut comparison = ContentComparison::default();
        let result = layers.compare(&mut comparison, "/tmp/x", Some(1));
        assert!(
            matches!(result.class, CompareClass::Unknown(_)),
            "{result:?}"
        );
        std::os::unix::fs::symlink("/etc/passwd", layers.at("upper/tmp/link")).unwrap();
        let result = layers.compare(&mut comparison, "/tmp/link", Some(0));
        assert!(
            matches!(result.class, CompareClass::Unknown(_)),
            "{result:?}"
        );
    }

    #[test]
    fn a_change_after_the_first_look_is_seen() {
        let layers = TestLayers::new();
        let mut comparison = ContentComparison::default();
        fs::write(layers.at("upper/bin/tool"), "the tool").unwrap();
        assert_eq!(
            layers.compare(&mut comparison, "/bin/tool", None).class,
            CompareClass::CopiedUp
        );
        fs::write(layers.at("upper/bin/tool"), "the fool").unwrap();
        assert_eq!(
            layers.compare(&mut comparison, "/bin/tool", None).class,
            CompareClass::Modified
        );
    }

    #[test]
    fn too_large_is_reported_and_too_many_are_counted() {
        let layers = TestLayers::new();
        let big = File::create(layers.at("upper/tmp/big")).unwrap();
        big.set_len(MAX_SIZE + 1).unwrap();
        let result = layers.compare(&mut ContentComparison::default(), "/tmp/big", None);
        assert_eq!((result.class, result.sha256), (CompareClass::New, None));
        let image = File::create(layers.at("lower/bin/big")).unwrap();
        image.set_len(MAX_SIZE + 1).unwrap();
        let result = layers.compare(&mut ContentComparison::default(), "/tmp/big", None);
        assert!(
            matches!(result.class, CompareClass::Unknown(_)),
            "{result:?}"
        );

        let (requests, _kept) = bounded(1);
        let comparer = Comparer {
            requests,
            dropped: AtomicU64::new(0),
        };
        let request = || CompareRequest {
            container: ContainerId::new("c"),
            info: Arc::default(),
            pid: 0,
            path: "/x".into(),
            ino: 0,
            dev: 0,
            on_root: true,
        };
        assert!(comparer.request(request()));
        assert!(!comparer.request(request()));
        assert_eq!((comparer.take_dropped(), comparer.take_dropped()), (1, 0));
    }
}
