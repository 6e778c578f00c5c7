//! A server that speaks the contract (echo over frames) and then breaks it, to show that the lab notices.
//!
//! `faulty_server FAULT [contract arguments]`, FAULT one of:
//! `none`; `lie:N` (the Nth reply is wrong); `die:N` (abort at the Nth request); `refuse` (exit 3 before it is
//! ready); `crash` (exit 1 before it is ready); `mute` (never says that it is ready); `garble` (a ready line that
//! is no JSON); `stubborn` (ignores SIGTERM); `stop-answering:N` (no reply after the Nth); `wrong-version:N` (replies in a
//! version that nobody speaks after the Nth). `--fault FAULT` among the contract's arguments goes before the first one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use wire::frame::{self, Parsed};

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static FAULT: OnceLock<(String, u64)> = OnceLock::new();

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
        "mute" => std::thread::sleep(std::time::Duration::from_secs(60)),
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
        println!(r#"{{"engine":"faulty","interface":"epoll","addresses":["{address}"],"pid":{}}}"#, std::process::id());
    }
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || serve(connection));
        }
    });
    while !stop.load(Ordering::Relaxed) || name == "stubborn" {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    println!(r#"{{"requests":{}}}"#, REQUESTS.load(Ordering::Relaxed));
}

/// Echoes frames until the peer leaves or the fault strikes.
fn serve(mut connection: TcpStream) {
    let (fault, at) = FAULT.get().expect("set before the first connection");
    connection.set_nodelay(true).expect("the socket is open");
    let (mut input, mut output, mut buffer) = (Vec::new(), Vec::new(), [0; 65_536]);
    while let Ok(count @ 1..) = connection.read(&mut buffer) {
        input.extend_from_slice(&buffer[..count]);
        let mut used = 0;
        while let Ok(Parsed::Whole(request)) = frame::parse_request(&input[used..]) {
            let number = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
            if fault == "die" && number == *at {
                std::process::abort();
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
