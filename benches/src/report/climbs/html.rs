//! `report.html` of climbs: curves over the number of users, the tables, and how it was measured.

use anyhow::{Context, Result};
use askama::Template as _;

use super::{Run, table};
use crate::climb::memory::Memory;
use crate::climb::result::{Broadcast, Climb, Plateau, Window};
use crate::report::page::{Legend, Page, Section, facts};
use crate::report::palette::{css, slot};
use crate::report::plots::{self, Curve};
use crate::report::svg::swatch;
use crate::report::words::{grouped, number};
use crate::result::Status;

/// How it was measured and what is wrong with that.
const METHOD: [&str; 6] = [
    "Both ends run on one box over loopback: no network card, no wire. A sender does its peer's receive work in softirq, so part of the servers' cost is charged to the generators and the other way round; only the whole box's CPU has all of it.",
    "The fleet is as many server and generator processes as the descriptor limit asks for, servers on one set of CPUs and generators on another, in a network namespace of its own. With many processes on one core the kernel switches between them, which a server in one process would not see.",
    "Bytes per user are slopes by least squares over all plateaus, the empty one included: what a process costs by itself is not in them. Server memory is the proportional set size of the servers; kernel memory is slab, both ends of every connection.",
    "At each plateau a share of the users sends in open loop: a request has an intended send time and its response time counts from there. The users that send lie evenly among all. Percentiles are of all generators' histograms added together.",
    "System calls are counted in a pass of its own after each load, since tracing slows whoever makes more of them.",
    "Every reply is checked. Connections count once a request on the last one of each slice of 2,000 was answered right, so that none of them waits in an accept queue. Loads whose generators were late or saturated, or whose box was busy with other things, are void: shown, and left out of the curves.",
];

