//! What compression makes of messages that travel one at a time, and what a connection that keeps a context holds for it.
//!
//! Shared by the bench `codec_hops` (time), the example `compression` (bytes and memory) and a test that it can be undone. Deflate as WebSocket's permessage-deflate has
//! it (RFC 7692): per message ("no context takeover"), or with a window that goes on from message to message and that both ends of
//! every connection hold; the four bytes at the end of a flushed block are not sent (7.2.1). flate2 is built with miniz_oxide here,
//! whose sizes differ from zlib's by little. zstd at level 1: by itself, with a dictionary of [`DICTIONARY_BYTES`], with a context.

#![allow(dead_code, unreachable_pub, reason = "three programs share this, and each uses a part")]

use flate2::{Compress, Compression, FlushCompress};
use lab::codec::operations::encoded;
use wire::data::{self, DataSet, Visitor};
use wire::{Format, Record};
use zstd::bulk;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// zstd's fastest level: of small messages the higher ones make little more.
const LEVEL: i32 = 1;

/// Bytes of a trained dictionary: both ends load it once, whatever the number of connections.
const DICTIONARY_BYTES: usize = 16 << 10;

/// Window of a zstd context as a power of two: that of deflate, 32 KiB.
const WINDOW_LOG: u32 = 15;

/// The data sets whose messages travel one at a time.
pub const SETS: [&str; 5] = ["presence", "note", "broadcast", "metrics", "event-1k"];

/// Something that makes a message smaller.
pub trait Compressor {
    /// The name in benches and tables.
    fn name(&self) -> &'static str;

    /// Appends the compressed message.
    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>);
}

/// What every flushed block of deflate ends with, so that nobody sends it.
pub const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Deflate with or without a context.
#[derive(Debug)]
pub struct Deflate {
    state: Compress,
    keeps_context: bool,
}

impl Deflate {
    /// At zlib's default level, in raw deflate, as in WebSocket.
    pub fn new(keeps_context: bool) -> Deflate {
        Deflate { state: Compress::new(Compression::default(), false), keeps_context }
    }
}

impl Compressor for Deflate {
    fn name(&self) -> &'static str {
        if self.keeps_context { "deflate-context" } else { "deflate" }
    }

    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        if !self.keeps_context {
            self.state.reset();
        }
        let start = self.state.total_in();
        loop {
            // Deflate grows what it cannot shrink by five bytes in 32 KiB at most; a sync flush adds a few.
            out.reserve(message.len() + message.len() / 1_000 + 64);
            let taken = usize::try_from(self.state.total_in() - start).expect("a message fits in memory");
            self.state
                .compress_vec(&message[taken..], out, FlushCompress::Sync)
                .expect("deflate fails on a wrong state only");
            let taken = usize::try_from(self.state.total_in() - start).expect("a message fits in memory");
            if taken == message.len() && out.len() < out.capacity() {
                assert!(out.ends_with(&FLUSHED), "a sync flush ends with an empty block");
                out.truncate(out.len() - FLUSHED.len());
                return;
            }
        }
    }
}

/// zstd, each message by itself, with or without a dictionary.
pub struct Zstd {
    state: bulk::Compressor<'static>,
    dictionary: Vec<u8>,
}

impl Zstd {
    pub fn plain() -> Zstd {
        Zstd { state: bulk::Compressor::new(LEVEL).expect("a level of zstd"), dictionary: Vec::new() }
    }

    /// Trained on `samples`; compress others than these with it.
    pub fn with_dictionary(samples: &[Vec<u8>]) -> Zstd {
        let dictionary = zstd::dict::from_samples(samples, DICTIONARY_BYTES).expect("enough samples");
        let state = bulk::Compressor::with_dictionary(LEVEL, &dictionary).expect("a level of zstd");
        Zstd { state, dictionary }
    }

    /// What both ends load; empty without one.
    pub fn dictionary(&self) -> &[u8] {
        &self.dictionary
    }
}

impl Compressor for Zstd {
    fn name(&self) -> &'static str {
        if self.dictionary.is_empty() { "zstd" } else { "zstd-dictionary" }
    }

    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.reserve(zstd::zstd_safe::compress_bound(message.len()));
        self.state.compress_to_buffer(message, out).expect("there is room");
    }
}

/// zstd with a window that goes on from message to message.
pub struct ZstdContext(CCtx<'static>);

impl ZstdContext {
    pub fn new() -> ZstdContext {
        let mut state = CCtx::create();
        for parameter in [CParameter::CompressionLevel(LEVEL), CParameter::WindowLog(WINDOW_LOG)] {
            state.set_parameter(parameter).expect("a parameter of zstd");
        }
        ZstdContext(state)
    }

    /// Bytes that the context holds.
    pub fn bytes(&self) -> usize {
        self.0.sizeof()
    }
}

impl Compressor for ZstdContext {
    fn name(&self) -> &'static str {
        "zstd-context"
    }

    fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        // A flushed block is at most the message with three bytes in each 128 KiB, and the frame's header.
        let mut buffer = vec![0; zstd::zstd_safe::compress_bound(message.len()) + 64];
        let mut output = OutBuffer::around(&mut buffer[..]);
        let mut input = InBuffer::around(message);
        let left =
            self.0.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush).expect("a valid context");
        assert_eq!((left, input.pos()), (0, message.len()));
        let length = output.pos();
        out.extend_from_slice(&buffer[..length]);
    }
}

/// Every way to compress these messages; the dictionary is trained on every other one.
pub fn compressors(bodies: &[Vec<u8>]) -> Vec<Box<dyn Compressor>> {
    let samples: Vec<Vec<u8>> = bodies.iter().step_by(2).cloned().collect();
    vec![
        Box::new(Deflate::new(false)),
        Box::new(Deflate::new(true)),
        Box::new(Zstd::plain()),
        Box::new(Zstd::with_dictionary(&samples)),
        Box::new(ZstdContext::new()),
    ]
}

/// The messages of a data set, encoded; `set` is one of [`SETS`].
pub fn bodies(set: &str, format: Format) -> Vec<Vec<u8>> {
    struct Bodies<'a> {
        set: &'a str,
        format: Format,
        found: Vec<Vec<u8>>,
    }

    impl Visitor for Bodies<'_> {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            if set.name == self.set {
                self.found = encoded(self.format, &set.variants);
            }
        }
    }

    let mut bodies = Bodies { set, format, found: Vec::new() };
    data::each(&mut bodies);
    bodies.found
}
