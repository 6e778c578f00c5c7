//! Plain cgroups that look like containers, each with a process that sleeps: what the agent costs by their number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::agent::{Agent, Cost, EVERYTHING, HALF, value};

/// Numbers of groups that are measured.
const STEPS: [usize; 6] = [0, 100, 200, 300, 400, 500];

/// How long two censuses may take on a busy box.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a group that is still busy is tried to be removed.
const RETRIES: usize = 200;

/// Controllers that a v2 tree is given, where the kernel has them.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Measures the agent with more and more groups, prints the line through the points, and then with none again.
pub(crate) fn curve(scrapes: usize, flags: &[&str]) -> anyhow::Result<()> {
    let mut all = vec!["--collector.containers.engine=none", "--collector.connections.census-interval=2"];
    all.extend(flags);
    let agent = Agent::start(&all)?;
    let mut groups = Groups::make()?;
    for (path, title) in [(HALF, "container half"), (EVERYTHING, "everything")] {
        println!("-- {title} ({path})");
        let (mut cpu, mut page) = (Vec::new(), Vec::new());
        for count in STEPS {
            groups.grow_to(count)?;
            settle(&agent)?;
            let cost = agent.measure(path, scrapes)?;
            cost.print(&format!("{count:>3} groups"));
            cpu.push((count as f64, cost.cpu_ms()));
            page.push((count as f64, cost.page_bytes as f64));
        }
        for (what, unit, points) in [("CPU", "ms", &cpu), ("page", "bytes", &page)] {
            let line = Line::through(points);
            println!(
                "{what}: {:.2} {unit} + {:.4} {unit} a group; no point is further from that line than {:.2} {unit}",
                line.start, line.slope, line.furthest
            );
        }
        groups.grow_to(0)?;
        settle(&agent)?;
        let cost: Cost = agent.measure(path, scrapes)?;
        cost.print("  0 groups again");
    }
    Ok(())
}

/// Waits until a census that began after this call is on the page: descriptors and sockets come from it.
fn settle(agent: &Agent) -> anyhow::Result<()> {
    let censuses = || Ok::<_, anyhow::Error>(value(&agent.page(HALF)?, "highload_censuses_total").unwrap_or(0.0));
    let (before, began) = (censuses()?, Instant::now());
    while censuses()? < before + 2.0 {
        ensure!(began.elapsed() < PATIENCE, "no two censuses within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// The line of least squares.
struct Line {
    start: f64,
    slope: f64,
    furthest: f64,
}

impl Line {
    fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
        let (above, below) = points
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + (point.0 - x) * (point.1 - y), sum.1 + (point.0 - x).powi(2)));
        let slope = above / below;
        let start = y - slope * x;
        let distance = |point: &(f64, f64)| (point.1 - start - slope * point.0).abs();
        Self { start, slope, furthest: points.iter().map(distance).fold(0.0, f64::max) }
    }
}

/// Groups below a directory of our own in every hierarchy, gone at the end.
struct Groups {
    /// That directory in each hierarchy.
    bases: Vec<PathBuf>,
    processes: Vec<Child>,
}

impl Groups {
    fn make() -> anyhow::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let mut mounts: Vec<PathBuf> = if root.join("cgroup.controllers").exists() {
            vec![root.to_owned()]
        } else {
            let entries = fs::read_dir(root).context("no cgroups are mounted")?.filter_map(Result::ok);
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect()
        };
        mounts.retain(|mount| mount.join("cgroup.procs").exists());
        ensure!(!mounts.is_empty(), "no cgroup hierarchy below {}", root.display());
        let name = format!("highload-measure-{}", std::process::id());
        let mut groups = Self { bases: Vec::new(), processes: Vec::new() };
        for mount in mounts {
            let top = mount.join(&name);
            let base = top.join("docker");
            groups.bases.push(base.clone());
            fs::create_dir_all(&base).with_context(|| format!("{}: needs root", base.display()))?;
            for directory in [&mount, &top, &base] {
                prepare(directory);
            }
        }
        Ok(groups)
    }

    /// Makes or removes groups until there are `count`.
    fn grow_to(&mut self, count: usize) -> anyhow::Result<()> {
        while self.processes.len() > count {
            let mut process = self.processes.pop().expect("more than none");
            // It may have ended already.
            let _ = process.kill();
            process.wait()?;
            self.remove(self.processes.len());
        }
        while self.processes.len() < count {
            let group = name(self.processes.len());
            let process = Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().context("sleep(1)")?;
            let pid = process.id().to_string();
            self.processes.push(process);
            for base in &self.bases {
                let directory = base.join(&group);
                fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
                prepare(&directory);
                fs::write(directory.join("cgroup.procs"), &pid).with_context(|| directory.display().to_string())?;
            }
        }
        Ok(())
    }

    fn remove(&self, index: usize) {
        for base in &self.bases {
            let directory = base.join(name(index));
            // The kernel needs a moment to let go of a process that has been waited for.
            for _ in 0..RETRIES {
                match fs::remove_dir(&directory) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    // What else may be wrong is shown by the count of groups on the page.
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // A clean-up that fails must not hide what led here.
        let _ = self.grow_to(0);
        for base in &self.bases {
            for entry in fs::read_dir(base).into_iter().flatten().filter_map(Result::ok) {
                let _ = fs::remove_dir(entry.path());
            }
            let _ = fs::remove_dir(base);
            let _ = base.parent().map(fs::remove_dir);
        }
    }
}

/// The id of a container that does not exist.
fn name(index: usize) -> String {
    format!("{index:064x}")
}

/// Passes controllers on to children (v2), and gives a cpuset its parent's CPUs and nodes (v1), without which it takes no
/// process. What the kernel does not have fails, and is not needed.
fn prepare(directory: &Path) {
    for controller in CONTROLLERS {
        let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let _ = inherit(directory, file);
    }
}

fn inherit(directory: &Path, file: &str) -> io::Result<()> {
    let own = fs::read_to_string(directory.join(file))?;
    if own.trim().is_empty()
        && let Some(parent) = directory.parent()
    {
        fs::write(directory.join(file), fs::read_to_string(parent.join(file))?.trim())?;
    }
    Ok(())
}
