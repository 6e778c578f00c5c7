//! Spans as JSON Lines in a file: what a trace is, without any collector.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde::{Deserialize, Serialize};

/// One span, as it stands on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanLine {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The span that this one is a part of; absent for the first of a trace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_id: Option<String>,
    /// What was done.
    pub name: String,
    /// `server`, `client` or `internal`.
    pub kind: String,
    /// Who did it.
    pub service: String,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Whatever else is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub attributes: BTreeMap<String, String>,
}

impl SpanLine {
    fn new(span: &SpanData, service: &str) -> SpanLine {
        let kind = match span.span_kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            _ => "internal",
        };
        let error = match &span.status {
            Status::Error { description } => Some(description.to_string()),
            _ => None,
        };
        SpanLine {
            trace_id: span.span_context.trace_id().to_string(),
            span_id: span.span_context.span_id().to_string(),
            parent_id: (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string()),
            name: span.name.to_string(),
            kind: kind.to_owned(),
            service: service.to_owned(),
            start_ns: nanoseconds(span.start_time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
            duration_ns: nanoseconds(span.end_time.duration_since(span.start_time).unwrap_or_default()),
            error,
            attributes: span.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect(),
        }
    }
}

/// 64 bits of nanoseconds last until the year 2554.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An exporter to a file of one's own: lines of several processes would mix.
#[derive(Debug)]
pub struct Lines {
    file: Mutex<BufWriter<File>>,
    service: &'static str,
}

impl Lines {
    /// Creates the file, which must not exist.
    pub fn create(path: &Path, service: &'static str) -> anyhow::Result<Lines> {
        let file = File::create_new(path).with_context(|| format!("creating {} for spans", path.display()))?;
        Ok(Lines { file: Mutex::new(BufWriter::new(file)), service })
    }

    fn write(&self, batch: &[SpanData]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for span in batch {
            serde_json::to_writer(&mut *file, &SpanLine::new(span, self.service))?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

impl SpanExporter for Lines {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.write(&batch).map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
}
