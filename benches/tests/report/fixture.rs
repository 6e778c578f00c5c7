//! A result directory as a run leaves it: five engines, one of them a second name of `mio`, three formats, five
//! rounds, a pass for system calls, and a void, a failed and an unavailable trial. The same bytes every time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use lab::result::{
    FactGroup, Fingerprint, GeneratorCost, HostSample, Latency, Load, Pass, Plan, PlannedTrial, ServerCost, Status,
    Surroundings, Trial,
};
use lab::stats::SplitMix64;

/// Engine, interface, CPU-µs per request of raw, system calls per request, RSS in MiB.
const ENGINES: [(&str, &str, f64, f64, f64); 5] = [
    ("mio", "epoll", 5.10, 2.28, 3.1),
    ("mio-again", "epoll", 5.10, 2.28, 3.1),
    ("monoio-epoll", "epoll", 6.45, 2.91, 4.4),
    ("monoio-uring", "io_uring", 4.25, 0.06, 5.2),
    ("tokio-uring", "io_uring", 5.05, 0.11, 6.0),
];

/// Format and how much dearer it is than raw.
const FORMATS: [(&str, f64); 3] = [("raw", 1.0), ("json", 1.52), ("protobuf", 1.18)];

const ROUNDS: u32 = 5;

/// Start of the first trial, milliseconds since the Unix epoch.
const START: u64 = 1_790_000_000_000;

/// Writes the directory.
pub(crate) fn write(directory: &Path) {
    let mut random = SplitMix64(42);
    fs::create_dir_all(directory.join("histograms")).unwrap();
    let mut rows = Vec::new();
    let mut planned = Vec::new();
    for round in 0..=ROUNDS {
        let slow = if round == 4 { 1.06 } else { 1.0 };
        for (format, dearer) in FORMATS {
            for (engine, interface, cpu, syscalls, rss) in ENGINES {
                let index = u32::try_from(rows.len()).unwrap();
                let noise = 1.0 + 0.03 * (random.unit() + random.unit() - 1.0);
                let cost = cpu * dearer * slow * noise;
                let mut trial = trial(index, round, engine, interface, format, cost, rss + 0.1 * random.unit());
                if round == 0 {
                    trial.server.syscalls_per_request = Some(syscalls);
                }
                spoil(&mut trial);
                latencies(&mut trial, directory, &mut random);
                planned.push(plan_of(&trial));
                rows.push(trial);
            }
        }
    }
    let lines: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
    fs::write(directory.join("trials.jsonl"), lines).unwrap();
    let plan = Plan {
        schema: 1,
        scenario: "demo".into(),
        question:
            "Does io_uring cost the server less CPU per request than epoll, and does the wire format change that?"
                .into(),
        seed: 20_260_101,
        rounds: ROUNDS,
        server_cpus: vec![0],
        generator_cpus: vec![1],
        calculator: None,
        trials: planned,
    };
    json(&directory.join("plan.json"), &plan);
    json(&directory.join("host.json"), &host());
    timeline(directory, &mut random);
}

/// The three trials that must not count.
fn spoil(trial: &mut Trial) {
    let (status, reason) = match (trial.engine.as_str(), trial.format.as_str(), trial.round) {
        ("monoio-epoll", "json", 3) => {
            (Status::Void, "schedule lag p99 4,120 µs, bound 1,000 µs: the generator was late")
        }
        ("tokio-uring", "raw", 2) => (Status::Failed, "server exited with signal 11 after 0.8 s"),
        ("tokio-uring", "protobuf", _) => {
            (Status::Unavailable, "io_uring is disabled: kernel.io_uring_disabled is 2, needed 0")
        }
        _ => return,
    };
    trial.status = status;
    trial.reason = Some(reason.into());
    if status != Status::Void {
        trial.histograms.clear();
        (trial.completed, trial.rate_achieved) = (0, 0.0);
        trial.server = ServerCost::default();
    }
}

fn load() -> Load {
    Load {
        mode: "open".into(),
        arrivals: Some("poisson".into()),
        rate: Some(20_000.0),
        connections: 64,
        in_flight: 4,
        payload_bytes: 64,
        add_share: None,
        page: None,
        warmup_seconds: 0.3,
        measure_seconds: 2.0,
    }
}

