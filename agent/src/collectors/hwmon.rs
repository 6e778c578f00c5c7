//! `hwmon`: temperatures, fans, voltages and the like, as lm-sensors shows them.

use hostfs::hwmon::{self, Sensor, clean};
use hostfs::{Roots, text};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

const CHIP_AND_SENSOR: &[&str] = &["chip", "sensor"];

crate::metrics! {
    CHIP_NAMES = gauge("node_hwmon_chip_names").labels(&["chip", "chip_name"])
        .help("Always 1; joins a chip's place in the machine with its driver's name for it.")
        .source("/sys/class/hwmon/*/name").answers("Which chip is this?");
    SENSOR_LABEL = gauge("node_hwmon_sensor_label").labels(&["chip", "label", "sensor"])
        .help("Always 1; joins a sensor with its driver's label for it.").source("/sys/class/hwmon/*/*_label")
        .answers("What does this sensor measure?");
    BEEP = gauge("node_hwmon_beep_enabled").labels(CHIP_AND_SENSOR).help("Whether a chip beeps at alarms.")
        .source("/sys/class/hwmon/*/beep_enable").answers("Does it beep?");
    REGULATOR = gauge("node_hwmon_voltage_regulator_version").labels(CHIP_AND_SENSOR)
        .help("Version of the voltage regulator module's standard.").source("/sys/class/hwmon/*/vrm")
        .answers("Which regulator feeds the CPU?");
    INTERVAL = gauge("node_hwmon_update_interval_seconds").labels(CHIP_AND_SENSOR).unit("seconds")
        .help("How often a chip measures.").source("/sys/class/hwmon/*/update_interval")
        .answers("How fresh are the values?");
    TEMPERATURE = gauge("node_hwmon_temp_celsius").labels(CHIP_AND_SENSOR).unit("celsius")
        .help("Measured temperature.").source("/sys/class/hwmon/*/temp*_input").answers("Is it too hot?");
    TEMPERATURES = gauge("node_hwmon_temp_*_celsius").labels(CHIP_AND_SENSOR).unit("celsius")
        .help("Property * of a temperature sensor.").source("/sys/class/hwmon/*/temp*")
        .answers("Which temperature is too hot?");
    FAN = gauge("node_hwmon_fan_rpm").labels(CHIP_AND_SENSOR).help("Measured speed of a fan, turns per minute.")
        .source("/sys/class/hwmon/*/fan*_input").answers("Does the fan turn?");
    FANS = gauge("node_hwmon_fan_*_rpm").labels(CHIP_AND_SENSOR).help("Speed * of a fan, turns per minute.")
        .source("/sys/class/hwmon/*/fan*").answers("Which speed should the fan have?");
    CURRENT = gauge("node_hwmon_curr_amps").labels(CHIP_AND_SENSOR).unit("amperes").help("Measured current.")
        .source("/sys/class/hwmon/*/curr*_input").answers("How much current flows?");
    CURRENTS = gauge("node_hwmon_curr_*_amps").labels(CHIP_AND_SENSOR).unit("amperes")
        .help("Property * of a current sensor.").source("/sys/class/hwmon/*/curr*")
        .answers("Which current is too high?");
    VOLTAGE = gauge("node_hwmon_*_volts").labels(CHIP_AND_SENSOR).unit("volts")
        .help("Voltage *, or one of its limits.").source("/sys/class/hwmon/*/in*").answers("Are the voltages right?");
    ENERGY = counter("node_hwmon_energy_joule_total").labels(CHIP_AND_SENSOR).unit("joules")
        .help("Energy used so far.").source("/sys/class/hwmon/*/energy*_input").answers("How much energy was used?");
    ENERGIES = counter("node_hwmon_energy_*_joule_total").labels(CHIP_AND_SENSOR).unit("joules")
        .help("Property * of an energy counter.").source("/sys/class/hwmon/*/energy*")
        .answers("What else does the counter tell?");
    POWER = gauge("node_hwmon_power_watt").labels(CHIP_AND_SENSOR).unit("watts").help("Measured power.")
        .source("/sys/class/hwmon/*/power*_input").answers("How much power does it take?");
    POWERS = gauge("node_hwmon_power_*_watt").labels(CHIP_AND_SENSOR).unit("watts")
        .help("Property * of a power meter.").source("/sys/class/hwmon/*/power*")
        .answers("Which power is too high?");
    POWER_INTERVAL = gauge("node_hwmon_power_*_seconds").labels(CHIP_AND_SENSOR).unit("seconds")
        .help("Property * of a power meter.").source("/sys/class/hwmon/*/power*_average_interval*")
        .answers("Over which time does the meter average?");
    FREQUENCY = gauge("node_hwmon_freq_freq_mhz").labels(CHIP_AND_SENSOR)
        .help("Clock of a graphics processor, in megahertz.").source("/sys/class/hwmon/*/freq*_input")
        .answers("How fast is the GPU clocked?");
    OTHER = gauge("node_hwmon_*").labels(CHIP_AND_SENSOR)
        .help("Sensor property *: an alarm, a fault, a ratio, or a number as the driver gives it.")
        .source("/sys/class/hwmon/*").answers("Does a sensor raise an alarm?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        flags::text("collector.hwmon.chip-include", "", "chips to show"),
        flags::text("collector.hwmon.chip-exclude", "", "chips to leave out"),
        flags::text("collector.hwmon.sensor-include", "", "sensors to show, as CHIP;SENSOR"),
        flags::text("collector.hwmon.sensor-exclude", "", "sensors to leave out, as CHIP;SENSOR"),
    ],
    build,
};

