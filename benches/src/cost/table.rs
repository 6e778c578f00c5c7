//! The sheet as a table of the terminal, as Markdown and as CSV.

use std::fmt::Write as _;

use super::sheet::{Fits, Idle, Message, Row, Sheet};
use crate::report::grid::Grid;
use crate::report::words::{NOTHING, grouped, optional};
use crate::report::wrapped;

/// What the columns are, from left to right.
const CAPTION: &str = "An idle user's bytes · a message's CPU, system calls and bytes · CPU of a connect · users of a core, of a GB and of a Gbit/s, \
    and what the box runs out of first";

/// Headings of the table. None is wider than its fields: a row is one line of 120 columns.
const HEADINGS: [&str; 9] =
    ["engine", "wire", "user+kernel B", "user+sys µs", "calls", "B in+out", "µs/conn", "/core /GB /Gbit", "first"];

fn fields(row: &Row) -> Vec<String> {
    let absent = || NOTHING.to_owned();
    let idle = |idle: Idle| {
        let [user, kernel, total] = [idle.user_bytes, idle.kernel_bytes, idle.total_bytes].map(grouped);
        format!("{user}+{kernel}={total}")
    };
    let cpu = |message: Message| {
        let (user, system) = (message.cpu_user_ns / 1e3, message.cpu_system_ns / 1e3);
        format!("{user:.1}+{system:.1}={:.1}", user + system)
    };
    let bytes = |message: Message| Some(format!("{}+{}", grouped(message.bytes_in?), grouped(message.bytes_out?)));
    let fits = |fits: Fits| {
        let network = fits.per_gigabit.map_or_else(absent, compact);
        format!("{} {} {network}", compact(fits.per_core), compact(fits.per_gigabyte))
    };
    vec![
        row.engine.clone(),
        format!("{} {}", row.protocol, row.format),
        row.idle.map_or_else(absent, idle),
        row.message.map_or_else(absent, cpu),
        optional(row.message.and_then(|message| message.syscalls)),
        row.message.and_then(bytes).unwrap_or_else(absent),
        optional(row.handshake_us),
        row.fits.map_or_else(absent, fits),
        row.fits.map_or_else(absent, |fits| format!("{} {}", fits.binding, compact(fits.users))),
    ]
}

/// `1.9M`, `196k`, `830`.
fn compact(value: f64) -> String {
    match value {
        _ if !value.is_finite() => NOTHING.to_owned(),
        _ if value >= 9.995e6 => format!("{:.0}M", value / 1e6),
        _ if value >= 999_500.0 => format!("{:.1}M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ => grouped(value),
    }
}

fn grid(sheet: &Sheet) -> Grid {
    Grid { headings: HEADINGS.to_vec(), rows: sheet.rows.iter().map(fields).collect(), text_columns: 2 }
}

/// For the terminal.
pub fn terminal(sheet: &Sheet) -> String {
    let mut text = format!("{}{}\n", wrapped(CAPTION), grid(sheet).terminal());
    for note in &sheet.notes {
        text.push_str(&wrapped(note));
    }
    text
}

/// `cost.md`.
pub fn markdown(sheet: &Sheet) -> String {
    let mut text = format!("# Cost sheet\n\n{CAPTION}:\n\n{}\n", grid(sheet).markdown());
    for note in &sheet.notes {
        let _ = writeln!(text, "- {}", note.replace('|', "\\|"));
    }
    text
}

/// `cost.csv`: base units, whole precision, a column a figure (RFC 4180).
pub fn csv(sheet: &Sheet) -> String {
    type Value = fn(&Row) -> Option<f64>;
    let columns: [(&str, Value); 15] = [
        ("idle_user_bytes", |row| Some(row.idle?.user_bytes)),
        ("idle_user_bytes_error", |row| Some(row.idle?.user_error)),
        ("idle_kernel_bytes", |row| Some(row.idle?.kernel_bytes)),
        ("idle_total_bytes", |row| Some(row.idle?.total_bytes)),
        ("message_cpu_user_ns", |row| Some(row.message?.cpu_user_ns)),
        ("message_cpu_system_ns", |row| Some(row.message?.cpu_system_ns)),
        ("message_box_cpu_ns", |row| Some(row.message?.box_cpu_ns)),
        ("message_syscalls", |row| row.message?.syscalls),
        ("message_bytes_in", |row| row.message?.bytes_in),
        ("message_bytes_out", |row| row.message?.bytes_out),
        ("handshake_cpu_us", |row| row.handshake_us),
        ("users_per_core", |row| Some(row.fits?.per_core)),
        ("users_per_gigabyte", |row| Some(row.fits?.per_gigabyte)),
        ("users_per_gigabit", |row| row.fits?.per_gigabit),
        ("users", |row| Some(row.fits?.users)),
    ];
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut text = format!("engine,interface,protocol,format,service,rounds,{},binding,reason\n", names.join(","));
    for row in &sheet.rows {
        let mut fields: Vec<String> =
            [&row.engine, &row.interface, &row.protocol, &row.format, &row.service].map(|text| quoted(text)).into();
        fields.push(row.rounds.to_string());
        fields.extend(columns.iter().map(|(_, value)| value(row).map_or_else(String::new, |value| format!("{value}"))));
        fields.push(row.fits.map_or_else(String::new, |fits| fits.binding.to_string()));
        fields.push(row.reason.as_deref().map_or_else(String::new, quoted));
        let _ = writeln!(text, "{}", fields.join(","));
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
