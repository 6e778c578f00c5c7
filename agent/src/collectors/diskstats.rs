//! `diskstats`: I/O counters of block devices, and what udev knows about them.

mod udev;

use hostfs::diskstats;

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, text};
use udev::Devices;

crate::metrics! {
    READS = counter("node_disk_reads_completed_total").labels(&["device"]).help("Reads that ended well.")
        .source("/proc/diskstats").answers("How many reads does the device serve?");
    READS_MERGED = counter("node_disk_reads_merged_total").labels(&["device"]).help("Reads that were joined to another before being issued.")
        .source("/proc/diskstats").answers("Do neighbouring reads come together?");
    READ_BYTES = counter("node_disk_read_bytes_total").labels(&["device"]).unit("bytes").help("Bytes read.")
        .source("/proc/diskstats").answers("How much is read from the device?");
    READ_TIME = counter("node_disk_read_time_seconds_total").labels(&["device"]).unit("seconds").help("Time of all reads, added up.")
        .source("/proc/diskstats").answers("How long does a read take?");
    WRITES = counter("node_disk_writes_completed_total").labels(&["device"]).help("Writes that ended well.")
        .source("/proc/diskstats").answers("How many writes does the device serve?");
    WRITES_MERGED = counter("node_disk_writes_merged_total").labels(&["device"]).help("Writes that were joined to another before being issued.")
        .source("/proc/diskstats").answers("Do neighbouring writes come together?");
    WRITTEN_BYTES = counter("node_disk_written_bytes_total").labels(&["device"]).unit("bytes").help("Bytes written.")
        .source("/proc/diskstats").answers("How much is written to the device?");
    WRITE_TIME = counter("node_disk_write_time_seconds_total").labels(&["device"]).unit("seconds").help("Time of all writes, added up.")
        .source("/proc/diskstats").answers("How long does a write take?");
    IO_NOW = gauge("node_disk_io_now").labels(&["device"]).help("I/Os that the device works on now.")
        .source("/proc/diskstats").answers("How long is the device's queue?");
    IO_TIME = counter("node_disk_io_time_seconds_total").labels(&["device"]).unit("seconds").help("Time in which the device had any I/O to do.")
        .source("/proc/diskstats").answers("For how much of the time is the device busy?");
    IO_TIME_WEIGHTED = counter("node_disk_io_time_weighted_seconds_total").labels(&["device"]).unit("seconds").help("Time with I/O, times the I/Os that were on their way.")
        .source("/proc/diskstats").answers("How long is the device's queue on average?");
    DISCARDS = counter("node_disk_discards_completed_total").labels(&["device"]).help("Discards that ended well.")
        .source("/proc/diskstats").answers("Does the file system give unused blocks back?");
    DISCARDS_MERGED = counter("node_disk_discards_merged_total").labels(&["device"]).help("Discards that were joined to another before being issued.")
        .source("/proc/diskstats").answers("Do neighbouring discards come together?");
    DISCARDED_SECTORS = counter("node_disk_discarded_sectors_total").labels(&["device"]).help("Sectors of 512 bytes discarded.")
        .source("/proc/diskstats").answers("How much is discarded?");
    DISCARD_TIME = counter("node_disk_discard_time_seconds_total").labels(&["device"]).unit("seconds").help("Time of all discards, added up.")
        .source("/proc/diskstats").answers("How long does a discard take?");
    FLUSHES = counter("node_disk_flush_requests_total").labels(&["device"]).help("Flushes of the device's write cache.")
        .source("/proc/diskstats").answers("How often is durability asked for?");
    FLUSH_TIME = counter("node_disk_flush_requests_time_seconds_total").labels(&["device"]).unit("seconds").help("Time of all flushes, added up.")
        .source("/proc/diskstats").answers("How long does a flush take?");
    INFO = gauge("node_disk_info")
        .labels(&["device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"])
        .help("1 for each device, with its numbers and what udev knows about it.")
        .source("/run/udev/data/b*, /sys/block/*/queue/rotational").answers("Which disk is behind this device name?");
    FILESYSTEM_INFO = gauge("node_disk_filesystem_info").labels(&["device", "type", "usage", "uuid", "version"])
        .help("1 for each device on which udev found a file system.").source("/run/udev/data/b*")
        .answers("What is on this device?");
    MAPPER_INFO = gauge("node_disk_device_mapper_info").labels(&["device", "name", "uuid", "vg_name", "lv_name", "lv_layer"])
        .help("1 for each device of the device mapper.").source("/run/udev/data/b*")
        .answers("Which logical volume is behind dm-N?");
    MAPPER_BACKING = gauge("node_disk_device_mapper_backing_device_info").labels(&["device", "backing_device"])
        .help("1 for each device below a device of the device mapper.").source("/sys/block/*/slaves")
        .answers("On which disks does this logical volume lie?");
    ATA_WRITE_CACHE = gauge("node_disk_ata_write_cache").labels(&["device"]).help("1 when the ATA disk has a write cache.")
        .source("/run/udev/data/b*").answers("Has the disk a write cache?");
    ATA_WRITE_CACHE_ENABLED = gauge("node_disk_ata_write_cache_enabled").labels(&["device"]).help("1 when the ATA disk's write cache is on.")
        .source("/run/udev/data/b*").answers("Could a power failure lose acknowledged writes?");
    ATA_ROTATION = gauge("node_disk_ata_rotation_rate_rpm").labels(&["device"]).help("Revolutions per minute of the ATA disk, 0 for an SSD.")
        .source("/run/udev/data/b*").answers("Is it a spinning disk?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.diskstats.device-include", "", "Devices to export"),
        text(
            "collector.diskstats.device-exclude",
            r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
            "Devices not to export",
        ),
    ],
    build,
};

