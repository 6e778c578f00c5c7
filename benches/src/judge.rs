//! Whether a measured trial counts, and what kept it from going faster. Pure: rows in, judgement out.

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
    let reached = row.load.rate.is_some_and(|rate| row.rate_achieved >= rate * (1.0 - voids.rate_shortfall));
    let name = if reached {
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
        if row.rate_achieved < rate * (1.0 - voids.rate_shortfall) {
            return Some(format!("rate {:.0}/s of {rate:.0}/s was reached, limited by {limiter}", row.rate_achieved));
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
