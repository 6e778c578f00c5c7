//! `interrupts`: interrupts by line and CPU. Off by default: lines times CPUs series.

use hostfs::per_cpu;
use hostfs::text::{fields, parse_u64};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, switch, text};

crate::metrics! {
    INTERRUPTS = counter("node_interrupts_total").labels(&["cpu", "type", "info", "devices"])
        .help("Interrupts served since boot, by CPU and line.").source("/proc/interrupts")
        .answers("Which device interrupts which CPU?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.interrupts.name-include", "", "Lines to export, as info;devices;type"),
        text("collector.interrupts.name-exclude", "", "Lines not to export, as info;devices;type"),
        switch("collector.interrupts.include-zeros", true, "Export lines that never fired on a CPU"),
    ],
    build,
};

struct Interrupts {
    reader: per_cpu::Reader,
    filter: Filter,
    zeros: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Interrupts {
        reader: per_cpu::Reader::interrupts(&setup.roots),
        filter: setup.filter("collector.interrupts.name-include", "collector.interrupts.name-exclude")?,
        zeros: setup.is_on("collector.interrupts.include-zeros"),
    }))
}

impl Collector for Interrupts {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let table = self.reader.read()?;
        let mut family = page.family(&INTERRUPTS);
        let (mut words, mut name) = (Vec::new(), Vec::new());
        for row in table.rows() {
            let row = row?;
            // ERR and MIS are of the whole host, not of a CPU.
            if row.numbers().count() < table.cpus().len() {
                continue;
            }
            words.clear();
            for (index, word) in fields(row.description).enumerate() {
                if index > 0 {
                    words.push(b' ');
                }
                words.extend_from_slice(word);
            }
            // A numbered line is a chip and then what hangs on it; a named one is described in words.
            let (info, devices): (&[u8], &[u8]) = if parse_u64(row.label).is_none() {
                (&words, b"")
            } else if let Some(blank) = memchr::memchr(b' ', &words) {
                (&words[..blank], &words[blank + 1..])
            } else {
                (&words, b"")
            };
            name.clear();
            for part in [info, b";", devices, b";", row.label] {
                name.extend_from_slice(part);
            }
            if !self.filter.wants(&name) {
                continue;
            }
            for (cpu, count) in table.cpus().iter().zip(row.numbers()) {
                if self.zeros || count > 0 {
                    let mut digits = itoa::Buffer::new();
                    let labels = [
                        ("cpu", digits.format(*cpu).as_bytes()),
                        ("type", row.label),
                        ("info", info),
                        ("devices", devices),
                    ];
                    family.sample(&labels, count);
                }
            }
        }
        Ok(())
    }
}