struct Hwmon {
    roots: Roots,
    chips: Filter,
    sensors: Filter,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Hwmon {
        roots: setup.roots.clone(),
        chips: setup.filter("collector.hwmon.chip-include", "collector.hwmon.chip-exclude")?,
        sensors: setup.filter("collector.hwmon.sensor-include", "collector.hwmon.sensor-exclude")?,
        samples: Grouping::default(),
    }))
}

impl Collector for Hwmon {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut last_error = Ok(());
        for chip in hwmon::chips(&self.roots).map_err(Failure::missing_is_no_data)? {
            if !self.chips.wants(chip.id.as_bytes()) {
                continue;
            }
            let sensors = match hwmon::sensors(&chip) {
                Ok(sensors) => sensors,
                Err(error) => {
                    last_error = Err(error.into());
                    continue;
                }
            };
            if let Some(name) = &chip.name {
                let labels = [("chip", chip.id.as_bytes()), ("chip_name", name.as_bytes())];
                self.samples.sample(&CHIP_NAMES, &labels, 1u64);
            }
            for sensor in sensors {
                if self.sensors.wants(format!("{};{}", chip.id, sensor.name).as_bytes()) {
                    emit(&mut self.samples, chip.id.as_bytes(), &sensor);
                }
            }
        }
        self.samples.write_to(page);
        last_error
    }
}

fn emit(samples: &mut Grouping, chip: &[u8], sensor: &Sensor) {
    let labels = [("chip", chip), ("sensor", sensor.name.as_bytes())];
    let label = sensor.properties.get("label");
    if let Some(text) = label {
        samples.sample(&SENSOR_LABEL, &[labels[0], ("label", text), labels[1]], 1u64);
    }
    let plain = sensor.properties.get("").map(Vec::as_slice);
    match sensor.kind {
        "beep_enable" => samples.sample(&BEEP, &labels, plain == Some(b"1")),
        "vrm" => {
            if let Some(version) = plain.and_then(text::parse_f64) {
                samples.sample(&REGULATOR, &labels, version);
            }
        }
        "update_interval" => {
            if let Some(milliseconds) = plain.and_then(text::parse_f64) {
                samples.sample(&INTERVAL, &labels, milliseconds * 0.001);
            }
        }
        "freq" => {
            let megahertz = sensor.properties.get("input").and_then(|text| text::parse_f64(text));
            if let (Some(hertz), Some(label)) = (megahertz, label) {
                let label = clean(label);
                samples.sample(&FREQUENCY, &[labels[0], ("sensor", label.as_bytes())], hertz / 1_000_000.0);
            }
            for (property, value) in sensor.properties.iter().filter(|(name, _)| !matches!(&***name, "input" | "label"))
            {
                emit_property(samples, &labels, sensor, property, value);
            }
        }
        _ => {
            for (property, value) in sensor.properties.iter().filter(|(name, _)| *name != "label") {
                emit_property(samples, &labels, sensor, property, value);
            }
        }
    }
}

/// Kind and property say the unit; the rest of the family's name is the property, but for the measurement itself.
fn emit_property(samples: &mut Grouping, labels: &[(&str, &[u8])], sensor: &Sensor, property: &str, value: &[u8]) {
    let Some(value) = text::parse_f64(value) else { return };
    let measured = property.is_empty() || (property == "input" && !sensor.properties.contains_key(""));
    let part = if measured { String::new() } else { clean(property.as_bytes()) };
    let with_kind = || if part.is_empty() { sensor.kind.to_owned() } else { format!("{}_{part}", sensor.kind) };
    let mut either = |single, several, value: f64| {
        if part.is_empty() {
            samples.sample(single, labels, value);
        } else {
            samples.sample_named(several, part.as_bytes(), labels, value);
        }
    };
    match (sensor.kind, property) {
        (_, "fault" | "alarm") => samples.sample_named(&OTHER, with_kind().as_bytes(), labels, value),
        (_, "beep") => samples.sample_named(&OTHER, format!("{}_enabled", with_kind()).as_bytes(), labels, value),
        ("in" | "cpu", _) => samples.sample_named(&VOLTAGE, with_kind().as_bytes(), labels, value * 0.001),
        ("temp", property) if property != "type" => either(&TEMPERATURE, &TEMPERATURES, value * 0.001),
        ("curr", _) => either(&CURRENT, &CURRENTS, value * 0.001),
        ("energy", _) => either(&ENERGY, &ENERGIES, value / 1_000_000.0),
        ("power", "accuracy") | ("humidity", _) => {
            samples.sample_named(&OTHER, with_kind().as_bytes(), labels, value / 1_000_000.0);
        }
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            samples.sample_named(&POWER_INTERVAL, part.as_bytes(), labels, value * 0.001);
        }
        ("power", _) => either(&POWER, &POWERS, value / 1_000_000.0),
        ("fan", "input" | "min" | "max" | "target") => either(&FAN, &FANS, value),
        _ => samples.sample_named(&OTHER, with_kind().as_bytes(), labels, value),
    }
}
