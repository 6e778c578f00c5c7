//! `zoneinfo`: pages by memory zone.

use hostfs::Source;
use hostfs::zoneinfo::{self, Item};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    PAGES = gauge("node_zoneinfo_*_pages").labels(&["node", "zone"]).help("Pages: field * of the zone, or of its node.")
        .source("/proc/zoneinfo").answers("Which memory zone runs low, and what fills it?");
    KERNEL_STACKS = gauge("node_zoneinfo_nr_kernel_stacks").labels(&["node", "zone"]).help("Kernel stacks, in KiB.")
        .source("/proc/zoneinfo").answers("How much memory do the stacks of tasks take?");
    HUGE = gauge("node_zoneinfo_nr_anon_transparent_hugepages").labels(&["node", "zone"]).help("Transparent huge pages of anonymous memory.")
        .source("/proc/zoneinfo").answers("Does memory come in huge pages?");
    TOTAL = counter("node_zoneinfo_*_total").labels(&["node", "zone"]).help("Pages since boot: field * of the zone, or of its node.")
        .source("/proc/zoneinfo").answers("Where are pages allocated, dirtied and written back?");
    PROTECTION = gauge("node_zoneinfo_protection_*").labels(&["node", "zone"])
        .help("Pages that the zone keeps from allocations that could use zone number *.").source("/proc/zoneinfo")
        .answers("How much of a low zone is kept for those who need it?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// The kernel's name, the family, and what stands for its `*`.
type Field = (&'static [u8], &'static Metric, &'static [u8]);

/// What is exported, as node_exporter chose it.
static FIELDS: [Field; 35] = [
    (b"nr_free_pages", &PAGES, b"nr_free"),
    (b"min", &PAGES, b"min"),
    (b"low", &PAGES, b"low"),
    (b"high", &PAGES, b"high"),
    (b"scanned", &PAGES, b"scanned"),
    (b"spanned", &PAGES, b"spanned"),
    (b"present", &PAGES, b"present"),
    (b"managed", &PAGES, b"managed"),
    (b"nr_active_anon", &PAGES, b"nr_active_anon"),
    (b"nr_inactive_anon", &PAGES, b"nr_inactive_anon"),
    (b"nr_isolated_anon", &PAGES, b"nr_isolated_anon"),
    (b"nr_anon_pages", &PAGES, b"nr_anon"),
    (b"nr_anon_transparent_hugepages", &HUGE, b""),
    (b"nr_active_file", &PAGES, b"nr_active_file"),
    (b"nr_inactive_file", &PAGES, b"nr_inactive_file"),
    (b"nr_isolated_file", &PAGES, b"nr_isolated_file"),
    (b"nr_file_pages", &PAGES, b"nr_file"),
    (b"nr_slab_reclaimable", &PAGES, b"nr_slab_reclaimable"),
    (b"nr_slab_unreclaimable", &PAGES, b"nr_slab_unreclaimable"),
    (b"nr_mlock_stack", &PAGES, b"nr_mlock_stack"),
    (b"nr_kernel_stack", &KERNEL_STACKS, b""),
    (b"nr_mapped", &PAGES, b"nr_mapped"),
    (b"nr_dirty", &PAGES, b"nr_dirty"),
    (b"nr_writeback", &PAGES, b"nr_writeback"),
    (b"nr_unevictable", &PAGES, b"nr_unevictable"),
    (b"nr_shmem", &PAGES, b"nr_shmem"),
    (b"nr_dirtied", &TOTAL, b"nr_dirtied"),
    (b"nr_written", &TOTAL, b"nr_written"),
    (b"numa_hit", &TOTAL, b"numa_hit"),
    (b"numa_miss", &TOTAL, b"numa_miss"),
    (b"numa_foreign", &TOTAL, b"numa_foreign"),
    (b"numa_interleave", &TOTAL, b"numa_interleave"),
    (b"numa_local", &TOTAL, b"numa_local"),
    (b"numa_other", &TOTAL, b"numa_other"),
    // Kernels before 5.4 have one word for both.
    (b"nr_slab", &PAGES, b"nr_slab"),
];

struct Zoneinfo {
    source: Source,
    grouping: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = Source::new(setup.roots.proc("zoneinfo"), 16 << 20);
    Ok(Box::new(Zoneinfo { source, grouping: Grouping::default() }))
}

impl Collector for Zoneinfo {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        let grouping = &mut self.grouping;
        let result = zoneinfo::parse(path, text, |node, zone, item, value| {
            let labels = [("node", node), ("zone", zone)];
            match item {
                Item::Named(name) => {
                    if let Some((_, metric, part)) = FIELDS.iter().find(|(field, ..)| *field == name) {
                        grouping.sample_named(metric, part, &labels, value);
                    }
                }
                Item::Protection(index) => {
                    grouping.sample_named(&PROTECTION, itoa::Buffer::new().format(index).as_bytes(), &labels, value);
                }
            }
        });
        grouping.write_to(page);
        Ok(result?)
    }
}
