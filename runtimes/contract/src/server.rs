//! A server process: started, ready, stopped, never left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Subject;

/// No answer of a local server takes so long; a test that waits longer has found a hang and says where.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Its ready line.
    pub ready: Value,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the subject on a free port and waits for its ready line.
    pub fn start(subject: &Subject, args: &[&str]) -> Server {
        let mut command = command(subject, "127.0.0.1:0", args);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout is readable");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line but `{line}`"));
        let address = ready["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Server { child, stdout, ready, address }
    }

    /// Starts it with protocol and format.
    pub fn speaking(subject: &Subject, protocol: wire::Protocol, format: wire::Format, args: &[&str]) -> Server {
        let names = ["--protocol", protocol.name(), "--format", format.name()];
        Server::start(subject, &[&names, args].concat())
    }

    /// A connection to it that gives up rather than hang.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a duration above zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("a duration above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end; returns how it ended and its counters line.
    pub fn wait(mut self) -> (ExitStatus, Value) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("stdout is readable");
        let status = self.child.wait().expect("it is a child");
        let counters = serde_json::from_str(&rest).unwrap_or_else(|_| panic!("no counters line but `{rest}`"));
        (status, counters)
    }

    /// SIGTERM, then [`Server::wait`]; the exit code must be 0.
    pub fn stop(self) -> Value {
        self.signal(Signal::TERM);
        let (status, counters) = self.wait();
        assert_eq!(status.code(), Some(0));
        counters
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the subject, which must not start; returns exit code and stderr.
pub fn failure(subject: &Subject, listen: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = command(subject, listen, args).output().expect("the binary starts");
    assert!(output.stdout.is_empty(), "it said: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).expect("messages are UTF-8"))
}

fn command(subject: &Subject, listen: &str, args: &[&str]) -> Command {
    let mut command = Command::new(subject.binary);
    // The subject's own first: its binary may be a program that starts the engine.
    command.args(subject.args).args(["--listen", listen]).args(args);
    command
}
