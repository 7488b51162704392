//! Incidents: findings that belong to one break-in, joined, ranked and described.
//!
//! A finding answers "what did one rule see?"; an incident answers "what happened in this
//! container, and does it continue?". Pure: [`Incidents`] is a function of the stream, and
//! [`Incident`] is computed from it, the findings and the state.

mod grouping;
mod request;
mod stage;
mod summary;
mod timeline;

pub use grouping::{IncidentId, Incidents};
pub use request::Request;
pub use stage::{Stage, is_chain, sentence};
pub use summary::{Assessment, ByContainer, Incident};
pub use timeline::{TimelineLine, timeline};
