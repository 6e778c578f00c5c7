//! `cpufreq`: clock rates and governors.

use std::path::PathBuf;

use hostfs::{Source, attributes};

use super::cpu::FREQUENCY;
use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    MIN = gauge("node_cpu_frequency_min_hertz").labels(&["cpu"]).unit("hertz").help("Lowest clock rate of the hardware.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_min_freq").answers("How slow can the CPU be?");
    MAX = gauge("node_cpu_frequency_max_hertz").labels(&["cpu"]).unit("hertz").help("Highest clock rate of the hardware.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq").answers("How fast can the CPU be?");
    SCALING = gauge("node_cpu_scaling_frequency_hertz").labels(&["cpu"]).unit("hertz").help("Clock rate that the governor asked for.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq").answers("At which clock rate does the CPU run?");
    SCALING_MIN = gauge("node_cpu_scaling_frequency_min_hertz").labels(&["cpu"]).unit("hertz").help("Lowest clock rate that the governor may ask for.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/scaling_min_freq").answers("Is the CPU kept from slowing down?");
    SCALING_MAX = gauge("node_cpu_scaling_frequency_max_hertz").labels(&["cpu"]).unit("hertz").help("Highest clock rate that the governor may ask for.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq").answers("Is the CPU kept from its full clock rate?");
    GOVERNOR = gauge("node_cpu_scaling_governor").labels(&["cpu", "governor"]).help("1 for the governor in force, 0 for the others that there are.")
        .source("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor").answers("Does the CPU save power at the cost of latency?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Clock rates in kHz, a file each.
static RATES: [(&Metric, &str); 6] = [
    (&FREQUENCY, "cpuinfo_cur_freq"),
    (&MIN, "cpuinfo_min_freq"),
    (&MAX, "cpuinfo_max_freq"),
    (&SCALING, "scaling_cur_freq"),
    (&SCALING_MIN, "scaling_min_freq"),
    (&SCALING_MAX, "scaling_max_freq"),
];

struct Cpu {
    number: Vec<u8>,
    rates: [Source; RATES.len()],
    governor: Source,
    governors: Source,
}

struct Cpufreq {
    directory: PathBuf,
    /// Text of the list of CPUs, which changes when one is added or removed.
    present: Source,
    seen: Option<Vec<u8>>,
    cpus: Vec<Cpu>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let directory = setup.roots.sys("devices/system/cpu");
    Ok(Box::new(Cpufreq {
        present: Source::attribute(directory.join("online")),
        directory,
        seen: None,
        cpus: Vec::new(),
    }))
}

impl Collector for Cpufreq {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let present = self.present.read_if_present()?.map_or(&b""[..], |(_, text)| text);
        if self.seen.as_deref() != Some(present) {
            self.seen = Some(present.to_vec());
            self.discover()?;
        }
        for (index, (metric, _)) in RATES.iter().enumerate() {
            let mut family = page.family(metric);
            for cpu in &mut self.cpus {
                // A driver that does not know its rate says so in words or with an error: no sample.
                if let Ok(Some(kilohertz)) = cpu.rates[index].number_if_present() {
                    family.sample(&[("cpu", &cpu.number)], kilohertz as f64 * 1000.0);
                }
            }
        }
        let mut family = page.family(&GOVERNOR);
        for cpu in &mut self.cpus {
            let Some((_, governor)) = cpu.governor.read_if_present()? else { continue };
            let governor = hostfs::text::trim(governor).to_vec();
            let Some((_, governors)) = cpu.governors.read_if_present()? else { continue };
            for known in hostfs::text::fields(hostfs::text::trim(governors)) {
                family.sample(&[("cpu", &cpu.number), ("governor", known)], known == governor);
            }
        }
        Ok(())
    }
}

impl Cpufreq {
    fn discover(&mut self) -> Result<(), Failure> {
        self.cpus.clear();
        for name in attributes::numbered(&self.directory, b"cpu")? {
            let directory = self.directory.join(attributes::component(&name)).join("cpufreq");
            if directory.exists() {
                let source = |file: &str| Source::attribute(directory.join(file));
                self.cpus.push(Cpu {
                    number: name[3..].to_vec(),
                    rates: RATES.map(|(_, file)| source(file)),
                    governor: source("scaling_governor"),
                    governors: source("scaling_available_governors"),
                });
            }
        }
        Ok(())
    }
}
