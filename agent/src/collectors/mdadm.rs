//! `mdadm`: software RAID.

use hostfs::Roots;
use hostfs::md::{self, State};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    REQUIRED = gauge("node_md_disks_required").labels(&["device"]).help("Members that a complete array has.")
        .source("/proc/mdstat").answers("How many disks should there be?");
    DISKS = gauge("node_md_disks").labels(&["device", "state"]).help("Members of an array by state.")
        .source("/proc/mdstat").answers("Has a disk failed, and is there a spare?");
    STATE = gauge("node_md_state").labels(&["device", "state"]).help("1 for the state that an array is in.")
        .source("/proc/mdstat").answers("Is the array being rebuilt or checked?");
    BLOCKS = gauge("node_md_blocks").labels(&["device"]).help("Size of an array in blocks of 1 KiB.")
        .source("/proc/mdstat").answers("How large is the array?");
    SYNCED = gauge("node_md_blocks_synced").labels(&["device"])
        .help("Blocks of a member that are synced; the array's size when nothing is being synced.")
        .source("/proc/mdstat").answers("How far is the rebuild?");
    RAID_DISKS = gauge("node_md_raid_disks").labels(&["device"]).help("Members that a complete array has, from sysfs.")
        .source("/sys/block/md*/md/raid_disks").answers("How many disks should there be?");
    DEGRADED = gauge("node_md_degraded").labels(&["device"]).help("Members that are missing in an array.")
        .source("/sys/block/md*/md/degraded").answers("Is the array without redundancy?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Mdadm {
    roots: Roots,
    reader: md::Reader,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let reader = md::Reader::new(&setup.roots);
    Ok(Box::new(Mdadm { roots: setup.roots.clone(), reader, samples: Grouping::default() }))
}

impl Collector for Mdadm {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for array in self.reader.arrays().map_err(Failure::missing_is_no_data)? {
            let device = ("device", array.name);
            samples.sample(&REQUIRED, &[device], array.disks_required);
            for (state, count) in
                [("active", array.disks_active), ("failed", array.disks_failed), ("spare", array.disks_spare)]
            {
                samples.sample(&DISKS, &[device, ("state", state.as_bytes())], count);
            }
            for (name, state) in [
                ("active", State::Active),
                ("inactive", State::Inactive),
                ("recovering", State::Recovering),
                ("resync", State::Resyncing),
                ("check", State::Checking),
            ] {
                samples.sample(&STATE, &[device, ("state", name.as_bytes())], array.state == state);
            }
            samples.sample(&BLOCKS, &[device], array.blocks);
            samples.sample(&SYNCED, &[device], array.blocks_synced);
        }
        let details = md::details(&self.roots);
        for array in details.as_deref().unwrap_or_default() {
            samples.sample(&RAID_DISKS, &[("device", &array.name)], array.disks);
            samples.sample(&DEGRADED, &[("device", &array.name)], array.degraded);
        }
        samples.write_to(page);
        details.map(drop).map_err(Failure::missing_is_no_data)
    }
}
