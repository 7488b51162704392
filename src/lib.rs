//! hullwatch: what running containers do that they should not.
//!
//! The way of the data, one module a step: `probe` (kernel → raw records → events), `containers`
//! (who is this cgroup), `event` (the one stream), `state` (the world at time t), `detect`
//! (findings), `core` (stream → state → findings, live and replayed alike), `session` (the stream
//! on disk), `tui` and `headless` (what a person or a script sees).

pub mod core;
pub mod detect;
pub mod event;
pub mod state;
