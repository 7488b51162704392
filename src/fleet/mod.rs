//! Many hosts: the stream of each, published to a NATS server, and read from there.
//!
//! A [`Publisher`] sends what the recorder writes, unchanged, in blocks; a row of blocks is a
//! recording. Beside it, it keeps a small [`HostSummary`] up to date, which a list of all hosts needs.
//! JetStream keeps both within the limits of the server. A reader only reads.

mod assembly;
mod block;
mod follow;
mod limits;
mod listing;
mod publisher;
mod sending;
mod server;
mod subject;
mod summary;

pub use assembly::{Assembled, Assembly};
pub use block::{BlockEnd, SegmentDecoder, SegmentId, StreamBlock};
pub use follow::{FollowFrom, FollowPlan, HostFollower};
pub use limits::PublishLimits;
pub use listing::{CommonFinding, Fleet, FleetHost, FleetReader};
pub use publisher::Publisher;
pub use server::NatsServer;
pub use subject::{HostName, STREAM, SUMMARIES};
pub use summary::{FindingDigest, HostSummary, IncidentDigest};
