//! What a shard counts. Written by its own thread only, read by the admin thread and at the end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value, json};

/// Why a request or a connection went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ErrorKind {
    /// Bytes that are no request, or a body that is not what the operation takes.
    BadRequest,
    /// No such path, method or opcode.
    NotFound,
    /// A head, body, text or page over its limit.
    TooLarge,
    /// Refused by `--limit-requests`.
    BusyInFlight,
    /// Refused by `--limit-connections`.
    BusyConnections,
    /// The peer ended a connection in the middle of a request.
    Truncated,
    /// Reading or writing failed: reset, timeout.
    Io,
    /// Accepting failed.
    Accept,
    /// Still not finished when the time to drain was over.
    Cut,
    /// It did not read the events that it was told, and was ended.
    SlowReader,
    /// The server behind a gateway did not answer in time, or could not.
    Upstream,
}

impl ErrorKind {
    /// Every kind with its name in counters and metrics, in the order of the enum.
    pub const ALL: [(ErrorKind, &'static str); 11] = [
        (ErrorKind::BadRequest, "bad-request"),
        (ErrorKind::NotFound, "not-found"),
        (ErrorKind::TooLarge, "too-large"),
        (ErrorKind::BusyInFlight, "busy-in-flight"),
        (ErrorKind::BusyConnections, "busy-connections"),
        (ErrorKind::Truncated, "truncated"),
        (ErrorKind::Io, "io"),
        (ErrorKind::Accept, "accept"),
        (ErrorKind::Cut, "cut"),
        (ErrorKind::SlowReader, "slow-reader"),
        (ErrorKind::Upstream, "upstream"),
    ];
}

/// The counters of one shard, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    pub(crate) accepted: Count,
    pub(crate) closed: Count,
    pub(crate) requests: Count,
    pub(crate) pushed: Count,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    /// Requests that `--limit-requests` let in, and turns that brought any.
    pub(crate) admitted: Count,
    pub(crate) turns: Count,
    /// The limit on requests in flight now, and how many there were in the last turn that brought any.
    pub(crate) requests_limit: Gauge,
    pub(crate) in_flight: Gauge,
    errors: [Count; ErrorKind::ALL.len()],
}

/// A count with one writer: a plain load and store, no locked instruction on the hot path.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A value with one writer.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(crate) fn error(&self, kind: ErrorKind) {
        self.errors[kind as usize].add(1);
    }
}

/// Sums over shards at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) open: u64,
    pub(crate) requests: u64,
    pub(crate) pushed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) admitted: u64,
    pub(crate) turns: u64,
    pub(crate) requests_limit: u64,
    pub(crate) in_flight: u64,
    pub(crate) errors: [u64; ErrorKind::ALL.len()],
}

impl Totals {
    pub(crate) fn of<'a>(shards: impl IntoIterator<Item = &'a Counters>) -> Totals {
        let mut totals = Totals::default();
        for shard in shards {
            totals.accepted += shard.accepted.value();
            totals.open += shard.accepted.value().saturating_sub(shard.closed.value());
            totals.requests += shard.requests.value();
            totals.pushed += shard.pushed.value();
            totals.bytes_in += shard.bytes_in.value();
            totals.bytes_out += shard.bytes_out.value();
            totals.admitted += shard.admitted.value();
            totals.turns += shard.turns.value();
            totals.requests_limit += shard.requests_limit.value();
            totals.in_flight += shard.in_flight.value();
            for (total, error) in totals.errors.iter_mut().zip(&shard.errors) {
                *total += error.value();
            }
        }
        totals
    }

    /// The counters line: errors that did not happen are left out.
    pub(crate) fn line(&self) -> String {
        let errors: Map<String, Value> = ErrorKind::ALL
            .iter()
            .zip(self.errors)
            .filter(|(_, count)| *count > 0)
            .map(|((_, name), count)| ((*name).to_owned(), count.into()))
            .collect();
        let line = json!({
            "event": "counters",
            "accepted": self.accepted,
            "open": self.open,
            "requests": self.requests,
            "pushed": self.pushed,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "errors": errors,
        });
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table's order is the enum's, since kinds index the array.
    #[test]
    fn table_in_order() {
        for (index, (kind, _)) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    /// Two shards add up, and the line names only what happened.
    #[test]
    fn line() {
        let shards = [Counters::default(), Counters::default()];
        shards[0].accepted.add(2);
        shards[1].accepted.add(1);
        shards[1].closed.add(1);
        shards[1].error(ErrorKind::Io);
        let line: Value = serde_json::from_str(&Totals::of(&shards).line()).unwrap();
        assert_eq!(line["accepted"], 3);
        assert_eq!(line["open"], 2);
        assert_eq!(line["errors"], json!({"io": 1}));
    }
}
