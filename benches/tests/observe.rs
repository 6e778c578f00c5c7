//! The observer on real processes whose cost is known beforehand.
//!
//! This program is its own child: [`child`] does nothing unless the environment asks for a role, and a role
//! talks over its standard streams, so that nobody has to wait for a time to pass.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hostfs::Roots;
use io_uring::IoUring;
use lab::observe::{BoxProbe, ProbeError, ProcessProbe, SyscallCounter, Timeline};
use lab::result::HostSample;

/// Names the role that this program plays as a child.
const ROLE: &str = "LAB_TEST_CHILD_ROLE";

/// System calls that each thread of the role `calls` makes.
const CALLS: u64 = 10_000;

/// CPU time that the role `burn` spends.
const BURN: Duration = Duration::from_millis(300);

/// No loop of a test goes on for longer; none comes near it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Not a test: the body of a child process.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        "calls" => make_calls(),
        "burn" => burn(),
        "pings" => answer_pings(),
        "poller" => keep_a_poller(),
        other => panic!("no role {other:?}"),
    }
}

/// A child in a role, with pipes to it. Killed when dropped.
struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    /// Starts the child and waits until it says that it is ready.
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { child, input, output };
        started.expect("ready");
        started
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn say(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
    }

    /// Reads lines until one is `word`; the test harness of the child prints lines of its own.
    fn expect(&mut self, word: &str) {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the child ended before it said {word:?}");
            if line.trim_end().ends_with(word) {
                return;
            }
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell(word: &str) {
    println!("{word}");
}

/// Waits for the parent's next word; the end of its pipe ends the child.
fn listen() {
    let mut line = String::new();
    if io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
}

/// One thread that is there when the parent attaches and three that are made later make known numbers of calls.
fn make_calls() {
    let (go, wait) = mpsc::channel::<()>();
    let early = std::thread::spawn(move || {
        wait.recv().unwrap();
        call_the_kernel();
    });
    tell("ready");
    listen();
    go.send(()).unwrap();
    let late: Vec<_> = (0..3).map(|_| std::thread::spawn(call_the_kernel)).collect();
    for thread in late.into_iter().chain([early]) {
        thread.join().unwrap();
    }
    tell("done");
    listen();
}

fn call_the_kernel() {
    for _ in 0..CALLS {
        let _ = rustix::process::getppid();
    }
}

fn burn() {
    tell("ready");
    listen();
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let start = cpu();
    while cpu() - start < BURN {}
    tell("done");
    listen();
}

fn answer_pings() {
    tell("ready");
    loop {
        listen();
        tell("pong");
    }
}

/// A ring whose kernel thread, once it was given something to do, polls for two more seconds while this process
/// sleeps.
fn keep_a_poller() {
    let ring: io::Result<IoUring> = IoUring::builder().setup_sqpoll(2000).build(8);
    tell("ready");
    listen();
    // Without a ring the parent finds no poll thread, and says why not.
    let mut ring = ring.expect("the parent found the poll thread");
    // SAFETY: a no-op refers to no memory.
    unsafe { ring.submission().push(&io_uring::opcode::Nop::new().build()) }.expect("the queue is empty");
    ring.submit().expect("waking the poll thread");
    listen();
}

/// 40,000 calls by one early and three later threads are counted, plus the few that threads cost, and none is
/// lost when the threads end. Where the kernel refuses, the sentence must say what to change.
#[test]
fn counts_system_calls_of_all_threads() {
    let mut role = Role::start("calls");
    let mut counter = match SyscallCounter::attach(role.pid()) {
        Ok(counter) => counter,
        Err(unavailable) => {
            let sentence = unavailable.to_string();
            assert!(sentence.contains("sysctl -w") || sentence.contains("mount -t tracefs"), "{sentence}");
            eprintln!("SKIPPED counts_system_calls_of_all_threads: {sentence}");
            return;
        }
    };
    let start = counter.read().unwrap();
    role.say("go");
    role.expect("done");
    let counted = counter.read().unwrap() - start;
    assert!((4 * CALLS..4 * CALLS + 1000).contains(&counted), "{counted}");
}

/// The CPU clock of a child that burned 300 ms shows them, and agrees with its clock ticks within their size.
#[test]
fn process_cpu_time_is_exact() {
    let mut role = Role::start("burn");
    let probe = ProcessProbe::new(role.pid()).unwrap();
    let start = probe.read_counters().unwrap();
    role.say("go");
    role.expect("done");
    let end = probe.read().unwrap();
    let spent = Duration::from_nanos(end.cpu_ns - start.cpu_ns);
    assert!(spent >= BURN && spent < BURN + Duration::from_millis(100), "{spent:?}");
    let ticks = (end.user_ticks + end.system_ticks) - (start.user_ticks + start.system_ticks);
    let by_ticks = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    assert!((by_ticks - spent.as_secs_f64()).abs() < 0.05, "{by_ticks} s by ticks, {spent:?} by the clock");
    assert!(end.rss_bytes > 0 && end.pss_bytes.is_some_and(|pss| pss <= end.rss_bytes), "{end:?}");

    let cost = end.cost_since(&start, 1000, spent);
    assert!((cost.cpu_us_per_request - spent.as_secs_f64() * 1e3).abs() < 1e-6, "{cost:?}");
    assert!((cost.cpu_user_us_per_request + cost.cpu_system_us_per_request - cost.cpu_us_per_request).abs() < 1e-6);
}

/// A thousand questions and answers over pipes make the child wait many times, and each wait is a voluntary switch.
#[test]
fn counts_context_switches() {
    let mut role = Role::start("pings");
    let probe = ProcessProbe::new(role.pid()).unwrap();
    let start = probe.read_counters().unwrap();
    for _ in 0..1000 {
        role.say("ping");
        role.expect("pong");
    }
    let switches = probe.read_counters().unwrap().context_switches.voluntary - start.context_switches.voluntary;
    assert!((100..=3000).contains(&switches), "{switches}");
}

/// The kernel's submission poller is in the thread group: its CPU time is in the process's clock, and the
/// thread is counted, while the process itself sleeps.
#[test]
fn a_ring_s_poll_thread_is_the_process_s_cost() {
    let mut role = Role::start("poller");
    let named = |task: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{}/task/{task}/comm", role.pid())).unwrap_or_default();
        name.starts_with("iou-sqp")
    };
    // The thread takes its name when it first runs, which may be after the ring was set up.
    let begun = Instant::now();
    let poller = loop {
        let tasks = hostfs::process::tasks(&Roots::default(), role.pid()).unwrap().unwrap();
        let found = tasks.iter().copied().find(named);
        // With one thread there will be no poller: the ring was refused.
        if found.is_some() || tasks.len() < 2 || begun.elapsed() > DEADLINE {
            break found;
        }
        std::thread::yield_now();
    };
    let Some(poller) = poller else {
        let ring: io::Result<IoUring> = IoUring::builder().setup_sqpoll(1).build(8);
        let blocked = ring.err().expect("a ring with SQPOLL has a poll thread");
        eprintln!("SKIPPED a_ring_s_poll_thread_is_the_process_s_cost: {blocked}");
        return;
    };
    let stat = format!("{}/task/{poller}", role.pid());
    let ticks = || {
        let text = std::fs::read_to_string(format!("/proc/{stat}/stat")).unwrap();
        let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let probe = ProcessProbe::new(role.pid()).unwrap();
    let (start, start_ticks) = (probe.read_counters().unwrap(), ticks());
    role.say("go");
    let begun = Instant::now();
    while ticks() < start_ticks + 5 && begun.elapsed() < DEADLINE {
        std::thread::yield_now();
    }
    let end = probe.read_counters().unwrap();
    assert!(end.cpu_ns - start.cpu_ns >= 30_000_000, "{} ns", end.cpu_ns - start.cpu_ns);
    assert!(end.threads >= 2, "{end:?}");
}

/// A process that has been waited for is gone: for a probe made before, and for a new one.
#[test]
fn a_process_that_ended_is_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    let probe = ProcessProbe::new(child.id()).unwrap();
    child.wait().unwrap();
    assert!(matches!(probe.read(), Err(ProbeError::Gone(_))));
    assert!(matches!(probe.cpu_ns(), Err(ProbeError::Gone(_))));
    assert!(matches!(ProcessProbe::new(child.id()), Err(ProbeError::Gone(_))));
    assert!(matches!(BoxProbe::new(vec![child.id()]), Err(ProbeError::Gone(_))));
    assert!(SyscallCounter::attach(child.id()).is_err());
}

