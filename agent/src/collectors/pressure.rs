//! `pressure`: time lost to a lack of CPU, memory and I/O.

use hostfs::pressure::Reader;

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    CPU_WAITING = counter("node_pressure_cpu_waiting_seconds_total").unit("seconds")
        .help("Time in which some task waited for a CPU.").source("/proc/pressure/cpu")
        .answers("For how much of the time do tasks wait for a CPU?");
    IO_WAITING = counter("node_pressure_io_waiting_seconds_total").unit("seconds")
        .help("Time in which some task waited for I/O.").source("/proc/pressure/io")
        .answers("For how much of the time does some task wait for the disk?");
    IO_STALLED = counter("node_pressure_io_stalled_seconds_total").unit("seconds")
        .help("Time in which all tasks that had work waited for I/O.").source("/proc/pressure/io")
        .answers("For how much of the time does the disk keep the whole host from working?");
    MEMORY_WAITING = counter("node_pressure_memory_waiting_seconds_total").unit("seconds")
        .help("Time in which some task waited for memory.").source("/proc/pressure/memory")
        .answers("For how much of the time does some task wait for memory?");
    MEMORY_STALLED = counter("node_pressure_memory_stalled_seconds_total").unit("seconds")
        .help("Time in which all tasks that had work waited for memory.").source("/proc/pressure/memory")
        .answers("Does the host thrash?");
    IRQ_STALLED = counter("node_pressure_irq_stalled_seconds_total").unit("seconds")
        .help("Time in which tasks stood still because of interrupts and softirqs.").source("/proc/pressure/irq")
        .answers("How much of the tasks' time do interrupts take?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Resource, whether the host must have it, and the families of its two lines.
type Resource = (&'static str, bool, Option<&'static Metric>, Option<&'static Metric>);

const RESOURCES: [Resource; 4] = [
    ("cpu", true, Some(&CPU_WAITING), None),
    ("io", true, Some(&IO_WAITING), Some(&IO_STALLED)),
    ("memory", true, Some(&MEMORY_WAITING), Some(&MEMORY_STALLED)),
    // Since 6.1, with CONFIG_IRQ_TIME_ACCOUNTING.
    ("irq", false, None, Some(&IRQ_STALLED)),
];

struct Pressure {
    readers: [Reader; 4],
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Pressure { readers: RESOURCES.map(|(resource, ..)| Reader::new(&setup.roots, resource)) }))
}

impl Collector for Pressure {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for (reader, (resource, required, some, full)) in self.readers.iter_mut().zip(RESOURCES) {
            let Some(pressure) = reader.read()? else {
                if required {
                    return Err(Failure::NoData(format!(
                        "/proc/pressure/{resource} is not there; the kernel needs CONFIG_PSI and no psi=0"
                    )));
                }
                continue;
            };
            for (metric, stall) in [(some, pressure.some), (full, pressure.full)] {
                if let Some((metric, stall)) = metric.zip(stall) {
                    // Divided twice, so that the last digit is node_exporter's.
                    page.single(metric, stall.total_us as f64 / 1e3 / 1e3);
                }
            }
        }
        Ok(())
    }
}
