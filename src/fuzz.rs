//! Fuzzing of all parsers of untrusted bytes: runs a target on mutations of seeds for a time.
//!
//! `cargo test` runs each target briefly, `cargo xtask fuzz SECONDS` longer. The order of inputs is
//! fixed by the seed number, which is printed with an input that panics; `HULLWATCH_FUZZ_SEED` sets
//! it. Targets of private parsers are in `probe/fuzz.rs` and `tui/fuzz.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::event::escape;

/// Inputs are no longer than this.
const LONGEST: usize = 4096;

/// A pseudo-random sequence (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    fn byte(&mut self) -> u8 {
        // Values at the edges of types and of character classes are the likeliest to matter.
        const EDGES: &[u8] = b"\0\x01\x1b\x7f\x80\xff\"\\{}[]=.,:;*?/ \n";
        if self.below(2) == 0 {
            EDGES[self.below(EDGES.len())]
        } else {
            self.next().to_le_bytes()[7]
        }
    }

    /// Changes an input in one to eight places.
    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[&[u8]]) {
        for _ in 0..=self.below(8) {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 => input.insert(at, self.byte()),
                1 if at < input.len() => drop(input.remove(at)),
                2 => input.truncate(at),
                3 => {
                    // A piece of another seed.
                    let other = seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let length = self.below((other.len() - from).min(64) + 1);
                    let piece = other[from..from + length].iter().copied();
                    input.splice(at..at, piece);
                }
                4 if at < input.len() => input[at] ^= 1 << self.below(8),
                _ if at < input.len() => input[at] = self.byte(),
                _ => input.push(self.byte()),
            }
        }
        input.truncate(LONGEST);
    }
}

/// Runs `target` on the seeds and on mutations of them, for `HULLWATCH_FUZZ_SECONDS` or, without
/// it, for a moment. `target` must not panic.
pub(crate) fn fuzz(seeds: &[&[u8]], target: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let time =
        number("HULLWATCH_FUZZ_SECONDS").map_or(Duration::from_millis(300), Duration::from_secs);
    let seed = number("HULLWATCH_FUZZ_SEED").unwrap_or(0x5eed);
    let mut random = Random(seed.max(1));
    let until = Instant::now() + time;
    let mut runs = 0_u64;
    let mut input = Vec::new();
    while Instant::now() < until {
        for _ in 0..64 {
            let index = usize::try_from(runs).unwrap();
            match seeds.get(index) {
                // Every seed is tried as it is before it is changed.
                Some(seed) => input = seed.to_vec(),
                None => {
                    // Mutations pile up for a while, so that inputs drift away from the seeds.
                    if random.below(4) == 0 {
                        input = seeds[random.below(seeds.len())].to_vec();
                    }
                    random.mutate(&mut input, seeds);
                }
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
                eprintln!("seed {seed}, run {runs}: {}", escape(&input));
                resume_unwind(panic);
            }
            runs += 1;
        }
    }
    println!("{runs} runs");
}

#[test]
fn a_panic_is_found() {
    let found = catch_unwind(|| {
        fuzz(&[b"abc"], |input| assert!(!input.contains(&b'{')));
    });
    assert!(found.is_err());
}

#[test]
fn the_policy_parser() {
    let whole = br#"
max-age = "90d"
startup-grace = "30s"
sensitive = ["/srv/keys/*"]
[severity]
"file.cron" = "medium"
[[age]]
image = "nginx:*"
max = "7d"
[[allow]]
image = "web*"
listen = [8080]
connect = ["10.0.0.0/8", "*.example.com"]
[[silence]]
rule = "drift.exec-new"
subject = ["/opt/agent/*"]
reason = "ours"
expires = "2026-12-31"
"#;
    fuzz(&[whole, b"max-age = \"1h\"", b"[severity]"], |input| {
        if let Ok(text) = std::str::from_utf8(input) {
            let _ = crate::detect::Policy::parse(text);
        }
    });
}

#[test]
fn the_recording_reader() {
    use std::io::Write as _;
    // The beginning of the demo, as lines: mutations of the compressed file would only try zstd.
    let demo = zstd::decode_all(&include_bytes!("../demo/demo.jsonl.zst")[..]).unwrap();
    let lines: Vec<&[u8]> = demo.split_inclusive(|byte| *byte == b'\n').collect();
    let header = lines[0];
    // Each seed is a header with a few lines of different kinds.
    let mut seeds = Vec::new();
    for chunk in lines[1..].chunks(lines.len() / 24 + 1) {
        seeds.push([header, chunk[0], chunk[chunk.len() / 2]].concat());
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fuzz.jsonl");
    fuzz(&seeds, |input| {
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(input).unwrap();
        if let Ok(mut reader) = crate::recording::RecordingReader::open(&path) {
            while reader.next_item().is_some() {}
            let _ = reader.report();
        }
    });
}
