//! What udev and sysfs say about block devices, remembered: these facts change when a device is replaced or formatted,
//! and udev then writes a new file.

use std::path::PathBuf;
use std::time::SystemTime;

use hostfs::diskstats::{Disk, NUMBERS};
use hostfs::text::{lines, parse_f64};
use hostfs::{Roots, attributes, read_into};

use super::{
    ATA_ROTATION, ATA_WRITE_CACHE, ATA_WRITE_CACHE_ENABLED, FILESYSTEM_INFO, INFO, MAPPER_BACKING, MAPPER_INFO,
};
use crate::exposition::Page;

/// Largest udev file that is read; real ones have a few KiB.
const UDEV_LIMIT: usize = 64 << 10;

/// The counters of one scrape.
#[derive(Clone, Copy)]
pub(super) struct Counters {
    pub(super) count: usize,
    pub(super) numbers: [u64; NUMBERS],
}

struct Device {
    name: Vec<u8>,
    major: u32,
    minor: u32,
    counters: Counters,
    /// Where udev writes what it knows about the device.
    udev_file: PathBuf,
    /// When that file was written, as far as is known.
    written: Option<SystemTime>,
    facts: Facts,
}

/// Facts of one device; empty where unknown, as labels want them.
#[derive(Default)]
struct Facts {
    path: Vec<u8>,
    wwn: Vec<u8>,
    model: Vec<u8>,
    serial: Vec<u8>,
    revision: Vec<u8>,
    rotational: Vec<u8>,
    filesystem: Option<[Vec<u8>; 4]>,
    mapper: Option<[Vec<u8>; 5]>,
    backing: Vec<Vec<u8>>,
    ata_write_cache: Option<f64>,
    ata_write_cache_enabled: Option<f64>,
    ata_rotation: Option<f64>,
}

/// The devices of the last scrape.
pub(super) struct Devices {
    udev_data: PathBuf,
    block: PathBuf,
    devices: Vec<Device>,
    /// How many of `devices` the current scrape has seen.
    seen: usize,
    text: Vec<u8>,
}

