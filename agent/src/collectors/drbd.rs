//! `drbd`: replicated block devices.

use hostfs::drbd::{self, Value};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    SENT = counter("node_drbd_network_sent_bytes_total").labels(&["device"]).unit("bytes")
        .help("Data sent to the peer.").source("/proc/drbd").answers("How much is replicated?");
    RECEIVED = counter("node_drbd_network_received_bytes_total").labels(&["device"]).unit("bytes")
        .help("Data received from the peer, as the file counts it.").source("/proc/drbd")
        .answers("How much does the peer replicate?");
    WRITTEN = counter("node_drbd_disk_written_bytes_total").labels(&["device"]).unit("bytes")
        .help("Data written to the local disk.").source("/proc/drbd").answers("How much is written here?");
    READ = counter("node_drbd_disk_read_bytes_total").labels(&["device"]).unit("bytes")
        .help("Data read from the local disk.").source("/proc/drbd").answers("How much is read here?");
    ACTIVITY_LOG = counter("node_drbd_activitylog_writes_total").labels(&["device"])
        .help("Writes of the activity log.").source("/proc/drbd").answers("Is the activity log too small?");
    BITMAP = counter("node_drbd_bitmap_writes_total").labels(&["device"]).help("Writes of the bitmap.")
        .source("/proc/drbd").answers("How often is the bitmap written?");
    LOCAL = gauge("node_drbd_local_pending").labels(&["device"]).help("Requests waiting for the local disk.")
        .source("/proc/drbd").answers("Is the local disk slow?");
    REMOTE = gauge("node_drbd_remote_pending").labels(&["device"]).help("Requests waiting for the peer's answer.")
        .source("/proc/drbd").answers("Is the peer slow?");
    UNACKNOWLEDGED = gauge("node_drbd_remote_unacknowledged").labels(&["device"])
        .help("The peer's requests that wait for an answer from here.").source("/proc/drbd")
        .answers("Does this node hold its peer up?");
    APPLICATION = gauge("node_drbd_application_pending").labels(&["device"])
        .help("Requests of programs that are not answered yet.").source("/proc/drbd").answers("Do programs wait?");
    EPOCHS = gauge("node_drbd_epochs").labels(&["device"]).help("Write epochs on their way.").source("/proc/drbd")
        .answers("How many barriers are on their way?");
    OUT_OF_SYNC = gauge("node_drbd_out_of_sync_bytes").labels(&["device"]).unit("bytes")
        .help("Data that differs between the nodes.").source("/proc/drbd").answers("What would a failover lose?");
    PRIMARY = gauge("node_drbd_node_role_is_primary").labels(&["device", "node"]).help("Whether a node is primary.")
        .source("/proc/drbd").answers("Which node serves?");
    UP_TO_DATE = gauge("node_drbd_disk_state_is_up_to_date").labels(&["device", "node"])
        .help("Whether a node's disk is up to date.").source("/proc/drbd").answers("Which node has good data?");
    CONNECTED = gauge("node_drbd_connected").labels(&["device"]).help("Whether the peer is connected.")
        .source("/proc/drbd").answers("Is data replicated at all?");
}

/// Key, metric and unit of counts. The second key's unit is KiB too; node_exporter shows it as it is, and so do we.
static NUMBERS: [(&[u8], &Metric, f64); 12] = [
    (b"ns", &SENT, 1024.0),
    (b"nr", &RECEIVED, 1.0),
    (b"dw", &WRITTEN, 1024.0),
    (b"dr", &READ, 1024.0),
    (b"al", &ACTIVITY_LOG, 1.0),
    (b"bm", &BITMAP, 1.0),
    (b"lo", &LOCAL, 1.0),
    (b"pe", &REMOTE, 1.0),
    (b"ua", &UNACKNOWLEDGED, 1.0),
    (b"ap", &APPLICATION, 1.0),
    (b"ep", &EPOCHS, 1.0),
    (b"oos", &OUT_OF_SYNC, 1024.0),
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Drbd {
    reader: drbd::Reader,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Drbd { reader: drbd::Reader::new(&setup.roots), samples: Grouping::default() }))
}

impl Collector for Drbd {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for field in self.reader.read().map_err(Failure::missing_is_no_data)? {
            let device = ("device", field.device.as_bytes());
            match field.value {
                Value::Number(number) => {
                    if let Some((_, metric, unit)) = NUMBERS.iter().find(|(key, _, _)| *key == field.key) {
                        samples.sample(metric, &[device], number * unit);
                    }
                }
                Value::Pair(local, remote) => {
                    let (metric, good): (_, &[u8]) =
                        if field.key == b"ro" { (&PRIMARY, b"Primary") } else { (&UP_TO_DATE, b"UpToDate") };
                    samples.sample(metric, &[device, ("node", b"local")], local == good);
                    samples.sample(metric, &[device, ("node", b"remote")], remote == good);
                }
                Value::Connection(state) => samples.sample(&CONNECTED, &[device], state == b"Connected"),
            }
        }
        samples.write_to(page);
        Ok(())
    }
}
