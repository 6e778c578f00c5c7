//! Third-party clients. All are needed: a missing one fails the test.

use std::process::Command;

use tempfile::TempDir;

pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed (h2load is in nghttp2-client): {error}"));
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {says}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What an HTTP reply was.
#[derive(Debug)]
pub struct Reply {
    pub status: String,
    /// Headers and trailers, as curl saw them.
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON, not {self:?}"))
    }
}

/// One request by curl, with `body` if there is one. `--http2-prior-knowledge` unless `args` say otherwise.
pub fn curl(address: &str, path: &str, body: Option<&[u8]>, args: &[&str]) -> Reply {
    let files = TempDir::new().expect("a directory");
    let file = |name: &str| files.path().join(name).to_str().expect("UTF-8").to_owned();
    let (head, out, url) = (file("head"), file("body"), format!("http://{address}{path}"));
    let mut all = vec!["-sS", "--max-time", "20", "-D", &head, "-o", &out, "-w", "%{http_code}", &url];
    if !args.contains(&"--http1.1") {
        all.push("--http2-prior-knowledge");
    }
    let sent = format!("@{}", file("sent"));
    if let Some(body) = body {
        std::fs::write(&sent[1..], body).expect("a file");
        all.extend(["--data-binary", &sent]);
    }
    all.extend(args);
    let status = run("curl", &all);
    let body = std::fs::read(&out).unwrap_or_default();
    Reply { status, head: std::fs::read_to_string(&head).expect("headers"), body }
}

/// What makes an HTTP/2 request one of gRPC, for curl and for h2load.
pub const GRPC_HEADERS: [&str; 4] = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

/// A gRPC call by curl: the message framed by hand, the reply's message unframed.
pub fn call(address: &str, method: &str, message: &[u8]) -> Reply {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(message);
    let mut reply = call_framed(address, method, &framed);
    if reply.body.len() >= 5 {
        reply.body.drain(..5);
    }
    reply
}

/// The same with the frame as given.
pub fn call_framed(address: &str, method: &str, framed: &[u8]) -> Reply {
    curl(address, method, Some(framed), &GRPC_HEADERS)
}

/// Runs h2load, in which nothing may fail; returns how many requests succeeded.
pub fn h2load(args: &[&str]) -> u64 {
    let report = run("h2load", args);
    let line = report.lines().find(|line| line.starts_with("requests:")).unwrap_or_else(|| panic!("{report}"));
    assert!(line.contains(" 0 failed, 0 errored, 0 timeout"), "{report}");
    let codes = report.lines().find(|line| line.starts_with("status codes:")).unwrap_or_else(|| panic!("{report}"));
    assert!(codes.contains(" 0 3xx, 0 4xx, 0 5xx"), "{report}");
    let succeeded = line.split(", ").find_map(|part| part.strip_suffix(" succeeded"));
    succeeded.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{report}"))
}
