//! Derives the findings of both demo recordings again, by replaying their events with the current
//! rules: `cargo xtask demo`.

use std::path::Path;
use std::sync::Arc;

use hullwatch::core::Core;
use hullwatch::event::Event;
use hullwatch::recording::{RecordedItem, RecordingReader, Writer};

fn main() -> color_eyre::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    for name in ["demo.jsonl.zst", "break-in.jsonl.zst"] {
        let path = folder.join(name);
        let new = folder.join(format!("new-{name}"));
        let mut reader = RecordingReader::open(&path)?;
        let mut core = Core::new(reader.header().settings.clone());
        let mut writer = Writer::create(&new, reader.header())?;
        while let Some(item) = reader.next_item() {
            if let RecordedItem::Event(event) = item {
                let event: Arc<Event> = event.into();
                core.apply(&event);
                writer.record(&event, core.detector.findings())?;
            }
        }
        writer.finish(core.detector.findings())?;
        std::fs::rename(&new, &path)?;
    }
    Ok(())
}
