//! Whether a measured trial counts, and what kept it from going faster. Pure: rows in, judgement out.

use crate::load::Pacing;
use crate::plan::Cpus;
use crate::result::{Pass, Status, Trial};
use crate::scenario::VoidsPart;
use crate::target;

/// Share of its cores from which a process is called saturated. A core that sleeps for less than a
/// twentieth of a window has nothing left to give that the schedule could use.
const SATURATED: f64 = 0.95;

/// Errors that mean the server is wrong rather than slow.
const WRONG: [&str; 2] = ["protocol", "wrong-reply"];

/// What was decided about a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Whether it counts.
    pub status: Status,
    /// Why not.
    pub reason: Option<String>,
    /// What kept the rate from being higher.
    pub limiter: Option<String>,
}

/// Judges `row`, whose `reason` may hold what the generator said about its first error.
pub fn judge(row: &Trial, voids: &VoidsPart, cpus: &Cpus) -> Judged {
    let limiter = limiter(row, voids, cpus);
    let (status, reason) = if let Some(reason) = failure(row) {
        (Status::Failed, Some(reason))
    } else if let Some(reason) = void(row, voids, &limiter) {
        (Status::Void, Some(reason))
    } else {
        (Status::Ok, None)
    };
    Judged { status, reason, limiter: Some(limiter) }
}

/// What limited the rate.
fn limiter(row: &Trial, voids: &VoidsPart, cpus: &Cpus) -> String {
    let server = row.server.core_share / cpus.server.len().max(1) as f64;
    let generator = row.generator.core_share / cpus.generator.len().max(1) as f64;
    let name = if row.load.rate.is_some() && short(row, voids).is_none() {
        "offered-rate"
    } else if server >= SATURATED {
        "server-cpu"
    } else if generator >= SATURATED {
        "generator-cpu"
    } else {
        "in-flight"
    };
    name.to_owned()
}

/// Who fell short of the rate, and how many requests came up a second.
enum Short {
    Server(f64),
    Generator(f64),
}

/// Whether replies fell short of the requests that came up in the window, or these of the rate. How many come up is up to chance with
/// Poisson arrivals, and is counted; so little is needed to see a server that falls behind by a little. Rows of older labs do not
/// have that count, and are held to the rate.
fn short(row: &Trial, voids: &VoidsPart) -> Option<Short> {
    let rate = row.load.rate?;
    let seconds = row.measured_seconds.max(f64::MIN_POSITIVE);
    let arrivals = row.load.arrivals.as_deref().unwrap_or_default();
    let least = 1.0 - voids.rate_shortfall;
    // A burst that comes up at the end of the window is answered behind it.
    let burst = match Pacing::at_once(arrivals) {
        1 => 0.0,
        size => f64::from(size) / seconds,
    };
    let came = row.due.map_or(rate, |due| due as f64 / seconds);
    if row.rate_achieved < came * least - burst {
        return Some(Short::Server(came));
    }
    // Four standard deviations of a Poisson count.
    let chance = if arrivals == "poisson" { 4.0 * (rate * seconds).sqrt() / seconds } else { 0.0 };
    (came < rate * least - burst - chance).then_some(Short::Generator(came))
}

/// Why the trial failed: the server was wrong, or the run ended before its time.
fn failure(row: &Trial) -> Option<String> {
    let said = row.reason.as_deref().unwrap_or("no example");
    if let Some((kind, count)) = row.errors.iter().find(|(kind, _)| WRONG.contains(&kind.as_str())) {
        return Some(format!("{count} replies were wrong ({kind}), the first: {said}"));
    }
    if row.completed == 0 {
        return Some(format!("no request was completed: {said}"));
    }
    if row.interface == target::INTERFACE && row.server.cpu_us_per_request == 0.0 {
        return Some(format!(
            "{} requests were answered without any CPU time of the processes that were named: somebody else listens at that \
             address, or they have ended",
            row.completed
        ));
    }
    let lost: u64 = ["closed", "reset"].iter().filter_map(|kind| row.errors.get(*kind)).sum();
    (lost > 0).then(|| format!("connections were lost with {lost} requests on them: {said}"))
}

