//! The agent's binary as a child, and its page as samples.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One sample of a page.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A page, parsed; panics on anything that is not the text format.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(pub(crate) Vec<Sample>);

impl Metrics {
    pub(crate) fn parse(page: &str) -> Self {
        Self(page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample).collect())
    }

    pub(crate) fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|known| known == value))
        };
        self.0.iter().filter(has).collect()
    }

    /// The sum of all series that match, `None` without any.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.all(name, labels);
        (!found.is_empty()).then(|| found.iter().map(|sample| sample.value).sum())
    }
}

fn sample(line: &str) -> Sample {
    let (front, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, rest) = front.split_once('{').unwrap_or((front, "}"));
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}').unwrap_or_else(|| panic!("braces: {line}"));
    while !rest.is_empty() {
        let (key, tail) = rest.split_once("=\"").unwrap_or_else(|| panic!("label: {line}"));
        let mut text = String::new();
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next().unwrap_or_else(|| panic!("open quote: {line}")) {
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c)) => text.push(c),
                    None => panic!("escape: {line}"),
                },
                (at, '"') => break at,
                (_, c) => text.push(c),
            }
        };
        assert!(labels.insert(key.to_owned(), text).is_none(), "{key} twice: {line}");
        rest = tail[end + 1..].trim_start_matches(',');
    }
    Sample { name: name.to_owned(), labels, value }
}

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    address: String,
}

impl Agent {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_highload-agent")).args(flags))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the agent's binary starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("the log is text"), 0, "the agent ended before it served");
            if let Some((_, rest)) = line.split_once("serving http://") {
                break rest.split('/').next().expect("an address").to_owned();
            }
        };
        // The log must not fill its pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the agent listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics/cadvisor"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
