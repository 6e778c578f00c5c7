//! From rows of climbs to prices, and from prices to users. Pure.

use serde::Serialize;

use crate::climb::forecast::server_end;
use crate::climb::memory::Slopes;
use crate::climb::result::{Climb, Life, Window};
use crate::result::Status;
use crate::stats::median;

/// Version of the sheet's JSON.
pub const SCHEMA: u32 = 1;

/// What a packet takes on Ethernet beside its payload, in bytes: preamble 8, header 14, check sequence 4 and gap 12 (IEEE
/// 802.3), IPv4 20 (RFC 791), TCP 20 with 12 of time stamps (RFC 9293, RFC 7323).
const PACKET_BYTES: f64 = 90.0;

/// TCP payload of a full packet on Ethernet: 1,500 less 20, 20 and 12.
const SEGMENT_BYTES: f64 = 1_448.0;

/// What users do, and the box that they are to fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// Messages a second of each user.
    pub rate_per_user: f64,
    /// Seconds between two connects of a user; `None` for users who stay.
    pub session_seconds: Option<f64>,
    /// Cores that serve.
    pub cores: f64,
    /// Memory for users, in gigabytes (10^9 bytes).
    pub gigabytes: f64,
    /// Network, each way, in gigabits per second.
    pub gigabits: f64,
}

/// An idle user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Idle {
    /// The server's own memory, in bytes.
    pub user_bytes: f64,
    /// 95 % interval of that, to each side.
    pub user_error: f64,
    /// Kernel memory of the server's end, in bytes.
    pub kernel_bytes: f64,
    /// Both.
    pub total_bytes: f64,
}

/// A message: a request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Server CPU in user mode, in nanoseconds.
    pub cpu_user_ns: f64,
    /// Server CPU in the kernel, in nanoseconds.
    pub cpu_system_ns: f64,
    /// CPU of the whole box, generator included, in nanoseconds.
    pub box_cpu_ns: f64,
    /// System calls of the server.
    pub syscalls: Option<f64>,
    /// Bytes of the request, framing included.
    pub bytes_in: Option<f64>,
    /// Bytes of the reply, framing included.
    pub bytes_out: Option<f64>,
}

/// Users for one unit of each resource, and for the box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fits {
    /// Users that one core serves.
    pub per_core: f64,
    /// Users that a gigabyte holds.
    pub per_gigabyte: f64,
    /// Users that a gigabit per second carries; `None` where the bytes are not known.
    pub per_gigabit: Option<f64>,
    /// Users on the box.
    pub users: f64,
    /// What the box runs out of first: C cores, M memory, N network.
    pub binding: char,
}

/// One engine with one framing and format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The engine.
    pub engine: String,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
    /// `echo` or `note`.
    pub service: String,
    /// Climbs that count.
    pub rounds: usize,
    /// Why something is missing.
    pub reason: Option<String>,
    /// An idle user.
    pub idle: Option<Idle>,
    /// A message.
    pub message: Option<Message>,
    /// Server CPU of connecting and leaving, in microseconds, without the message that is sent meanwhile.
    pub handshake_us: Option<f64>,
    /// How many users.
    pub fits: Option<Fits>,
}

/// The whole sheet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sheet {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was asked.
    pub demand: Demand,
    /// The rows, by engine, framing and format.
    pub rows: Vec<Row>,
    /// What must be known beside them.
    pub notes: Vec<String>,
}

/// The sheet of `climbs`; several rounds of one engine, framing and format are one row of medians.
pub fn sheet(climbs: &[Climb], demand: Demand) -> Sheet {
    let key = |climb: &Climb| [&climb.engine, &climb.protocol, &climb.format, &climb.service].map(String::clone);
    let mut keys: Vec<[String; 4]> = Vec::new();
    for climb in climbs {
        if !keys.contains(&key(climb)) {
            keys.push(key(climb));
        }
    }
    // Climbs run in a shuffled order.
    keys.sort();
    let rows = keys.iter().map(|wanted| {
        let mine: Vec<&Climb> = climbs.iter().filter(|climb| key(climb) == *wanted).collect();
        row(&mine, &demand)
    });
    let rows: Vec<Row> = rows.collect();
    let mut notes = vec![
        format!(
            "C, M and N: what {} core(s), {} GB for users and {} Gbit/s each way run out of first, at {} messages a second and user{}.",
            demand.cores,
            demand.gigabytes,
            demand.gigabits,
            demand.rate_per_user,
            demand.session_seconds.map_or_else(String::new, |seconds| format!(", each of whom connects every {seconds} s"))
        ),
        "CPU is the servers' own; on loopback a part of receiving is charged to whoever sends. Kernel bytes are those of the server's end. \
         Users per Gbit/s are calculated: bytes as counted, with Ethernet, IP and TCP around them."
            .to_owned(),
    ];
    notes.extend(
        rows.iter().filter_map(|row| {
            Some(format!("{} {} {}: {}", row.engine, row.protocol, row.format, row.reason.as_ref()?))
        }),
    );
    Sheet { schema: SCHEMA, demand, rows, notes }
}

