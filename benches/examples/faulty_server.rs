//! A server that speaks the contract (echo over frames) and then breaks it, to show that the lab notices.
//!
//! `faulty_server FAULT [contract arguments]`, FAULT one of:
//! `none`; `lie:N` (the Nth reply is wrong); `die:N` (abort at the Nth request); `refuse` (exit 3 before it is
//! ready); `crash` (exit 1 before it is ready); `mute` (never says that it is ready); `garble` (a ready line that
//! is no JSON); `stubborn` (ignores SIGTERM); `stop-answering:N` (no reply after the Nth); `wrong-version:N` (replies in a
//! version that nobody speaks after the Nth); `wait:N` (sleeps N ms before it answers what it has read, as for a slow
//! dependency); `spin:N` (burns N µs of CPU a request); `greedy:N` (keeps N KiB of memory a request); `sluggish:N` (sleeps
//! N ms before it accepts a connection); `unreaped:N` (answers a request once a completion for it was reaped from a ring with
//! room for N, which happens every 20 ms); of the connections that are to be told an event, the Nth hears nothing
//! (`tell-none:N`), another one (`tell-wrong:N`) or the same again (`tell-twice:N`). `--fault FAULT` among the contract's
//! arguments goes before the first one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode};
use wire::frame::{self, Parsed};
use wire::{Format, Protocol, event};

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static FAULT: OnceLock<(String, u64)> = OnceLock::new();
static LISTENERS: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());
static RING: OnceLock<Sender<Sender<()>>> = OnceLock::new();

