//! Builds the release in `target/dist`: the static program with manual pages and completions, a
//! `.deb`, a `.rpm`, an archive of these, and the files for a container image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::finish;

/// The shells and the names of their completion scripts.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "hullwatch.bash"),
    ("zsh", "_hullwatch"),
    ("fish", "hullwatch.fish"),
];

/// Files that are distributed as they are in the repository.
const PLAIN: [&str; 10] = [
    "packaging/Containerfile",
    "packaging/config.toml",
    "packaging/daemonset.yaml",
    "packaging/hullwatch-record.service",
    "packaging/hullwatch.service",
    "packaging/policy.toml",
    "CHANGELOG.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

/// Builds the release from scratch.
pub(super) fn make() -> Result<(), String> {
    let root = super::root();
    let root = root.as_path();
    for (program, argument) in [
        ("cargo-deb", "--version"),
        ("cargo-generate-rpm", "--version"),
    ] {
        let found = Command::new(program).arg(argument).output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Err(format!(
                "{program} is missing: cargo install --locked {program}"
            ));
        }
    }
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let run = |program: &str, args: &[&str]| {
        let name = format!("{program} {}", args.join(" "));
        finish(&name, Command::new(program).args(args).current_dir(root))
    };
    // Without --target the flags would apply to build scripts and macros too, which cannot be static.
    // A separate directory keeps other builds valid.
    let mut build = Command::new("cargo");
    build
        .args(["build", "--locked", "--release", "--bin", "hullwatch"])
        .args(["--target", &target, "--target-dir", "target/static"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root);
    finish("the static program", &mut build)?;
    let dist = root.join("target/dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(at(&dist))?;
    }
    let completions = dist.join("completions");
    fs::create_dir_all(&completions).map_err(at(&completions))?;
    let program = dist.join("hullwatch");
    copy(
        &root.join(format!("target/static/{target}/release/hullwatch")),
        &program,
    )?;
    for (shell, name) in COMPLETIONS {
        let output = Command::new(&program).args(["completions", shell]).output();
        let output = output.map_err(at(&program))?;
        if !output.status.success() {
            return Err(format!("hullwatch completions {shell}: {}", output.status));
        }
        let to = completions.join(name);
        fs::write(&to, output.stdout).map_err(at(&to))?;
    }
    let man = dist.join("man");
    finish(
        "hullwatch man",
        Command::new(&program)
            .arg("man")
            .arg("--directory")
            .arg(&man),
    )?;
    for plain in PLAIN {
        let from = root.join(plain);
        let name = from.file_name().ok_or("a file without a name")?.to_owned();
        copy(&from, &dist.join(name))?;
    }
    run(
        "cargo",
        &[
            "deb",
            "--no-build",
            "--no-strip",
            "--output",
            "target/dist/",
        ],
    )?;
    run(
        "cargo",
        &[
            "generate-rpm",
            "--target",
            &target,
            "--output",
            "target/dist/",
        ],
    )?;
    let archive = format!(
        "hullwatch-{}-{}-linux.tar.gz",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--exclude=*.deb", "--exclude=*.rpm", "--exclude=*.tar.gz"])
        .args(["--transform", "s,^\\.,hullwatch,", "-czf", &archive, "."])
        .current_dir(&dist);
    finish("the archive", &mut tar)?;
    sums(&dist)?;
    println!("{}", dist.display());
    Ok(())
}

/// Writes `SHA256SUMS` of the packages.
fn sums(dist: &Path) -> Result<(), String> {
    let mut files: Vec<PathBuf> = fs::read_dir(dist)
        .map_err(at(dist))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let packed = |end: &&str| path.to_string_lossy().ends_with(*end);
            ["hullwatch", ".deb", ".rpm", ".tar.gz"].iter().any(packed) && path.is_file()
        })
        .collect();
    files.sort();
    let names = files.iter().filter_map(|path| path.file_name());
    let output = Command::new("sha256sum")
        .args(names)
        .current_dir(dist)
        .output();
    let output = output.map_err(|error| format!("sha256sum: {error}"))?;
    let to = dist.join("SHA256SUMS");
    fs::write(&to, output.stdout).map_err(at(&to))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(at(from))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}
