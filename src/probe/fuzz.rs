//! Fuzz target: the decoder of records from the ring buffer.

use hullwatch_abi::header::{Header, kind};

use super::record;

#[test]
fn the_decoder() {
    let mut seeds = Vec::new();
    for kind in kind::EXEC..=kind::DNS {
        for length in [0, 64, 512, 2048] {
            let header = Header {
                kind,
                len: length,
                ..Header::default()
            };
            let mut record = bytemuck::bytes_of(&header).to_vec();
            record.resize(record.len() + usize::try_from(length).unwrap(), 0);
            seeds.push(record);
        }
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let clock = crate::system::SessionClock::of_this_program();
    crate::fuzz::fuzz(&seeds, |input| {
        let _ = record::decode(input, clock);
    });
}
