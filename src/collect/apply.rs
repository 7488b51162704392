//! The core thread: numbers events, applies them, records them, passes them to the tap.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};

use super::shared::{LiveShared, Tap};
use crate::event::Event;

/// Events applied before the core is unlocked for the screen.
const TURN: usize = 512;

/// Runs until the collector ends. Sends to `first` when the first batch was applied.
pub(super) fn run(
    shared: &LiveShared,
    queue: &Receiver<Vec<Event>>,
    mut tap: Option<Box<dyn Tap>>,
    first: &Sender<()>,
) {
    for batch in queue {
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let mut core = shared.core.lock();
            let mut recorder = shared.recorder.lock();
            let mut learner = shared.learner.lock();
            let mut published = shared.published.lock();
            for mut event in batch.by_ref().take(TURN) {
                event.seq = shared.seq.fetch_add(1, Ordering::Relaxed) + 1;
                let event = Arc::new(event);
                core.apply(&event);
                if let Some(past) = &shared.past {
                    past.push(&event, &core);
                }
                for follower in [&mut *recorder, &mut *learner, &mut *published]
                    .into_iter()
                    .flatten()
                {
                    follower.event(&event);
                }
                if let Some(tap) = tap.as_mut() {
                    tap.event(&event, &mut core);
                }
            }
            drop((core, recorder, learner, published));
            if let Some(past) = &shared.past {
                past.settle();
            }
        }
        // Only the first batch is waited for.
        let _ = first.try_send(());
    }
}
