//! Measures what the container half costs: `measure_containers AGENT census|scrapes …`.
//!
//! * `census`: times one census of what the host holds now, and compares its count with `/proc/net/sockstat` of every namespace.
//! * `scrapes N [FLAG…]`: starts AGENT (the binary) with only the container half and FLAGs, scrapes it N times, and prints the
//!   agent's CPU and the wall time per scrape, the page's size, and its resident memory.
//!
//! Numbers are printed as they were measured, one `name value` a line.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use highload_agent::containers::census::take_once;
use hostfs::Roots;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["census"] => census(),
        ["scrapes", agent, count, flags @ ..] => scrapes(agent, count.parse().context("N")?, flags),
        _ => bail!("usage: measure_containers census | scrapes AGENT N [FLAG...]"),
    }
}

fn census() -> anyhow::Result<()> {
    let before = highload_agent::cost::Spent::now();
    let report = take_once(&Roots::default());
    let after = highload_agent::cost::Spent::now();
    if let Some(error) = &report.error {
        bail!("{error}");
    }
    println!("census_wall_ms {:.1}", report.wall.as_secs_f64() * 1e3);
    println!("census_cpu_ms {:.1}", (after.cpu_ns - before.cpu_ns) as f64 / 1e6);
    println!("census_sockets {}", report.sockets);
    println!("census_processes {}", report.processes);
    println!("census_namespaces {}", report.networks.len());
    let of = |state| {
        let states = report.networks.iter().flat_map(|network| network.states.iter().flatten());
        states.map(|states| states.count(state)).sum::<u64>()
    };
    println!("census_established {}", of(hostfs::sock_diag::State::Established));
    let users: u64 = report.networks.iter().flat_map(|network| &network.ports).map(|port| port.established).sum();
    println!("census_connected_users {users}");
    Ok(())
}

fn scrapes(agent: &str, count: u32, flags: &[&str]) -> anyhow::Result<()> {
    let mut child = Command::new(agent)
        .args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"])
        .args(["--collector.containers", "--collector.connections", "--collector.io_uring", "--collector.machine"])
        .args(flags)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| agent.to_owned())?;
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let address = loop {
        let mut line = String::new();
        if log.read_line(&mut line)? == 0 {
            bail!("the agent ended");
        }
        if let Some((_, rest)) = line.split_once("serving http://") {
            break rest.split('/').next().expect("an address").to_owned();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    // The first scrapes open files, learn names and grow buffers.
    for _ in 0..5 {
        get(&address)?;
    }
    std::thread::sleep(Duration::from_secs(1));
    let pid = child.id();
    let (cpu, mut walls, mut bytes) = (cpu_ns(pid)?, Vec::new(), 0);
    for _ in 0..count {
        let began = Instant::now();
        bytes = get(&address)?;
        walls.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    let spent = cpu_ns(pid)? - cpu;
    walls.sort();
    println!("scrapes {count}");
    println!("cpu_ms_per_scrape {:.2}", spent as f64 / 1e6 / f64::from(count));
    println!("wall_ms_p50 {:.2}", walls[walls.len() / 2].as_secs_f64() * 1e3);
    println!("wall_ms_p99 {:.2}", walls[walls.len() * 99 / 100].as_secs_f64() * 1e3);
    println!("wall_ms_max {:.2}", walls[walls.len() - 1].as_secs_f64() * 1e3);
    println!("page_bytes {bytes}");
    let status = hostfs::process::status(&Roots::default(), pid)?.context("the agent ended")?;
    println!("rss_bytes {}", status.rss_bytes.unwrap_or(0));
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Bytes of the page.
fn get(address: &str) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics/cadvisor HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("no page");
    }
    Ok(answer.len())
}

/// CPU time of a process with all threads that it ever had, to the nanosecond.
fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    // How the kernel numbers the CPU clock of a process: its id, inverted, above three bits of which 2 means run time.
    let clock = !libc::pid_t::try_from(pid)? << 3 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the kernel checks the clock's number.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(std::io::Error::last_os_error()).context("CPU clock of the agent");
    }
    Ok(u64::try_from(time.tv_sec)? * 1_000_000_000 + u64::try_from(time.tv_nsec)?)
}
