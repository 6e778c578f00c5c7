//! `mountstats`: what NFS mounts do, by mount, connection and operation.

use std::collections::HashSet;

use hostfs::mountstats::{self, Mount, Operation, Transport};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page, Value};
use crate::flags::Setup;

const MOUNT: &[&str] = &["export", "mountaddr", "protocol"];
const CONNECTION: &[&str] = &["export", "mountaddr", "protocol", "transport"];
const OPERATION: &[&str] = &["export", "mountaddr", "operation", "protocol"];

crate::metrics! {
    MOUNT_POINT = gauge("node_mountstats_nfs_mountpoint_info").labels(&["export", "mountaddr", "mountpoint", "protocol"])
        .help("Always 1; the labels say where an export is mounted.").source("/proc/self/mountstats")
        .answers("Where is this export mounted?");
    AGE = counter("node_mountstats_nfs_age_seconds_total").labels(MOUNT).unit("seconds")
        .help("Time since an export was mounted.").source("/proc/self/mountstats").answers("Was it mounted again?");
    READ = counter("node_mountstats_nfs_read_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes that programs read from files.").source("/proc/self/mountstats").answers("How much is read?");
    WRITE = counter("node_mountstats_nfs_write_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes that programs wrote to files.").source("/proc/self/mountstats").answers("How much is written?");
    DIRECT_READ = counter("node_mountstats_nfs_direct_read_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes read with O_DIRECT.").source("/proc/self/mountstats").answers("How much is read past the cache?");
    DIRECT_WRITE = counter("node_mountstats_nfs_direct_write_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes written with O_DIRECT.").source("/proc/self/mountstats")
        .answers("How much is written past the cache?");
    TOTAL_READ = counter("node_mountstats_nfs_total_read_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes that the server sent.").source("/proc/self/mountstats").answers("How much does the cache save?");
    TOTAL_WRITE = counter("node_mountstats_nfs_total_write_bytes_total").labels(MOUNT).unit("bytes")
        .help("Bytes that were sent to the server.").source("/proc/self/mountstats")
        .answers("How much goes to the server?");
    READ_PAGES = counter("node_mountstats_nfs_read_pages_total").labels(MOUNT)
        .help("Pages read through mappings and readahead.").source("/proc/self/mountstats")
        .answers("How many pages are read?");
    WRITE_PAGES = counter("node_mountstats_nfs_write_pages_total").labels(MOUNT)
        .help("Pages written through mappings and writeback.").source("/proc/self/mountstats")
        .answers("How many pages are written?");
    BIND = counter("node_mountstats_nfs_transport_bind_total").labels(CONNECTION)
        .help("Times that a connection got a local port.").source("/proc/self/mountstats")
        .answers("Are connections made anew?");
    CONNECT = counter("node_mountstats_nfs_transport_connect_total").labels(CONNECTION)
        .help("Times that a connection was made.").source("/proc/self/mountstats")
        .answers("Does the connection break?");
    IDLE = gauge("node_mountstats_nfs_transport_idle_time_seconds").labels(CONNECTION).unit("seconds")
        .help("Time since a connection was last used.").source("/proc/self/mountstats").answers("Is it used at all?");
    SENDS = counter("node_mountstats_nfs_transport_sends_total").labels(CONNECTION).help("Requests sent.")
        .source("/proc/self/mountstats").answers("How many requests go out?");
    RECEIVES = counter("node_mountstats_nfs_transport_receives_total").labels(CONNECTION).help("Replies received.")
        .source("/proc/self/mountstats").answers("Do replies come back?");
    BAD_IDS = counter("node_mountstats_nfs_transport_bad_transaction_ids_total").labels(CONNECTION)
        .help("Replies that belong to no request.").source("/proc/self/mountstats")
        .answers("Does the server answer twice?");
    BACKLOG = counter("node_mountstats_nfs_transport_backlog_queue_total").labels(CONNECTION)
        .help("Length of the backlog, summed over all requests.").source("/proc/self/mountstats")
        .answers("Do requests wait for a free slot?");
    SLOTS = gauge("node_mountstats_nfs_transport_maximum_rpc_slots").labels(CONNECTION)
        .help("Most requests that were on their way at a time.").source("/proc/self/mountstats")
        .answers("Are there enough slots?");
    SENDING = counter("node_mountstats_nfs_transport_sending_queue_total").labels(CONNECTION)
        .help("Length of the sending queue, summed over all requests.").source("/proc/self/mountstats")
        .answers("Do requests wait for the socket?");
    PENDING = counter("node_mountstats_nfs_transport_pending_queue_total").labels(CONNECTION)
        .help("Requests waiting for a reply, summed over all requests.").source("/proc/self/mountstats")
        .answers("Is the server slow?");
    REQUESTS = counter("node_mountstats_nfs_operations_requests_total").labels(OPERATION)
        .help("Requests of an operation.").source("/proc/self/mountstats").answers("What is asked of the server?");
    TRANSMISSIONS = counter("node_mountstats_nfs_operations_transmissions_total").labels(OPERATION)
        .help("Transmissions of an operation's requests, with repeated ones.").source("/proc/self/mountstats")
        .answers("Are requests sent again?");
    TIMEOUTS = counter("node_mountstats_nfs_operations_major_timeouts_total").labels(OPERATION)
        .help("Requests of an operation that timed out.").source("/proc/self/mountstats")
        .answers("Does the server not answer?");
    SENT = counter("node_mountstats_nfs_operations_sent_bytes_total").labels(OPERATION).unit("bytes")
        .help("Bytes sent for an operation, headers included.").source("/proc/self/mountstats")
        .answers("Which operation loads the network on the way out?");
    RECEIVED = counter("node_mountstats_nfs_operations_received_bytes_total").labels(OPERATION).unit("bytes")
        .help("Bytes received for an operation, headers included.").source("/proc/self/mountstats")
        .answers("Which operation loads the network on the way in?");
    QUEUE_TIME = counter("node_mountstats_nfs_operations_queue_time_seconds_total").labels(OPERATION).unit("seconds")
        .help("Time that an operation's requests waited to be sent.").source("/proc/self/mountstats")
        .answers("Is the client the bottleneck?");
    RESPONSE_TIME = counter("node_mountstats_nfs_operations_response_time_seconds_total").labels(OPERATION)
        .unit("seconds").help("Time from sending an operation's requests to their replies.")
        .source("/proc/self/mountstats").answers("Is the server the bottleneck?");
    REQUEST_TIME = counter("node_mountstats_nfs_operations_request_time_seconds_total").labels(OPERATION)
        .unit("seconds").help("Time that an operation's requests took altogether.").source("/proc/self/mountstats")
        .answers("How long do programs wait?");
    ERRORS = counter("node_mountstats_nfs_operations_errors_total").labels(OPERATION)
        .help("Requests of an operation that ended in an error.").source("/proc/self/mountstats")
        .answers("Which operation fails?");
    EVENT = counter("node_mountstats_nfs_event_*_total").labels(MOUNT).help("Events of kind * on a mount.")
        .source("/proc/self/mountstats").answers("What do programs do on this mount?");
}

