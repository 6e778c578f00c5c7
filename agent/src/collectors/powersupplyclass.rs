//! `powersupplyclass`: batteries and chargers.

use hostfs::{Roots, power_supply};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

crate::metrics! {
    INFO = gauge("node_power_supply_info")
        .labels(&["capacity_level", "charge_type", "health", "manufacturer", "model_name", "power_supply", "scope",
            "serial_number", "status", "technology", "type", "usb_type"])
        .help("Always 1; the labels are those that a supply has.").source("/sys/class/power_supply/*")
        .answers("Is the machine on battery?");
    ONLINE = gauge("node_power_supply_online").labels(&["power_supply"])
        .help("Whether a supply gives power: 0 no, 1 fixed, 2 programmable.").source("/sys/class/power_supply/*/online")
        .answers("Is the machine plugged in?");
    CAPACITY = gauge("node_power_supply_capacity").labels(&["power_supply"]).help("Charge of a battery in percent.")
        .source("/sys/class/power_supply/*/capacity").answers("How full is the battery?");
    VALUE = gauge("node_power_supply_*").labels(&["power_supply"])
        .help("Attribute * of a supply, in amperes, volts, watts, their hours, degrees Celsius, seconds or counts.")
        .source("/sys/class/power_supply/*").answers("In which state is the battery?");
}

/// Attributes that are shown as they are: file and name.
const PLAIN: &[(&str, &str)] = &[
    ("authentic", "authentic"),
    ("calibrate", "calibrate"),
    ("capacity", "capacity"),
    ("capacity_alert_max", "capacity_alert_max"),
    ("capacity_alert_min", "capacity_alert_min"),
    ("cycle_count", "cyclecount"),
    ("online", "online"),
    ("present", "present"),
    ("time_to_empty_now", "time_to_empty_seconds"),
    ("time_to_full_now", "time_to_full_seconds"),
];

/// Attributes in millionths: file and name.
const MICRO: &[(&str, &str)] = &[
    ("current_boot", "current_boot"),
    ("current_max", "current_max"),
    ("current_now", "current_ampere"),
    ("energy_empty", "energy_empty"),
    ("energy_empty_design", "energy_empty_design"),
    ("energy_full", "energy_full"),
    ("energy_full_design", "energy_full_design"),
    ("energy_now", "energy_watthour"),
    ("voltage_boot", "voltage_boot"),
    ("voltage_max", "voltage_max"),
    ("voltage_max_design", "voltage_max_design"),
    ("voltage_min", "voltage_min"),
    ("voltage_min_design", "voltage_min_design"),
    ("voltage_now", "voltage_volt"),
    ("voltage_ocv", "voltage_ocv"),
    ("charge_control_limit", "charge_control_limit"),
    ("charge_control_limit_max", "charge_control_limit_max"),
    ("charge_counter", "charge_counter"),
    ("charge_empty", "charge_empty"),
    ("charge_empty_design", "charge_empty_design"),
    ("charge_full", "charge_full"),
    ("charge_full_design", "charge_full_design"),
    ("charge_now", "charge_ampere"),
    ("charge_term_current", "charge_term_current"),
    ("constant_charge_current", "constant_charge_current"),
    ("constant_charge_current_max", "constant_charge_current_max"),
    ("constant_charge_voltage", "constant_charge_voltage"),
    ("constant_charge_voltage_max", "constant_charge_voltage_max"),
    ("precharge_current", "precharge_current"),
    ("input_current_limit", "input_current_limit"),
    ("power_now", "power_watt"),
];

/// Attributes in tenths of a degree: file and name.
const TENTHS: &[(&str, &str)] = &[
    ("temp", "temp_celsius"),
    ("temp_alert_max", "temp_alert_max_celsius"),
    ("temp_alert_min", "temp_alert_min_celsius"),
    ("temp_ambient", "temp_ambient_celsius"),
    ("temp_ambient_max", "temp_ambient_max_celsius"),
    ("temp_ambient_min", "temp_ambient_min_celsius"),
    ("temp_max", "temp_max_celsius"),
    ("temp_min", "temp_min_celsius"),
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::text("collector.powersupply.ignored-supplies", "^$", "supplies to leave out")],
    build,
};

struct Supplies {
    roots: Roots,
    filter: Filter,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let filter = Filter::new("", setup.text("collector.powersupply.ignored-supplies"))?;
    Ok(Box::new(Supplies { roots: setup.roots.clone(), filter, samples: Grouping::default() }))
}

impl Collector for Supplies {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for supply in power_supply::read(&self.roots).map_err(Failure::missing_is_no_data)? {
            if !self.filter.wants(&supply.name) {
                continue;
            }
            let name = ("power_supply", supply.name.as_slice());
            for (file, number) in &supply.numbers {
                emit(samples, file, *number as f64, name);
            }
            // Empty texts are no labels.
            let mut labels: Vec<(&str, &[u8])> = vec![name];
            labels.extend(supply.texts.iter().map(|(file, text)| (*file, text.as_slice())));
            labels.retain(|(_, text)| !text.is_empty());
            labels.sort_unstable();
            samples.sample(&INFO, &labels, 1u64);
        }
        samples.write_to(page);
        Ok(())
    }
}

fn emit(samples: &mut Grouping, file: &str, number: f64, name: (&str, &[u8])) {
    let units: [(&[(&str, &str)], f64); 3] = [(PLAIN, 1.0), (MICRO, 1e6), (TENTHS, 10.0)];
    let found = units.iter().find_map(|(names, unit)| {
        names.iter().find(|(known, _)| *known == file).map(|(_, shown)| (*shown, number / unit))
    });
    match found {
        Some(("online", value)) => samples.sample(&ONLINE, &[name], value),
        Some(("capacity", value)) => samples.sample(&CAPACITY, &[name], value),
        Some((shown, value)) => samples.sample_named(&VALUE, shown.as_bytes(), &[name], value),
        // Averages and the like, which node_exporter does not show either.
        None => {}
    }
}
