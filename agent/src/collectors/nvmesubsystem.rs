//! `nvmesubsystem`: paths to NVMe subsystems.

use hostfs::{Roots, nvme};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_nvmesubsystem_info").labels(&["iopolicy", "model", "nqn", "serial", "subsystem"])
        .help("Always 1; the labels name a subsystem.").source("/sys/class/nvme-subsystem/*")
        .answers("Which storage is this, and how are its paths used?");
    NAMESPACE = gauge("node_nvmesubsystem_namespace_info").labels(&["device", "subsystem"])
        .help("Always 1; joins a block device with its subsystem.").source("/sys/class/nvme-subsystem/*/nvme*n*")
        .answers("Which subsystem holds this block device?");
    PATHS = gauge("node_nvmesubsystem_paths").labels(&["subsystem"]).help("Controllers that lead to a subsystem.")
        .source("/sys/class/nvme-subsystem/*/nvme*").answers("How many paths are there?");
    LIVE = gauge("node_nvmesubsystem_paths_live").labels(&["subsystem"])
        .help("Controllers that lead to a subsystem and are live.").source("/sys/class/nvme-subsystem/*/nvme*/state")
        .answers("Is a path down?");
    STATE = gauge("node_nvmesubsystem_path_state").labels(&["controller", "state", "subsystem", "transport"])
        .help("1 for the state that a path is in.").source("/sys/class/nvme-subsystem/*/nvme*/state")
        .answers("What is wrong with a path?");
}

/// The states that are shown, sorted; the kernel's two words for deleting are one.
const STATES: [&str; 7] = ["connecting", "dead", "deleting", "live", "new", "resetting", "unknown"];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Subsystems {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Subsystems { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Subsystems {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for subsystem in nvme::subsystems(&self.roots).map_err(Failure::missing_is_no_data)? {
            let name = ("subsystem", subsystem.name.as_slice());
            let labels: [(&str, &[u8]); 5] = [
                ("iopolicy", &subsystem.io_policy),
                ("model", &subsystem.model),
                ("nqn", &subsystem.nqn),
                ("serial", &subsystem.serial),
                name,
            ];
            samples.sample(&INFO, &labels, 1u64);
            for namespace in &subsystem.namespaces {
                samples.sample(&NAMESPACE, &[("device", namespace), name], 1u64);
            }
            samples.sample(&PATHS, &[name], subsystem.paths.len() as u64);
            let live = subsystem.paths.iter().filter(|path| path.state == b"live").count();
            samples.sample(&LIVE, &[name], live as u64);
            for path in &subsystem.paths {
                let known = known_state(&path.state);
                for state in STATES {
                    let labels: [(&str, &[u8]); 4] = [
                        ("controller", &path.controller),
                        ("state", state.as_bytes()),
                        name,
                        ("transport", &path.transport),
                    ];
                    samples.sample(&STATE, &labels, state == known);
                }
            }
        }
        samples.write_to(page);
        Ok(())
    }
}

fn known_state(state: &[u8]) -> &'static str {
    if state == b"deleting (no IO)" {
        return "deleting";
    }
    STATES.into_iter().find(|known| known.as_bytes() == state).unwrap_or("unknown")
}
