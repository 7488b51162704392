//! What several layers must know of the world: which paths are special, and how.
//!
//! Below every other folder: it imports nothing of this program.

pub(crate) mod paths;
