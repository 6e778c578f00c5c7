//! A plan in words: processes, descriptors, addresses, ports, namespace, memory, and the limit that is in the way.

use std::fmt::Write as _;

use super::plan::{Plan, Spread};
use super::session::Place;
use crate::engines::Engine;

/// The plan as text.
pub fn explain(plan: &Plan, place: &Place, engine: &Engine) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12}{what}");
    };
    let (shards, holders) = (plan.shards.len(), plan.holders.len());
    let most = |counts: &mut dyn Iterator<Item = u32>| counts.max().unwrap_or_default();
    line("users", format!("{} on {} ({})", plan.users, engine.name, engine.interface));
    line(
        "servers",
        format!(
            "{shards} {}, {} users each at most, on CPU {:?}, {}",
            processes(shards),
            most(&mut plan.shards.iter().map(|shard| shard.users)),
            place.cpus.server,
            match plan.spread {
                Spread::Address => "an address each",
                Spread::Reuseport => "one address for all (SO_REUSEPORT)",
            }
        ),
    );
    line(
        "generators",
        format!(
            "{holders} {}, {} connections each at most, on CPU {:?}",
            processes(holders),
            most(&mut plan.holders.iter().map(|holder| holder.users)),
            place.cpus.generator
        ),
    );
    line(
        "descriptors",
        format!(
            "RLIMIT_NOFILE {} gives {} connections a process; {} files on the whole box",
            place.limits.open_files,
            plan.per_process,
            2 * u64::from(plan.users)
        ),
    );
    let sources: Vec<_> = plan.holders.iter().flat_map(|holder| &holder.sources).collect();
    let (first, last) = place.limits.ports;
    if let (Some(from), Some(to)) = (sources.first(), sources.last()) {
        line(
            "addresses",
            format!(
                "{} source addresses from {from} to {to}, {} ports each ({first} to {last}), a port chosen at connect",
                sources.len(),
                last + 1 - first
            ),
        );
    }
    line("namespace", place.namespace.describe());
    line("memory", format!("about {} MiB of {} MiB available:", plan.memory >> 20, place.limits.memory >> 20));
    for part in &plan.forecast {
        let each = match part.bytes_per_connection {
            0 => String::new(),
            bytes => format!("{bytes:>6} B/user"),
        };
        let _ = writeln!(text, "  {:<17}{:>7} MiB {each:<13}  {}", part.name, part.bytes >> 20, part.what);
    }
    let refusals = plan.refusals(&place.limits);
    if refusals.is_empty() {
        text.push_str("nothing is in the way\n");
    }
    for refusal in refusals {
        let _ = writeln!(text, "in the way: {refusal}");
    }
    text
}

fn processes(count: usize) -> &'static str {
    if count == 1 { "process" } else { "processes" }
}
