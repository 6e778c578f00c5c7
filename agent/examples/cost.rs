//! What a scrape costs, beside Debian's node_exporter on the same host: CPU time, memory, time on the wall.
//!
//! `cargo run --profile measured -p highload-agent --example cost [-- SCRAPES [GROWTH]]`, after
//! `cargo build --profile measured -p highload-agent`. Both daemons run the collectors that node_exporter has on by
//! default; scrapes alternate in blocks, so that what else the host does hits both alike. Each scrape is a connection
//! of its own. CPU time is the kernel's clock of the whole process, so it has what HTTP and the sockets cost too.
//! Then the agent alone is scraped GROWTH times, and its memory before and after is compared.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Scrapes in a row of one daemon before the other's turn.
const BLOCK: usize = 10;

/// A daemon under measurement, killed at the end.
struct Daemon {
    name: &'static str,
    child: Child,
    address: String,
    encoding: &'static str,
    cpu: Vec<Duration>,
    wall: Vec<Duration>,
    bytes: usize,
    samples: usize,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(name: &'static str, command: &mut Command, address: Option<String>, ready: &str) -> anyhow::Result<Self> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut lines = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
        let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains(ready));
        let line = line.with_context(|| format!("{name} ended before it was ready"))?;
        let said = || line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).map(str::to_owned);
        let address = address.or_else(said).context("no address")?;
        // What it logs from now on must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { name, child, address, encoding: "identity", cpu: Vec::new(), wall: Vec::new(), bytes: 0, samples: 0 })
    }

    fn scrape(&self) -> anyhow::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        let head = format!("GET /metrics HTTP/1.0\r\nAccept-Encoding: {}\r\n\r\n", self.encoding);
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"),
            "{} did not answer 200",
            self.name
        );
        Ok(answer)
    }

    /// One block of scrapes, measured.
    fn block(&mut self) -> anyhow::Result<()> {
        let pid = self.child.id();
        let before = hostfs::cpu_clock::of_process(pid)?;
        let started = Instant::now();
        for _ in 0..BLOCK {
            self.bytes = self.scrape()?.len();
        }
        self.wall.push(started.elapsed() / BLOCK as u32);
        self.cpu.push(hostfs::cpu_clock::of_process(pid)?.saturating_sub(before) / BLOCK as u32);
        Ok(())
    }

    /// A field of `/proc/PID/status` in KiB.
    fn status(&self, field: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
        Ok(line.trim_start_matches(':').split_whitespace().next().context("no number")?.parse()?)
    }

    fn report(&mut self) -> anyhow::Result<f64> {
        let median = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1e3
        };
        let (cpu, wall) = (median(&mut self.cpu), median(&mut self.wall));
        println!(
            "{:<14} {:>7.3} ms CPU  {:>7.3} ms wall  {:>6} samples  {:>7} bytes ({})  RSS {:.1} MiB (peak {:.1})",
            self.name,
            cpu,
            wall,
            self.samples,
            self.bytes,
            self.encoding,
            self.status("VmRSS")? as f64 / 1024.0,
            self.status("VmHWM")? as f64 / 1024.0,
        );
        self.cpu.clear();
        self.wall.clear();
        Ok(cpu)
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let scrapes = arguments.next().transpose().context("SCRAPES is a number")?.unwrap_or(500);
    let growth = arguments.next().transpose().context("GROWTH is a number")?.unwrap_or(10_000);

    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}"));
    let mut theirs = Daemon::start("node_exporter", &mut command, Some(address), "Listening on")?;

    let page = String::from_utf8(theirs.scrape()?)?;
    let known = |name: &&str| highload_agent::collector::position(name).is_some();
    let collectors: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("node_scrape_collector_success{collector=\"")?.split('"').next())
        .filter(known)
        .collect();
    let flags = collectors.iter().map(|name| format!("--collector.{name}"));
    let binary = std::env::current_exe()?.with_file_name("../highload-agent");
    let mut command = Command::new(&binary);
    command.args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"]).args(flags);
    let mut ours = Daemon::start("highload-agent", &mut command, None, "serving http://")
        .with_context(|| format!("{} must be built with the same profile", binary.display()))?;

    println!("{} collectors of both, blocks of {BLOCK} scrapes in turn", collectors.len());
    for encoding in ["identity", "gzip"] {
        for daemon in [&mut theirs, &mut ours] {
            daemon.encoding = "identity";
            let page = daemon.scrape()?;
            daemon.samples = page.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"node_")).count();
            daemon.encoding = encoding;
            // Caches and buffers as in steady operation.
            for _ in 0..BLOCK {
                daemon.scrape()?;
            }
        }
        for _ in 0..scrapes.div_ceil(BLOCK) {
            theirs.block()?;
            ours.block()?;
        }
        let (theirs, ours) = (theirs.report()?, ours.report()?);
        println!("{:<14} {:.1} times the CPU of highload-agent\n", "node_exporter", theirs / ours);
    }

    let before = ours.status("VmRSS")?;
    for _ in 0..growth {
        ours.scrape()?;
    }
    println!("highload-agent {growth} scrapes more: RSS {before} -> {} KiB", ours.status("VmRSS")?);
    Ok(())
}
