//! The gateway: JSON in, gRPC out, and a server behind it that may not be there.

use std::time::Duration;

use contract::Subject;
use contract::server::Server;
use serde_json::json;

use crate::tools::{curl, h2load};
use crate::{BINARY, GRPC};

const GATEWAY: Subject =
    Subject { binary: BINARY, args: &["--serve", "gateway"], engine: "gateway", interface: "epoll" };

/// What goes through is what the server behind says, refusals included: code by code, each with its HTTP status.
#[test]
fn both_ways() {
    let behind = Server::start(&GRPC, &[]);
    let gateway = Server::start(&GATEWAY, &["--upstream", &behind.address.to_string()]);
    let address = gateway.address.to_string();
    let added = curl(&address, "/demo/notes", Some(br#"{"text":"through"}"#), &[]);
    assert_eq!((added.status.as_str(), &added.json()["id"]), ("200", &json!("1001")));
    let page = curl(&address, "/demo/notes?offset=1000&limit=1", None, &["--http1.1"]);
    assert_eq!(page.json()["notes"][0], added.json());
    // The gateway's own check, and the server's.
    for (body, says) in [(&b"{"[..], "not a AddNote in json"), (br#"{"text":""}"#, "the note has no text")] {
        let refused = curl(&address, "/demo/notes", Some(body), &[]);
        assert_eq!((refused.status.as_str(), refused.json()["code"].as_i64()), ("400", Some(3)));
        assert!(refused.json()["message"].as_str().unwrap().starts_with(says), "{refused:?}");
    }
    let url = format!("http://{address}/demo/notes?limit=5");
    assert_eq!(h2load(&["-n", "1000", "-c", "10", "-m", "10", &url]), 1_000);
    let counters = gateway.stop();
    assert_eq!((&counters["errors"], counters["requests"].as_u64()), (&json!({"bad-request": 2}), Some(1_004)));
    let counters = behind.stop();
    assert_eq!((&counters["errors"], counters["requests"].as_u64()), (&json!({"bad-request": 1}), Some(1_003)));
    // One connection carried it all.
    assert_eq!(counters["accepted"], 1);
}

/// Without a server behind it the gateway says 503, and it serves as soon as there is one.
#[test]
fn nobody_behind() {
    let behind = Server::start(&GRPC, &[]);
    let upstream = behind.address.to_string();
    behind.stop();
    let gateway = Server::start(&GATEWAY, &["--upstream", &upstream]);
    let address = gateway.address.to_string();
    let refused = curl(&address, "/demo/notes?limit=1", None, &[]);
    assert_eq!((refused.status.as_str(), refused.json()["code"].as_i64()), ("503", Some(14)), "{refused:?}");
    let again = Subject { args: &["--serve", "grpc"], ..GRPC };
    // The same port: nothing else on this machine takes it in between, or the server says so.
    let behind = contract_start_on(&again, &upstream);
    let served = (0..100).any(|_| {
        let served = curl(&address, "/demo/notes?limit=1", None, &[]).status == "200";
        if !served {
            std::thread::sleep(Duration::from_millis(20));
        }
        served
    });
    assert!(served, "it does not connect again");
    assert!(gateway.stop()["errors"]["upstream"].as_u64() >= Some(1));
    drop(behind);
}

/// A server on a given address; killed when dropped.
fn contract_start_on(subject: &Subject, address: &str) -> impl Drop {
    struct Killed(std::process::Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let mut command = std::process::Command::new(subject.binary);
    command.args(subject.args).args(["--listen", address]).stdout(std::process::Stdio::null());
    Killed(command.spawn().expect("the binary starts"))
}
