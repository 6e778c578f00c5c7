//! The agent as a child, and what its scrapes cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hostfs::Roots;

/// The page of the container half.
pub(crate) const HALF: &str = "/metrics/cadvisor";

/// The page of everything.
pub(crate) const EVERYTHING: &str = "/metrics";

/// Scrapes before those that count: they open files, learn names and grow buffers.
const WARM_UP: usize = 5;

/// Pause between two scrapes.
const PAUSE: Duration = Duration::from_millis(10);

/// A running agent, killed at the end.
pub(crate) struct Agent {
    child: Child,
    address: String,
}

/// What a number of scrapes cost.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    cpu: Vec<Duration>,
    wall: Vec<Duration>,
    pub(crate) page_bytes: usize,
    pub(crate) samples: usize,
    pub(crate) rss_bytes: u64,
    /// Descriptors that the agent has open.
    pub(crate) descriptors: usize,
}

impl Cost {
    /// Median of the CPU time of the whole process from one scrape's begin to its end, in milliseconds. The median, so
    /// that a census or another program that falls into some of the scrapes does not count.
    pub(crate) fn cpu_ms(&self) -> f64 {
        quantile(&self.cpu, 0.5)
    }

    /// A quantile of the time that the client waited for its page, in milliseconds.
    pub(crate) fn wall_ms(&self, share: f64) -> f64 {
        quantile(&self.wall, share)
    }

    /// All figures, a line each, with `title` in front.
    pub(crate) fn print(&self, title: &str) {
        println!(
            "{title}: CPU {:.2} ms (mean {:.2}), wall p50 {:.2} p99 {:.2} max {:.2} ms, page {} bytes, {} samples, \
             RSS {:.1} MiB, {} descriptors, {} scrapes",
            self.cpu_ms(),
            self.cpu.iter().map(Duration::as_secs_f64).sum::<f64>() * 1e3 / self.cpu.len().max(1) as f64,
            self.wall_ms(0.5),
            self.wall_ms(0.99),
            self.wall_ms(1.0),
            self.page_bytes,
            self.samples,
            self.rss_bytes as f64 / (1 << 20) as f64,
            self.descriptors,
            self.wall.len(),
        );
    }
}

fn quantile(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = ((times.len().saturating_sub(1)) as f64 * share).round() as usize;
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

impl Agent {
    /// The binary beside this example, with every default and `flags`.
    pub(crate) fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("../highload-agent");
        let mut child = Command::new(&binary)
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}: build it first, with the same profile", binary.display()))?;
        let mut log = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let address = loop {
            let mut line = String::new();
            if log.read_line(&mut line)? == 0 {
                bail!("the agent ended before it served");
            }
            if let Some((_, rest)) = line.split_once("serving http://") {
                break rest.split('/').next().context("an address")?.to_owned();
            }
        };
        // What it logs from now on must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    /// CPU time of the process so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        Ok(hostfs::cpu_clock::of_process(self.child.id())?)
    }

    /// Body of a page.
    pub(crate) fn page(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{path}: {head}");
        }
        Ok(body.to_owned())
    }

    /// Scrapes `path` a few times and then `count` times, which are measured.
    pub(crate) fn measure(&self, path: &str, count: usize) -> anyhow::Result<Cost> {
        for _ in 0..WARM_UP {
            self.page(path)?;
        }
        let mut cost = Cost::default();
        for _ in 0..count {
            let (cpu, began) = (self.cpu()?, Instant::now());
            let page = self.page(path)?;
            cost.wall.push(began.elapsed());
            // The answer's last bytes are sent before the agent has closed the connection.
            std::thread::sleep(PAUSE);
            cost.cpu.push(self.cpu()?.saturating_sub(cpu));
            cost.page_bytes = page.len();
            cost.samples = page.lines().filter(|line| !line.starts_with('#')).count();
        }
        (cost.rss_bytes, cost.descriptors) = (self.rss_bytes()?, self.descriptors()?);
        Ok(cost)
    }

    /// Resident memory.
    pub(crate) fn rss_bytes(&self) -> anyhow::Result<u64> {
        let status = hostfs::process::status(&Roots::default(), self.child.id())?.context("the agent ended")?;
        Ok(status.rss_bytes.unwrap_or(0))
    }

    fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of the first sample whose series begins with `series`.
pub(crate) fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(series))?.rsplit(' ').next()?.parse().ok()
}