impl Devices {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            udev_data: roots.udev_data.clone(),
            block: roots.sys("block"),
            devices: Vec::new(),
            seen: 0,
            text: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.seen = 0;
    }

    /// Takes one device's counters. Devices come in the same order at each scrape, so that the usual case compares once.
    pub(super) fn add(&mut self, disk: Disk<'_>) {
        let counters = Counters { count: disk.count, numbers: disk.numbers };
        let is_same =
            |known: &Device| known.name == disk.name && known.major == disk.major && known.minor == disk.minor;
        let at = self.seen;
        self.seen += 1;
        if !self.devices.get(at).is_some_and(is_same) {
            let later = self.devices[at.min(self.devices.len())..].iter().position(is_same);
            if let Some(offset) = later {
                self.devices.swap(at, at + offset);
            } else {
                let device = Device {
                    name: disk.name.to_vec(),
                    major: disk.major,
                    minor: disk.minor,
                    counters,
                    udev_file: self.udev_data.join(format!("b{}:{}", disk.major, disk.minor)),
                    written: None,
                    facts: Facts::default(),
                };
                self.devices.insert(at, device);
                self.learn(at, None);
            }
        }
        self.devices[at].counters = counters;
        let written = std::fs::metadata(&self.devices[at].udev_file).and_then(|file| file.modified()).ok();
        if written != self.devices[at].written {
            self.learn(at, written);
        }
    }

    /// Name and counters of the devices of this scrape.
    pub(super) fn disks(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        self.devices[..self.seen].iter().map(|device| (&device.name[..], device.counters))
    }

    fn learn(&mut self, at: usize, written: Option<SystemTime>) {
        // No file, or none that may be read, is a host without udev: nothing is known.
        if read_into(&self.devices[at].udev_file, &mut self.text, UDEV_LIMIT).is_err() {
            self.text.clear();
        }
        // sysfs writes the slash of a name such as cciss/c0d0 as an exclamation mark.
        let name: Vec<u8> = self.devices[at].name.iter().map(|&byte| if byte == b'/' { b'!' } else { byte }).collect();
        let directory = self.block.join(attributes::component(&name));
        let mut facts = facts(&self.text);
        facts.rotational = attributes::value(&directory.join("queue/rotational")).unwrap_or_else(|_| b"0".to_vec());
        if facts.mapper.is_some() {
            facts.backing = attributes::names(&directory.join("slaves")).unwrap_or_default();
        }
        let device = &mut self.devices[at];
        device.facts = facts;
        device.written = written;
    }

    pub(super) fn write_facts(&self, page: &mut Page) {
        let devices = &self.devices[..self.seen];
        let mut family = page.family(&INFO);
        for Device { name, major, minor, facts, .. } in devices {
            let (mut major_digits, mut minor_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
            let labels: [(&str, &[u8]); 9] = [
                ("device", name),
                ("major", major_digits.format(*major).as_bytes()),
                ("minor", minor_digits.format(*minor).as_bytes()),
                ("path", &facts.path),
                ("wwn", &facts.wwn),
                ("model", &facts.model),
                ("serial", &facts.serial),
                ("revision", &facts.revision),
                ("rotational", &facts.rotational),
            ];
            family.sample(&labels, 1u64);
        }
        let mut family = page.family(&FILESYSTEM_INFO);
        for device in devices {
            if let Some([kind, usage, uuid, version]) = &device.facts.filesystem {
                let labels: [(&str, &[u8]); 5] =
                    [("device", &device.name), ("type", kind), ("usage", usage), ("uuid", uuid), ("version", version)];
                family.sample(&labels, 1u64);
            }
        }
        let mut family = page.family(&MAPPER_INFO);
        for device in devices {
            if let Some([name, uuid, vg_name, lv_name, lv_layer]) = &device.facts.mapper {
                let labels: [(&str, &[u8]); 6] = [
                    ("device", &device.name),
                    ("name", name),
                    ("uuid", uuid),
                    ("vg_name", vg_name),
                    ("lv_name", lv_name),
                    ("lv_layer", lv_layer),
                ];
                family.sample(&labels, 1u64);
            }
        }
        let mut family = page.family(&MAPPER_BACKING);
        for device in devices {
            for backing in &device.facts.backing {
                family.sample(&[("device", &device.name), ("backing_device", backing)], 1u64);
            }
        }
        type Fact = fn(&Facts) -> Option<f64>;
        let ata: [(_, Fact); 3] = [
            (&ATA_WRITE_CACHE, |facts| facts.ata_write_cache),
            (&ATA_WRITE_CACHE_ENABLED, |facts| facts.ata_write_cache_enabled),
            (&ATA_ROTATION, |facts| facts.ata_rotation),
        ];
        for (metric, fact) in ata {
            let mut family = page.family(metric);
            for device in devices {
                if let Some(value) = fact(&device.facts) {
                    family.sample(&[("device", &device.name)], value);
                }
            }
        }
    }
}

/// Reads the `E:NAME=value` lines of udev's file.
fn facts(text: &[u8]) -> Facts {
    let find = |name: &str| {
        lines(text)
            .filter_map(|line| line.strip_prefix(b"E:")?.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            // A property that is written twice has its second value.
            .last()
    };
    let value = |name: &str| find(name).unwrap_or_default().to_vec();
    let first_of = |names: [&str; 3]| names.map(value).into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let present = |name: &str| find(name).is_some_and(|value| !value.is_empty());
    let ata = |name: &str| find("ID_ATA").filter(|value| !value.is_empty()).and_then(|_| parse_f64(find(name)?));
    Facts {
        path: value("ID_PATH"),
        wwn: value("ID_WWN"),
        model: value("ID_MODEL"),
        // The serial number on the disk's label, else what the bus says, else what virtio disks have.
        serial: first_of(["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"]),
        revision: value("ID_REVISION"),
        rotational: Vec::new(),
        filesystem: present("ID_FS_TYPE")
            .then(|| ["ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"].map(value)),
        mapper: present("DM_NAME")
            .then(|| ["DM_NAME", "DM_UUID", "DM_VG_NAME", "DM_LV_NAME", "DM_LV_LAYER"].map(value)),
        backing: Vec::new(),
        ata_write_cache: ata("ID_ATA_WRITE_CACHE"),
        ata_write_cache_enabled: ata("ID_ATA_WRITE_CACHE_ENABLED"),
        ata_rotation: ata("ID_ATA_ROTATION_RATE_RPM"),
    }
}
