//! A recording that is read while it is written.

use std::time::{Duration, Instant};

use super::*;

/// Until it shows `events` events; it must not stall.
fn wait(player: &mut Player, events: u64) {
    let (mut stalled_at, mut since) = (player.ordinal(), Instant::now());
    while player.ordinal() < events {
        if player.ordinal() > stalled_at {
            (stalled_at, since) = (player.ordinal(), Instant::now());
        }
        assert!(since.elapsed().as_secs() < 60, "stands at {stalled_at}");
        player.advance(Duration::from_millis(10));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets a following player notice that nothing more comes.
fn wait_end(player: &mut Player) {
    let until = Instant::now() + Duration::from_secs(60);
    while player.following() {
        assert!(Instant::now() < until, "does not end");
        player.advance(Duration::from_millis(10));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_growing_recording_is_followed_and_sought_in() {
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let (_dir, path) = scratch(name);
        let events = stream(30, 999);
        let mut writer = Writer::create(&path, &header()).unwrap();
        let mut player = Player::open(&path).unwrap();
        assert!(player.growing() && player.follow(), "{name}");
        assert_eq!(player.ordinal(), 0);
        for (second, events) in (1..).zip(events.chunks(1000)) {
            for event in events {
                writer.event(event).unwrap();
            }
            wait(&mut player, second * 1000);
            assert_eq!(player.ordinal(), second * 1000);
            assert_eq!(player.position(), events.last().unwrap().ts);
        }
        // After going back it stays there, while more is written.
        player.seek(Timestamp(START + 2_000_000_000)).unwrap();
        assert!(!player.following() && player.growing());
        let there = player.ordinal();
        assert!((1000..4000).contains(&there), "{there}");
        let more = event(30_001, 30_000, Kind::Tick(Box::default()));
        writer.event(&more).unwrap();
        player.advance(Duration::from_secs(1));
        assert_eq!(player.ordinal(), there, "paused");
        // Playing on, the present is reached and kept up with.
        player.set_playing(true);
        player.set_speed(1024.0);
        wait(&mut player, 30_001);
        player.advance(Duration::from_secs(1));
        assert!(player.following(), "{name}");
        writer.finish(&[]).unwrap();
        wait_end(&mut player);
        assert!(player.at_end() && !player.growing());
        assert!(player.report().is_sound(), "{:?}", player.report());
        assert_eq!(player.events(), 30_001);
    }
}

#[test]
fn a_long_session_is_joined_at_its_present() {
    let (_dir, path) = scratch("s.jsonl.zst");
    let events = stream(50, 999);
    let mut writer = Writer::create(&path, &header()).unwrap();
    for event in &events {
        writer.event(event).unwrap();
    }
    let mut player = Player::open(&path).unwrap();
    player.follow();
    wait(&mut player, 50_000);
    player.step_back().unwrap();
    assert_eq!(player.ordinal(), 49_999);
    drop(writer);
}

#[test]
fn an_ended_writer_is_not_waited_for() {
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let (_dir, path) = scratch(name);
        let mut writer = Writer::create(&path, &header()).unwrap();
        for event in &stream(2, 9) {
            writer.event(event).unwrap();
        }
        let mut player = Player::open(&path).unwrap();
        player.follow();
        wait(&mut player, 20);
        drop(writer);
        wait_end(&mut player);
        let report = player.report();
        assert!(report.complete && report.cut.is_some(), "{report:?}");
        // Later it is a recording like any other that was cut.
        assert!(!Player::open(&path).unwrap().growing());
    }
}

#[test]
fn leaving_does_not_wait_for_the_writer() {
    let (_dir, path) = scratch("s.jsonl");
    let writer = Writer::create(&path, &header()).unwrap();
    let player = Player::open(&path).unwrap();
    let before = Instant::now();
    drop(player);
    assert!(before.elapsed() < Duration::from_secs(5));
    drop(writer);
}
