//! What a run leaves: histograms and counts, which merge by adding.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::result::Latency;

/// Largest latency kept apart, in nanoseconds: one minute. Longer ones are kept as one minute.
const HIGHEST_NS: u64 = 60_000_000_000;

/// Significant decimal digits of a latency: a bucket is at most 0.1 % wide.
const DIGITS: u8 = 3;

/// Kinds of errors, few and fixed, so that rows of different runs compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// Every server that could be asked is banned.
    Banned,
    /// The server closed a connection.
    Closed,
    /// No free place to queue a request: the backlog of this generator is full.
    Overrun,
    /// Bytes that are not a reply.
    Protocol,
    /// The server said that it is over its limit (503).
    Rejected,
    /// The connection was reset.
    Reset,
    /// No reply within the time-out.
    Timeout,
    /// A well-formed reply with the wrong content, status or correlation id.
    WrongReply,
}

impl ErrorKind {
    /// As rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Closed => "closed",
            Self::Overrun => "overrun",
            Self::Protocol => "protocol",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::WrongReply => "wrong-reply",
        }
    }
}

/// One latency histogram, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// No latency yet.
    #[allow(clippy::new_without_default, reason = "an empty histogram allocates, which is no cheap default")]
    pub fn new() -> Self {
        Self(Histogram::new_with_max(HIGHEST_NS, DIGITS).expect("bounds and digits are in HdrHistogram's range"))
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// The smallest latency, in microseconds; 0 where there is none.
    pub fn min_us(&self) -> f64 {
        self.0.min() as f64 / 1e3
    }

    /// The figures of a row, in microseconds.
    pub fn summary(&self) -> Latency {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            count: self.0.len(),
            mean_us: self.0.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: self.0.max() as f64 / 1e3,
        }
    }

    /// HDR V2, deflated, in base64: one line that any HdrHistogram library reads.
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).expect("writing to memory does not fail");
        BASE64.encode(bytes)
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Adds a histogram written by [`to_base64`](Self::to_base64).
    ///
    /// # Errors
    /// A sentence for text that is none.
    pub fn add_base64(&mut self, text: &str) -> Result<(), String> {
        let bytes = BASE64.decode(text).map_err(|error| error.to_string())?;
        let other: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())?;
        self.0.add(&other).map_err(|error| error.to_string())
    }

    /// Writes `PATH.hdr` (HDR V2, deflated, nanoseconds; any HdrHistogram library reads and adds it) and
    /// `PATH.hgrm` (the percentile text that HdrHistogram's plotter reads, microseconds).
    ///
    /// # Errors
    /// Those of writing the files.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(std::io::Error::other)?;
        std::fs::write(path.with_extension("hdr"), bytes)?;
        let mut text = Vec::new();
        self.write_percentiles(&mut text)?;
        std::fs::write(path.with_extension("hgrm"), text)
    }

    fn write_percentiles(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        /// Lines per halving of the distance to 100 %.
        const TICKS: u32 = 5;
        writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
        for step in self.0.iter_quantiles(TICKS) {
            let quantile = step.quantile_iterated_to();
            let value = step.value_iterated_to() as f64 / 1e3;
            let count = self.0.count_between(0, step.value_iterated_to());
            if quantile < 1.0 {
                writeln!(out, "{value:>12.3} {quantile:>14.12} {count:>10} {:>14.2}", 1.0 / (1.0 - quantile))?;
            } else {
                writeln!(out, "{value:>12.3} {quantile:>14.12} {count:>10}")?;
            }
        }
        let (mean, deviation) = (self.0.mean() / 1e3, self.0.stdev() / 1e3);
        writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
        writeln!(out, "#[Max     = {:>12.3}, Total count    = {:>12}]", self.0.max() as f64 / 1e3, self.0.len())
    }
}

/// Equal parts of a window that are also counted by themselves, so that a drift within it can be seen. Ten decide a
/// trend test (its smallest p is 2 / 10!) and leave enough requests in each.
pub const SLICES: usize = 10;

/// What one slice of the window saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceCount {
    /// Requests with the right reply that were due in it.
    pub completed: u64,
    /// Sum of their response times in nanoseconds.
    pub response_ns: u64,
    /// Right replies that came in it, to whichever requests.
    pub answered: u64,
}

/// Histograms and counts of one worker or of a whole run.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// From the intended send time to the reply.
    pub response: Latencies,
    /// From the actual send to the reply.
    pub service: Latencies,
    /// Actual minus intended send time of requests that no earlier reply held back.
    pub lag: Latencies,
    /// Requests that came up in the window; none in closed loop, where a reply brings up the next.
    pub due: u64,
    /// Requests of the window that got the right reply, whenever it came: they are what latencies are of.
    pub completed: u64,
    /// Right replies that came within the window: what the server got done in it. Where it keeps up, the replies that come after the
    /// window are as many as those from before it; where it does not, these are fewer than the completed ones.
    pub answered: u64,
    /// The same by slices of the window.
    pub slices: [SliceCount; SLICES],
    /// Requests sent, warm-up included.
    pub sent: u64,
    /// Bytes of these requests, framing included.
    pub sent_bytes: u64,
    /// Bytes that came from the server, framing included.
    pub received_bytes: u64,
    /// Connections that were opened again because the server had closed them behind a reply, as HTTP lets it.
    pub reopened: u64,
    /// What went wrong, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// The first error in words, as an example of what the counts mean.
    pub example: Option<String>,
}

impl Recorder {
    /// Nothing recorded.
    #[allow(
        clippy::new_without_default,
        reason = "an empty recorder allocates its histograms, which is no cheap default"
    )]
    pub fn new() -> Self {
        let empty = Latencies::new();
        Self {
            response: empty.clone(),
            service: empty.clone(),
            lag: empty,
            due: 0,
            completed: 0,
            answered: 0,
            slices: [SliceCount::default(); SLICES],
            sent: 0,
            sent_bytes: 0,
            received_bytes: 0,
            reopened: 0,
            errors: BTreeMap::new(),
            example: None,
        }
    }

    /// Counts an error; `example` is only asked for the first one.
    pub fn error(&mut self, kind: ErrorKind, count: u64, example: impl FnOnce() -> String) {
        if count > 0 {
            *self.errors.entry(kind).or_default() += count;
            self.example.get_or_insert_with(example);
        }
    }

    /// Adds another worker's record.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.response, &other.response), (&mut self.service, &other.service), (&mut self.lag, &other.lag)]
        {
            mine.0.add(&theirs.0).expect("all histograms have the same bounds");
        }
        self.due += other.due;
        self.completed += other.completed;
        self.answered += other.answered;
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.completed += theirs.completed;
            mine.response_ns += theirs.response_ns;
            mine.answered += theirs.answered;
        }
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.reopened += other.reopened;
        for (kind, count) in &other.errors {
            *self.errors.entry(*kind).or_default() += count;
        }
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
    }
}
