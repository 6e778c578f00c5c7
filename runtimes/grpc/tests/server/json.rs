//! The JSON twin, by curl over HTTP/2 and HTTP/1.1.

use contract::server::Server;
use serde_json::json;
use wire::limits;

use crate::JSON;
use crate::tools::{Reply, curl, h2load};

/// Both versions of HTTP add and list; the twin's JSON is the other engines' JSON.
#[test]
fn add_and_list() {
    let server = Server::start(&JSON, &[]);
    let address = server.address.to_string();
    for (version, id) in [("--http2-prior-knowledge", "1001"), ("--http1.1", "1002")] {
        let added = curl(&address, "/demo/notes", Some(br#"{"text":"hello"}"#), &[version]);
        assert_eq!((added.status.as_str(), added.header("content-type")), ("200", Some("application/json")));
        assert_eq!((&added.json()["id"], &added.json()["text"]), (&json!(id), &json!("hello")));
    }
    let page = curl(&address, "/demo/notes?offset=1&limit=1", None, &[]);
    let expected = r#"{"total":"1002","notes":[{"id":"2","text":"stock paid flash shipped seller voucher voucher review seller refund giá Đà Nẵng order","created":"2024-01-01T00:01:01.456Z","modified":"2024-01-01T01:01:01.456Z"}]}"#;
    assert_eq!(String::from_utf8_lossy(&page.body), expected);
    assert_eq!(server.stop()["errors"], json!({}));
}

/// What is wrong has the status and the body that gateways of gRPC give, in HTTP/2's and HTTP/1.1's terms alike.
#[test]
fn refusals() {
    let server = Server::start(&JSON, &[]);
    let address = server.address.to_string();
    let post = |body: &[u8]| curl(&address, "/demo/notes", Some(body), &[]);
    let told =
        |reply: &Reply| (reply.status.clone(), reply.json()["code"].as_i64().unwrap(), reply.json()["message"].clone());
    let bad = [
        (&br#"{"text":""}"#[..], "the note has no text"),
        (br#"{"text":"#, "not a AddNote in json"),
        (br#"{"text":7}"#, "not a AddNote in json"),
        (b"{\"text\":\"\xc3\x28\"}", "not a AddNote in json"),
        (b"", "not a AddNote in json"),
    ];
    for (body, says) in bad {
        let (status, code, message) = told(&post(body));
        assert_eq!((status.as_str(), code), ("400", 3), "{message}");
        assert!(message.as_str().unwrap().starts_with(says), "{message}");
    }
    // Fields that this version does not know are skipped: a reader requires what it needs.
    assert_eq!(post(br#"{"new":{"a":[1,2]},"text":"x"}"#).status, "200");
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(limits::TEXT_BYTES + 1));
    assert_eq!(told(&post(long.as_bytes())).2, json!("a text of 4097 bytes, the limit is 4096"));
    let oversize = post(&vec![b' '; limits::BODY_BYTES + 1]);
    assert_eq!((oversize.status.as_str(), oversize.json()["code"].as_i64()), ("413", Some(8)));
    let page = curl(&address, "/demo/notes?limit=many", None, &[]);
    assert_eq!(told(&page).2, json!("limit is `many`, expected a number from 0 to 4294967295"));
    let missing = curl(&address, "/elsewhere", None, &["--http1.1"]);
    assert_eq!((missing.status.as_str(), missing.json()["code"].as_i64()), ("404", Some(5)));
    let method = curl(&address, "/demo/notes", None, &["-X", "DELETE"]);
    assert_eq!((method.status.as_str(), method.header("allow")), ("405", Some("GET, POST")));
    assert_eq!(server.stop()["errors"], json!({"bad-request": 7, "not-found": 2, "too-large": 1}));
}

/// h2load over both versions of HTTP.
#[test]
fn loaded_by_h2load() {
    let server = Server::start(&JSON, &[]);
    let url = format!("http://{}/demo/notes?limit=5", server.address);
    let http2 = h2load(&["-n", "2000", "-c", "10", "-m", "10", &url]);
    let http1 = h2load(&["-n", "500", "-c", "10", "--h1", &url]);
    assert_eq!((http2, http1, server.stop()["requests"].as_u64()), (2_000, 500, Some(2_500)));
}
