//! What a held connection is made of: a forecast before the run, and names for what the run finds.
//!
//! Sizes are read from the running kernel (`/proc/slabinfo`, root only) where it tells, else they are those of Linux
//! 6.18 on x86-64. Counts per connection are of one end each: on loopback both ends are on this box.

use serde::Serialize;

use super::memory::CacheSlope;
use crate::engines::Engine;
use crate::host::Files;

/// A kernel object that a connection owns.
pub struct Object {
    /// Name of its slab cache.
    pub cache: &'static str,
    /// Bytes on Linux 6.18, x86-64.
    pub bytes: u64,
    /// How many the server's end has on epoll.
    pub on_epoll: u64,
    /// How many the server's end has on io_uring with a receive or poll armed.
    pub on_uring: u64,
    /// How many the generator's end has.
    pub generator: u64,
    /// What it is, and where the kernel defines it.
    pub what: &'static str,
}

/// The objects of one connection, largest first. `benches/README.md` shows this table.
pub const OBJECTS: &[Object] = &[
    object("TCP", 2368, 1, 1, 1, "struct tcp_sock (include/linux/tcp.h)"),
    object("sock_inode_cache", 832, 1, 1, 1, "socket and its inode (net/socket.c)"),
    object("filp", 192, 1, 1, 1, "struct file (include/linux/fs.h)"),
    object("dentry", 192, 1, 1, 1, "sockfs entry of the file (include/linux/dcache.h)"),
    object("io_kiocb", 256, 0, 1, 0, "armed request of a ring (include/linux/io_uring_types.h)"),
    object("eventpoll_epi", 128, 1, 0, 1, "struct epitem (fs/eventpoll.c)"),
    object("eventpoll_pwq", 64, 1, 0, 1, "struct eppoll_entry (fs/eventpoll.c)"),
    object("tcp_bind2_bucket", 128, 0, 0, 1, "address and port in use (include/net/inet_hashtables.h)"),
];

const fn object(
    cache: &'static str,
    bytes: u64,
    on_epoll: u64,
    on_uring: u64,
    generator: u64,
    what: &'static str,
) -> Object {
    Object { cache, bytes, on_epoll, on_uring, generator, what }
}

/// The objects of a cache, or of caches that the kernel merged (their names joined by plus signs), as far as they are known.
pub fn objects(caches: &str) -> Vec<&'static Object> {
    OBJECTS.iter().filter(|object| caches.split('+').any(|cache| cache == object.cache)).collect()
}

/// How much of a cache's growth is the server's end, in bytes per connection; `None` for a cache that is not known. What the
/// generator's end has is known, since it is our own: the rest is the server's.
pub fn server_end(cache: &CacheSlope) -> Option<f64> {
    let known = objects(&cache.cache);
    let generator = known.iter().map(|object| object.generator as f64).sum::<f64>();
    (!known.is_empty()).then(|| (1.0 - generator / cache.objects.max(generator)) * cache.bytes)
}

/// User memory of the generator per connection: its state and its place in the table.
const GENERATOR_USER_BYTES: u64 = 192;

/// User memory of a server per idle connection where engines.toml does not say.
const SERVER_USER_BYTES: u64 = 1024;

/// What slabs take beyond their objects: measured 1.2 to 1.5 times on the boxes seen so far, since slabs are not full and
/// objects are padded. A forecast that is too low fails in the last minute, so it is the upper one.
const SLAB_OVERHEAD: f64 = 1.5;

/// Private memory of one server or holder process with no connection, in bytes.
const PROCESS_BYTES: u64 = 6 << 20;

/// One line of the forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Cache, or which process.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Bytes for each connection, both ends together.
    pub bytes_per_connection: u64,
    /// Bytes for all of them.
    pub bytes: u64,
}

/// The forecast of `users` connections to `engine` over `processes` processes, largest first.
pub fn forecast(files: &Files, engine: &Engine, users: u64, processes: u64) -> Vec<Line> {
    let sizes = object_sizes(files);
    let size_of =
        |object: &Object| sizes.iter().find(|(name, _)| name == object.cache).map_or(object.bytes, |(_, bytes)| *bytes);
    let line = |name: &str, what: &str, each: u64, bytes: u64| Line {
        name: name.to_owned(),
        what: what.to_owned(),
        bytes_per_connection: each,
        bytes,
    };
    let objects = OBJECTS.iter().filter_map(|object| {
        // Of a server of one's own nothing is known; most wait in epoll.
        let server = if engine.interface == "io_uring" { object.on_uring } else { object.on_epoll };
        let each = (server + object.generator) * size_of(object);
        (each > 0).then(|| line(object.cache, object.what, each, each * users))
    });
    let mut lines: Vec<Line> = objects.collect();
    let kernel: u64 = lines.iter().map(|line| line.bytes).sum();
    let extra = (kernel as f64 * (SLAB_OVERHEAD - 1.0)) as u64;
    let server = engine.idle_bytes.unwrap_or(SERVER_USER_BYTES);
    lines.push(line("slab overhead", "slabs that are not full, padding, page tables", extra / users.max(1), extra));
    lines.push(line("server, user", "the engine's own state", server, server * users));
    lines.push(line("generator, user", "its table of connections", GENERATOR_USER_BYTES, GENERATOR_USER_BYTES * users));
    lines.push(line("processes", "servers and holders without connections", 0, PROCESS_BYTES * processes));
    lines.sort_by_key(|line| std::cmp::Reverse(line.bytes));
    lines
}

/// Kernel memory of the server's end of a connection, in bytes: the objects of [`OBJECTS`] with the overhead of their slabs.
pub fn server_kernel_bytes(engine: &Engine) -> u64 {
    let count = |object: &Object| if engine.interface == "epoll" { object.on_epoll } else { object.on_uring };
    let objects: u64 = OBJECTS.iter().map(|object| count(object) * object.bytes).sum();
    (objects as f64 * SLAB_OVERHEAD) as u64
}

/// User memory of a server per idle connection, in bytes: as measured, else a guess on the large side.
pub fn server_user_bytes(engine: &Engine) -> u64 {
    engine.idle_bytes.unwrap_or(SERVER_USER_BYTES)
}

/// Names and object sizes of the kernel's caches; empty for users who may not read them.
fn object_sizes(files: &Files) -> Vec<(String, u64)> {
    let Some(text) = files.proc("slabinfo") else { return Vec::new() };
    let mut sizes = Vec::new();
    let known = hostfs::tables::slabinfo(&files.roots.proc("slabinfo"), text.as_bytes(), |slab| {
        sizes.push((String::from_utf8_lossy(slab.name).into_owned(), slab.object_size));
    });
    if known.is_ok() { sizes } else { Vec::new() }
}
