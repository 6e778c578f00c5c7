//! Bytes of messages compressed one at a time, and what a connection holds that keeps a context.
//!
//! `cargo run -p lab --example compression` prints a table: mean bytes of a message by data set and format, plain and compressed, over the
//! half of the set that the dictionary was not trained on.

#[path = "../benches/compression/mod.rs"]
mod compression;

use compression::{Compressor, Deflate, SETS, ZstdContext, bodies, compressors};
use lab::codec::allocator::{Counting, counts};
use wire::Format;

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    println!("{:<10} {:<9} {:>8} mean bytes of a message, then compressed", "set", "format", "plain");
    for set in SETS {
        for format in [Format::Json, Format::Msgpack, Format::Protobuf] {
            let bodies = bodies(set, format);
            let plain = mean(bodies.iter().skip(1).step_by(2).map(Vec::len));
            print!("{set:<10} {format:<9} {plain:>8.1}");
            for mut compressor in compressors(&bodies) {
                let lengths = bodies.iter().skip(1).step_by(2).map(|body| {
                    let mut out = Vec::new();
                    compressor.compress(body, &mut out);
                    out.len()
                });
                let compressed = mean(lengths);
                print!("  {} {compressed:.1} ({:+.0} %)", compressor.name(), (compressed / plain - 1.0) * 100.0);
            }
            println!();
        }
    }
    println!();
    let before = counts().live;
    let deflate = Deflate::new(true);
    println!(
        "deflate-context holds {} bytes for sending on each connection (miniz_oxide; by zconf.h zlib holds 256 KiB)",
        counts().live - before
    );
    drop(deflate);
    let mut context = ZstdContext::new();
    context.compress(b"the first message allocates", &mut Vec::new());
    println!("zstd-context holds {} bytes for sending on each connection (level 1, window of 32 KiB)", context.bytes());
}

fn mean(lengths: impl Iterator<Item = usize>) -> f64 {
    let (count, sum) = lengths.fold((0_u32, 0), |(count, sum), length| (count + 1, sum + length));
    sum as f64 / f64::from(count)
}