/// How often completions are reaped.
const REAPED: Duration = Duration::from_millis(20);

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next().unwrap_or_else(|| "none".to_owned());
    let rest: Vec<String> = args.collect();
    let fault = rest.windows(2).find(|pair| pair[0] == "--fault").map_or(first, |pair| pair[1].clone());
    let (name, at) =
        fault.split_once(':').map_or((fault.as_str(), 0), |(name, at)| (name, at.parse().expect("a number")));
    FAULT.set((name.to_owned(), at)).expect("set once");
    match name {
        "refuse" => {
            eprintln!(
                "io_uring is disabled: kernel.io_uring_disabled is 2, 0 is needed; sysctl -w kernel.io_uring_disabled=0"
            );
            exit(3);
        }
        "crash" => {
            eprintln!("out of luck");
            exit(1);
        }
        "mute" => std::thread::sleep(Duration::from_secs(60)),
        // Before the ready line, since whoever looks for rings does so then.
        "unreaped" => post_to_a_ring(u32::try_from(at).expect("a small number")),
        _ => {}
    }
    let listen = rest.windows(2).find(|pair| pair[0] == "--listen").map_or("127.0.0.1:0", |pair| pair[1].as_str());
    let listener = TcpListener::bind(listen).expect("the address is free");
    let address = listener.local_addr().expect("it is bound");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop)).expect("SIGTERM can be handled");
    if name == "garble" {
        println!("ready, more or less");
    } else {
        let admin = name.starts_with("tell").then(|| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let at = admin
            .as_ref()
            .map_or_else(|| "null".to_owned(), |admin| format!("\"{}\"", admin.local_addr().expect("it is bound")));
        let pid = std::process::id();
        println!(r#"{{"engine":"faulty","interface":"epoll","addresses":["{address}"],"admin":{at},"pid":{pid}}}"#);
        if let Some(admin) = admin {
            std::thread::spawn(move || admin.incoming().flatten().for_each(tell));
        }
    }
    let tells = name.starts_with("tell");
    let sluggish = Duration::from_millis(if name == "sluggish" { at } else { 0 });
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(sluggish);
            let Ok((connection, _)) = listener.accept() else { continue };
            if tells {
                let copy = connection.try_clone().expect("a descriptor is left");
                LISTENERS.lock().expect("no thread panics with it").push(copy);
            }
            std::thread::spawn(move || serve(connection));
        }
    });
    while !stop.load(Ordering::Relaxed) || name == "stubborn" {
        // Seldom enough that looking costs a server nothing that is measured.
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(r#"{{"requests":{}}}"#, REQUESTS.load(Ordering::Relaxed));
}

/// Takes one order to tell everybody an event, and gets it wrong for one.
fn tell(mut admin: TcpStream) {
    let (fault, at) = FAULT.get().expect("set before anything is told");
    let mut order = vec![0; 4096];
    let length = admin.read(&mut order).expect("an order");
    let order = String::from_utf8_lossy(&order[..length]).into_owned();
    let parameter = |name: &str| -> u32 {
        let value = order.split(['?', '&', ' ']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.expect("it is named").parse().expect("a number")
    };
    let mut message = Vec::new();
    let event = event::event(parameter("number"), parameter("bytes") as usize);
    event::write(Protocol::Frame, Format::Raw, &event, &mut message);
    for (number, mut listener) in (1..).zip(&*LISTENERS.lock().expect("no thread panics with it")) {
        let copies = match fault.as_str() {
            "tell-none" if number == *at => 0,
            "tell-twice" if number == *at => 2,
            _ => 1,
        };
        let mut message = message.clone();
        if fault == "tell-wrong" && number == *at {
            *message.last_mut().expect("it has a text") ^= 1;
        }
        // Whoever has gone hears nothing.
        (0..copies).for_each(|_| drop(listener.write_all(&message)));
    }
    admin.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it listens");
}

/// Echoes frames until the peer leaves or the fault strikes.
fn serve(mut connection: TcpStream) {
    let (fault, at) = FAULT.get().expect("set before the first connection");
    connection.set_nodelay(true).expect("the socket is open");
    let (mut input, mut output, mut buffer) = (Vec::new(), Vec::new(), [0; 65_536]);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    while let Ok(count @ 1..) = connection.read(&mut buffer) {
        input.extend_from_slice(&buffer[..count]);
        if fault == "wait" {
            std::thread::sleep(Duration::from_millis(*at));
        }
        let mut used = 0;
        while let Ok(Parsed::Whole(request)) = frame::parse_request(&input[used..]) {
            let number = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
            if fault == "die" && number == *at {
                std::process::abort();
            }
            match fault.as_str() {
                "spin" => spin(Duration::from_micros(*at)),
                "unreaped" => {
                    let (reaped, done) = mpsc::channel();
                    RING.get().expect("made at the start").send(reaped).expect("the ring's thread does not end");
                    let _ = done.recv();
                }
                // Written to, so that the pages are really there.
                "greedy" => kept.push(vec![1; *at as usize * 1024]),
                _ => {}
            }
            let lie = fault == "lie" && number == *at;
            let start = output.len();
            frame::write(&mut output, request.id, request.opcode, 0, |out| {
                out.extend_from_slice(request.body);
                if lie {
                    *out.last_mut().expect("payloads are not empty") ^= 1;
                }
            });
            used += request.consumed;
            match fault.as_str() {
                "stop-answering" if number > *at => output.truncate(start),
                // The last byte of the header, see wire::frame.
                "wrong-version" if number > *at => output[start + frame::HEADER_BYTES - 1] = 9,
                _ => {}
            }
        }
        input.drain(..used);
        if connection.write_all(&output).is_err() {
            return;
        }
        output.clear();
    }
}

/// Makes a ring with room for `room` completions, and a thread that posts one for each request and reaps `room` at a time.
fn post_to_a_ring(room: u32) {
    let ring = IoUring::builder().setup_cqsize(room).build(room).unwrap_or_else(|error| {
        eprintln!("io_uring cannot be had here: {error}; see kernel.io_uring_disabled");
        exit(3);
    });
    let (sender, requests) = mpsc::channel();
    RING.set(sender).expect("set once");
    std::thread::spawn(move || reap(ring, room, &requests));
}

fn reap(mut ring: IoUring, room: u32, requests: &Receiver<Sender<()>>) {
    let mut waiting = std::collections::VecDeque::new();
    loop {
        let deadline = Instant::now() + REAPED;
        while let Ok(request) = requests.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            waiting.push_back(request);
            // SAFETY: the operation refers to no memory.
            unsafe { ring.submission().push(&opcode::Nop::new().build()) }.expect("each entry is submitted at once");
            ring.submit().expect("io_uring_enter");
        }
        // Completions that overflowed are moved to the queue as far as there is room; they come in the order of their requests.
        ring.submit().expect("io_uring_enter");
        let reaped = ring.completion().take(room as usize).count();
        for request in waiting.drain(..reaped) {
            // Its connection may have gone.
            let _ = request.send(());
        }
    }
}

/// Burns CPU for `time`.
fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}
