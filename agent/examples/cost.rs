//! What a scrape costs, beside Debian's node_exporter on the same host: CPU time, memory, time on the wall.
//!
//! `cargo run --profile measured -p highload-agent --example cost [-- SCRAPES [GROWTH]]`, after
//! `cargo build --profile measured -p highload-agent`. Both daemons run the collectors that node_exporter has on by
//! default; scrapes alternate in blocks, so that what else the host does hits both alike. CPU time is the kernel's clock
//! of the whole process, so it has what HTTP and the sockets cost too. Then the agent alone is scraped GROWTH times, and
//! its memory before and after is compared.
//!
//! Exit code 1 when a goal is missed: a tenth of node_exporter's CPU time the way Prometheus scrapes, half of its
//! memory, no growth.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Scrapes in a row of one daemon before the other's turn.
const BLOCK: usize = 10;

/// Growth that is none: a page table, a buffer that met its largest page.
const GROWTH_KIB: u64 = 256;

/// How a client scrapes.
#[derive(Clone, Copy)]
struct Manner {
    about: &'static str,
    keeps_connection: bool,
    encoding: &'static str,
}

/// The first is how Prometheus does it.
const MANNERS: [Manner; 3] = [
    Manner { about: "as Prometheus: one connection, gzip taken", keeps_connection: true, encoding: "gzip" },
    Manner { about: "one connection, no gzip", keeps_connection: true, encoding: "identity" },
    Manner { about: "a connection per scrape, no gzip", keeps_connection: false, encoding: "identity" },
];

/// A daemon under measurement, killed at the end.
struct Daemon {
    name: &'static str,
    child: Child,
    address: String,
    connection: Option<BufReader<TcpStream>>,
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
        Ok(Self { name, child, address, connection: None, cpu: Vec::new(), wall: Vec::new(), bytes: 0, samples: 0 })
    }

    /// A page, as it came.
    fn scrape(&mut self, manner: Manner) -> anyhow::Result<Vec<u8>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(BufReader::new(TcpStream::connect(&self.address)?)),
        };
        let Manner { encoding, .. } = manner;
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: {encoding}\r\n\r\n", self.address);
        connection.get_mut().write_all(head.as_bytes())?;
        let page = read_answer(connection).with_context(|| format!("{} did not answer with a page", self.name))?;
        if !manner.keeps_connection {
            self.connection = None;
        }
        Ok(page)
    }

    /// One block of scrapes, measured.
    fn block(&mut self, manner: Manner) -> anyhow::Result<()> {
        let pid = self.child.id();
        let before = hostfs::cpu_clock::of_process(pid)?;
        let started = Instant::now();
        for _ in 0..BLOCK {
            self.bytes = self.scrape(manner)?.len();
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
        let quantile = |times: &mut Vec<Duration>, share: usize| {
            times.sort();
            times[times.len() * share / 100].as_secs_f64() * 1e3
        };
        let (cpu, wall) = (quantile(&mut self.cpu, 50), quantile(&mut self.wall, 50));
        println!(
            "{:<14} {cpu:>7.3} ms CPU ({:.3} to {:.3})  {wall:>7.3} ms wall  {:>6} samples  {:>7} bytes  RSS {:.1} MiB (peak {:.1})",
            self.name,
            quantile(&mut self.cpu, 10),
            quantile(&mut self.cpu, 90),
            self.samples,
            self.bytes,
            self.status("VmRSS")? as f64 / 1024.0,
            self.status("VmHWM")? as f64 / 1024.0,
        );
        self.cpu.clear();
        self.wall.clear();
        Ok(cpu)
    }
}

/// Reads one answer with status 200: its body, still encoded.
fn read_answer(connection: &mut BufReader<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let line = |connection: &mut BufReader<TcpStream>| -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(connection.read_line(&mut line)? > 0, "the connection ended");
        Ok(line.trim_end().to_ascii_lowercase())
    };
    let status = line(connection)?;
    ensure!(status.starts_with("http/1.1 200"), "{status}");
    let mut length = None;
    loop {
        let header = line(connection)?;
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let mut body = Vec::new();
    let read = |connection: &mut BufReader<TcpStream>, body: &mut Vec<u8>, length: usize| {
        let at = body.len();
        body.resize(at + length, 0);
        connection.read_exact(&mut body[at..])
    };
    if let Some(length) = length {
        read(connection, &mut body, length)?;
        return Ok(body);
    }
    // Without a length it comes in chunks, each ahead of its length and behind it an empty line.
    loop {
        let length = usize::from_str_radix(&line(connection)?, 16)?;
        read(connection, &mut body, length)?;
        ensure!(line(connection)?.is_empty(), "no end of a chunk");
        if length == 0 {
            return Ok(body);
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let scrapes = arguments.next().transpose().context("SCRAPES is a number")?.unwrap_or(500);
    let growth = arguments.next().transpose().context("GROWTH is a number")?.unwrap_or(10_000);

    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}"));
    let mut theirs = Daemon::start("node_exporter", &mut command, Some(address), "Listening on")?;

    let page = String::from_utf8(theirs.scrape(MANNERS[1])?)?;
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

    println!("{} collectors of both, {scrapes} scrapes in blocks of {BLOCK} in turn\n", collectors.len());
    let mut ratios = Vec::new();
    for manner in MANNERS {
        println!("{}", manner.about);
        for daemon in [&mut theirs, &mut ours] {
            let page = daemon.scrape(Manner { encoding: "identity", ..manner })?;
            daemon.samples = page.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"node_")).count();
            // Caches and buffers as in steady operation.
            for _ in 0..BLOCK {
                daemon.scrape(manner)?;
            }
        }
        for _ in 0..scrapes.div_ceil(BLOCK) {
            theirs.block(manner)?;
            ours.block(manner)?;
        }
        let ratio = theirs.report()? / ours.report()?;
        println!("{:<14} {ratio:.1} times the CPU of highload-agent\n", "node_exporter");
        ratios.push(ratio);
    }

    let memory = (ours.status("VmRSS")?, theirs.status("VmRSS")?);
    for _ in 0..growth {
        ours.scrape(MANNERS[0])?;
    }
    let after = ours.status("VmRSS")?;
    println!("highload-agent {growth} scrapes more: RSS {} -> {after} KiB", memory.0);
    let goals = [
        ("a tenth of the CPU", ratios[0] >= 10.0),
        ("half of the memory", memory.0 * 2 <= memory.1),
        ("no growth", after <= memory.0 + GROWTH_KIB),
    ];
    for (goal, met) in goals {
        println!("goal {goal}: {}", if met { "met" } else { "missed" });
    }
    Ok(if goals.iter().all(|(_, met)| *met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
