//! `kernel_hung`: tasks that hung.

use hostfs::Source;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    HUNG = counter("node_kernel_hung_tasks_total").help("Tasks that were found hanging since boot.")
        .source("/proc/sys/kernel/hung_task_detect_count").answers("Did tasks hang in the kernel for minutes?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct KernelHung {
    source: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(KernelHung { source: Source::new(setup.roots.proc("sys/kernel/hung_task_detect_count"), 64) }))
}

impl Collector for KernelHung {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let missing = || Failure::NoData("kernel.hung_task_detect_count is there since Linux 6.13".into());
        page.single(&HUNG, self.source.number_if_present()?.ok_or_else(missing)?);
        Ok(())
    }
}
