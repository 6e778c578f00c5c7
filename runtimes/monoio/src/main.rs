//! Socket I/O of one engine.
fn main() {}
