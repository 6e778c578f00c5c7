//! Whole round trips through each engine: one connection over loopback, one request in flight, the next one when its reply was checked.
//!
//! Groups are `round-trip/PROTOCOL/OPERATION-FORMAT` with a bench for each engine. It is latency without load and, engines being equal in
//! everything but their I/O, mostly the kernel's; what engines are compared by is server CPU under load: `lab run`. Server and client
//! have a CPU each. Engines on io_uring are left out, and named, where the kernel refuses a ring.
//!
//! ```text
//! cargo bench -p lab --bench round_trip
//! SERVER_PROFILE=release cargo bench -p lab --bench round_trip -- 'frame/add-json/(mio|ring)'
//! ```
//!
//! Servers are built with the profile `measured`, or `SERVER_PROFILE`. A flamegraph of these benches shows the client: `lab flame` shows servers.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod profiler;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use lab::child::{Child, Line};
use lab::engines::{Engine, Engines};
use lab::plan::Cpus;
use lab::servers;
use wire::client::{Operation, Request, parse_reply};
use wire::{Format, Protocol, seeded};

/// How long a server may take to be ready, and a reply to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest piece that is read at once.
const READ_BYTES: usize = 16 << 10;

fn round_trip(criterion: &mut Criterion) {
    let engines = Engines::load(None).expect("the built-in file");
    let cpus = Cpus::assign(&Cpus::allowed().expect("sched_getaffinity"), 1).expect("a CPU for each side");
    let ring = io_uring::IoUring::new(8);
    let contenders: Vec<&Engine> = engines
        .all()
        .filter(|engine| !engine.name.contains('+') && (engine.interface != "io_uring" || ring.is_ok()))
        .collect();
    if let Err(error) = &ring {
        eprintln!("engines on io_uring are left out: io_uring_setup(2) says {error}");
    }
    stay_on(&cpus.generator);
    let add = || Operation::AddNote { text: seeded::note(3).text };
    let asks = [
        ("echo", Format::Raw, Operation::Echo { payload: vec![b'x'; 64] }),
        ("add", Format::Json, add()),
        ("add", Format::Protobuf, add()),
        ("publish", Format::Json, Operation::Publish { index: 3 }),
        ("publish", Format::Protobuf, Operation::Publish { index: 3 }),
    ];
    for protocol in [Protocol::Frame, Protocol::Http1] {
        for (name, format, operation) in &asks {
            let mut group = criterion.benchmark_group(format!("round-trip/{protocol}/{name}-{format}"));
            for engine in &contenders {
                // Only what is asked for on the command line is built and started.
                let mut live: Option<Live> = None;
                group.bench_function(&engine.name, |bencher| {
                    let live = live.get_or_insert_with(|| Live::start(engine, &cpus, protocol, *format, operation));
                    bencher.iter(|| live.ask());
                });
            }
            group.finish();
        }
    }
}

/// Moves this thread to CPUs.
fn stay_on(cpus: &[usize]) {
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    rustix::thread::sched_setaffinity(None, &set).expect("CPUs that this process was given");
}

/// A server and the one connection to it.
struct Live {
    server: Child,
    connection: TcpStream,
    protocol: Protocol,
    request: Request,
    id: u32,
    sent: Vec<u8>,
    received: Vec<u8>,
    piece: Box<[u8; READ_BYTES]>,
}

impl Live {
    fn start(engine: &Engine, cpus: &Cpus, protocol: Protocol, format: Format, operation: &Operation) -> Live {
        let profile = std::env::var("SERVER_PROFILE").unwrap_or_else(|_| "measured".to_owned());
        let binaries = servers::build([engine], &profile).expect("the server builds");
        let mut command = Command::new(&binaries[&engine.name]);
        command.args(&engine.args).args(["--listen", "127.0.0.1:0", "--shards", "1"]);
        command.args(["--protocol", &protocol.to_string(), "--format", format.name()]);
        let mut server = Child::start(command, &cpus.server).expect("the server starts");
        let Line::Said(line) = server.line(PATIENCE, &|| false) else {
            server.stop(PATIENCE);
            panic!("{} was not ready: {}", engine.name, server.stderr());
        };
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let address = ready["addresses"][0].as_str().expect("an address in the ready line");
        let connection = TcpStream::connect(address).expect("the server listens");
        connection.set_nodelay(true).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = Request::new(protocol, format, operation, address);
        Live {
            server,
            connection,
            protocol,
            request,
            id: 0,
            sent: Vec::new(),
            received: Vec::new(),
            piece: Box::new([0; READ_BYTES]),
        }
    }

    /// One request, and its reply to the last byte.
    fn ask(&mut self) {
        self.id = self.id.wrapping_add(1);
        self.sent.clear();
        self.request.write(self.id, &mut self.sent);
        self.connection.write_all(&self.sent).expect("the server reads");
        self.received.clear();
        loop {
            let count = self.connection.read(&mut self.piece[..]).expect("a reply in time");
            assert_ne!(count, 0, "the server closed the connection; pid {}", self.server.pid());
            self.received.extend_from_slice(&self.piece[..count]);
            let Some(reply) = parse_reply(self.protocol, &self.received).expect("a reply") else { continue };
            assert!(reply.id.is_none_or(|id| id == self.id), "{:?} answers {}", reply.id, self.id);
            self.request.check(&reply).expect("the right reply");
            assert_eq!(reply.consumed, self.received.len(), "nothing but the reply");
            return;
        }
    }
}

criterion_group! {
    name = benches;
    config = profiler::criterion();
    targets = round_trip
}
criterion_main!(benches);
