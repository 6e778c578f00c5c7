//! The agent beside a real Docker daemon: every claim of the container metrics against Docker's API and the cgroup files.
//!
//! Starts dockerd itself (root, docker.io, busybox-static, iproute2) and stops what it started. Containers that the page
//! must follow are waited for, with a bound that is generous to a slow machine; how long it took is printed.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/dockerd.rs"]
mod dockerd;

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Metrics};
use dockerd::{Dockerd, IMAGE};

/// How long the page may take to be right.
const PATIENCE: Duration = Duration::from_secs(60);

/// Containers that come and go.
const CHURN: usize = 100;

#[test]
fn follows_a_real_docker() {
    let mut docker = Dockerd::start();
    let socket = format!("--collector.containers.engine=docker={}", docker.socket());
    let agent = Agent::start(&[
        "--collector.disable-defaults",
        "--collector.containers",
        "--collector.connections",
        "--collector.io_uring",
        "--collector.machine",
        "--collector.connections.census-interval=0.2",
        "--collector.containers.labels=com.docker.compose.*",
        "--collector.containers.tcp-states",
        &socket,
    ]);
    limits_and_throttling(&docker, &agent);
    network_and_users(&docker, &agent);
    host_network(&docker, &agent);
    disk_use(&docker, &agent);
    health_and_creation(&docker, &agent);
    oom_kill(&docker, &agent);
    rename_and_restart(&docker, &agent);
    daemon_restart(&mut docker, &agent);
    churn(&docker, &agent);
}

