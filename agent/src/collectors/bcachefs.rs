//! `bcachefs`: mounted bcachefs file systems.

use hostfs::Roots;
use hostfs::bcachefs::{self, Device, FileSystem};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

const DEVICE: &[&str] = &["device", "uuid"];

crate::metrics! {
    INFO = gauge("node_bcachefs_info").labels(&["uuid"]).help("Always 1, for each file system.")
        .source("/sys/fs/bcachefs/*").answers("Which file systems are mounted?");
    BTREE_CACHE = gauge("node_bcachefs_btree_cache_size_bytes").labels(&["uuid"]).unit("bytes")
        .help("Memory that holds the trees.").source("/sys/fs/bcachefs/*/btree_cache_size")
        .answers("How much memory do the trees take?");
    COMPRESSED = gauge("node_bcachefs_compression_compressed_bytes").labels(&["algorithm", "uuid"]).unit("bytes")
        .help("Size of data after compression.").source("/sys/fs/bcachefs/*/compression_stats")
        .answers("How much does compressed data take?");
    UNCOMPRESSED = gauge("node_bcachefs_compression_uncompressed_bytes").labels(&["algorithm", "uuid"]).unit("bytes")
        .help("Size of data before compression.").source("/sys/fs/bcachefs/*/compression_stats")
        .answers("How much does compression save?");
    ERRORS = counter("node_bcachefs_errors_total").labels(&["error_type", "uuid"]).help("Errors met, by kind.")
        .source("/sys/fs/bcachefs/*/errors").answers("Is the file system damaged?");
    COUNTER = counter("node_bcachefs_*_total").labels(&["uuid"]).help("Counter * since the file system was made.")
        .source("/sys/fs/bcachefs/*/counters/*").answers("What is the file system doing?");
    TREE_WRITES = counter("node_bcachefs_btree_writes_total").labels(&["type", "uuid"]).help("Writes of tree nodes.")
        .source("/sys/fs/bcachefs/*/btree_write_stats").answers("Why are tree nodes written?");
    TREE_WRITE_SIZE = gauge("node_bcachefs_btree_write_average_size_bytes").labels(&["type", "uuid"]).unit("bytes")
        .help("Size of writes of tree nodes, on average.").source("/sys/fs/bcachefs/*/btree_write_stats")
        .answers("Are tree nodes written in small pieces?");
    DEVICE_INFO = gauge("node_bcachefs_device_info").labels(&["device", "label", "state", "uuid"])
        .help("Always 1; the labels describe a device.").source("/sys/fs/bcachefs/*/dev-*")
        .answers("Which devices is it made of?");
    BUCKET_SIZE = gauge("node_bcachefs_device_bucket_size_bytes").labels(DEVICE).unit("bytes")
        .help("Size of a device's buckets.").source("/sys/fs/bcachefs/*/dev-*/bucket_size")
        .answers("How large are buckets?");
    BUCKETS = gauge("node_bcachefs_device_buckets").labels(DEVICE).help("Buckets of a device.")
        .source("/sys/fs/bcachefs/*/dev-*/nbuckets").answers("How large is a device?");
    DURABILITY = gauge("node_bcachefs_device_durability").labels(DEVICE)
        .help("How many copies one on this device counts for.").source("/sys/fs/bcachefs/*/dev-*/durability")
        .answers("Is a device trusted with the only copy?");
    IO_DONE = counter("node_bcachefs_device_io_done_bytes_total").labels(&["data_type", "device", "operation", "uuid"])
        .unit("bytes").help("Bytes read and written, by type of data.").source("/sys/fs/bcachefs/*/dev-*/io_done")
        .answers("What is read from and written to a device?");
    IO_ERRORS = counter("node_bcachefs_device_io_errors_total").labels(&["device", "type", "uuid"])
        .help("Errors of a device since the file system was made.").source("/sys/fs/bcachefs/*/dev-*/io_errors")
        .answers("Is a device failing?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Bcachefs {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Bcachefs { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Bcachefs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let file_systems = bcachefs::read(&self.roots).map_err(Failure::missing_is_no_data)?;
        if file_systems.is_empty() {
            return Err(Failure::NoData("no bcachefs is mounted".into()));
        }
        for file_system in &file_systems {
            emit(&mut self.samples, file_system);
        }
        self.samples.write_to(page);
        Ok(())
    }
}

fn emit(samples: &mut Grouping, file_system: &FileSystem) {
    let uuid = ("uuid", file_system.uuid.as_slice());
    samples.sample(&INFO, &[uuid], 1u64);
    samples.sample(&BTREE_CACHE, &[uuid], file_system.btree_cache);
    for (algorithm, compressed, uncompressed) in &file_system.compression {
        samples.sample(&COMPRESSED, &[("algorithm", algorithm), uuid], *compressed);
        samples.sample(&UNCOMPRESSED, &[("algorithm", algorithm), uuid], *uncompressed);
    }
    for (kind, count) in &file_system.errors {
        samples.sample(&ERRORS, &[("error_type", kind), uuid], *count);
    }
    for (name, count) in &file_system.counters {
        samples.sample_named(&COUNTER, name, &[uuid], *count);
    }
    for (kind, count, size) in &file_system.btree_writes {
        samples.sample(&TREE_WRITES, &[("type", kind), uuid], *count);
        samples.sample(&TREE_WRITE_SIZE, &[("type", kind), uuid], *size);
    }
    for device in &file_system.devices {
        emit_device(samples, device, uuid);
    }
}

fn emit_device(samples: &mut Grouping, device: &Device, uuid: (&str, &[u8])) {
    let name = ("device", device.name.as_slice());
    samples.sample(&DEVICE_INFO, &[name, ("label", &device.label), ("state", &device.state), uuid], 1u64);
    samples.sample(&BUCKET_SIZE, &[name, uuid], device.bucket_size);
    samples.sample(&BUCKETS, &[name, uuid], device.buckets);
    samples.sample(&DURABILITY, &[name, uuid], device.durability);
    for (direction, kind, bytes) in &device.io_done {
        let labels = [("data_type", kind.as_slice()), name, ("operation", direction.as_bytes()), uuid];
        samples.sample(&IO_DONE, &labels, *bytes);
    }
    for (kind, count) in &device.io_errors {
        samples.sample(&IO_ERRORS, &[name, ("type", kind), uuid], *count);
    }
}
