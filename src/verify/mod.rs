//! Tests advice: compares an unchanged copy of the container with a copy that has the advice.
//!
//! Copies have volumes of their own, publish no port and are removed at the end. The live watch
//! that runs meanwhile reports their refused calls.

mod engine;
mod error;
mod life;
mod plan;
mod probe;
mod refusal;
mod verifier;

pub use engine::restart;
pub use error::VerifyError;
pub use refusal::{Refusal, RefusalLog, RefusedAction};
pub use verifier::{TakenOut, VerifyOptions, VerifyReport, verify};