/// The whole page.
pub(super) fn render(run: &Run) -> Result<String> {
    let host = run.host.as_ref();
    Page {
        palette: css(),
        scenario: run.plan.as_ref().map_or("climbs", |plan| &plan.scenario),
        headline: table::headline(run),
        question: run.plan.as_ref().map_or("", |plan| plan.question.trim()),
        sound: run.climbs.iter().any(|climb| climb.status == Status::Ok),
        legend: legend(run),
        sections: sections(run),
        tables: table::grids(run, table::Plateaus::All),
        notes: table::notes(run),
        timeline: plots::timeline(&run.timeline),
        facts: host.map(facts).unwrap_or_default(),
        groups: host.map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

fn legend(run: &Run) -> Vec<Legend> {
    engines(run)
        .into_iter()
        .map(|climb| Legend {
            swatch: swatch(slot(&climb.engine, None)),
            name: climb.engine.clone(),
            interface: climb.interface.clone(),
        })
        .collect()
}

/// The first climb of each engine, in the order of their names.
fn engines(run: &Run) -> Vec<&Climb> {
    let mut seen: Vec<&Climb> = Vec::new();
    for climb in &run.climbs {
        if !seen.iter().any(|other| other.engine == climb.engine) {
            seen.push(climb);
        }
    }
    seen.sort_by(|a, b| a.engine.cmp(&b.engine));
    seen
}

/// Memory first, then one section for each kind of chatter.
fn sections(run: &Run) -> Vec<Section> {
    let memory: [(&str, fn(&Memory) -> u64); 2] =
        [("The servers' own memory", |memory| memory.servers_pss), ("Slab of both ends", |memory| memory.slab)];
    let protocols = distinct(run.climbs.iter().map(|climb| climb.protocol.clone()));
    let panels = protocols.iter().flat_map(|protocol| {
        memory.iter().enumerate().filter_map(move |(place, (caption, of))| {
            let value = |plateau: &Plateau| Some(of(&plateau.memory) as f64 / f64::from(1 << 20));
            let curves = over_users(run, |climb| climb.protocol == *protocol, value);
            plots::curves(&format!("memory-{place}-{protocol}"), &format!("{caption}, {protocol}"), "MiB", &curves)
        })
    });
    let mut sections = vec![Section {
        id: "memory".into(),
        title: "Memory".into(),
        text: "What all users together take. The slope of these lines is the price of a user; the table has it with its interval.".into(),
        panels: panels.collect(),
    }];
    for (place, (share, arrivals)) in kinds(run).into_iter().enumerate() {
        sections.push(chatter(run, place, share, &arrivals));
    }
    sections.extend(tellings(run).into_iter().enumerate().map(|(place, told)| telling(run, place, &told)));
    sections.retain(|section| !section.panels.is_empty());
    sections
}

/// Shares and arrivals that were offered, in their order.
fn kinds(run: &Run) -> Vec<(f64, String)> {
    let windows = run.climbs.iter().flat_map(|climb| &climb.plateaus).flat_map(|plateau| &plateau.windows);
    distinct(windows.map(|window| (window.active_share, window.arrivals.clone())))
}

/// Each value once, in the order in which they come.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// What a kind of chatter costs, by format.
fn chatter(run: &Run, place: usize, share: f64, arrivals: &str) -> Section {
    let figures: [(&str, &str, fn(&Window) -> Option<f64>); 4] = [
        ("99th percentile of response time", "µs", |window| Some(window.response.p99_us)),
        ("Server CPU per request", "µs", |window| Some(window.server.cpu_us_per_request)),
        ("Whole box's CPU per request", "µs", |window| Some(window.server.box_cpu_us_per_request)),
        ("System calls per request", "calls", |window| window.server.syscalls_per_request),
    ];
    let mut formats: Vec<&str> = run.climbs.iter().map(|climb| climb.format.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    let mut panels = Vec::new();
    for (number, (caption, unit, of)) in figures.iter().enumerate() {
        for format in &formats {
            let value = |plateau: &Plateau| {
                let windows = plateau.windows.iter().filter(|window| window.void.is_none());
                windows.filter(|window| window.active_share == share && window.arrivals == arrivals).find_map(of)
            };
            let curves = over_users(run, |climb| climb.format == *format, value);
            let id = format!("chatter-{place}-{number}-{format}");
            panels.extend(plots::curves(&id, &format!("{caption}, {format}"), unit, &curves));
        }
    }
    Section {
        id: format!("chatter-{place}"),
        title: format!("{} % of the users chatter, {arrivals} arrivals", number(share * 100.0)),
        text: "A request a second and active user unless the scenario says otherwise; all other users are connected and silent.".into(),
        panels,
    }
}

/// A kind of events.
#[derive(PartialEq)]
struct Told<'a> {
    protocol: &'a str,
    format: &'a str,
    bytes: u32,
    serialise: &'a str,
}

/// The kinds of events that were told at plateaus.
fn tellings(run: &Run) -> Vec<Told<'_>> {
    let kinds = run.climbs.iter().flat_map(|climb| {
        climb.plateaus.iter().flat_map(told).map(|told| Told {
            protocol: &climb.protocol,
            format: &climb.format,
            bytes: told.bytes,
            serialise: &told.serialise,
        })
    });
    distinct(kinds)
}

/// The events that were told at a plateau.
fn told(plateau: &Plateau) -> impl Iterator<Item = &Broadcast> {
    plateau.life.iter().filter_map(|life| life.broadcast.as_ref())
}

/// What it takes to tell everybody an event.
fn telling(run: &Run, place: usize, kind: &Told<'_>) -> Section {
    let figures: [(&str, &str, fn(&Broadcast) -> Option<f64>); 4] = [
        ("From the order to the last user", "ms", |told| Some(told.last_us / 1e3)),
        ("From the order to half of the users", "ms", |told| Some(told.delivery.p50_us / 1e3)),
        ("Server CPU per delivery", "µs", |told| Some(told.server_cpu_us)),
        ("System calls per delivery", "calls", |told| told.syscalls),
    ];
    let panels = figures.iter().enumerate().filter_map(|(number, (caption, unit, of))| {
        let value = |plateau: &Plateau| {
            told(plateau).find(|told| told.bytes == kind.bytes && told.serialise == kind.serialise).and_then(of)
        };
        let curves = over_users(run, |climb| climb.protocol == kind.protocol && climb.format == kind.format, value);
        plots::curves(&format!("told-{place}-{number}"), caption, unit, &curves)
    });
    let how = if kind.serialise == "once" { "once for all connections" } else { "anew for each connection" };
    Section {
        id: format!("told-{place}"),
        title: format!(
            "An event of {} bytes to all users over {}, its message made {how}",
            grouped(f64::from(kind.bytes)),
            kind.protocol
        ),
        text: "All servers begin at one moment, from which the times count; every user hears the event once, and each byte of it is checked.".into(),
        panels: panels.collect(),
    }
}

/// A curve for each engine: the median over its rounds at each plateau.
fn over_users(run: &Run, of: impl Fn(&Climb) -> bool, value: impl Fn(&Plateau) -> Option<f64>) -> Vec<Curve> {
    let curve = |engine: &Climb| {
        let climbs = run.climbs.iter().filter(|climb| climb.engine == engine.engine && of(climb));
        let mut by_users = std::collections::BTreeMap::<u32, Vec<f64>>::new();
        for plateau in climbs.flat_map(|climb| &climb.plateaus).filter(|plateau| plateau.users > 0) {
            if let Some(value) = value(plateau).filter(|value| *value > 0.0) {
                by_users.entry(plateau.users).or_default().push(value);
            }
        }
        let points =
            by_users.into_iter().filter_map(|(users, values)| Some((f64::from(users), crate::stats::median(&values)?)));
        Curve { name: engine.engine.clone(), slot: slot(&engine.engine, None), points: points.collect() }
    };
    engines(run).into_iter().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}
