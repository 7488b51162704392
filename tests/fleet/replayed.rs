//! A host that exists only as a recording: its stream as a publisher needs it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use hullwatch::core::Core;
use hullwatch::event::{Event, Kind, Timestamp};
use hullwatch::recording::{
    Header, RecordedItem, Recorder, RecordingReader, RecordingTarget, SegmentSource,
};
use hullwatch::state;
use parking_lot::Mutex;

/// A host whose events are handed over one by one.
#[derive(Clone)]
pub struct ReplayedHost {
    core: Arc<Mutex<Core>>,
    stream: Arc<Mutex<ReplayedStream>>,
}

struct ReplayedStream {
    header: Header,
    recorder: Option<Recorder>,
    seq: u64,
    lost: u64,
    over: bool,
}

impl ReplayedHost {
    pub fn new(header: &Header) -> Self {
        Self {
            core: Arc::new(Mutex::new(Core::new(header.settings.clone()))),
            stream: Arc::new(Mutex::new(ReplayedStream {
                header: header.clone().masked(),
                recorder: None,
                seq: 0,
                lost: 0,
                over: false,
            })),
        }
    }

    /// The next event, which gets the next number and this time.
    pub fn event(&self, kind: &Event, ts: Timestamp) {
        let mut core = self.core.lock();
        let mut stream = self.stream.lock();
        stream.seq += 1;
        let event = Arc::new(Event {
            seq: stream.seq,
            ts,
            ..kind.clone()
        });
        core.apply(&event);
        if let Some(recorder) = &mut stream.recorder {
            recorder.event(&event);
        }
    }

    /// Its last event's number.
    pub fn last(&self) -> u64 {
        self.stream.lock().seq
    }

    /// No event follows.
    pub fn end(&self) {
        let mut stream = self.stream.lock();
        stream.over = true;
        if let Some(recorder) = stream.recorder.take() {
            recorder.close();
            stream.lost += recorder.status().lost;
        }
    }

    pub fn source(&self) -> Box<dyn SegmentSource> {
        Box::new(self.clone())
    }
}

impl SegmentSource for ReplayedHost {
    fn begin(&mut self, pipe: File) -> Result<(), String> {
        let core = self.core.lock();
        let mut stream = self.stream.lock();
        if stream.over {
            return Err("it has ended".to_owned());
        }
        let header = Header {
            started: core.state.now,
            ..stream.header.clone()
        };
        let count = state::snapshot(&core.state, 1).len() as u64;
        let first = (stream.seq + 1).saturating_sub(count).max(1);
        let target = RecordingTarget::Pipe {
            end: pipe,
            waiting: usize::MAX,
        };
        let events = state::snapshot(&core.state, first);
        let recorder = Recorder::start_with(target, &header, events, None);
        let recorder = recorder.map_err(|error| error.to_string())?;
        if let Some(before) = stream.recorder.replace(recorder) {
            before.close();
            stream.lost += before.status().lost;
        }
        Ok(())
    }

    fn lost(&self) -> u64 {
        let stream = self.stream.lock();
        stream.lost
            + stream
                .recorder
                .as_ref()
                .map_or(0, |recorder| recorder.status().lost)
    }

    fn last(&self) -> u64 {
        self.stream.lock().seq
    }

    fn core(&self) -> Arc<Mutex<Core>> {
        Arc::clone(&self.core)
    }
}

/// The header and the events of the demo.
pub fn demo() -> (Header, Vec<Event>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/demo.jsonl.zst");
    read(&path)
}

/// The header and the events of a recording.
pub fn read(path: &Path) -> (Header, Vec<Event>) {
    let mut reader = RecordingReader::open(path).unwrap();
    let header = reader.header().clone();
    let mut events = Vec::new();
    while let Some(item) = reader.next_item() {
        if let RecordedItem::Event(event) = item {
            events.push(*event);
        }
    }
    (header, events)
}

/// Whether an event is a tick.
pub fn is_tick(event: &Event) -> bool {
    matches!(event.kind, Kind::Tick(_))
}
