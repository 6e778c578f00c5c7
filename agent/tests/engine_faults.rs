//! Engines that misbehave: missing, refusing, silent, garbage, too much, and back again. A fake one on a unix socket is the
//! right one here, since no real Docker can be made to do these things.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use highload_agent::containers::engine::{Engine, start};
use highload_agent::containers::{Names, Policy};

/// What the fake does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    Silent,
    Garbage,
    Huge,
    HugeEvents,
    Hangup,
}

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A hostile name: quotes, a newline, a backslash, and ten kilobytes.
fn list() -> String {
    let name = format!("/a\\\"b\\n\\\\{}", "x".repeat(10_000));
    format!(
        "[{{\"Id\":\"{ID}\",\"Names\":[\"{name}\"],\"Image\":\"i\",\"Labels\":{{\"a.b\":\"\\u0000\\\"\"}},\
          \"Created\":1700000000,\"Status\":\"Up 1 second (healthy)\"}}]"
    )
}

fn answer(mut stream: UnixStream, mood: Mood) {
    let mut request = [0; 4096];
    let Ok(length) = stream.read(&mut request) else { return };
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let body = if request.contains("/version") {
        "{\"ApiVersion\":\"1.41\"}".to_owned()
    } else if request.contains("/containers/json") {
        list()
    } else {
        // Events: a stream that says nothing for a while.
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        if mood == Mood::HugeEvents {
            let piece = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
            (0..50).for_each(|_| {
                let _ = stream.write_all(piece.as_bytes());
            });
        }
        std::thread::sleep(Duration::from_secs(2));
        return;
    };
    // The agent hangs up when it has had enough, so that writes may fail.
    let _ = match mood {
        Mood::Silent => {
            std::thread::sleep(Duration::from_secs(8));
            Ok(())
        }
        Mood::Hangup => Ok(()),
        Mood::Garbage => stream.write_all(b"\x00\xff not HTTP at all \r\n\r\n"),
        Mood::Huge => {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", 50 << 20);
            stream
                .write_all(head.as_bytes())
                .and_then(|()| (0..50).try_for_each(|_| stream.write_all(&vec![b' '; 1 << 20])))
        }
        Mood::Fine | Mood::HugeEvents => stream.write_all(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        ),
    };
}

fn serve(path: &Path, mood: Arc<AtomicU64>) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let mood = [Mood::Fine, Mood::Silent, Mood::Garbage, Mood::Huge, Mood::HugeEvents, Mood::Hangup]
                [usize::try_from(mood.load(Ordering::Relaxed)).unwrap()];
            std::thread::spawn(move || answer(stream, mood));
        }
    });
}

fn until(what: &str, right: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !right() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Most memory that this process ever had resident, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Through every fault the last-known name stays, the state says down and why, memory stays bounded, and a
/// good answer brings everything back.
#[test]
fn every_fault_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let names = Arc::new(Names::new(Policy::new("*")));
    let engine = Engine { runtime: "docker".into(), socket: path.clone(), explicit: true };
    start(vec![engine], &names).unwrap();
    let state = || names.engines().remove(0);

    // Missing from the start.
    names.wait_until_tried(Duration::from_secs(60));
    assert!(!state().up && state().expected && !state().message.is_empty());

    // Refusing: the file is there and nobody listens.
    drop(UnixListener::bind(&path).unwrap());
    let failures = state().failures;
    until("refused", || state().failures > failures && state().message.contains("refused"));
    fs::remove_file(&path).unwrap();

    let mood = Arc::new(AtomicU64::new(Mood::Fine as u64));
    serve(&path, mood.clone());
    until("up", || state().up);
    let known = names.find(ID).unwrap();
    assert!(known.name.starts_with("a\"b\n\\x") && known.name.len() < 600, "{}", known.name.len());
    assert_eq!((known.healthy, known.created), (Some(true), Some(1.7e9)));
    assert_eq!(known.labels, [("container_label_a_b".to_owned(), "\0\"".to_owned())]);

    for bad in [Mood::Garbage, Mood::Huge, Mood::HugeEvents, Mood::Hangup, Mood::Silent] {
        let (before, failures) = (peak(), state().failures);
        mood.store(bad as u64, Ordering::Relaxed);
        // Two failures: the stream of the good time ends, and then the fault itself.
        until(&format!("{bad:?} is noticed"), || state().failures >= failures + 2);
        assert!(!state().message.is_empty());
        assert!(names.find(ID).is_some(), "{bad:?}: the last-known name is gone");
        let grown = peak() - before;
        assert!(grown < 40 << 20, "{bad:?}: {grown} bytes more");
        mood.store(Mood::Fine as u64, Ordering::Relaxed);
        until(&format!("back after {bad:?}"), || state().up);
    }
}
