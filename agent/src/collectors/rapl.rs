//! `rapl`: energy that the processor's power zones used.

use hostfs::attributes::is_forbidden;
use hostfs::{Roots, powercap};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::{self, Setup};

crate::metrics! {
    ZONE = counter("node_rapl_*_joules_total").labels(&["index", "path"]).unit("joules")
        .help("Energy that power zone * used.").source("/sys/class/powercap/*/energy_uj")
        .answers("How much power do the processor and its memory take?");
    JOULES = counter("node_rapl_joules_total").labels(&["index", "path", "rapl_zone"]).unit("joules")
        .help("Energy that a power zone used; with --collector.rapl.enable-zone-label instead of one name a zone.")
        .source("/sys/class/powercap/*/energy_uj")
        .answers("How much power do the processor and its memory take, zone by zone?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::switch("collector.rapl.enable-zone-label", false, "one metric with the zone as a label")],
    build,
};

struct Rapl {
    roots: Roots,
    zone_label: bool,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let zone_label = setup.is_on("collector.rapl.enable-zone-label");
    Ok(Box::new(Rapl { roots: setup.roots.clone(), zone_label, samples: Grouping::default() }))
}

impl Collector for Rapl {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let zones = powercap::zones(&self.roots).map_err(no_data)?;
        let mut result = Ok(());
        for zone in &zones {
            let microjoules = match zone.microjoules() {
                Ok(microjoules) => microjoules,
                Err(error) => {
                    result = Err(if is_forbidden(&error) { no_data(error) } else { error.into() });
                    break;
                }
            };
            let (index, joules) = (zone.index.to_string(), microjoules as f64 / 1_000_000.0);
            let path = zone.path.as_os_str().as_encoded_bytes();
            let labels = [("index", index.as_bytes()), ("path", path), ("rapl_zone", zone.name.as_slice())];
            if self.zone_label {
                self.samples.sample(&JOULES, &labels, joules);
            } else {
                self.samples.sample_named(&ZONE, &zone.name, &labels[..2], joules);
            }
        }
        self.samples.write_to(page);
        result
    }
}

/// Energy tells what others compute, so that the kernel keeps it from ordinary users: not a fault of the host.
fn no_data(error: hostfs::Error) -> Failure {
    if is_forbidden(&error) { Failure::NoData(error.to_string()) } else { Failure::missing_is_no_data(error) }
}
