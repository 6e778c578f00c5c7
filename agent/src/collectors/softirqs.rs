//! `softirqs`: softirqs by kind and CPU.

use hostfs::per_cpu;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    FUNCTIONS = counter("node_softirqs_functions_total").labels(&["cpu", "type"])
        .help("Softirqs served since boot, by CPU and kind.").source("/proc/softirqs")
        .answers("Does one CPU do all the network's work?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Softirqs {
    reader: per_cpu::Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Softirqs { reader: per_cpu::Reader::softirqs(&setup.roots) }))
}

impl Collector for Softirqs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let table = self.reader.read()?;
        let mut family = page.family(&FUNCTIONS);
        for row in table.rows() {
            let row = row?;
            for (cpu, count) in table.cpus().iter().zip(row.numbers()) {
                let mut digits = itoa::Buffer::new();
                family.sample(&[("cpu", digits.format(*cpu).as_bytes()), ("type", row.label)], count);
            }
        }
        Ok(())
    }
}
