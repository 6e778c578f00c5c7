//! `--own-tables`: more connections than one table of descriptors has places, at the size for which it is there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use socket2::{Domain, Socket, Type};
use wire::client::{Operation, Request};
use wire::{Format, Protocol};

use crate::Subject;
use crate::server::Server;

/// Connections: above the 20,000 that a table has on the boxes that this is for.
const CONNECTIONS: usize = 21_000;

/// Client threads, each with a table of its own as well.
const CLIENTS: usize = 2;

/// Descriptors that the subject's tables are to be limited to (`prlimit --nofile=11500:11500 BINARY`): two of them hold all
/// connections, however the kernel's hash spreads them (five standard deviations are 362), and one does not.
pub const TABLE: &str = "--nofile=11500:11500";

/// Two shards hold 21,000 connections, twice what one table has places for, and answer on each of them while all are held.
pub fn two_hold_twice_as_many(limited: &Subject) {
    let server = Server::speaking(limited, Protocol::Frame, Format::Raw, &["--shards", "2", "--own-tables"]);
    assert!(server.ready["max_connections"].as_u64() > Some(CONNECTIONS as u64), "{}", server.ready);
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).expect("the soft limit may be raised");
    let barrier = std::sync::Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| {
            let (address, barrier) = (server.address, &barrier);
            scope.spawn(move || {
                // SAFETY: this thread uses no descriptor that another one opens or closes from here on, and hands none on.
                unsafe { unshare_unsafe(UnshareFlags::FILES) }.expect("nothing forbids it");
                let mut held: Vec<TcpStream> = (0..CONNECTIONS / CLIENTS).map(|_| connect(address, client)).collect();
                barrier.wait();
                answered(&mut held);
                barrier.wait();
            })
        });
        clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().expect("every connection is answered"));
    });
    let counters = server.stop();
    assert_eq!(
        (&counters["accepted"], &counters["requests"]),
        (&CONNECTIONS.into(), &CONNECTIONS.into()),
        "{counters}"
    );
}

/// A connection from an address of this client's own, so that ports do not run out.
fn connect(server: SocketAddr, client: usize) -> TcpStream {
    let source = Ipv4Addr::new(127, 78, 0, 1 + u8::try_from(client).expect("a few"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("the table has a place");
    // Ends with a reset: twenty thousand sockets in TIME_WAIT would be in the way of other tests.
    socket.set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(source, 0)).into()).expect("all of 127.0.0.0/8 is loopback");
    socket.connect(&server.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a duration above zero");
    stream
}

/// An echo on each connection.
fn answered(held: &mut [TcpStream]) {
    let mut bytes = Vec::new();
    Request::new(Protocol::Frame, Format::Raw, &Operation::Echo { payload: b"x".to_vec() }, "").write(1, &mut bytes);
    for stream in &mut *held {
        stream.write_all(&bytes).expect("it reads");
    }
    for stream in held {
        let mut reply = [0; 13];
        stream.read_exact(&mut reply).expect("a reply");
        // An echo's reply is the same bytes.
        assert_eq!(reply[..], bytes);
    }
}