/// Counts of the `bytes:` line.
static BYTES: [&Metric; mountstats::BYTES] =
    [&READ, &WRITE, &DIRECT_READ, &DIRECT_WRITE, &TOTAL_READ, &TOTAL_WRITE, &READ_PAGES, &WRITE_PAGES];

/// Counts of the `events:` line; the kernel no longer uses the unnamed one.
const EVENTS: [&str; mountstats::EVENTS] = [
    "inode_revalidate",
    "dnode_revalidate",
    "data_invalidate",
    "attribute_invalidate",
    "vfs_open",
    "vfs_lookup",
    "vfs_access",
    "vfs_update_page",
    "vfs_read_page",
    "vfs_read_pages",
    "vfs_write_page",
    "vfs_write_pages",
    "vfs_getdents",
    "vfs_setattr",
    "vfs_flush",
    "vfs_fsync",
    "vfs_lock",
    "vfs_file_release",
    "",
    "truncation",
    "write_extension",
    "silly_rename",
    "short_read",
    "short_write",
    "jukebox_delay",
    "pnfs_read",
    "pnfs_write",
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Mountstats {
    reader: mountstats::Reader,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Mountstats { reader: mountstats::Reader::new(&setup.roots), samples: Grouping::default() }))
}

impl Collector for Mountstats {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        let (mut shown, mut places) = (HashSet::new(), HashSet::new());
        for mount in self.reader.mounts()? {
            // Counts belong to a server's export, which several mounts may share.
            for transport in &mount.transports {
                let labels = [("export", mount.export), ("mountaddr", mount.address), ("protocol", transport.protocol)];
                let key = (mount.export, mount.address, transport.protocol);
                if places.insert((key, mount.mount_point)) {
                    let place = [labels[0], labels[1], ("mountpoint", mount.mount_point), labels[2]];
                    samples.sample(&MOUNT_POINT, &place, 1u64);
                }
                if !shown.insert(key) {
                    break;
                }
                emit(samples, &mount, labels);
            }
        }
        samples.write_to(page);
        Ok(())
    }
}