/// Why the trial does not count.
fn void(row: &Trial, voids: &VoidsPart, limiter: &str) -> Option<String> {
    if row.pass == Pass::Flame {
        // The stacks of a server that has too much to do are its stacks all the same.
        return None;
    }
    if let Some((kind, count)) = row.errors.iter().next() {
        return Some(format!("{count} requests ended in {kind}"));
    }
    if row.pass == Pass::Syscalls {
        // Counts do not suffer from a busy box, and tracing delays whatever is traced.
        return None;
    }
    if let Some(rate) = row.load.rate {
        let lag = row.generator.schedule_lag.p99_us;
        if lag > voids.schedule_lag_p99_us {
            return Some(format!(
                "the schedule lagged: p99 {lag:.0} µs, at most {:.0} µs (voids.schedule_lag_p99_us)",
                voids.schedule_lag_p99_us
            ));
        }
        if let Some(wanted) = short(row, voids) {
            let (achieved, knob) = (row.rate_achieved, "voids.rate_shortfall");
            return Some(match wanted {
                Short::Server(came) => {
                    format!("rate {achieved:.0}/s of {came:.0}/s was reached, limited by {limiter} ({knob})")
                }
                Short::Generator(came) => format!("rate {came:.0}/s of {rate:.0}/s was offered ({knob})"),
            });
        }
    }
    if limiter == "generator-cpu" {
        return Some(format!(
            "the load generator was the bottleneck: {:.0} % of its CPU, the server {:.0} %",
            row.generator.core_share * 100.0,
            row.server.core_share * 100.0
        ));
    }
    let shares = [
        ("the hypervisor took", row.surroundings.steal_share, voids.steal_share, "voids.steal_share"),
        (
            "other processes took",
            row.surroundings.foreign_cpu_share,
            voids.foreign_cpu_share,
            "voids.foreign_cpu_share",
        ),
    ];
    shares.iter().find(|(_, seen, most, _)| seen > most).map(|(who, seen, most, knob)| {
        format!("{who} {:.1} % of the CPU, at most {:.1} % ({knob})", seen * 100.0, most * 100.0)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A trial of a quiet box: `due` requests came up in a second of 1,000 a second, and `answered` replies came in it.
    fn judged(arrivals: &str, due: Option<u64>, answered: u64) -> Judged {
        let latency = json!({"count": 1000, "mean_us": 900.0, "p50_us": 800.0, "p90_us": 1500.0, "p99_us": 2000.0,
            "p999_us": 3000.0, "p9999_us": 3500.0, "max_us": 4000.0});
        let row = json!({
            "schema": 1, "index": 0, "round": 1, "pass": "timing", "engine": "mio", "interface": "epoll", "protocol": "frame",
            "service": "echo", "format": "raw", "status": "ok", "started_unix_ms": 1, "measured_seconds": 1.0,
            "load": {"mode": "open", "arrivals": arrivals, "rate": 1000.0, "connections": 10, "in_flight": 1, "payload_bytes": 64,
                "warmup_seconds": 0.1, "measure_seconds": 1.0},
            "due": due, "completed": due.unwrap_or(1000), "rate_achieved": answered, "response": latency, "service_time": latency,
            "server": {"cpu_us_per_request": 5.0, "cpu_user_us_per_request": 1.0, "cpu_system_us_per_request": 4.0,
                "box_cpu_us_per_request": 9.0, "core_share": 0.4, "context_switches_voluntary_per_request": 1.0,
                "context_switches_involuntary_per_request": 0.0, "rss_bytes": 1_000_000, "threads": 1},
            "generator": {"cpu_us_per_request": 5.0, "core_share": 0.3, "schedule_lag": latency},
            "surroundings": {"steal_share": 0.0, "foreign_cpu_share": 0.0, "listen_overflows": 0, "retransmits": 0}
        });
        let cpus = Cpus { server: vec![0], generator: vec![1], observer: vec![1] };
        judge(&serde_json::from_value(row).unwrap(), &VoidsPart::default(), &cpus)
    }

    /// A server that answers three of a hundred requests behind the window has fallen behind, whatever the latencies say.
    #[test]
    fn mild_overload_does_not_count() {
        let void = judged("poisson", Some(1_010), 979);
        assert_eq!((void.status, void.limiter.as_deref()), (Status::Void, Some("in-flight")));
        assert!(void.reason.unwrap().starts_with("rate 979/s of 1010/s was reached"));
        assert_eq!(judged("poisson", Some(1_010), 1_000).status, Status::Ok);
    }

    /// Few Poisson arrivals are no shortfall of the server's when it answered them, as long as chance explains their number.
    #[test]
    fn few_arrivals_are_not_the_servers_fault() {
        let ok = judged("poisson", Some(930), 929);
        assert_eq!((ok.status, ok.limiter.as_deref()), (Status::Ok, Some("offered-rate")));
        let few = judged("poisson", Some(800), 800);
        assert!(few.reason.unwrap().starts_with("rate 800/s of 1000/s was offered"));
        assert_eq!(judged("constant", Some(930), 930).status, Status::Void);
    }

    /// The replies to a burst at the window's end come behind it; rows without a count of arrivals are held to the rate.
    #[test]
    fn bursts_and_older_rows() {
        assert_eq!(judged("burst:100", Some(1_000), 900).status, Status::Ok);
        assert_eq!(judged("burst:100", Some(1_000), 800).status, Status::Void);
        assert_eq!(judged("constant", None, 990).status, Status::Ok);
        assert_eq!(judged("constant", None, 900).status, Status::Void);
    }
}
