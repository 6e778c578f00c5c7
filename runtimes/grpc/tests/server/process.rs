//! A process whose stderr matters as well, which `contract::server` leaves to the terminal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running server or receiver. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Running {
    /// Starts it on a free port and waits for its ready line.
    pub fn start(binary: &str, args: &[&str]) -> Running {
        let mut command = Command::new(binary);
        command.args(args).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout is readable");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line but `{line}`"));
        let address = ready["addresses"][0].as_str().expect("an address").to_owned();
        Running { child, stdout, address }
    }

    /// SIGTERM; its counters line and what it said on stderr. The exit code must be 0.
    pub fn stop(mut self) -> (Value, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let (mut counters, mut says) = (String::new(), String::new());
        self.stdout.read_to_string(&mut counters).expect("stdout is readable");
        self.child.stderr.take().expect("stderr is piped").read_to_string(&mut says).expect("stderr is readable");
        assert_eq!(self.child.wait().expect("it is a child").code(), Some(0), "{says}");
        (serde_json::from_str(&counters).expect("a counters line"), says)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
