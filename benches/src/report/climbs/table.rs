//! Tables of climbs, for the terminal and for Markdown.

use std::fmt::Write as _;

use super::Run;
use crate::climb::forecast::{objects, server_end};
use crate::climb::result::{Climb, Life, Plateau, Window};
use crate::report::grid::Grid;
use crate::report::page::machine;
use crate::report::words::{NOTHING, grouped, number, optional};
use crate::result::Status;

/// Caches listed by name; further ones are small.
const CACHES: usize = 12;

/// Notes on the terminal.
const NOTES: usize = 8;

/// Plateaus of which loads are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plateaus {
    /// All.
    All,
    /// The highest one of each climb.
    Top,
}

/// What the run says in a sentence or two.
pub(super) fn headline(run: &Run) -> String {
    let sentences: Vec<String> = match run.climbs.as_slice() {
        [] => vec!["No climb was finished.".to_owned()],
        [one] => vec![sentence(one)],
        many => {
            let held = many.iter().filter(|climb| climb.status == Status::Ok).count();
            let top = many.iter().map(|climb| climb.users).max().unwrap_or_default();
            let mut all =
                vec![format!("{held} of {} climbs to {} connected users count.", many.len(), grouped(f64::from(top)))];
            all.extend(leanest(many));
            all
        }
    };
    sentences.join(" ")
}

/// Which server takes the least memory of its own for an idle user.
fn leanest(climbs: &[Climb]) -> Option<String> {
    let of = |climb: &Climb| climb.slopes.as_ref().map(|slopes| slopes.server_user.bytes);
    let counted = climbs.iter().filter(|climb| climb.status == Status::Ok && of(climb).is_some());
    let (least, most) = counted.fold((None::<&Climb>, None::<&Climb>), |(least, most), climb| {
        let less = |other: &Climb| of(climb) < of(other);
        (
            Some(least.filter(|other| !less(other)).unwrap_or(climb)),
            Some(most.filter(|other| of(climb) <= of(other)).unwrap_or(climb)),
        )
    });
    let (least, most) = (least?, most?);
    if least.engine == most.engine {
        return Some(format!(
            "An idle user takes {} bytes of the server's own memory on {}.",
            grouped(of(least)?.max(0.0)),
            least.engine
        ));
    }
    Some(format!(
        "An idle user takes {} bytes of the server's own memory on {} and {} on {}.",
        grouped(of(least)?.max(0.0)),
        least.engine,
        grouped(of(most)?.max(0.0)),
        most.engine
    ))
}

fn sentence(climb: &Climb) -> String {
    let users = grouped(f64::from(climb.users));
    let reason = climb.reason.as_deref().unwrap_or("no reason given");
    match (&climb.status, &climb.hold) {
        (Status::Unavailable, _) => format!("{} cannot run here: {reason}", climb.engine),
        (Status::Void, _) => format!("The climb of {} does not count: {reason}", climb.engine),
        (Status::Failed, _) => format!("{} did not hold {users} connected users: {reason}", climb.engine),
        (Status::Ok, Some(hold)) => format!(
            "{} held {users} connected users for {} s: {} lost, {} of {} random users got the right reply; set up in {:.1} s.",
            climb.engine,
            number(hold.seconds),
            hold.lost,
            grouped(f64::from(hold.probed_before.1 + hold.probed_after.1)),
            grouped(f64::from(hold.probed_before.0 + hold.probed_after.0)),
            connect_seconds(climb)
        ),
        (Status::Ok, None) => format!("{} served {users} connected users.", climb.engine),
    }
}

fn connect_seconds(climb: &Climb) -> f64 {
    climb.plateaus.iter().map(|plateau| plateau.connect_seconds).sum()
}

/// Everything for the terminal.
pub(super) fn render(run: &Run) -> String {
    let mut text = format!("{}\n\n", headline(run));
    for (title, grid) in grids(run, Plateaus::Top) {
        let _ = write!(text, "{title}\n{}\n\n", grid.terminal());
    }
    let notes = notes(run);
    for note in notes.iter().take(NOTES) {
        let _ = writeln!(text, "{note}");
    }
    if notes.len() > NOTES {
        let _ =
            writeln!(text, "and {} further notes; report.md has all of them, and every plateau", notes.len() - NOTES);
    }
    text
}

