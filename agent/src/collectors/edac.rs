//! `edac`: memory errors by controller, row and channel.

use hostfs::{Roots, edac};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    CORRECTABLE = counter("node_edac_correctable_errors_total").labels(&["controller"])
        .help("Memory errors that ECC corrected.").source("/sys/devices/system/edac/mc/mc*/ce_count")
        .answers("Is memory going bad?");
    UNCORRECTABLE = counter("node_edac_uncorrectable_errors_total").labels(&["controller"])
        .help("Memory errors that ECC could not correct.").source("/sys/devices/system/edac/mc/mc*/ue_count")
        .answers("Was data lost in memory?");
    ROW_CORRECTABLE = counter("node_edac_csrow_correctable_errors_total").labels(&["controller", "csrow"])
        .help("Corrected memory errors of a chip-select row; unknown for those without one.")
        .source("/sys/devices/system/edac/mc/mc*/csrow*/ce_count").answers("Which row has errors?");
    ROW_UNCORRECTABLE = counter("node_edac_csrow_uncorrectable_errors_total").labels(&["controller", "csrow"])
        .help("Uncorrected memory errors of a chip-select row; unknown for those without one.")
        .source("/sys/devices/system/edac/mc/mc*/csrow*/ue_count").answers("Which row lost data?");
    CHANNEL_CORRECTABLE = counter("node_edac_channel_correctable_errors_total")
        .labels(&["channel", "controller", "csrow", "dimm_label"])
        .help("Corrected memory errors of a channel, with the label of its DIMM.")
        .source("/sys/devices/system/edac/mc/mc*/csrow*/ch*_ce_count").answers("Which DIMM should be replaced?");
    CHANNEL_UNCORRECTABLE = counter("node_edac_channel_uncorrectable_errors_total")
        .labels(&["channel", "controller", "csrow", "dimm_label"])
        .help("Uncorrected memory errors of a channel, with the label of its DIMM.")
        .source("/sys/devices/system/edac/mc/mc*/csrow*/ch*_ue_count").answers("Which DIMM lost data?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Edac {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Edac { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Edac {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for controller in edac::read(&self.roots)? {
            let number = ("controller", controller.number.as_slice());
            let unknown = [number, ("csrow", &b"unknown"[..])];
            samples.sample(&CORRECTABLE, &[number], controller.correctable);
            samples.sample(&ROW_CORRECTABLE, &unknown, controller.correctable_unknown);
            samples.sample(&UNCORRECTABLE, &[number], controller.uncorrectable);
            samples.sample(&ROW_UNCORRECTABLE, &unknown, controller.uncorrectable_unknown);
            for row in &controller.rows {
                let csrow = ("csrow", row.number.as_slice());
                samples.sample(&ROW_CORRECTABLE, &[number, csrow], row.correctable);
                samples.sample(&ROW_UNCORRECTABLE, &[number, csrow], row.uncorrectable);
                for channel in &row.channels {
                    let label = dimm_label(channel.label.as_deref());
                    let labels = [("channel", &*channel.number), number, csrow, ("dimm_label", label.as_bytes())];
                    samples.sample(&CHANNEL_CORRECTABLE, &labels, channel.correctable);
                    if let Some(count) = channel.uncorrectable {
                        samples.sample(&CHANNEL_UNCORRECTABLE, &labels, count);
                    }
                }
            }
        }
        samples.write_to(page);
        Ok(())
    }
}

/// `mc#0csrow#1channel#2`, the kernel's own label where the firmware gives none, as `mc0_csrow1_channel2`.
fn dimm_label(label: Option<&[u8]>) -> String {
    let Some(label) = label else { return "unknown".into() };
    let text = String::from_utf8_lossy(label).replace('#', "");
    text.replace("csrow", "_csrow").replace("channel", "_channel")
}
