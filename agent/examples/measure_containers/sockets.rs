//! The census with very many sockets: its time and CPU, scrapes meanwhile, and its count against the kernel's own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use highload_agent::containers::census::{Report, take_once};
use highload_agent::cost::Spent;
use hostfs::Roots;
use hostfs::processes::Processes;
use hostfs::sock_diag::State;

use crate::agent::{Agent, HALF, value};

/// Sockets that are held; a connection is two.
const STEPS: [u64; 3] = [10_000, 100_000, 500_000];

/// Longest that a census may take, with what else the box does.
const PATIENCE: Duration = Duration::from_secs(240);

/// One census of what the host holds now.
pub(crate) fn once() -> anyhow::Result<()> {
    let (report, cpu) = take()?;
    print(&report, cpu);
    Ok(())
}

/// Holds the sockets, takes a census directly, and then looks at an agent that takes them while it is scraped.
pub(crate) fn steps() -> anyhow::Result<()> {
    for sockets in STEPS {
        println!("-- {sockets} sockets");
        let held = Held::start(sockets / 2)?;
        let (report, cpu) = take()?;
        print(&report, cpu);
        held.compare(&report)?;
        meanwhile()?;
    }
    Ok(())
}

fn take() -> anyhow::Result<(Report, Duration)> {
    let before = Spent::now();
    let report = take_once(&Roots::default());
    let spent = Spent::now().since(before);
    if let Some(error) = &report.error {
        bail!("{error}");
    }
    Ok((report, Duration::from_nanos(spent.cpu_ns)))
}

fn print(report: &Report, cpu: Duration) {
    let of = |state| {
        let states = report.networks.iter().flat_map(|network| network.states.iter().flatten());
        states.map(|states| states.count(state)).sum::<u64>()
    };
    let users: u64 = report.networks.iter().flat_map(|network| &network.ports).map(|port| port.established).sum();
    println!(
        "census: {:.1} ms, CPU {:.1} ms; {} sockets ({} established, {} listening, {} in TIME_WAIT), {users} connected users, \
         {} processes, {} namespaces",
        report.wall.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e3,
        report.sockets,
        of(State::Established),
        of(State::Listen),
        of(State::TimeWait),
        report.processes,
        report.networks.len(),
    );
}

/// Scrapes while the agent takes its first two censuses as fast as it allows itself, and afterwards.
fn meanwhile() -> anyhow::Result<()> {
    let agent = Agent::start(&["--collector.connections.census-interval=0.1", "--collector.containers.engine=none"])?;
    let (mut longest, mut scrapes, began) = (Duration::ZERO, 0, Instant::now());
    let page = loop {
        let at = Instant::now();
        let page = agent.page(HALF)?;
        // The very first waits for names and counts for a moment, so that `once` has them.
        if scrapes > 0 {
            longest = longest.max(at.elapsed());
        }
        scrapes += 1;
        let count = value(&page, "highload_censuses_total").unwrap_or(0.0);
        if count >= 2.0 {
            break page;
        }
        ensure!(began.elapsed() < PATIENCE, "two censuses take longer than {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let lasted = value(&page, "highload_census_duration_seconds").context("no duration of a census")?;
    let cpu = value(&page, "highload_census_cpu_seconds_total").context("no CPU time of a census")?;
    println!(
        "agent: {scrapes} scrapes while it took 2 censuses in {:.1} s: longest scrape {:.1} ms; the last census {:.1} ms, \
         both {:.1} ms CPU, age {:.1} s",
        began.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1e3,
        lasted * 1e3,
        cpu * 1e3,
        value(&page, "highload_census_age_seconds").unwrap_or(0.0),
    );
    agent.measure(HALF, 50)?.print("agent, 50 scrapes more");
    Ok(())
}

/// `hold_sockets` as a child; ends when its input closes.
struct Held(Child);

impl Held {
    fn start(connections: u64) -> anyhow::Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("hold_sockets");
        let began = Instant::now();
        let mut child = Command::new(&binary)
            .args([&connections.to_string(), "600"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}: build it first, with the same profile", binary.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let held = Self(child);
        ensure!(line.starts_with("ready "), "hold_sockets gave up: {line:?}");
        println!("held after {:.1} s", began.elapsed().as_secs_f64());
        Ok(held)
    }

    /// The census's count of its namespace beside the kernel's own; a handshake or TIME_WAIT is in neither.
    fn compare(&self, report: &Report) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(format!("/proc/{}/net/sockstat", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("TCP: inuse ")).context("no TCP line")?;
        let kernel: u64 = line.split(' ').next().context("no number")?.parse()?;
        let number = Processes::open(&Roots::default())?.network(self.0.id());
        let network = report.networks.iter().find(|network| network.number == number);
        let states = network.and_then(|network| network.states).context("the census has not seen the namespace")?;
        let found: u64 = [State::Established, State::Listen].iter().map(|&state| states[0].count(state)).sum();
        println!("in the namespace: census {found}, sockstat {kernel} (listeners included)");
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