/// `report.md`.
pub(super) fn markdown(run: &Run) -> String {
    let name = run.plan.as_ref().map_or("climbs", |plan| &plan.scenario);
    let mut text = format!("# {name}\n\n{}\n", headline(run));
    if let Some(plan) = &run.plan {
        let _ = write!(text, "\n> {}\n", plan.question.trim().replace('\n', "\n> "));
    }
    for (title, grid) in grids(run, Plateaus::All) {
        let _ = write!(text, "\n## {title}\n\n{}", grid.markdown());
    }
    text.push('\n');
    for note in notes(run) {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str(&run.host.as_ref().map(machine).unwrap_or_default());
    text
}

pub(super) fn grids(run: &Run, plateaus: Plateaus) -> Vec<(String, Grid)> {
    let mut grids = vec![("Connected users".to_owned(), users(run))];
    let windows = windows(run, plateaus);
    if !windows.rows.is_empty() {
        grids.push(("Chatter: a share of the users says something, all others stay connected".to_owned(), windows));
    }
    let life = life(run);
    if !life.rows.is_empty() {
        grids.push(("What users did beside talking".to_owned(), life));
    }
    let broadcasts = broadcasts(run, plateaus);
    if !broadcasts.rows.is_empty() {
        grids.push(("One event told to all users".to_owned(), broadcasts));
    }
    if let [climb] = run.climbs.as_slice()
        && climb.slopes.as_ref().is_some_and(|slopes| !slopes.caches.is_empty())
    {
        grids.push(("Kernel objects of a connection, both ends, by slab cache".to_owned(), caches(climb)));
    }
    grids
}

fn users(run: &Run) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "users",
        "set-up s",
        "CPU µs/connect",
        "server B/user",
        "kernel B/user",
        "box B/user",
        "lost",
        "probed",
        "processes",
    ];
    let rows = run.climbs.iter().map(|climb| {
        let held = climb.plateaus.last().map_or(0, |plateau| plateau.users);
        let seconds = connect_seconds(climb);
        let cpu: f64 = climb.plateaus.iter().map(|plateau| plateau.connect_server_cpu_seconds).sum();
        let slope = |of: fn(&crate::climb::memory::Slopes) -> crate::climb::memory::Slope| {
            climb.slopes.as_ref().map(of).map_or_else(
                || NOTHING.to_owned(),
                |slope| format!("{} ±{}", grouped(slope.bytes), grouped(1.96 * slope.error)),
            )
        };
        let hold = climb.hold.as_ref();
        vec![
            climb.engine.clone(),
            format!("{} {}", climb.protocol, climb.format),
            grouped(f64::from(held)),
            format!("{seconds:.1}"),
            optional((held > 0).then(|| cpu * 1e6 / f64::from(held))),
            slope(|slopes| slopes.server_user),
            slope(|slopes| slopes.kernel),
            slope(|slopes| slopes.whole_box),
            hold.map_or_else(|| NOTHING.to_owned(), |hold| hold.lost.to_string()),
            hold.map_or_else(
                || NOTHING.to_owned(),
                |hold| {
                    let asked = hold.probed_before.0 + hold.probed_after.0;
                    format!(
                        "{}/{}",
                        grouped(f64::from(hold.probed_before.1 + hold.probed_after.1)),
                        grouped(f64::from(asked))
                    )
                },
            ),
            format!("{}+{}", climb.shards, climb.holders),
        ]
    });
    Grid { headings, rows: rows.collect(), text_columns: 2 }
}

fn windows(run: &Run, plateaus: Plateaus) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "arrivals",
        "users",
        "active",
        "requests/s",
        "CPU µs/req",
        "box µs/req",
        "sys/req",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
    ];
    let mut rows = Vec::new();
    for climb in &run.climbs {
        let top = climb.plateaus.len().saturating_sub(1);
        let shown = climb.plateaus.iter().enumerate().filter(|(place, _)| plateaus == Plateaus::All || *place == top);
        for (_, plateau) in shown {
            rows.extend(plateau.windows.iter().map(|window| chatter(climb, plateau, window)));
        }
    }
    Grid { headings, rows, text_columns: 3 }
}

fn chatter(climb: &Climb, plateau: &Plateau, window: &Window) -> Vec<String> {
    let mark = if window.void.is_some() { " void" } else { "" };
    vec![
        climb.engine.clone(),
        format!("{} {}", climb.protocol, climb.format),
        window.arrivals.clone(),
        grouped(f64::from(plateau.users)),
        format!("{} %", number(window.active_share * 100.0)),
        format!("{}{mark}", grouped(window.rate_achieved)),
        number(window.server.cpu_us_per_request),
        number(window.server.box_cpu_us_per_request),
        optional(window.server.syscalls_per_request),
        number(window.response.p50_us),
        number(window.response.p99_us),
        number(window.response.p999_us),
    ]
}

fn life(run: &Run) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "event",
        "users",
        "right replies",
        "served again p50 ms",
        "max ms",
        "server CPU s",
        "server MiB",
        "overflows",
        "verdict",
    ];
    let all = run.climbs.iter().flat_map(|climb| lives(climb, Plateaus::All).map(move |life| (climb, life)));
    let rows = all.filter(|(_, life)| life.broadcast.is_none()).map(|(climb, life)| {
        let served = |microseconds: f64| optional((life.served_again.count > 0).then_some(microseconds / 1e3));
        vec![
            climb.engine.clone(),
            format!("{} {}", climb.protocol, climb.format),
            life.kind.clone(),
            grouped(f64::from(life.affected)),
            format!("{}/{}", grouped(life.right as f64), grouped(life.asked as f64)),
            served(life.served_again.p50_us),
            served(life.served_again.max_us),
            number(life.server_cpu_seconds),
            format!("{:+.1}", life.server_memory_delta / f64::from(1 << 20)),
            life.listen_overflows.to_string(),
            life.verdict.clone().unwrap_or_else(|| "passed".to_owned()),
        ]
    });
    Grid { headings, rows: rows.collect(), text_columns: 3 }
}

