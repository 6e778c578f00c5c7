//! `dmmultipath`: multipath devices of the device mapper.

use hostfs::{Roots, attributes, multipath};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

const DEVICE: &[&str] = &["device", "sysfs_name"];

crate::metrics! {
    INFO = gauge("node_dmmultipath_device_info").labels(&["device", "sysfs_name", "uuid"])
        .help("Always 1; the labels name a device.").source("/sys/block/dm-*/dm").answers("Which device is this?");
    ACTIVE = gauge("node_dmmultipath_device_active").labels(DEVICE)
        .help("Whether a device takes I/O (1) or is suspended (0).").source("/sys/block/dm-*/dm/suspended")
        .answers("Is I/O held back?");
    SIZE = gauge("node_dmmultipath_device_size_bytes").labels(DEVICE).unit("bytes").help("Size of a device.")
        .source("/sys/block/dm-*/size").answers("How large is the device?");
    PATHS = gauge("node_dmmultipath_device_paths").labels(DEVICE).help("Paths of a device.")
        .source("/sys/block/dm-*/slaves").answers("How many paths are there?");
    PATHS_ACTIVE = gauge("node_dmmultipath_device_paths_active").labels(DEVICE)
        .help("Paths of a device that are running or live.").source("/sys/block/*/device/state")
        .answers("How many paths can be used?");
    PATHS_FAILED = gauge("node_dmmultipath_device_paths_failed").labels(DEVICE)
        .help("Paths of a device that are in any other state.").source("/sys/block/*/device/state")
        .answers("Has a path failed?");
    PATH_STATE = gauge("node_dmmultipath_path_state").labels(&["device", "path", "state"])
        .help("Always 1; the label is the state that a path is in.").source("/sys/block/*/device/state")
        .answers("What is wrong with a path?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Multipath {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Multipath { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Multipath {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let devices = multipath::read(&self.roots).map_err(|error| {
            let forbidden = attributes::is_forbidden(&error);
            if forbidden { Failure::NoData(error.to_string()) } else { Failure::missing_is_no_data(error) }
        })?;
        let samples = &mut self.samples;
        for device in &devices {
            let name = ("device", device.name.as_slice());
            let labels = [name, ("sysfs_name", device.kernel_name.as_slice())];
            samples.sample(&INFO, &[labels[0], labels[1], ("uuid", &device.uuid)], 1u64);
            samples.sample(&ACTIVE, &labels, !device.suspended);
            samples.sample(&SIZE, &labels, device.size);
            // SCSI disks are running, NVMe controllers are live.
            let active = device.paths.iter().filter(|(_, state)| state == b"running" || state == b"live").count();
            samples.sample(&PATHS, &labels, device.paths.len() as u64);
            samples.sample(&PATHS_ACTIVE, &labels, active as u64);
            samples.sample(&PATHS_FAILED, &labels, (device.paths.len() - active) as u64);
            for (path, state) in &device.paths {
                samples.sample(&PATH_STATE, &[name, ("path", path), ("state", state)], 1u64);
            }
        }
        samples.write_to(page);
        Ok(())
    }
}
