//! The demo's recording, replayed for the tests of what reads a stream.

use std::sync::Arc;

use super::{Player, RecordedItem, RecordingReader};
use crate::core::Core;
use crate::event::Event;

static DEMO: &[u8] = include_bytes!("../../demo/demo.jsonl.zst");

/// A player at its beginning.
pub(crate) fn player() -> Player {
    Player::from_memory("demo", DEMO).unwrap()
}

/// A reader before its first event.
pub(crate) fn reader() -> RecordingReader {
    RecordingReader::from_memory("demo", DEMO).unwrap()
}

/// Applies every event to `core` and hands it over with the core after it.
pub(crate) fn replay(core: &mut Core, mut each: impl FnMut(&Arc<Event>, &Core)) {
    let mut reader = reader();
    while let Some(item) = reader.next_item() {
        if let RecordedItem::Event(event) = item {
            let event = Arc::from(event);
            core.apply(&event);
            each(&event, core);
        }
    }
}

/// A core before its first event, with the settings of the recording.
pub(crate) fn empty() -> Core {
    Core::new(reader().header().settings.clone())
}

/// The core after its last event.
pub(crate) fn core() -> Core {
    let mut core = empty();
    replay(&mut core, |_, _| ());
    core
}