#[expect(clippy::cast_sign_loss, reason = "sizes are positive")]
fn trial(index: u32, round: u32, engine: &str, interface: &str, format: &str, cost: f64, rss: f64) -> Trial {
    Trial {
        schema: 1,
        index,
        round,
        pass: if round == 0 { Pass::Syscalls } else { Pass::Timing },
        engine: engine.into(),
        twin_of: (engine == "mio-again").then(|| "mio".into()),
        interface: interface.into(),
        protocol: "http1".into(),
        service: "note".into(),
        format: format.into(),
        load: load(),
        status: Status::Ok,
        reason: None,
        limiter: Some("offered-rate".into()),
        started_unix_ms: START + u64::from(index) * 2_500,
        measured_seconds: 2.0,
        due: None,
        completed: 40_000,
        rate_achieved: 20_000.0 - f64::from(index % 7),
        errors: BTreeMap::new(),
        response: Latency::default(),
        service_time: Latency::default(),
        slices: Vec::new(),
        histograms: BTreeMap::from([("response".into(), format!("histograms/{index:04}-response"))]),
        flame: None,
        server: ServerCost {
            cpu_us_per_request: cost,
            cpu_user_us_per_request: cost * 0.3,
            cpu_system_us_per_request: cost * 0.7,
            box_cpu_us_per_request: cost * 2.4,
            core_share: cost * 0.02,
            context_switches_voluntary_per_request: 0.2,
            context_switches_involuntary_per_request: 0.01,
            rss_bytes: (rss * 1_048_576.0) as u64,
            threads: 1,
            ..ServerCost::default()
        },
        generator: GeneratorCost {
            cpu_us_per_request: 6.0,
            core_share: 0.12,
            schedule_lag: Latency { count: 40_000, p99_us: 38.0, ..Latency::default() },
        },
        surroundings: Surroundings::default(),
        ready: serde_json::Value::Null,
        counters: serde_json::Value::Null,
    }
}

fn plan_of(trial: &Trial) -> PlannedTrial {
    PlannedTrial {
        index: trial.index,
        round: trial.round,
        pass: trial.pass,
        engine: trial.engine.clone(),
        twin_of: trial.twin_of.clone(),
        interface: trial.interface.clone(),
        protocol: trial.protocol.clone(),
        service: trial.service.clone(),
        format: trial.format.clone(),
        load: trial.load.clone(),
    }
}

/// A body around nine CPU costs, a long tail, and its file.
#[expect(clippy::cast_sign_loss, reason = "latencies are positive")]
fn latencies(trial: &mut Trial, directory: &Path, random: &mut SplitMix64) {
    let Some(path) = trial.histograms.get("response") else { return };
    let mut histogram = Histogram::<u64>::new_with_max(60_000_000_000, 3).unwrap();
    let body = trial.server.cpu_us_per_request * 9.0;
    for _ in 0..2_000 {
        let normal = (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
        let tail = if random.unit() < 0.03 { 4.0 + 40.0 * random.unit() * random.unit() } else { 1.0 };
        histogram.record_n(((body * (0.25 * normal).exp() * tail) * 1e3) as u64, 20).unwrap();
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    trial.response = Latency {
        count: histogram.len(),
        mean_us: histogram.mean() / 1e3,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        p9999_us: at(0.9999),
        max_us: histogram.max() as f64 / 1e3,
    };
    trial.service_time = trial.response.clone();
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    fs::write(directory.join(format!("{path}.hdr")), bytes).unwrap();
}

fn timeline(directory: &Path, random: &mut SplitMix64) {
    let sample = |second: u32| {
        let (phase, jitter) = (f64::from(second % 5), random.unit());
        let busy = if phase < 0.5 { 0.2 } else { 0.62 + 0.05 * jitter };
        let share = |part: f64| busy * part;
        let modes = [("user", 0.3), ("system", 0.52), ("softirq", 0.16), ("irq", 0.01), ("steal", 0.01)];
        let mut cpu: BTreeMap<String, f64> =
            modes.iter().map(|(mode, part)| ((*mode).to_owned(), share(*part))).collect();
        cpu.insert("idle".into(), 1.0 - busy);
        HostSample {
            at_seconds: f64::from(second + 1),
            trial: Some(second / 3),
            cpu,
            context_switches_per_second: 52_000.0 * busy + 4_000.0 * jitter,
            softirqs_per_second: 41_000.0 * busy + 2_000.0 * jitter,
            tcp_in_use: if phase < 0.5 { 9 } else { 137 },
            tcp_time_wait: u64::from(second % 5) * 3,
            memory_available_bytes: 20 << 30,
        }
    };
    let lines: String = (0..215).map(sample).map(|sample| serde_json::to_string(&sample).unwrap() + "\n").collect();
    fs::write(directory.join("timeline.jsonl"), lines).unwrap();
}

fn host() -> Fingerprint {
    let group = |name: &str, facts: &[(&str, &str)]| FactGroup {
        name: name.into(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    Fingerprint {
        schema: 1,
        command: vec!["lab".into(), "demo".into()],
        started: "2026-01-01T12:00:00Z".into(),
        commit: Some("0123456789abcdef".into()),
        profile: "measured".into(),
        groups: vec![
            group(
                "cpu",
                &[
                    ("model", "Example 2.0 GHz <virtual>"),
                    ("logical cores", "2"),
                    ("governor", "performance"),
                    ("mitigations", "retpoline; IBPB"),
                ],
            ),
            group("kernel", &[("release", "6.18.0"), ("clocksource", "tsc")]),
            group("network", &[("congestion control", "cubic"), ("conntrack", "off")]),
            group("limits", &[("open files", "20000"), ("somaxconn", "4096")]),
        ],
    }
}

fn json(path: &Path, value: &impl serde::Serialize) {
    fs::write(path, serde_json::to_vec_pretty(value).unwrap()).unwrap();
}
