//! Finds the processes that write into the pipe that a process reads: from `/proc`, whatever opened
//! it and by which name.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::proc_files::pids;

/// Maximum number of processes examined, of descriptors in each, and of reported writers.
const MAX_PROCESSES: usize = 2_048;
const MAX_DESCRIPTORS: usize = 64;
const MAX_WRITERS: usize = 8;
/// Of `O_ACCMODE` in `/proc/PID/fdinfo/N`: open for reading only.
const READS_ONLY: u32 = 0;

/// Host pids of the processes of the same pid namespace that hold the standard input of `pid`, a
/// pipe or fifo, open for writing; without `pid` itself. Empty if its input is not a pipe.
#[must_use]
pub fn pipe_writers(pid: u32) -> Vec<u32> {
    let Some(input) = pipe(&descriptor(pid, "0")) else {
        return Vec::new();
    };
    let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = space(pid) else {
        return Vec::new();
    };
    let others = pids().into_iter().take(MAX_PROCESSES);
    others
        .filter(|other| *other != pid && space(*other).as_ref() == Some(&own))
        .filter(|other| writes(*other, input))
        .take(MAX_WRITERS)
        .collect()
}

fn descriptor(pid: u32, number: &str) -> String {
    format!("/proc/{pid}/fd/{number}")
}

/// Device and inode of the pipe or fifo behind a descriptor.
fn pipe(descriptor: &str) -> Option<(u64, u64)> {
    let meta = fs::metadata(descriptor).ok()?;
    meta.file_type().is_fifo().then(|| (meta.dev(), meta.ino()))
}

/// Whether a descriptor of the process refers to that pipe and may write.
fn writes(pid: u32, wanted: (u64, u64)) -> bool {
    let directory = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(Path::new(&directory)).into_iter().flatten();
    let mut numbers = entries
        .flatten()
        .take(MAX_DESCRIPTORS)
        .filter_map(|entry| entry.file_name().into_string().ok());
    numbers.any(|number| {
        pipe(&descriptor(pid, &number)) == Some(wanted)
            && mode(pid, &number).is_some_and(|mode| mode & 0o3 != READS_ONLY)
    })
}

/// The flags with which a descriptor was opened.
fn mode(pid: u32, number: &str) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_writer_of_a_pipe_is_found_and_its_readers_are_not() {
        let mut reader = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let input = reader.stdin.take().unwrap();
        let found = pipe_writers(reader.id());
        assert!(found.contains(&std::process::id()), "{found:?}");
        assert!(!found.contains(&reader.id()));
        drop(input);
        reader.wait().unwrap();
        // No pipe.
        let mut reader = Command::new("sleep")
            .arg("100")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        assert!(pipe_writers(reader.id()).is_empty());
        reader.kill().unwrap();
        reader.wait().unwrap();
    }
}
