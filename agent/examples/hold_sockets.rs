//! Holds TCP connections in a network namespace of its own, for measuring the census.
//!
//! `hold_sockets CONNECTIONS [SECONDS]`: makes a private namespace (unshare(2), `CAP_SYS_ADMIN`), starts as many pairs of
//! processes as the limit of open descriptors asks for, connects over loopback, prints `ready CONNECTIONS SOCKETS` once
//! all are held, and ends after SECONDS (60 unless said, 600 at most), when its standard input closes, or when a
//! process of it ends. A connection is two sockets, both in this namespace. Nothing outside the namespace is touched.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Most connections that are held.
const LIMIT: u64 = 500_000;

/// Descriptors that a process keeps for itself.
const RESERVE: u64 = 64;

/// First listening port; below the ephemeral range, so that no outgoing connection takes it.
const FIRST_PORT: u16 = 2000;

/// Longest life, in seconds.
const LIFE: u64 = 600;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["serve", port, count] => serve(port, count),
        ["connect", port, count] => connect(port, count),
        [count] => lead(count, "60"),
        [count, seconds] => lead(count, seconds),
        _ => {
            eprintln!("usage: hold_sockets CONNECTIONS [SECONDS]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hold_sockets: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Makes the namespace, starts the pairs, waits.
fn lead(count: &str, seconds: &str) -> anyhow::Result<()> {
    let count: u64 = count.parse().context("CONNECTIONS")?;
    let seconds: u64 = seconds.parse().context("SECONDS")?;
    if !(1..=LIMIT).contains(&count) || seconds > LIFE {
        bail!("wanted 1 to {LIMIT} connections and at most {LIFE} seconds");
    }
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).context("limit of open descriptors")?;
    // SAFETY: only the network namespace is left; no file descriptor table or memory is shared anew.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("a private network namespace needs CAP_SYS_ADMIN")?;
    up_loopback()?;
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000").context("port range")?;
    // A port pair has some 55,000 outgoing ports; a process has its descriptors.
    let each = hard.unwrap_or(65_536).saturating_sub(RESERVE).min(50_000);
    let mut children = Vec::new();
    let mut left = count;
    for index in 0.. {
        if left == 0 {
            break;
        }
        let (share, port) = (left.min(each), FIRST_PORT + index);
        children.push(start("serve", port, share)?);
        children.push(start("connect", port, share)?);
        left -= share;
    }
    // The last word of each pair is the connector's.
    for child in children.iter_mut().filter(|child| child.1) {
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line)?;
        if line.trim() != "held" {
            bail!("a process gave up");
        }
    }
    println!("ready {count} {}", count * 2);
    std::io::stdout().flush()?;
    // Whichever comes first: the end of the time or of the input.
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    let _ = ended.recv_timeout(Duration::from_secs(seconds));
    for (mut child, _) in children {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// A child, and whether it is the connecting one.
fn start(role: &str, port: u16, count: u64) -> anyhow::Result<(Child, bool)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([role, &port.to_string(), &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if role == "serve" {
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
    }
    Ok((child, role == "connect"))
}

fn up_loopback() -> anyhow::Result<()> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip(8) of iproute2")?;
    if !up.success() {
        bail!("cannot bring up lo in the new namespace");
    }
    Ok(())
}

fn serve(port: &str, count: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?))?;
    println!("listening");
    let count: usize = count.parse()?;
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        held.push(listener.accept()?.0);
    }
    wait()
}

fn connect(port: &str, count: &str) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let count: usize = count.parse()?;
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        held.push(TcpStream::connect(address)?);
    }
    println!("held");
    wait()
}

/// Until the leader, which holds the other end of the input, ends or kills us.
fn wait() -> anyhow::Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
