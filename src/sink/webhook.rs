//! A webhook: each message is a POST request.

use std::sync::Arc;

use super::http::{HttpClient, HttpTarget};
use super::message::Message;
use super::template::{WebhookFormat, body};
use super::worker::{Delivery, DeliveryError};

/// Posts messages to a URL.
#[derive(Debug)]
pub struct WebhookSink {
    /// Sends the requests.
    pub client: HttpClient,
    /// Where to.
    pub target: HttpTarget,
    /// How the bodies are written.
    pub format: WebhookFormat,
    /// This host's name.
    pub host: String,
}

impl Delivery for WebhookSink {
    fn deliver(&mut self, messages: &[Arc<Message>], missed: u64) -> Result<(), DeliveryError> {
        for message in messages {
            let body = body(self.format, &self.host, message, missed).to_string();
            self.client
                .post(&self.target, "application/json", body.as_bytes())?;
        }
        Ok(())
    }
}
