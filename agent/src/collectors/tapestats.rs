//! `tapestats`: tape drives.

use hostfs::{Roots, scsi_tape};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

crate::metrics! {
    IO_NOW = gauge("node_tape_io_now").labels(&["device"]).help("Requests that a drive is working on.")
        .source("/sys/class/scsi_tape/*/stats/in_flight").answers("Is the drive busy?");
    IO_TIME = counter("node_tape_io_time_seconds_total").labels(&["device"]).unit("seconds")
        .help("Time that requests took, movements of the tape included.").source("/sys/class/scsi_tape/*/stats/io_ns")
        .answers("How long is the drive waited for?");
    OTHERS = counter("node_tape_io_others_total").labels(&["device"])
        .help("Requests other than reads and writes.").source("/sys/class/scsi_tape/*/stats/other_cnt")
        .answers("How often is the tape wound?");
    READ_BYTES = counter("node_tape_read_bytes_total").labels(&["device"]).unit("bytes").help("Bytes read.")
        .source("/sys/class/scsi_tape/*/stats/read_byte_cnt").answers("How much is restored?");
    READS = counter("node_tape_reads_completed_total").labels(&["device"]).help("Reads.")
        .source("/sys/class/scsi_tape/*/stats/read_cnt").answers("How many reads are there?");
    READ_TIME = counter("node_tape_read_time_seconds_total").labels(&["device"]).unit("seconds")
        .help("Time that reads took.").source("/sys/class/scsi_tape/*/stats/read_ns").answers("Are reads slow?");
    RESIDUAL = counter("node_tape_residual_total").labels(&["device"])
        .help("Requests that moved less than was asked for.").source("/sys/class/scsi_tape/*/stats/resid_cnt")
        .answers("Do block sizes match?");
    WRITTEN = counter("node_tape_written_bytes_total").labels(&["device"]).unit("bytes").help("Bytes written.")
        .source("/sys/class/scsi_tape/*/stats/write_byte_cnt").answers("How much is backed up?");
    WRITES = counter("node_tape_writes_completed_total").labels(&["device"]).help("Writes.")
        .source("/sys/class/scsi_tape/*/stats/write_cnt").answers("How many writes are there?");
    WRITE_TIME = counter("node_tape_write_time_seconds_total").labels(&["device"]).unit("seconds")
        .help("Time that writes took.").source("/sys/class/scsi_tape/*/stats/write_ns").answers("Are writes slow?");
}

/// In the order of the reader's list.
static COUNTS: [&Metric; scsi_tape::FILES.len()] =
    [&IO_NOW, &IO_TIME, &OTHERS, &READ_BYTES, &READS, &READ_TIME, &RESIDUAL, &WRITTEN, &WRITES, &WRITE_TIME];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::text("collector.tapestats.ignored-devices", "^$", "drives to leave out")],
    build,
};

struct Tapes {
    roots: Roots,
    filter: Filter,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let filter = Filter::new("", setup.text("collector.tapestats.ignored-devices"))?;
    Ok(Box::new(Tapes { roots: setup.roots.clone(), filter, samples: Grouping::default() }))
}

impl Collector for Tapes {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for tape in scsi_tape::read(&self.roots).map_err(Failure::missing_is_no_data)? {
            if !self.filter.wants(&tape.name) {
                continue;
            }
            for (metric, count) in COUNTS.into_iter().zip(tape.counts) {
                let count = count as f64;
                let value = if metric.unit == "seconds" { count * 1e-9 } else { count };
                self.samples.sample(metric, &[("device", &tape.name)], value);
            }
        }
        self.samples.write_to(page);
        Ok(())
    }
}
