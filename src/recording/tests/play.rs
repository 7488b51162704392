//! Playing and seeking.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn player(name: &str, events: &[Event]) -> (tempfile::TempDir, Player) {
    let (dir, path) = scratch(name);
    write(&path, events);
    (dir, Player::open(&path).unwrap())
}

#[test]
fn plays_at_its_speed_and_pauses_at_the_end() {
    let (_dir, mut player) = player("s.jsonl", &stream(10, 9));
    assert_eq!(player.advance(Duration::from_secs(1)), 0, "paused at first");
    player.set_playing(true);
    player.advance(Duration::from_secs(1));
    assert_eq!(
        player.ordinal(),
        11,
        "everything up to one second after the first event"
    );
    player.set_speed(4.0);
    player.advance(Duration::from_secs(1));
    assert_eq!(player.ordinal(), 51);
    player.advance(Duration::from_secs(60));
    assert!(player.at_end() && !player.playing());
    assert_eq!(player.position(), player.span().1);
}

#[test]
fn a_burst_is_spread_over_calls() {
    let (_dir, mut player) = player("s.jsonl", &stream(1, 30_000));
    player.set_playing(true);
    let mut applied = player.advance(Duration::from_secs(5));
    assert!(applied <= 10_000);
    while player.playing() {
        applied += player.advance(Duration::from_millis(1));
    }
    assert_eq!(applied, 30_001);
}

#[test]
fn the_span_the_gaps_and_the_end_are_known() {
    let mut events = stream(3, 2);
    events.push(event(
        10,
        2_900,
        Kind::Lost(crate::event::Lost {
            reason: crate::event::LostReason::RingFull,
            count: 42,
            detail: String::new(),
        }),
    ));
    let (_dir, mut player) = player("s.zst", &events);
    player.wait_indexed();
    assert!(player.indexed());
    assert_eq!(player.span(), (events[0].ts, events[9].ts));
    let gaps = player.gaps();
    assert_eq!((gaps.len(), gaps[0].count), (1, 42));
    assert_eq!((gaps[0].from, gaps[0].to), (events[8].ts, events[9].ts));
    assert_eq!(player.report().notices(), Vec::<String>::new());
}

#[test]
fn seeking_across_keyframes_and_frames_lands_where_playing_does() {
    for name in ["s.jsonl", "s.zst"] {
        let events = stream(50, 1000);
        let (_dir, mut player) = player(name, &events);
        player.wait_indexed();
        for target in [40_040_u64, 17, 50_000, 16_384, 16_385, 1, 33_000] {
            player.seek_seq(target).unwrap();
            assert_eq!(player.seq(), target);
            assert_eq!(player.ordinal(), target);
            assert_eq!(player.core().state.totals.events, target);
            assert!(player.step_back().unwrap());
            assert_eq!(player.ordinal(), target - 1);
            assert!(player.step());
            assert_eq!(player.seq(), target);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Times need not be in order in the file; a seek from anywhere gives the same state.
    #[test]
    fn seeking_does_not_depend_on_the_way(
        events in arbitrary::events(1..60),
        targets in proptest::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let (_dir, mut player) = player("s.jsonl", &events);
        for target in targets {
            let to = events[target.index(events.len())].ts;
            player.seek(to).unwrap();
            let expected = events.iter().take_while(|e| e.ts <= to).count();
            prop_assert_eq!(player.ordinal(), u64::try_from(expected).unwrap());
            prop_assert_eq!(player.core().state.totals.events, player.ordinal());
        }
    }
}