fn row(climbs: &[&Climb], demand: &Demand) -> Row {
    let first = climbs[0];
    let counted: Vec<&Climb> = climbs.iter().copied().filter(|climb| climb.status == Status::Ok).collect();
    let idles: Vec<Idle> = counted.iter().filter_map(|climb| climb.slopes.as_ref().map(idle)).collect();
    let messages: Vec<(Message, f64)> = counted.iter().filter_map(|climb| message(climb)).collect();
    let handshakes: Vec<f64> = counted.iter().filter_map(|climb| handshake(climb)).collect();
    let void = counted.iter().flat_map(|climb| &climb.plateaus).flat_map(|plateau| &plateau.windows);
    let mut void = void.filter_map(|window| window.void.clone());
    let void = void.next().map(|reason| format!("messages do not count: {reason}"));
    let idle = middle(&idles, |idle| idle.total_bytes);
    let message =
        middle(&messages, |(message, _)| message.cpu_user_ns + message.cpu_system_ns).map(|(message, _)| message);
    let handshake_us = median(&handshakes);
    Row {
        engine: first.engine.clone(),
        interface: first.interface.clone(),
        protocol: first.protocol.clone(),
        format: first.format.clone(),
        service: first.service.clone(),
        rounds: counted.len(),
        reason: climbs.iter().find_map(|climb| climb.reason.clone()).or(void.filter(|_| message.is_none())),
        fits: fits(idle, message, handshake_us, demand),
        idle,
        message,
        handshake_us,
    }
}