type MountLabels<'a> = [(&'a str, &'a [u8]); 3];

fn emit(samples: &mut Grouping, mount: &Mount<'_>, labels: MountLabels<'_>) {
    samples.sample(&AGE, &labels, mount.age);
    for (metric, count) in BYTES.into_iter().zip(mount.bytes) {
        samples.sample(metric, &labels, count);
    }
    for (index, transport) in mount.transports.iter().enumerate() {
        emit_transport(samples, index, transport, labels);
    }
    for operation in &mount.operations {
        emit_operation(samples, operation, labels);
    }
    for (name, count) in EVENTS.into_iter().zip(mount.events).filter(|(name, _)| !name.is_empty()) {
        samples.sample_named(&EVENT, name.as_bytes(), &labels, count);
    }
}

fn emit_transport(samples: &mut Grouping, index: usize, transport: &Transport<'_>, labels: MountLabels<'_>) {
    let index = index.to_string();
    let labels = [labels[0], labels[1], labels[2], ("transport", index.as_bytes())];
    samples.sample(&BIND, &labels, transport.bind);
    samples.sample(&CONNECT, &labels, transport.connect);
    samples.sample(&IDLE, &labels, transport.idle_seconds);
    samples.sample(&SENDS, &labels, transport.sends);
    samples.sample(&RECEIVES, &labels, transport.receives);
    samples.sample(&BAD_IDS, &labels, transport.bad_transaction_ids);
    samples.sample(&BACKLOG, &labels, transport.backlog);
    samples.sample(&SLOTS, &labels, transport.maximum_slots);
    samples.sample(&SENDING, &labels, transport.sending_queue);
    samples.sample(&PENDING, &labels, transport.pending_queue);
}

fn emit_operation(samples: &mut Grouping, operation: &Operation<'_>, labels: MountLabels<'_>) {
    let labels = [labels[0], labels[1], ("operation", operation.name), labels[2]];
    samples.sample(&REQUESTS, &labels, operation.requests);
    samples.sample(&TRANSMISSIONS, &labels, operation.transmissions);
    samples.sample(&TIMEOUTS, &labels, operation.major_timeouts);
    samples.sample(&SENT, &labels, operation.bytes_sent);
    samples.sample(&RECEIVED, &labels, operation.bytes_received);
    samples.sample(&QUEUE_TIME, &labels, seconds(operation.queue_ms));
    samples.sample(&RESPONSE_TIME, &labels, seconds(operation.response_ms));
    samples.sample(&REQUEST_TIME, &labels, seconds(operation.request_ms));
    samples.sample(&ERRORS, &labels, operation.errors);
}

/// Sums of milliseconds wrap where a double would stop counting them, so that rates stay right.
fn seconds(milliseconds: u64) -> impl Value {
    (milliseconds % (1 << 53)) as f64 / 1000.0
}
