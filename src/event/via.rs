//! How something was asked for, when not by its system call.

use serde::{Deserialize, Serialize};

/// Another way to the kernel than the system call that is named for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A request in a ring of `io_uring`.
    IoUring,
    /// Standard input, open as the program started.
    StandardInput,
}
