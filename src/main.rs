//! hullwatch
fn main() {}
