//! hullwatch shows what running containers do that they should not.
//!
//! The path of the data: [`probe`] and [`containers`] → [`collect`] → [`event`] → [`state`] →
//! [`detect`] → [`tui`] or [`cli`]; [`recording`] records the stream and plays it back into the
//! same [`core`].

pub mod advice;
pub mod baseline;
mod caller;
mod catalog;
pub mod cli;
pub mod collect;
pub mod containers;
pub mod core;
pub mod detect;
pub mod drift;
pub mod event;
mod evidence;
pub mod fleet;
#[cfg(test)]
mod fuzz;
pub mod incident;
pub mod learning;
pub mod link;
pub mod machine;
pub mod masking;
pub mod memory;
pub mod metrics;
pub mod posture;
pub mod probe;
mod quote;
pub mod recording;
pub mod render;
pub mod report;
pub mod response;
mod shedding;
pub mod sink;
pub mod state;
mod system;
mod text;
pub mod tui;
pub mod user_files;
pub mod verify;
