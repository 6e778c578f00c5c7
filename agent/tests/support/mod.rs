//! What the live tests share: daemons that end with their test, requests, and pages as samples.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest that a test waits for a program to say or do something.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program, killed when the test ends in whatever way.
pub struct Daemon {
    child: Child,
    /// Where it listens, `127.0.0.1:PORT`.
    pub address: String,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts `command` and waits for a line on stderr that holds `ready`.
    pub fn start(command: &mut Command, address: &str, ready: &str) -> Self {
        Self::start_on(command.stdin(Stdio::null()), address, ready)
    }

    /// The agent, with something to inherit.
    pub fn start_with_stdin(command: &mut Command, stdin: Stdio, ready: &str) -> Self {
        Self::start_on(command.stdin(stdin), "", ready)
    }

    fn start_on(command: &mut Command, address: &str, ready: &str) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} must be installed for this test: {error}"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let line = loop {
            let Some(Ok(line)) = lines.next() else { panic!("{program} ended before it was ready:\n{seen}") };
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(ready) {
                break line;
            }
        };
        // The agent says which port the kernel gave it.
        let address = if address.is_empty() {
            let (_, after) = line.split_once("http://").expect("the ready line has an address");
            after.split('/').next().unwrap().to_owned()
        } else {
            address.to_owned()
        };
        let log = Arc::new(Mutex::new(seen));
        let writer = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = writer.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, address, log }
    }

    /// The agent on a free port.
    pub fn agent(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highload-agent"));
        command.arg("--web.listen-address=127.0.0.1:0").args(arguments);
        Self::start(&mut command, "", "serving http://")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// The body of a GET, which must be answered with 200.
    pub fn get(&self, path: &str) -> String {
        let (status, body) = get(&self.address, path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of a GET.
pub fn get(address: &str, path: &str) -> (u16, String) {
    // HTTP/1.0, so that no server answers in chunks.
    request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Status and body of the answer to raw bytes.
pub fn request(address: &str, bytes: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A sample's name and labels, sorted by label name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: Vec<(String, String)>,
}

impl Series {
    /// The series without one of its labels.
    pub fn without(&self, label: &str) -> Self {
        let labels = self.labels.iter().filter(|(name, _)| name != label).cloned().collect();
        Self { name: self.name.clone(), labels }
    }

    /// The value of a label, empty when it is not there.
    pub fn label(&self, label: &str) -> &str {
        self.labels.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value)
    }
}

impl Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(formatter, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    pub types: BTreeMap<String, String>,
    pub samples: BTreeMap<Series, f64>,
}

impl Metrics {
    /// Reads a page strictly: what Prometheus would refuse fails the test.
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let before = metrics.types.insert(name.to_owned(), kind.to_owned());
                assert!(before.is_none(), "second TYPE of {name}");
            } else if !line.starts_with('#') {
                let (series, value) = sample(line);
                assert!(metrics.types.contains_key(&series.name) || series.name.contains('_'), "{line}");
                assert!(metrics.samples.insert(series, value).is_none(), "twice: {line}");
            }
        }
        metrics
    }

    /// The only sample of a name.
    pub fn single(&self, name: &str) -> f64 {
        let mut found = self.samples.iter().filter(|(series, _)| series.name == name);
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(found.next().is_none(), "more than one {name}");
        *value
    }
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = series.split_once('{') else {
        return (Series { name: series.to_owned(), labels: Vec::new() }, value);
    };
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("no closing brace: {line}"));
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label value: {line}"));
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("label value does not end: {line}")) {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, other)) => other,
                    None => panic!("label value does not end: {line}"),
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((label.to_owned(), value));
        rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
    }
    labels.sort();
    (Series { name: name.to_owned(), labels }, value)
}
