//! Tries advice out: a copy of the container as it is, a copy with the advice, and what the second
//! one could not do.
//!
//! Copies have volumes of their own, publish no port and are removed at the end. What they are
//! refused comes from the live watch that runs meanwhile.

mod engine;
mod error;
mod life;
mod plan;
mod probe;
mod refusal;
mod verifier;

pub use engine::restart;
pub use error::VerifyError;
pub use refusal::{Refusal, RefusalLog, RefusedDeed};
pub use verifier::{TakenOut, VerifyOptions, VerifyReport, verify};
