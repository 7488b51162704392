//! Warns when the committed kernel object was not built from the sources beside it; with CI=true the
//! build fails.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry
            .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
            .path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs")
            || path.file_name().is_some_and(|n| n == "Cargo.toml")
        {
            into.push(path);
        }
    }
}

fn main() {
    println!("cargo::rerun-if-changed=ebpf");
    println!("cargo::rerun-if-env-changed=CI");
    let mut files = Vec::new();
    sources(Path::new("ebpf/abi"), &mut files);
    sources(Path::new("ebpf/probes"), &mut files);
    // In the order `LC_ALL=C sort` gives them: by bytes of the whole path.
    files.sort_by_key(|path| path.as_os_str().to_owned());
    let mut hash = Sha256::new();
    for file in &files {
        hash.update(fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
    }
    let hash: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let built = fs::read_to_string("ebpf/hullwatch.bpf.sha256").unwrap_or_default();
    if built.trim() == hash {
        return;
    }
    let message =
        "ebpf/hullwatch.bpf.o was not built from the sources in ebpf/: run cargo xtask object";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    println!("cargo::warning={message}");
}