/// Scrapes until `right` says so, and returns that page.
fn until(what: &str, agent: &Agent, right: impl Fn(&Metrics) -> bool) -> Metrics {
    let began = Instant::now();
    loop {
        let metrics = agent.metrics();
        if right(&metrics) {
            println!("{what}: right after {:.2} s", began.elapsed().as_secs_f64());
            return metrics;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not right within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The value of a container's only series of that name.
fn value(metrics: &Metrics, name: &str, container: &str) -> f64 {
    let found = metrics.all(name, &[("name", container)]);
    assert_eq!(found.len(), 1, "{name} of {container}: {found:?}");
    found[0].value
}

/// A number of a cgroup file of a container; v2, or whichever v1 controller has the file.
fn cgroup_file(docker: &Dockerd, container: &str, names: &[&str]) -> String {
    let pid = docker.inspect(container, ".State.Pid");
    for line in fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap(), fields.next().unwrap());
        let mount = if controllers.is_empty() { String::new() } else { format!("/{controllers}") };
        for name in names {
            if let Ok(text) = fs::read_to_string(format!("/sys/fs/cgroup{mount}{path}/{name}")) {
                return text;
            }
        }
    }
    panic!("{container} has none of {names:?}");
}

fn field(text: &str, key: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).trim().parse().unwrap()
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Limits as Docker was asked for them; CPU time and throttling between two readings of Docker's own statistics.
fn limits_and_throttling(docker: &Dockerd, agent: &Agent) {
    let spin = "while :; do :; done";
    docker.cli(&[
        "run",
        "-d",
        "--name",
        "spinner",
        "--memory=64m",
        "--memory-reservation=32m",
        "--cpus=0.1",
        "--cpu-shares=512",
        "--pids-limit=50",
        "--label=com.docker.compose.service=front",
        "--label=secret=1",
        IMAGE,
        "sh",
        "-c",
        spin,
    ]);
    let metrics = until("a started container", agent, |metrics| {
        metrics.sum("container_memory_usage_bytes", &[("name", "spinner")]).is_some()
    });
    assert_eq!(value(&metrics, "container_spec_memory_limit_bytes", "spinner"), 64.0 * 1048576.0);
    assert_eq!(value(&metrics, "container_spec_memory_reservation_limit_bytes", "spinner"), 32.0 * 1048576.0);
    assert_eq!(value(&metrics, "container_spec_cpu_quota", "spinner"), 10_000.0);
    assert_eq!(value(&metrics, "container_spec_cpu_period", "spinner"), 100_000.0);
    assert_eq!(value(&metrics, "container_threads_max", "spinner"), 50.0);
    // 512 on v1; on v2 what the weight that runc made of it converts back to, which loses a little.
    assert!((value(&metrics, "container_spec_cpu_shares", "spinner") - 512.0).abs() < 27.0);
    let sample = &metrics.all("container_memory_usage_bytes", &[("name", "spinner")])[0];
    assert_eq!(sample.labels["image"], IMAGE);
    assert_eq!(sample.labels["container_label_com_docker_compose_service"], "front");
    assert!(!sample.labels.contains_key("container_label_secret"));
    assert!(metrics.sum("highload_container_labels_dropped_total", &[("reason", "not_allowed")]).unwrap() >= 1.0);

    until("throttling", agent, |metrics| {
        metrics
            .sum("container_cpu_cfs_throttled_periods_total", &[("name", "spinner")])
            .is_some_and(|count| count > 0.0)
    });
    let statistics = || docker.api("/v1.41/containers/spinner/stats?stream=false&one-shot=true");
    let (before, metrics, after) = (statistics(), agent.metrics(), statistics());
    let between = |name: &str, api: &dyn Fn(&serde_json::Value) -> f64| {
        let (low, high) = (api(&before), api(&after));
        let value = metrics.sum(name, &[("name", "spinner")]).unwrap();
        // The sum of two CPUs as doubles may end in another last digit than Docker's integer.
        assert!(low - 1e-6 <= value && value <= high + 1e-6, "{name}: {value} is not in {low}..{high}");
    };
    between("container_cpu_usage_seconds_total", &|api| number(&api["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9);
    let throttling = |api: &serde_json::Value, key: &str| number(&api["cpu_stats"]["throttling_data"][key]);
    between("container_cpu_cfs_periods_total", &|api| throttling(api, "periods"));
    between("container_cpu_cfs_throttled_periods_total", &|api| throttling(api, "throttled_periods"));
    between("container_cpu_cfs_throttled_seconds_total", &|api| throttling(api, "throttled_time") / 1e9);
    assert_eq!(value(&metrics, "container_processes", "spinner"), 1.0);
    assert_eq!(value(&metrics, "container_threads", "spinner"), number(&after["pids_stats"]["current"]));
    let cpu = cgroup_file(docker, "spinner", &["cpu.stat"]);
    assert!(value(&metrics, "container_cpu_cfs_periods_total", "spinner") <= field(&cpu, "nr_periods"));
}

/// Traffic between two containers as Docker counts it, and the users of a listening port.
fn network_and_users(docker: &Dockerd, agent: &Agent) {
    docker.cli(&[
        "run",
        "-d",
        "--name",
        "server",
        IMAGE,
        "sh",
        "-c",
        "httpd -p 8080 -h /; nc -ll -p 9000 -e sleep 1000",
    ]);
    let address = docker.inspect("server", ".NetworkSettings.IPAddress");
    let fetch =
        format!("for i in 1 2 3 4 5; do wget -q -O /dev/null http://{address}:8080/bin/busybox; done; sleep 1000");
    docker.cli(&["run", "-d", "--name", "client", IMAGE, "sh", "-c", &fetch]);
    // Five copies of an image of some two megabytes.
    let rx = "container_network_receive_bytes_total";
    until("network traffic", agent, |metrics| metrics.sum(rx, &[("name", "client")]).is_some_and(|bytes| bytes > 5e6));
    let statistics = || docker.api("/v1.41/containers/client/stats?stream=false&one-shot=true");
    let (before, metrics, after) = (statistics(), agent.metrics(), statistics());
    for (name, key) in [
        (rx, "rx_bytes"),
        ("container_network_receive_packets_total", "rx_packets"),
        ("container_network_transmit_bytes_total", "tx_bytes"),
        ("container_network_transmit_packets_total", "tx_packets"),
        ("container_network_receive_errors_total", "rx_errors"),
    ] {
        let of = |api: &serde_json::Value| number(&api["networks"]["eth0"][key]);
        let value = metrics.sum(name, &[("name", "client"), ("interface", "eth0")]).unwrap();
        assert!(
            of(&before) <= value && value <= of(&after),
            "{name}: {value}, Docker says {} to {}",
            of(&before),
            of(&after)
        );
    }
    let users: Vec<_> = (0..7).map(|_| TcpStream::connect(format!("{address}:9000")).expect("nc listens")).collect();
    let labels = [("name", "server"), ("port", "9000")];
    until("7 connected users", agent, |metrics| metrics.sum("highload_connected_users", &labels) == Some(7.0));
    drop(users);
    let metrics =
        until("no connected users", agent, |metrics| metrics.sum("highload_connected_users", &labels) == Some(0.0));
    assert_eq!(metrics.sum("highload_listeners", &labels), Some(1.0));
    assert!(metrics.sum("container_sockets", &[("name", "server")]).unwrap() >= 2.0);
    let listening: f64 = ["container_network_tcp_usage_total", "container_network_tcp6_usage_total"]
        .iter()
        .map(|name| metrics.sum(name, &[("name", "server"), ("tcp_state", "listen")]).unwrap())
        .sum();
    assert_eq!(listening, 2.0, "httpd's and nc's");
}

/// A health check that fails and then passes; when the container was made.
fn health_and_creation(docker: &Dockerd, agent: &Agent) {
    let check = ["--health-cmd=test -e /ok", "--health-interval=1s", "--health-retries=1"];
    let run = ["run", "-d", "--network=none", "--name", "patient"];
    docker.cli(&[&run[..], &check, &[IMAGE, "sleep", "1000"]].concat());
    let health = |metrics: &Metrics| metrics.sum("container_health_state", &[("name", "patient")]);
    until("an unhealthy container", agent, |metrics| health(metrics) == Some(0.0));
    docker.cli(&["exec", "patient", "sh", "-c", ": > /ok"]);
    let metrics = until("a healthy container", agent, |metrics| health(metrics) == Some(1.0));
    let created = docker.inspect("patient", ".Created");
    let created = dockerd::run(std::process::Command::new("date").args(["+%s.%N", "-d", &created]));
    let shown = value(&metrics, "container_creation_time_seconds", "patient");
    assert!((shown - created.parse::<f64>().unwrap()).abs() < 2.0, "{shown} against {created}");
    docker.cli(&["rm", "-f", "patient"]);
}

/// What a container writes is on the page, as much as Docker says itself.
fn disk_use(docker: &Dockerd, agent: &Agent) {
    let write = "dd if=/dev/zero of=/file bs=1048576 count=5; sleep 1000";
    docker.cli(&["run", "-d", "--network=none", "--name", "writer", IMAGE, "sh", "-c", write]);
    let metrics = until("5 MiB of disk", agent, |metrics| {
        metrics.sum("container_fs_usage_bytes", &[("name", "writer")]).is_some_and(|bytes| bytes >= 5.0 * 1048576.0)
    });
    let list = docker.api("/v1.41/containers/json?size=1&filters=%7B%22name%22:%5B%22writer%22%5D%7D");
    let theirs = number(&list[0]["SizeRw"]);
    let ours = value(&metrics, "container_fs_usage_bytes", "writer");
    // Docker counts lengths, this counts blocks and directories.
    assert!((ours - theirs).abs() < 65536.0, "{ours} against Docker's {theirs}");
    assert!(metrics.sum("highload_container_fs_usage_age_seconds", &[]).is_some());
    // The layer lies on the file system that has Docker's data.
    let disk = rustix::fs::statvfs(docker.data()).unwrap();
    let (limit, inodes) = ((disk.f_blocks * disk.f_frsize) as f64, disk.f_files as f64);
    assert_eq!(value(&metrics, "container_fs_limit_bytes", "writer"), limit);
    assert_eq!(value(&metrics, "container_fs_inodes_total", "writer"), inodes);
    assert!(value(&metrics, "container_fs_inodes_free", "writer") < inodes);
    docker.cli(&["rm", "-f", "writer"]);
}

/// Users of a container on the host's network are the container's, although the host has the sockets; the host's own
/// listener on another port stays the host's.
fn host_network(docker: &Dockerd, agent: &Agent) {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, own) = (free().local_addr().unwrap().port(), free());
    let listen = format!("nc -ll -p {port} -e sleep 1000");
    docker.cli(&["run", "-d", "--name", "guest", "--network=host", IMAGE, "sh", "-c", &listen]);
    let text = port.to_string();
    let labels = [("name", "guest"), ("port", text.as_str())];
    until("a listener on the host's network", agent, |metrics| metrics.sum("highload_listeners", &labels) == Some(1.0));
    let users: Vec<_> = (0..3).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("nc listens")).collect();
    let metrics = until("3 users on the host's network", agent, |metrics| {
        metrics.sum("highload_connected_users", &labels) == Some(3.0)
    });
    let own = own.local_addr().unwrap().port().to_string();
    let found = metrics.all("highload_listeners", &[("port", &own)]);
    assert!(found.len() == 1 && found[0].labels["id"] == "/", "{found:?}");
    assert!(metrics.all("container_network_receive_bytes_total", &[("name", "guest")]).is_empty());
    drop(users);
    docker.cli(&["rm", "-f", "guest"]);
}

/// A process that asks for more than the limit is killed, the container lives; the cgroup, Docker's event and the page agree.
fn oom_kill(docker: &Dockerd, agent: &Agent) {
    docker.cli(&["run", "-d", "--name", "hungry", "--memory=48m", IMAGE, "sh", "-c", "tail /dev/zero; sleep 1000"]);
    let metrics = until("an OOM kill", agent, |metrics| {
        metrics.sum("container_oom_events_total", &[("name", "hungry")]).is_some_and(|count| count >= 1.0)
    });
    let file = cgroup_file(docker, "hungry", &["memory.events", "memory.oom_control"]);
    assert_eq!(value(&metrics, "container_oom_events_total", "hungry"), field(&file, "oom_kill"));
    let id = docker.inspect("hungry", ".Id");
    docker.cli(&["rm", "-f", "hungry"]);
    let metrics = until("a removed container", agent, |metrics| {
        metrics.all("container_last_seen", &[("name", "hungry")]).is_empty()
    });
    // The event outlives the container.
    assert!(metrics.sum("highload_container_engine_ooms_total", &[("container_id", &id)]).unwrap() >= 1.0);
}

fn rename_and_restart(docker: &Dockerd, agent: &Agent) {
    docker.cli(&["rename", "client", "customer"]);
    let metrics = until("a renamed container", agent, |metrics| {
        metrics.sum("container_last_seen", &[("name", "customer")]).is_some()
    });
    assert!(metrics.all("container_last_seen", &[("name", "client")]).is_empty());
    let before = value(&metrics, "container_start_time_seconds", "customer");
    docker.cli(&["restart", "-t", "0", "customer"]);
    let metrics = until("a restarted container", agent, |metrics| {
        metrics.sum("container_start_time_seconds", &[("name", "customer")]).is_some_and(|started| started > before)
    });
    let started = docker.inspect("customer", ".State.StartedAt");
    let started = dockerd::run(std::process::Command::new("date").args(["+%s.%N", "-d", &started]));
    let shown = value(&metrics, "container_start_time_seconds", "customer");
    assert!((shown - started.parse::<f64>().unwrap()).abs() < 2.0, "{shown} against {started}");
    // A new cgroup under the old path: its CPU time starts anew.
    assert!(metrics.sum("container_cpu_usage_seconds_total", &[("name", "customer")]).unwrap() < 60.0);
}

/// The daemon crashes under load: figures and names go on, on every page, and one metric tells. It comes back: so does that
/// metric.
fn daemon_restart(docker: &mut Dockerd, agent: &Agent) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut scrapes = 0;
            while !done.load(Ordering::Relaxed) {
                let metrics = agent.metrics();
                assert_eq!(value(&metrics, "container_spec_memory_limit_bytes", "spinner"), 64.0 * 1048576.0);
                scrapes += 1;
            }
            scrapes
        });
        docker.crash();
        let up = "highload_container_runtime_up";
        let metrics = until("a crashed daemon", agent, |metrics| metrics.sum(up, &[]) == Some(0.0));
        let before = metrics.sum("container_cpu_usage_seconds_total", &[("name", "spinner")]).unwrap();
        until("figures without a daemon", agent, |metrics| {
            metrics.sum("container_cpu_usage_seconds_total", &[("name", "spinner")]).unwrap() > before
        });
        docker.restart();
        let metrics = until("a restarted daemon", agent, |metrics| metrics.sum(up, &[]) == Some(1.0));
        assert!(metrics.sum("container_last_seen", &[("name", "spinner")]).is_some());
        done.store(true, Ordering::Relaxed);
        println!("{} whole pages meanwhile", reader.join().expect("every page is whole"));
    });
}

