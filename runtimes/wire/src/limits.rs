//! Bounds on everything that a peer can make grow.

/// Largest request body in bytes, in either protocol. An echo payload of 256 KiB, the largest that scenarios
/// send, fits with room; a connection can make a server hold no more than this plus one head.
pub const BODY_BYTES: usize = 1 << 20;

/// Largest HTTP head (request line and headers) in bytes. nginx and hyper refuse in the same region.
pub const HEAD_BYTES: usize = 8 << 10;

/// Most headers in an HTTP head. Browsers send fewer than 30.
pub const HEADERS: usize = 64;

/// Largest note text in bytes of UTF-8. It bounds a shard's store: see `service::store`.
pub const TEXT_BYTES: usize = 4 << 10;

/// Most notes in one page.
pub const PAGE_NOTES: u32 = 100;

/// Notes in a page when the request names no limit.
pub const PAGE_NOTES_DEFAULT: u32 = 10;

/// Largest text of an event in bytes: as large as the largest message that a peer of a push service usually takes
/// (64 KiB), and small beside what may wait for a slow reader.
pub const EVENT_BYTES: usize = 64 << 10;

/// Largest reply body that a client accepts: a full page of the longest texts, each byte of which JSON may
/// write as `\u0000`, is 2.4 MiB.
pub const REPLY_BODY_BYTES: usize = 4 << 20;

/// Most tags of a broadcast.
pub const BROADCAST_TAGS: usize = 8;

/// Most pictures and videos of a broadcast that is published. The shortest that JSON and MessagePack can say, with their empty fields
/// left out, are answered by ones four times as long: without a bound, the largest request would get a reply over
/// [`REPLY_BODY_BYTES`].
pub const BROADCAST_MEDIA: usize = 64;

/// Deepest nesting of what a body brings that nobody knows. serde_json's own limit, set for those libraries whose default of 1,024
/// needs more stack than a thread may have; prost and buffa stop at 100.
pub const NESTING: u16 = 128;

/// Largest body that any format decodes. Decoding may take a multiple of it in memory, since an empty note of 2 bytes in
/// protobuf becomes one of 72: `tests/hostile.rs` measures the multiple.
pub const MESSAGE_BYTES: usize = REPLY_BODY_BYTES;
