//! Asks a server for its own profile, over HTTP on its admin port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use wire::Protocol;
use wire::client::parse_reply;

use super::Error;
use crate::report::flame::FOLDED_BYTES;
use crate::scenario::FlamePart;

/// How long a server may take to look up its symbols once the time is over: a debug build with much debug information needs
/// seconds of the core that it shares with the load.
const LOOKUP: Duration = Duration::from_secs(60);

/// A profile being taken. The answer comes when its time is over.
pub struct Request(JoinHandle<Result<String, Error>>);

impl Request {
    /// Asks the server that said `ready`.
    pub(super) fn send(part: &FlamePart, ready: &serde_json::Value) -> Result<Self, Error> {
        let admin: SocketAddr = ready["admin"].as_str().and_then(|address| address.parse().ok()).ok_or_else(|| {
            let says =
                "this server named no admin address, so it cannot be sampled by pprof; take flame.sampler = \"perf\"";
            Error::Unavailable(says.to_owned())
        })?;
        let request = format!(
            "GET /debug/pprof/folded?seconds={}&hz={} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n",
            part.seconds, part.hertz
        );
        let patience = Duration::from_secs(part.seconds.into()) + LOOKUP;
        Ok(Self(std::thread::spawn(move || ask(admin, &request, patience))))
    }

    pub(super) fn finish(self) -> Result<String, Error> {
        self.0.join().unwrap_or_else(|_| Err(Error::Failed("asking the server for its profile panicked".to_owned())))
    }
}

fn ask(admin: SocketAddr, request: &str, patience: Duration) -> Result<String, Error> {
    let failed = |what: &str| Error::Failed(format!("profile from http://{admin}/debug/pprof/folded: {what}"));
    let answer = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(FOLDED_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = answer().map_err(|error| failed(&error.to_string()))?;
    let reply = parse_reply(Protocol::Http1, &bytes)
        .map_err(|error| failed(&error.to_string()))?
        .ok_or_else(|| failed("the answer was cut off"))?;
    let text = String::from_utf8_lossy(reply.body);
    if reply.status != 200 {
        return Err(failed(&format!("status {}: {:.200}", reply.status, text.trim())));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn part() -> FlamePart {
        FlamePart { seconds: 1, ..FlamePart::default() }
    }

    /// Answers one request with `reply` and tells what was asked.
    fn admin(reply: &'static str) -> (serde_json::Value, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ready = serde_json::json!({ "admin": listener.local_addr().unwrap().to_string() });
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        });
        (ready, asked)
    }

    /// Shows what is asked and that the body comes back, against an admin port that answers at once.
    #[test]
    fn the_body_is_the_profile() {
        let (ready, asked) = admin("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nmain;a 3");
        assert_eq!(Request::send(&part(), &ready).unwrap().finish().unwrap(), "main;a 3");
        assert!(asked.join().unwrap().starts_with("GET /debug/pprof/folded?seconds=1&hz=199 HTTP/1.1\r\n"));
    }

    /// Shows that refusals, half answers and servers without an admin port are explained.
    #[test]
    fn refusals_are_passed_on() {
        let (ready, _) = admin("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nlate");
        assert!(Request::send(&part(), &ready).unwrap().finish().unwrap_err().to_string().contains("status 503: late"));
        let (ready, _) = admin("HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\nmain;a 3");
        assert!(Request::send(&part(), &ready).unwrap().finish().unwrap_err().to_string().contains("cut off"));
        assert!(matches!(Request::send(&part(), &serde_json::Value::Null), Err(Error::Unavailable(_))));
    }
}
