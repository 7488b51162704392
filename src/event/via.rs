//! How an operation was requested, if not by its system call.

use serde::{Deserialize, Serialize};

/// An alternative path to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A request in a ring of `io_uring`.
    IoUring,
    /// Standard input, open as the program started.
    StandardInput,
}
