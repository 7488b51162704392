//! hullwatch shows what running containers do that they should not.
//!
//! The way of the data: [`probe`] and [`containers`] → [`collect`] → [`event`] → [`state`] →
//! [`detect`] → [`tui`] or [`cli`]; [`session`] records the stream and plays it back into the
//! same [`core`].

pub mod cli;
pub mod collect;
pub mod containers;
pub mod core;
pub mod detect;
pub mod event;
mod evidence;
pub mod personal;
pub mod probe;
pub mod scan;
pub mod secret;
pub mod session;
pub mod state;
pub mod tui;