/// The round in the middle by `of`, whole: medians of parts need not belong together.
fn middle<T: Copy>(rounds: &[T], of: impl Fn(&T) -> f64) -> Option<T> {
    let mut sorted: Vec<T> = rounds.to_vec();
    sorted.sort_by(|a, b| of(a).total_cmp(&of(b)));
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn idle(slopes: &Slopes) -> Idle {
    let known: f64 = slopes.caches.iter().filter_map(server_end).sum();
    let of_known: f64 = slopes.caches.iter().filter(|cache| server_end(cache).is_some()).map(|cache| cache.bytes).sum();
    // What is in no known cache, all of it where caches may not be read, is taken as both ends' alike.
    let kernel_bytes = known + (slopes.kernel.bytes - of_known).max(0.0) / 2.0;
    let user_bytes = slopes.server_user.bytes.max(0.0);
    Idle {
        user_bytes,
        user_error: 1.96 * slopes.server_user.error,
        kernel_bytes,
        total_bytes: user_bytes + kernel_bytes,
    }
}

fn loaded(climb: &Climb) -> Option<&Window> {
    climb.plateaus.last()?.windows.iter().find(|window| window.void.is_none())
}

fn message(climb: &Climb) -> Option<(Message, f64)> {
    let window = loaded(climb)?;
    let server = &window.server;
    let each = |bytes: u64, requests: u64| bytes as f64 / requests as f64;
    let message = Message {
        cpu_user_ns: server.cpu_user_us_per_request * 1e3,
        cpu_system_ns: server.cpu_system_us_per_request * 1e3,
        box_cpu_ns: server.box_cpu_us_per_request * 1e3,
        syscalls: server.syscalls_per_request,
        // A server of one's own does not tell what it counted; the generators counted the same bytes at their end.
        bytes_in: climb.totals.map(|totals| each(totals.bytes_in, totals.requests)).or(window.request_bytes),
        bytes_out: climb.totals.map(|totals| each(totals.bytes_out, totals.requests)).or(window.reply_bytes),
    };
    Some((message, server.cpu_us_per_request))
}

/// What coming and leaving cost, less the messages that the newcomers sent.
fn handshake(climb: &Climb) -> Option<f64> {
    let churned: &Life = climb.life.iter().find(|life| life.kind == "churn" && life.affected > 0)?;
    let (_, message_us) = message(climb)?;
    let whole = churned.server_cpu_seconds * 1e6 - churned.right as f64 * message_us;
    Some((whole / f64::from(churned.affected)).max(0.0))
}

/// How many users the prices come to.
fn fits(idle: Option<Idle>, message: Option<Message>, handshake_us: Option<f64>, demand: &Demand) -> Option<Fits> {
    let (idle, message) = (idle?, message?);
    let sessions = demand.session_seconds.map_or(0.0, |seconds| 1.0 / seconds);
    let cpu_us = (message.cpu_user_ns + message.cpu_system_ns) / 1e3 * demand.rate_per_user
        + handshake_us.unwrap_or(0.0) * sessions;
    let per_core = 1e6 / cpu_us;
    let per_gigabyte = 1e9 / idle.total_bytes;
    let per_gigabit = message.bytes_in.zip(message.bytes_out).map(|(bytes_in, bytes_out)| {
        // A reply acknowledges its request; the reply is acknowledged by a packet of its own.
        let packets = |bytes: f64| (bytes / SEGMENT_BYTES).ceil().max(1.0);
        let inwards = bytes_in + (packets(bytes_in) + 1.0) * PACKET_BYTES;
        let outwards = bytes_out + packets(bytes_out) * PACKET_BYTES;
        1e9 / 8.0 / (inwards.max(outwards) * demand.rate_per_user)
    });
    let mut limits = vec![('C', per_core * demand.cores), ('M', per_gigabyte * demand.gigabytes)];
    limits.extend(per_gigabit.map(|users| ('N', users * demand.gigabits)));
    let (binding, users) = limits.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Fits { per_core, per_gigabyte, per_gigabit, users, binding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climb::memory::{CacheSlope, Slope};
    use crate::climb::result::{Plateau, Totals};

    const DEMAND: Demand =
        Demand { rate_per_user: 0.1, session_seconds: None, cores: 1.0, gigabytes: 1.0, gigabits: 1.0 };

    /// 4 µs a message, 40 µs a handshake, 100 B of the server's own and 10 KB of slab for both ends.
    fn climb() -> Climb {
        let mut window = Window { active_share: 1.0, ..Window::default() };
        window.server.cpu_us_per_request = 4.0;
        window.server.cpu_user_us_per_request = 1.0;
        window.server.cpu_system_us_per_request = 3.0;
        let plateau = Plateau {
            users: 5_000,
            connect_seconds: 0.1,
            connect_server_cpu_seconds: 0.1,
            memory: Default::default(),
            windows: vec![window],
            listen_overflows: 0,
            life: Vec::new(),
        };
        let cache = CacheSlope { cache: "TCP".into(), bytes: 6_000.0, objects: 2.0 };
        Climb {
            schema: 1,
            index: 0,
            round: 1,
            engine: "mio".into(),
            interface: "epoll".into(),
            protocol: "frame".into(),
            service: "note".into(),
            format: "raw".into(),
            status: Status::Ok,
            reason: None,
            users: 5_000,
            shards: 1,
            holders: 1,
            namespace: "own".into(),
            started_unix_ms: 0,
            plateaus: vec![plateau],
            slopes: Some(Slopes {
                plateaus: 6,
                server_user: Slope { bytes: 100.0, error: 1.0 },
                kernel: Slope { bytes: 10_000.0, error: 5.0 },
                caches: vec![cache],
                ..Slopes::default()
            }),
            hold: None,
            life: vec![Life {
                kind: "churn".into(),
                affected: 1_000,
                asked: 1_000,
                right: 1_000,
                server_cpu_seconds: 0.044,
                ..Life::default()
            }],
            leftovers: None,
            accepted: Vec::new(),
            totals: Some(Totals { requests: 10, bytes_in: 1_000, bytes_out: 4_000 }),
            ready: serde_json::Value::Null,
        }
    }

    /// Known prices come out, and with them the users of a core, a gigabyte and a gigabit per second.
    #[test]
    fn prices_become_users() {
        let sheet = sheet(&[climb()], DEMAND);
        let row = &sheet.rows[0];
        let idle = row.idle.unwrap();
        // Half of the cache is the generator's end, and half of what no cache explains.
        assert!((idle.kernel_bytes - 5_000.0).abs() < 1e-9 && (idle.total_bytes - 5_100.0).abs() < 1e-9, "{idle:?}");
        assert!((row.handshake_us.unwrap() - 40.0).abs() < 1e-6, "{row:?}");
        let fits = row.fits.unwrap();
        assert!((fits.per_core - 2_500_000.0).abs() < 1e-3, "{fits:?}");
        assert!((fits.per_gigabyte - 1e9 / 5_100.0).abs() < 1e-6, "{fits:?}");
        // Outwards 400 and 90, inwards 100 and two packets' 180: 490 bytes ten times a second and hundred users.
        assert!((fits.per_gigabit.unwrap() - 125e6 / 49.0).abs() < 1e-3, "{fits:?}");
        assert_eq!(fits.binding, 'M');
    }

    /// The binding letter follows the demand: chatty users want cores, or network where messages are cheap; users who keep
    /// reconnecting want cores.
    #[test]
    fn the_letter_follows_the_demand() {
        let letter = |demand: Demand| sheet(&[climb()], demand).rows[0].fits.unwrap().binding;
        assert_eq!(letter(DEMAND), 'M');
        assert_eq!(letter(Demand { rate_per_user: 5.0, ..DEMAND }), 'C');
        assert_eq!(letter(Demand { rate_per_user: 5.0, cores: 8.0, gigabytes: 64.0, ..DEMAND }), 'N');
        assert_eq!(letter(Demand { session_seconds: Some(1.0), ..DEMAND }), 'C');
    }

    /// What does not count leaves a row with its reason and without figures.
    #[test]
    fn rows_without_a_measurement_say_why() {
        let mut failed = climb();
        failed.status = Status::Unavailable;
        failed.reason = Some("io_uring is disabled".into());
        let row = sheet(&[failed], DEMAND).rows.remove(0);
        assert_eq!((row.rounds, row.fits, row.reason.as_deref()), (0, None, Some("io_uring is disabled")));
        let mut void = climb();
        void.plateaus[0].windows[0].void = Some("the schedule lagged".into());
        let row = sheet(&[void], DEMAND).rows.remove(0);
        assert!(row.message.is_none() && row.idle.is_some());
        assert_eq!(row.reason.as_deref(), Some("messages do not count: the schedule lagged"));
    }
}
