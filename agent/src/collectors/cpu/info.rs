//! `node_cpu_info`, flags and bugs: `--collector.cpu.info`.

use hostfs::cpuinfo::{self, Processor};

use super::{BUG_INFO, FLAG_INFO, FREQUENCY, INFO};
use crate::collector::Failure;
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::Setup;

pub(super) struct Info {
    reader: cpuinfo::Reader,
    flags: Option<Filter>,
    bugs: Option<Filter>,
    /// Whether cpufreq knows the clock rates, and better.
    has_cpufreq: bool,
}

impl Info {
    /// `None` when the flags do not ask for it.
    pub(super) fn build(setup: &Setup) -> anyhow::Result<Option<Self>> {
        let filter = |name| {
            let include = setup.text(name);
            if include.is_empty() { Ok(None) } else { Filter::new(include, "").map(Some) }
        };
        let (flags, bugs) = (filter("collector.cpu.info.flags-include")?, filter("collector.cpu.info.bugs-include")?);
        if !setup.is_on("collector.cpu.info") && flags.is_none() && bugs.is_none() {
            return Ok(None);
        }
        let has_cpufreq = setup.roots.sys("devices/system/cpu/cpu0/cpufreq").exists();
        Ok(Some(Self { reader: cpuinfo::Reader::new(&setup.roots), flags, bugs, has_cpufreq }))
    }

    pub(super) fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let processors = self.reader.read()?;
        let mut family = page.family(&INFO);
        for cpu in &processors {
            family.sample(
                &[
                    ("package", cpu.physical_id),
                    ("core", cpu.core_id),
                    ("cpu", cpu.processor),
                    ("vendor", cpu.vendor_id),
                    ("family", cpu.cpu_family),
                    ("model", cpu.model),
                    ("model_name", cpu.model_name),
                    ("microcode", cpu.microcode),
                    ("stepping", cpu.stepping),
                    ("cachesize", cpu.cache_size),
                ],
                1u64,
            );
        }
        if !self.has_cpufreq {
            let mut family = page.family(&FREQUENCY);
            for Processor { physical_id, core_id, processor, mhz, .. } in &processors {
                if let Some(mhz) = mhz {
                    let labels = [("package", *physical_id), ("core", *core_id), ("cpu", *processor)];
                    family.sample(&labels, mhz * 1e6);
                }
            }
        }
        let Some(first) = processors.first() else { return Ok(()) };
        for (filter, metric, label, words) in
            [(&mut self.flags, &FLAG_INFO, "flag", first.flags), (&mut self.bugs, &BUG_INFO, "bug", first.bugs)]
        {
            let Some(filter) = filter else { continue };
            let mut family = page.family(metric);
            for word in hostfs::text::fields(words).filter(|word| filter.wants(word)) {
                family.sample(&[(label, word)], 1u64);
            }
        }
        Ok(())
    }
}