/// Containers come and go while the page is read: it is always whole, and nothing stays behind.
fn churn(docker: &Dockerd, agent: &Agent) {
    let done = AtomicBool::new(false);
    let (began, cpu) = (Instant::now(), cpu_seconds(agent.pid()));
    let scrapes = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut scrapes = 0;
            while !done.load(Ordering::Relaxed) {
                let metrics = agent.metrics();
                assert!(metrics.sum("container_last_seen", &[("name", "spinner")]).is_some());
                scrapes += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            scrapes
        });
        let makers: Vec<_> = (0..4)
            .map(|maker| {
                scope.spawn(move || {
                    for index in 0..CHURN / 4 {
                        let name = format!("churn-{maker}-{index}");
                        docker.cli(&["run", "--rm", "--network=none", "--name", &name, IMAGE, "true"]);
                    }
                })
            })
            .collect();
        makers.into_iter().for_each(|maker| maker.join().expect("docker run"));
        done.store(true, Ordering::Relaxed);
        reader.join().expect("every page is whole")
    });
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(agent.pid()) - cpu);
    println!("{CHURN} containers came and went in {wall:.1} s: {scrapes} scrapes, {cpu:.2} s of the agent's CPU");
    let metrics = agent.metrics();
    assert!(metrics.0.iter().all(|sample| sample.labels.get("name").is_none_or(|name| !name.starts_with("churn-"))));
    assert!(metrics.sum("highload_container_runtime_events_total", &[]).unwrap() >= CHURN as f64);
}

/// CPU time of a process.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = hostfs::process::stat(&hostfs::Roots::default(), pid).unwrap().expect("it runs");
    (stat.user_ticks + stat.system_ticks) as f64 / rustix::param::clock_ticks_per_second() as f64
}
