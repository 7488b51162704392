//! The project's own commands, run as `cargo xtask COMMAND`.

mod dist;
mod new_rule;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

new-rule NAME         write src/detect/rules/NAME.rs and add it to the list of rules
object [--check]      build the kernel object; --check: compare it with the committed one
demo                  derive the findings of the demo recordings again, by the current rules
screenshots [--check] make the pictures in screenshots/; --check: compare them
kernels [PACKAGE…]    run doctor, selftest and watch on other kernels (root)
dist                  make the static program, .deb, .rpm and archive in target/dist
fuzz [SECONDS]        run each fuzz target for that long, by default 10 seconds
check                 formatting, lints, dependencies, and the tests that need no root
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    match words {
        ["new-rule", name] => new_rule::write(name),
        ["object", rest @ ..] => call("ebpf/build", rest),
        ["screenshots", rest @ ..] => {
            let fixed = [
                "run",
                "--locked",
                "--quiet",
                "--example",
                "screenshots",
                "--",
            ];
            call("cargo", &[&fixed, rest].concat())
        }
        ["demo"] => call(
            "cargo",
            &["run", "--locked", "--quiet", "--example", "refresh-demo"],
        ),
        ["kernels", rest @ ..] => call("tests/kernels", rest),
        ["dist"] => dist::make(),
        ["fuzz"] => fuzz("10"),
        ["fuzz", seconds] => fuzz(seconds),
        ["check"] => {
            call("cargo", &["fmt", "--all", "--check"])?;
            let lints = "clippy --locked --all-targets -- -D warnings";
            call("cargo", &lints.split(' ').collect::<Vec<_>>())?;
            call("cargo", &["deny", "--locked", "check"])?;
            call("cargo", &["test", "--locked"])
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// Runs the fuzz targets, which are tests of the library, each for so many seconds.
fn fuzz(seconds: &str) -> Result<(), String> {
    if seconds.parse::<u32>().is_err() {
        return Err(format!("{seconds}: not a number of seconds"));
    }
    let mut command = Command::new("cargo");
    command
        .args([
            "test",
            "--locked",
            "--lib",
            "--package",
            "hullwatch",
            "fuzz::",
        ])
        .args(["--", "--nocapture"])
        .env("HULLWATCH_FUZZ_SECONDS", seconds);
    finish("the fuzz targets", &mut command)
}

/// The repository's root. Cargo reports it at run time: the path at build time is wrong when the
/// target directory was copied.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(
        || PathBuf::from("."),
        |xtask| PathBuf::from(xtask).join(".."),
    )
}

/// Runs a program in the repository's root; fails when it does.
fn call(program: &str, args: &[&str]) -> Result<(), String> {
    let root = root();
    let program_path = if program.contains('/') {
        root.join(program)
    } else {
        program.into()
    };
    let name = format!("{program} {}", args.join(" "));
    finish(
        &name,
        Command::new(program_path).args(args).current_dir(root),
    )
}

fn finish(name: &str, command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}"))
    }
}
