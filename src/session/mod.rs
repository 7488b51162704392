//! The stream on disk: write, read, verify, play.