/// A burning child is foreign to a probe that does not know it, and not to one that does; the two differ by
/// just the child's time.
#[test]
fn foreign_is_what_nobody_claims() {
    let mut role = Role::start("burn");
    let mut stranger = BoxProbe::new(vec![std::process::id()]).unwrap();
    let mut friend = BoxProbe::new(vec![std::process::id(), role.pid()]).unwrap();
    let before = (stranger.read().unwrap(), friend.read().unwrap());
    role.say("go");
    role.expect("done");
    let strange = stranger.read().unwrap().since(&before.0);
    let known = friend.read().unwrap().since(&before.1);
    assert!(strange.busy.as_secs_f64() > BURN.as_secs_f64() * 0.9, "{strange:?}");
    let capacity = strange.busy.as_secs_f64() / strange.busy_share;
    let claimed = (strange.surroundings.foreign_cpu_share - known.surroundings.foreign_cpu_share) * capacity;
    assert!((claimed - BURN.as_secs_f64()).abs() < 0.1, "{claimed} s claimed; {strange:?} {known:?}");
}

/// A listener that never accepts and has room for two loses the other connections, and the box's reading says so.
#[test]
fn a_full_accept_queue_is_seen() {
    use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
    let socket = || net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    let mut probe = BoxProbe::new(vec![]).unwrap();
    let start = probe.read().unwrap();
    let listener = socket();
    net::bind(&listener, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    net::listen(&listener, 1).unwrap();
    let address = net::getsockname(&listener).unwrap();
    let clients: Vec<_> = (0..16).map(|_| socket()).collect();
    for client in &clients {
        let _ = net::connect(client, &address);
    }
    let overflows = probe.read().unwrap().since(&start).surroundings.listen_overflows;
    assert!(overflows >= 10, "{overflows}");
}

/// Samples are whole JSON lines in order of time, name the trial, and their shares add up to 1.
#[test]
fn the_timeline_writes_whole_samples() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timeline.jsonl");
    let timeline = Timeline::start(&path, &[0]).unwrap();
    timeline.set_trial(Some(3));
    let begun = Instant::now();
    while std::fs::read_to_string(&path).unwrap().lines().count() < 2 && begun.elapsed() < DEADLINE {
        std::thread::yield_now();
    }
    timeline.set_trial(None);
    timeline.stop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let samples: Vec<HostSample> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(samples.len() >= 2 && text.ends_with('\n'), "{text}");
    assert!(samples.iter().any(|sample| sample.trial == Some(3)), "{text}");
    assert!(samples.windows(2).all(|pair| pair[0].at_seconds < pair[1].at_seconds), "{text}");
    for sample in &samples {
        assert!((sample.cpu.values().sum::<f64>() - 1.0).abs() < 1e-9, "{sample:?}");
        assert!(sample.memory_available_bytes > 0 && sample.softirqs_per_second >= 0.0, "{sample:?}");
    }
}

/// A full disk is an error of `stop`, with the kernel's words.
#[test]
fn a_full_disk_is_reported() {
    let timeline = Timeline::start(std::path::Path::new("/dev/full"), &[]).unwrap();
    // The thread takes its last sample on stop unless it would be shorter than it may be; wait for the first.
    std::thread::sleep(lab::observe::INTERVAL);
    let error = timeline.stop().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
}
