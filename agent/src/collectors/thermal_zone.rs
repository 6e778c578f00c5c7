//! `thermal_zone`: temperatures of thermal zones, and what cools them.

use hostfs::{Roots, thermal};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    TEMPERATURE = gauge("node_thermal_zone_temp").labels(&["type", "zone"]).unit("celsius")
        .help("Temperature of a zone in degrees Celsius.").source("/sys/class/thermal/thermal_zone*/temp")
        .answers("Is the machine too hot?");
    CURRENT = gauge("node_cooling_device_cur_state").labels(&["name", "type"])
        .help("How strongly a device cools, or is slowed down, now.")
        .source("/sys/class/thermal/cooling_device*/cur_state").answers("Is the machine throttled by heat?");
    MAXIMUM = gauge("node_cooling_device_max_state").labels(&["name", "type"])
        .help("How strongly a device can cool, or be slowed down.")
        .source("/sys/class/thermal/cooling_device*/max_state").answers("How much throttling is left?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct ThermalZone {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(ThermalZone { roots: setup.roots.clone() }))
}

impl Collector for ThermalZone {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut temperature = page.family(&TEMPERATURE);
        for zone in thermal::zones(&self.roots)? {
            temperature.sample(&[("type", &zone.kind), ("zone", &zone.number)], zone.millidegrees as f64 / 1000.0);
        }
        let devices = thermal::cooling_devices(&self.roots)?;
        let mut current = page.family(&CURRENT);
        for device in &devices {
            current.sample(&[("name", &device.number), ("type", &device.kind)], device.current);
        }
        let mut maximum = page.family(&MAXIMUM);
        for device in &devices {
            maximum.sample(&[("name", &device.number), ("type", &device.kind)], device.maximum);
        }
        Ok(())
    }
}
