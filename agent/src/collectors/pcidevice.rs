//! `pcidevice`: PCI devices, their links and their virtual functions.

use hostfs::Roots;
use hostfs::pci::{self, Device, Location};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

const LOCATION: &[&str] = &["bus", "device", "function", "segment"];

crate::metrics! {
    INFO = gauge("node_pcidevice_info")
        .labels(&["bus", "class_id", "device", "device_id", "function", "parent_bus", "parent_device",
            "parent_function", "parent_segment", "revision", "segment", "subsystem_device_id", "subsystem_vendor_id",
            "vendor_id"])
        .help("Always 1; the labels say where a device sits and what it is.").source("/sys/bus/pci/devices/*")
        .answers("Which devices are there?");
    MAX_TRANSFERS = gauge("node_pcidevice_max_link_transfers_per_second").labels(LOCATION)
        .help("Transfers per second that a device's link can do; -1 when it does not tell.")
        .source("/sys/bus/pci/devices/*/max_link_speed").answers("How fast could the link be?");
    MAX_WIDTH = gauge("node_pcidevice_max_link_width").labels(LOCATION)
        .help("Lanes that a device's link can have; -1 when it does not tell.")
        .source("/sys/bus/pci/devices/*/max_link_width").answers("How wide could the link be?");
    TRANSFERS = gauge("node_pcidevice_current_link_transfers_per_second").labels(LOCATION)
        .help("Transfers per second that a device's link does; -1 when it does not tell.")
        .source("/sys/bus/pci/devices/*/current_link_speed").answers("Did the link come up at full speed?");
    WIDTH = gauge("node_pcidevice_current_link_width").labels(LOCATION)
        .help("Lanes that a device's link has; -1 when it does not tell.")
        .source("/sys/bus/pci/devices/*/current_link_width").answers("Did the link come up with all lanes?");
    COLD = gauge("node_pcidevice_d3cold_allowed").labels(LOCATION).help("Whether a device may be switched off.")
        .source("/sys/bus/pci/devices/*/d3cold_allowed").answers("May the device sleep deeply?");
    AUTOPROBE = gauge("node_pcidevice_sriov_drivers_autoprobe").labels(LOCATION)
        .help("Whether new virtual functions get a driver.").source("/sys/bus/pci/devices/*/sriov_drivers_autoprobe")
        .answers("Are virtual functions kept for guests?");
    FUNCTIONS = gauge("node_pcidevice_sriov_numvfs").labels(LOCATION).help("Virtual functions of a device.")
        .source("/sys/bus/pci/devices/*/sriov_numvfs").answers("How many virtual functions are there?");
    MAX_FUNCTIONS = gauge("node_pcidevice_sriov_totalvfs").labels(LOCATION)
        .help("Virtual functions that a device can have.").source("/sys/bus/pci/devices/*/sriov_totalvfs")
        .answers("How many virtual functions could there be?");
    VECTORS = gauge("node_pcidevice_sriov_vf_total_msix").labels(LOCATION)
        .help("Interrupt vectors that virtual functions share.").source("/sys/bus/pci/devices/*/sriov_vf_total_msix")
        .answers("How many interrupts can virtual functions have?");
    POWER = gauge("node_pcidevice_power_state").labels(&["bus", "device", "function", "segment", "state"])
        .help("1 for the power state that a device is in.").source("/sys/bus/pci/devices/*/power_state")
        .answers("Is the device asleep?");
    NUMA = gauge("node_pcidevice_numa_node").labels(LOCATION).help("NUMA node that a device is attached to.")
        .source("/sys/bus/pci/devices/*/numa_node").answers("Which CPUs are close to the device?");
}

/// States of a device, as the kernel names them.
const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

/// In the order of the reader's lists.
static LINK: [&Metric; 4] = [&MAX_TRANSFERS, &MAX_WIDTH, &TRANSFERS, &WIDTH];
static FLAGS: [&Metric; pci::FLAGS.len()] = [&COLD, &AUTOPROBE, &FUNCTIONS, &MAX_FUNCTIONS, &VECTORS];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Pci {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Pci { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Pci {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for device in pci::read(&self.roots).map_err(Failure::missing_is_no_data)? {
            emit(&mut self.samples, &device);
        }
        self.samples.write_to(page);
        Ok(())
    }
}

/// Bus, device, function and segment, as lspci writes them.
fn place(location: &Location) -> [String; 4] {
    let Location { segment, bus, device, function } = location;
    [format!("{bus:02x}"), format!("{device:02x}"), format!("{function:x}"), format!("{segment:04x}")]
}

fn emit(samples: &mut Grouping, device: &Device) {
    let [bus, slot, function, segment] = place(&device.location);
    let parent = device.parent.as_ref().map_or_else(|| ["*"; 4].map(String::from), place);
    let identity = [
        format!("0x{:06x}", device.class),
        format!("0x{:04x}", device.device),
        format!("0x{:02x}", device.revision),
        format!("0x{:04x}", device.subsystem_device),
        format!("0x{:04x}", device.subsystem_vendor),
        format!("0x{:04x}", device.vendor),
    ];
    let values = [
        &bus,
        &identity[0],
        &slot,
        &identity[1],
        &function,
        &parent[0],
        &parent[1],
        &parent[2],
        &parent[3],
        &identity[2],
        &segment,
        &identity[3],
        &identity[4],
        &identity[5],
    ];
    let labels: Vec<(&str, &[u8])> =
        INFO.labels.iter().copied().zip(values.iter().map(|value| value.as_bytes())).collect();
    samples.sample(&INFO, &labels, 1u64);
    let location = [
        ("bus", bus.as_bytes()),
        ("device", slot.as_bytes()),
        ("function", function.as_bytes()),
        ("segment", segment.as_bytes()),
    ];
    for (metric, number) in LINK.into_iter().zip(device.link) {
        samples.sample(metric, &location, number.unwrap_or(-1.0));
    }
    for (metric, number) in FLAGS.into_iter().zip(device.flags) {
        let switch = std::ptr::eq(metric, &raw const COLD) || std::ptr::eq(metric, &raw const AUTOPROBE);
        samples.sample(metric, &location, if switch { i64::from(number != 0) } else { number });
    }
    if let Some(current) = &device.power_state {
        for state in POWER_STATES {
            let [bus, slot, function, segment] = location;
            let labels = [bus, slot, function, segment, ("state", state.as_bytes())];
            samples.sample(&POWER, &labels, current == state.as_bytes());
        }
    }
    if device.numa_node != -1 {
        samples.sample(&NUMA, &location, device.numa_node);
    }
}
