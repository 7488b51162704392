//! The hullwatch program: runs the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    hullwatch::cli::main()
}
