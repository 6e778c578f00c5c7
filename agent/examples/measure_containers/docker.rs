//! The agent beside a Docker daemon of our own: what a hundred running containers cost, how soon the page is right, what
//! containers that come and go cost, and a daemon that is killed under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::agent::{Agent, EVERYTHING, HALF, value};
use crate::dockerd::{Dockerd, IMAGE};

/// Containers that run, and containers that come and go.
const CONTAINERS: usize = 100;

/// How many clients of the daemon start them side by side.
const MAKERS: usize = 4;

/// Rounds of scrapes with all containers.
const ROUNDS_OF_COST: usize = 3;

/// How often each change is timed.
const ROUNDS: usize = 10;

/// How long the page may take to be right.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at the page.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn measure(scrapes: usize, flags: &[&str]) -> anyhow::Result<()> {
    let mut docker = Dockerd::start();
    let engine = format!("--collector.containers.engine=docker={}", docker.socket());
    let mut all = vec![engine.as_str()];
    all.extend(flags);
    let agent = Agent::start(&all)?;
    agent.measure(HALF, scrapes)?.print("no container, container half");
    agent.measure(EVERYTHING, scrapes)?.print("no container, everything");

    let began = Instant::now();
    in_parallel(|index| {
        docker.cli(&["run", "-d", "--name", &format!("steady-{index}"), IMAGE, "sleep", "3600"]);
    });
    println!("{CONTAINERS} containers started in {:.1} s", began.elapsed().as_secs_f64());
    until(&agent, |page| steady(page) == CONTAINERS)?;
    let without = Agent::start(&[&all[..], &["--collector.containers.descriptors=0"]].concat())?;
    until(&without, |page| steady(page) == CONTAINERS)?;
    // In turns, so that what else the box does hits all alike.
    for _ in 0..ROUNDS_OF_COST {
        agent.measure(HALF, scrapes)?.print("100 containers, container half");
        without.measure(HALF, scrapes)?.print("the same without kept files");
        agent.measure(EVERYTHING, scrapes)?.print("100 containers, everything");
    }
    drop(without);
    seconds_until_right(&docker, &agent)?;
    churn(&docker, &agent)?;
    crash(&mut docker, &agent)?;
    println!("RSS at the end: {:.1} MiB", agent.rss_bytes()? as f64 / (1 << 20) as f64);
    Ok(())
}

/// Runs `make` for every number of a container, from [`MAKERS`] threads.
fn in_parallel(make: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for maker in 0..MAKERS {
            let make = &make;
            scope.spawn(move || (maker..CONTAINERS).step_by(MAKERS).for_each(make));
        }
    });
}

/// Looks at the page until `right`, and says how long that took.
fn until(agent: &Agent, right: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while !right(&agent.page(HALF)?) {
        ensure!(began.elapsed() < PATIENCE, "the page is not right within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
    Ok(began.elapsed())
}

/// Containers that stay, by their names on the page.
fn steady(page: &str) -> usize {
    let seen = page.lines().filter(|line| line.starts_with("container_last_seen{"));
    seen.filter(|line| line.contains("name=\"steady-")).count()
}

fn seen(page: &str, name: &str) -> bool {
    let label = format!("name=\"{name}\"");
    page.lines().any(|line| line.starts_with("container_last_seen{") && line.contains(&label))
}

/// From the end of the client's command until the page says so; a page takes its own time to be read.
fn seconds_until_right(docker: &Dockerd, agent: &Agent) -> anyhow::Result<()> {
    let (mut started, mut renamed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        docker.cli(&["run", "-d", "--network=none", "--name", "first", IMAGE, "sleep", "3600"]);
        started.push(until(agent, |page| seen(page, "first"))?);
        docker.cli(&["rename", "first", "second"]);
        renamed.push(until(agent, |page| seen(page, "second") && !seen(page, "first"))?);
        docker.cli(&["rm", "-f", "second"]);
        removed.push(until(agent, |page| !seen(page, "second"))?);
    }
    for (what, mut times) in [("started", started), ("renamed", renamed), ("removed", removed)] {
        times.sort_unstable();
        println!(
            "a {what} container is right after {:.3} s (median of {ROUNDS}), {:.3} s at most",
            times[times.len() / 2].as_secs_f64(),
            times[times.len() - 1].as_secs_f64()
        );
    }
    Ok(())
}

/// A hundred containers come and go beside those that stay, with a scrape a second.
fn churn(docker: &Dockerd, agent: &Agent) -> anyhow::Result<()> {
    let idle = per_second(agent, || std::thread::sleep(Duration::from_secs(10)))?;
    let busy = per_second(agent, || {
        in_parallel(|index| {
            docker.cli(&["run", "--rm", "--network=none", "--name", &format!("churn-{index}"), IMAGE, "true"]);
        });
    })?;
    let page = agent.page(HALF)?;
    ensure!(!page.contains("name=\"churn-"), "containers that are gone are on the page");
    println!(
        "a scrape of everything each second: {:.1} ms CPU a second at rest ({:.0} s), {:.1} ms a second while {CONTAINERS} containers \
         came and went ({:.1} s, {:.2} s of CPU in all)",
        idle.0 * 1e3,
        idle.1,
        busy.0 * 1e3,
        busy.1,
        busy.0 * busy.1,
    );
    println!(
        "{} cgroups vanished while they were read; {} events taken",
        value(&page, "highload_container_cgroups_vanished_total").unwrap_or(0.0),
        value(&page, "highload_container_runtime_events_total").unwrap_or(0.0)
    );
    Ok(())
}

/// CPU seconds a second of the agent, scraped each second while `work` runs, and how long that was.
fn per_second(agent: &Agent, work: impl FnOnce() + Send) -> anyhow::Result<(f64, f64)> {
    let done = AtomicBool::new(false);
    let (cpu, began) = (agent.cpu()?, Instant::now());
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let worker = scope.spawn(|| {
            work();
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            agent.page(EVERYTHING)?;
            std::thread::sleep(Duration::from_secs(1));
        }
        worker.join().map_err(|_| anyhow::anyhow!("docker refused")).context("churn")
    })?;
    let seconds = began.elapsed().as_secs_f64();
    Ok((agent.cpu()?.saturating_sub(cpu).as_secs_f64() / seconds, seconds))
}

/// Kills dockerd while two clients scrape without a pause; every page must be whole, with every container and its name.
fn crash(docker: &mut Dockerd, agent: &Agent) -> anyhow::Result<()> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<(u64, Duration)> {
                    let (mut scrapes, mut longest) = (0, Duration::ZERO);
                    while !done.load(Ordering::Acquire) {
                        let at = Instant::now();
                        let page = agent.page(HALF)?;
                        longest = longest.max(at.elapsed());
                        scrapes += 1;
                        let named = steady(&page);
                        ensure!(named == CONTAINERS, "{named} of {CONTAINERS} containers on the page");
                    }
                    Ok((scrapes, longest))
                })
            })
            .collect();
        docker.crash();
        let up = |page: &str| value(page, "highload_container_runtime_up");
        let down = until(agent, |page| up(page) == Some(0.0))?;
        docker.restart();
        let back = until(agent, |page| up(page) == Some(1.0))?;
        done.store(true, Ordering::Release);
        println!(
            "dockerd killed: noticed after {:.3} s; restarted: connected {:.3} s after it answers",
            down.as_secs_f64(),
            back.as_secs_f64()
        );
        for reader in readers {
            let (scrapes, longest) = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
            println!("meanwhile {scrapes} whole pages, the slowest {:.1} ms", longest.as_secs_f64() * 1e3);
        }
        Ok(())
    })
}
