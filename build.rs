//! Warns when the committed kernel object was not built from the sources beside it (with CI=true the
//! build fails), and passes on the commit and the kind of build for `--version`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The output of git in this folder; `None` when git is missing or fails.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The commit that these sources are checked out from, or were packaged from. A source archive has
/// none, even when it was unpacked inside another checkout.
fn commit() -> Option<String> {
    if let Ok(noted) = fs::read_to_string(".cargo_vcs_info.json") {
        // Cargo writes it into a package: {"git": {"sha1": "…"}, …}.
        let (_, after) = noted.split_once("\"sha1\"")?;
        return after.split('"').nth(1)?.get(..12).map(str::to_owned);
    }
    let root = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if root != fs::canonicalize(std::env::var_os("CARGO_MANIFEST_DIR")?).ok()? {
        return None;
    }
    // HEAD alone names a branch; its log grows with each commit. A missing file would make every
    // build run this program again.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["log", "-1", "--format=%h of %cs"])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn main() {
    let commit = commit().unwrap_or_else(|| "unknown (not built from a git checkout)".to_owned());
    println!("cargo::rustc-env=HULLWATCH_COMMIT={commit}");
    for name in ["PROFILE", "TARGET"] {
        let value = std::env::var(name).unwrap_or_default();
        println!("cargo::rustc-env=HULLWATCH_{name}={value}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=ebpf");
    println!("cargo::rerun-if-env-changed=CI");
    let object =
        fs::read("ebpf/hullwatch.bpf.o").unwrap_or_else(|e| panic!("ebpf/hullwatch.bpf.o: {e}"));
    let object = hex(&Sha256::digest(&object));
    println!(
        "cargo::rustc-env=HULLWATCH_OBJECT={}",
        object.get(..12).unwrap_or_default()
    );
    // A package from a registry has the object without its sources.
    if !Path::new("ebpf/probes").exists() {
        return;
    }
    let mut files = Vec::new();
    sources(Path::new("ebpf/abi"), &mut files);
    sources(Path::new("ebpf/probes"), &mut files);
    // In the order `LC_ALL=C sort` gives them: by bytes of the whole path.
    files.sort_by_key(|path| path.as_os_str().to_owned());
    let mut hash = Sha256::new();
    for file in &files {
        hash.update(fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
    }
    let hash = hex(&hash.finalize());
    let built = fs::read_to_string("ebpf/hullwatch.bpf.sha256").unwrap_or_default();
    if built.trim() == hash {
        return;
    }
    let message =
        "ebpf/hullwatch.bpf.o was not built from the sources in ebpf/: run cargo xtask object";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    println!("cargo::warning={message}");
}