/// What users did beside talking: at plateaus, then at the top.
fn lives(climb: &Climb, plateaus: Plateaus) -> impl Iterator<Item = &Life> {
    let top = climb.plateaus.len().saturating_sub(1);
    let shown = climb.plateaus.iter().enumerate().filter(move |(place, _)| plateaus == Plateaus::All || *place == top);
    shown.flat_map(|(_, plateau)| &plateau.life).chain(&climb.life)
}

fn broadcasts(run: &Run, plateaus: Plateaus) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "event",
        "users",
        "delivered",
        "first ms",
        "p50 ms",
        "p99 ms",
        "last ms",
        "CPU µs",
        "box µs",
        "sys",
        "wire B",
        "verdict",
    ];
    let mut rows = Vec::new();
    for climb in &run.climbs {
        for life in lives(climb, plateaus) {
            let Some(told) = &life.broadcast else { continue };
            let milliseconds = |microseconds: f64| number(microseconds / 1e3);
            rows.push(vec![
                climb.engine.clone(),
                format!("{} {}", climb.protocol, climb.format),
                format!("{} B, {}", grouped(f64::from(told.bytes)), told.serialise),
                grouped(f64::from(life.affected)),
                grouped(life.right as f64),
                milliseconds(told.first_us),
                milliseconds(told.delivery.p50_us),
                milliseconds(told.delivery.p99_us),
                milliseconds(told.last_us),
                number(told.server_cpu_us),
                number(told.box_cpu_us),
                optional(told.syscalls),
                number(told.wire_bytes),
                life.verdict.clone().unwrap_or_else(|| "passed".to_owned()),
            ]);
        }
    }
    Grid { headings, rows, text_columns: 3 }
}

fn caches(climb: &Climb) -> Grid {
    let caches = climb.slopes.as_ref().map(|slopes| slopes.caches.as_slice()).unwrap_or_default();
    let rows = caches.iter().take(CACHES).map(|cache| {
        let known = objects(&cache.cache);
        let server = server_end(cache);
        vec![
            cache.cache.clone(),
            known.iter().map(|object| object.what).collect::<Vec<_>>().join("; "),
            number(cache.objects),
            grouped(cache.bytes),
            server.map_or_else(|| NOTHING.to_owned(), grouped),
        ]
    });
    let headings = vec!["cache", "what it is", "objects/user", "B/user", "of it the server's end"];
    Grid { headings, rows: rows.collect(), text_columns: 2 }
}

/// What must be known beside the tables.
pub(super) fn notes(run: &Run) -> Vec<String> {
    let mut notes = vec![
        "server B/user: the servers' own memory (PSS), a slope over the plateaus ± its 95 % interval. kernel and box B/user: slab and \
         MemAvailable, both ends of each connection."
            .to_owned(),
    ];
    if let Some(climb) = run.climbs.first() {
        notes.push(format!("network namespace: {}", climb.namespace));
    }
    if run.climbs.iter().any(|climb| lives(climb, Plateaus::All).any(|life| life.broadcast.is_some())) {
        notes.push(
            "broadcasts: milliseconds count from the moment at which all servers were to begin; CPU, system calls and bytes are \
             for one delivery to one user"
                .to_owned(),
        );
    }
    for climb in &run.climbs {
        if let (Some(reason), true) = (&climb.reason, run.climbs.len() > 1) {
            notes.push(format!("{} {}: {:?}: {reason}", climb.engine, climb.format, climb.status));
        }
        if let Some(left) = climb.leftovers.filter(|left| *left != Default::default()) {
            notes.push(format!(
                "{}: left behind: {} processes, {} TCP sockets, {} in TIME_WAIT",
                climb.engine, left.processes, left.tcp_sockets, left.time_wait
            ));
        }
        let overflows: u64 = climb.plateaus.iter().map(|plateau| plateau.listen_overflows).sum();
        if overflows > 0 {
            notes.push(format!("{}: accept queues overflowed {overflows} times while connecting", climb.engine));
        }
        for plateau in &climb.plateaus {
            for window in plateau.windows.iter().filter(|window| window.void.is_some()) {
                let reason = window.void.as_deref().unwrap_or_default();
                notes.push(format!(
                    "void: {} {}, {} users, {} % active, {}: {reason}",
                    climb.engine,
                    climb.format,
                    grouped(f64::from(plateau.users)),
                    number(window.active_share * 100.0),
                    window.arrivals
                ));
            }
        }
    }
    notes.extend(run.warnings.iter().map(|warning| format!("warning: {warning}")));
    notes
}
