//! Begins and ends the recording of this host from the screen, and makes the messages about it.

use std::path::PathBuf;

use super::text;
use crate::collect::Live;
use crate::recording::RecordingSummary;

/// The result of a recording, in a sentence.
pub(super) fn written(summary: &RecordingSummary) -> String {
    let path = std::path::absolute(&summary.path);
    format!(
        "recorded {} events, {} of lines, in {}",
        summary.events,
        text::bytes(summary.bytes),
        path.as_ref().unwrap_or(&summary.path).display()
    )
}

/// Begins a recording, or ends it.
///
/// # Errors
/// Why that failed.
pub(super) fn record(live: &Live) -> Result<String, String> {
    if live.status().recording.is_some() {
        let summary = live.stop_recording().map_err(|error| error.to_string())?;
        return Ok(written(&summary));
    }
    let now = live.core().lock().state.now.to_jiff();
    let path = PathBuf::from(format!("hullwatch-{}.jsonl", now.strftime("%Y%m%d-%H%M%S")));
    let path = std::path::absolute(&path).unwrap_or(path);
    live.start_recording(&path).map_err(|e| e.to_string())?;
    Ok(format!("recording to {}", path.display()))
}