/// How a column of the file becomes a value.
#[derive(Clone, Copy)]
enum Column {
    Count,
    /// Sectors of 512 bytes to bytes, whatever the device's own sector size.
    Sectors,
    /// Milliseconds to seconds; by multiplying, so that the last digit is node_exporter's.
    Milliseconds,
}

/// The families in the order of the file's columns.
static COLUMNS: [(&Metric, Column); diskstats::NUMBERS] = [
    (&READS, Column::Count),
    (&READS_MERGED, Column::Count),
    (&READ_BYTES, Column::Sectors),
    (&READ_TIME, Column::Milliseconds),
    (&WRITES, Column::Count),
    (&WRITES_MERGED, Column::Count),
    (&WRITTEN_BYTES, Column::Sectors),
    (&WRITE_TIME, Column::Milliseconds),
    (&IO_NOW, Column::Count),
    (&IO_TIME, Column::Milliseconds),
    (&IO_TIME_WEIGHTED, Column::Milliseconds),
    (&DISCARDS, Column::Count),
    (&DISCARDS_MERGED, Column::Count),
    (&DISCARDED_SECTORS, Column::Count),
    (&DISCARD_TIME, Column::Milliseconds),
    (&FLUSHES, Column::Count),
    (&FLUSH_TIME, Column::Milliseconds),
];

struct Diskstats {
    reader: diskstats::Reader,
    filter: Filter,
    devices: Devices,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Diskstats {
        reader: diskstats::Reader::new(&setup.roots),
        filter: setup.filter("collector.diskstats.device-include", "collector.diskstats.device-exclude")?,
        devices: Devices::new(&setup.roots),
    }))
}

impl Collector for Diskstats {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let diskstats = self.reader.read()?;
        self.devices.begin();
        for disk in diskstats.disks() {
            let disk = disk?;
            if self.filter.wants(disk.name) {
                self.devices.add(disk);
            }
        }
        for (index, (metric, column)) in COLUMNS.into_iter().enumerate() {
            let mut family = page.family(metric);
            for (name, disk) in self.devices.disks().filter(|(_, disk)| index < disk.count) {
                let labels = [("device", name)];
                let number = disk.numbers[index];
                match column {
                    Column::Count => family.sample(&labels, number),
                    Column::Sectors => family.sample(&labels, number as f64 * 512.0),
                    Column::Milliseconds => family.sample(&labels, number as f64 * 0.001),
                };
            }
        }
        self.devices.write_facts(page);
        Ok(())
    }
}
