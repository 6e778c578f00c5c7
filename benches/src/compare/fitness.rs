//! Whether two results may be compared at all: same machine, same way of measuring, clean commits.

use super::source::Source;
use crate::result::{Fingerprint, SCHEMA};

/// Groups of the fingerprint that must be the same.
const GROUPS: [&str; 6] = ["cpu", "memory", "kernel", "limits", "network", "io_uring"];

/// Facts that differ from one minute to the next on one machine.
const PASSING: [&str; 4] =
    ["available at start", "MHz", "net.netfilter.nf_conntrack_count", "net.ipv4.tcp_available_congestion_control"];

/// Versions that must be the same: a compiler changes every figure. Those of the crates under test are what is compared.
const VERSIONS: [&str; 2] = ["lab", "rustc"];

/// Facts listed one by one; further ones are counted.
const LISTED: usize = 8;

/// Every reason against comparing; none when the two are fit.
pub(super) fn reasons(before: &Source, after: &Source) -> Vec<String> {
    let mut reasons = schema(before, after);
    match (before.host(), after.host()) {
        (Some(first), Some(second)) => {
            reasons.extend(machine(first, second));
            reasons.extend(build(first, second));
        }
        (first, second) => {
            for (side, host) in [("the baseline", first), ("the other result", second)] {
                if host.is_none() {
                    reasons.push(format!("{side} has no readable host.json: nobody can tell which machine it is of"));
                }
            }
        }
    }
    if let (Some(first), Some(second)) = (before.cpus(), after.cpus())
        && first != second
    {
        reasons.push(format!(
            "servers ran on CPU {:?} and generators on {:?}, then on {:?} and {:?}",
            first.0, first.1, second.0, second.1
        ));
    }
    reasons
}

fn schema(before: &Source, after: &Source) -> Vec<String> {
    let (first, second) = (before.schemas(), after.schemas());
    let mut reasons = Vec::new();
    if first != second {
        reasons.push(format!("rows have schema {first:?} and {second:?}: their fields may not mean the same"));
    }
    if let Some(newer) = first.iter().chain(&second).find(|schema| **schema > SCHEMA) {
        reasons.push(format!("rows have schema {newer}, this lab knows {SCHEMA}: use the lab that wrote them"));
    }
    reasons
}

/// Facts of the machine that differ.
fn machine(first: &Fingerprint, second: &Fingerprint) -> Vec<String> {
    let mut differences = Vec::new();
    for group in GROUPS {
        for name in names(first, second, group) {
            let (one, other) = (fact(first, group, &name), fact(second, group, &name));
            if one != other && !PASSING.contains(&name.as_str()) {
                let show = |value: Option<&str>| {
                    value.map_or_else(|| "not recorded".to_owned(), |value| format!("{value:.60}"))
                };
                differences.push(format!("{name} is {} and {}", show(one), show(other)));
            }
        }
    }
    let more = differences.len().saturating_sub(LISTED);
    let mut reasons: Vec<String> =
        differences.into_iter().take(LISTED).map(|difference| format!("machines differ: {difference}")).collect();
    if more > 0 {
        reasons.push(format!("machines differ in {more} further facts; host.json has all of them"));
    }
    reasons
}

fn build(first: &Fingerprint, second: &Fingerprint) -> Vec<String> {
    let mut reasons = Vec::new();
    if first.profile != second.profile {
        reasons.push(format!("servers were built with profile {} and {}", first.profile, second.profile));
    }
    for (side, host) in [("the baseline", first), ("the other result", second)] {
        match &host.commit {
            None => reasons
                .push(format!("{side} does not know its commit: measure from a checkout, with --profile measured")),
            Some(commit) if commit.ends_with("+changes") => {
                reasons.push(format!("{side} was built from {commit:.12} with changes: commit them first"));
            }
            Some(_) => {}
        }
    }
    for name in VERSIONS {
        let (one, other) = (fact(first, "versions", name), fact(second, "versions", name));
        if one != other {
            reasons.push(format!("{name} is {} and {}", one.unwrap_or("unknown"), other.unwrap_or("unknown")));
        }
    }
    reasons
}

/// Crates under test whose versions differ, for the notes.
pub(super) fn crates(before: &Source, after: &Source) -> Vec<String> {
    let (Some(first), Some(second)) = (before.host(), after.host()) else { return Vec::new() };
    let differs = |name: &String| {
        !VERSIONS.contains(&name.as_str()) && fact(first, "versions", name) != fact(second, "versions", name)
    };
    let show = |name: String| {
        let (one, other) = (fact(first, "versions", &name), fact(second, "versions", &name));
        format!("{name} {} → {}", one.unwrap_or("absent"), other.unwrap_or("absent"))
    };
    names(first, second, "versions").into_iter().filter(differs).map(show).collect()
}

/// Names of a group's facts on either side.
fn names(first: &Fingerprint, second: &Fingerprint, group: &str) -> Vec<String> {
    let mut names = Vec::new();
    for host in [first, second] {
        let facts = host.groups.iter().filter(|other| other.name == group).flat_map(|group| &group.facts);
        for (name, _) in facts {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

fn fact<'a>(host: &'a Fingerprint, group: &str, name: &str) -> Option<&'a str> {
    let group = host.groups.iter().find(|other| other.name == group)?;
    group.facts.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}
