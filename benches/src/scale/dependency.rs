//! The stub of a dependency: a process that every request passes on its way to an instance, and that takes its time.
//!
//! It stands in front of the instance rather than behind it, so that every engine can be measured with it unchanged: in a chain of
//! stations throughput is that of the slowest, wherever it stands. A thread a connection, since what it models is slow.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use wire::frame::{HEADER_BYTES, Parsed, parse_reply, parse_request};

/// Connections at a time; each is a thread. A further one is closed at once.
const CONNECTIONS: usize = 4_096;

/// How often a listener looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

/// How long connecting to an instance may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the dependency is like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nature {
    /// Requests that it works on at a time; `None` for as many as come.
    pub permits: Option<u32>,
    /// How long it works on each.
    pub hold: Duration,
    /// Requests a second at most.
    pub rate: Option<f64>,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that passed.
    pub passed: u64,
    /// Most requests that it worked on at a time.
    pub most_at_a_time: u64,
    /// Connections that were closed at once or ended in an error.
    pub broken: u64,
}

/// Permits, pace and counts, shared by all connections.
struct Gate {
    nature: Nature,
    at_work: Mutex<u64>,
    done: Condvar,
    next_slot: Mutex<Instant>,
    passed: AtomicU64,
    most: AtomicU64,
    broken: AtomicU64,
    connections: AtomicUsize,
}

/// Serves until `stop`: one listener an upstream, on loopback; `ready` hears their addresses, in the order of `upstreams`.
///
/// # Errors
/// Those of listening.
pub fn serve(
    nature: Nature,
    upstreams: &[SocketAddr],
    stop: &AtomicBool,
    ready: impl FnOnce(&[SocketAddr]),
) -> io::Result<Counts> {
    let gate = Arc::new(Gate::new(nature));
    let mut listeners = Vec::new();
    for upstream in upstreams {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        listeners.push((listener, *upstream));
    }
    let addresses = listeners.iter().map(|(listener, _)| listener.local_addr()).collect::<io::Result<Vec<_>>>()?;
    ready(&addresses);
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for (listener, upstream) in &listeners {
            if let Ok((client, _)) = listener.accept() {
                idle = false;
                gate.admit(client, *upstream);
            }
        }
        if idle {
            std::thread::sleep(LOOK);
        }
    }
    Ok(Counts {
        passed: gate.passed.load(Ordering::Relaxed),
        most_at_a_time: gate.most.load(Ordering::Relaxed),
        broken: gate.broken.load(Ordering::Relaxed),
    })
}

impl Gate {
    fn new(nature: Nature) -> Self {
        Self {
            nature,
            at_work: Mutex::new(0),
            done: Condvar::new(),
            next_slot: Mutex::new(Instant::now()),
            passed: AtomicU64::new(0),
            most: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    /// Serves a connection on a thread of its own, which ends with it or with the process.
    fn admit(self: &Arc<Self>, client: TcpStream, upstream: SocketAddr) {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.broken.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let gate = Arc::clone(self);
        std::thread::spawn(move || {
            if gate.converse(client, upstream).is_err() {
                gate.broken.fetch_add(1, Ordering::Relaxed);
            }
            gate.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// One request after the other: wait, forward, answer.
    fn converse(&self, mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
        let mut instance = TcpStream::connect_timeout(&upstream, CONNECT_TIMEOUT)?;
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        instance.set_nodelay(true)?;
        let mut bytes = Vec::new();
        while read_frame(&mut client, &mut bytes, Side::Request)? {
            self.pass();
            instance.write_all(&bytes)?;
            if !read_frame(&mut instance, &mut bytes, Side::Reply)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            client.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Waits for a permit and for its turn, and works.
    fn pass(&self) {
        const HELD: &str = "nobody panics while holding this lock";
        {
            let limit = self.nature.permits.map_or(u64::MAX, u64::from);
            let mut at_work =
                self.done.wait_while(self.at_work.lock().expect(HELD), |at_work| *at_work >= limit).expect(HELD);
            *at_work += 1;
            self.most.fetch_max(*at_work, Ordering::Relaxed);
        }
        if let Some(rate) = self.nature.rate {
            let turn = {
                let mut slot = self.next_slot.lock().expect(HELD);
                let turn = (*slot).max(Instant::now());
                *slot = turn + Duration::from_secs_f64(1.0 / rate);
                turn
            };
            std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        }
        std::thread::sleep(self.nature.hold);
        *self.at_work.lock().expect(HELD) -= 1;
        self.done.notify_one();
        self.passed.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Reply,
}

/// Reads a whole frame; false at the end of the stream between two of them. Lengths are checked against the protocol's limits
/// before anything is allocated.
fn read_frame(stream: &mut impl Read, bytes: &mut Vec<u8>, side: Side) -> io::Result<bool> {
    bytes.resize(HEADER_BYTES, 0);
    let first = stream.read(bytes)?;
    if first == 0 {
        return Ok(false);
    }
    stream.read_exact(&mut bytes[first..])?;
    let parsed = match side {
        Side::Request => parse_request(bytes),
        Side::Reply => parse_reply(bytes),
    };
    match parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))? {
        Parsed::Whole(_) => {}
        Parsed::Partial { needed } => {
            bytes.resize(needed, 0);
            stream.read_exact(&mut bytes[HEADER_BYTES..])?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames come out whole however they are cut, the end of a stream is told from a torn frame, and no length is believed
    /// beyond the protocol's limit.
    #[test]
    fn frames_are_cut_from_streams() {
        /// Gives one byte at a time.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.0.len().min(buffer.len()).min(1);
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let mut two = Vec::new();
        wire::frame::write(&mut two, 7, 1, 0, |body| body.extend_from_slice(b"hello"));
        wire::frame::write(&mut two, 8, 1, 0, |_| {});
        let (mut stream, mut bytes) = (Slow(&two), Vec::new());
        assert!(read_frame(&mut stream, &mut bytes, Side::Request).unwrap());
        assert_eq!(bytes, two[..HEADER_BYTES + 5]);
        assert!(read_frame(&mut stream, &mut bytes, Side::Request).unwrap());
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert!(!read_frame(&mut stream, &mut bytes, Side::Request).unwrap());
        let torn = read_frame(&mut Slow(&two[..HEADER_BYTES + 2]), &mut bytes, Side::Request).unwrap_err();
        assert_eq!(torn.kind(), io::ErrorKind::UnexpectedEof);
        two[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let huge = read_frame(&mut Slow(&two), &mut bytes, Side::Request).unwrap_err();
        assert_eq!(huge.kind(), io::ErrorKind::InvalidData);
        assert!(bytes.capacity() < 1 << 20, "nothing was allocated for it");
    }

    /// Twenty requests at once on two permits: never more than two are at work; by counts, not by times.
    #[test]
    fn permits_hold() {
        let nature = Nature { permits: Some(2), hold: Duration::from_millis(1), rate: None };
        let gate = Gate::new(nature);
        std::thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(|| gate.pass()))));
        assert_eq!((gate.passed.load(Ordering::Relaxed), gate.most.load(Ordering::Relaxed)), (20, 2));
        assert_eq!(*gate.at_work.lock().unwrap(), 0);
    }

    /// Eleven requests at 200 a second take at least fifty milliseconds: the pace is kept from below, whatever the box does.
    #[test]
    fn a_rate_is_a_pace() {
        let gate = Gate::new(Nature { permits: None, hold: Duration::ZERO, rate: Some(200.0) });
        let began = Instant::now();
        (0..11).for_each(|_| gate.pass());
        assert!(began.elapsed() >= Duration::from_millis(49), "{:?}", began.elapsed());
    }
}
