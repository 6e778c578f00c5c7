//! `slabinfo`: the kernel's object caches. Needs root, as the file does.

use hostfs::{Source, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{Setup, text};

crate::metrics! {
    ACTIVE = gauge("node_slabinfo_active_objects").labels(&["slab"]).help("Objects in use.").source("/proc/slabinfo")
        .answers("Which kernel objects are many?");
    OBJECTS = gauge("node_slabinfo_objects").labels(&["slab"]).help("Objects that there is room for.").source("/proc/slabinfo")
        .answers("How well are the slabs filled?");
    SIZE = gauge("node_slabinfo_object_size_bytes").labels(&["slab"]).unit("bytes").help("Size of an object.").source("/proc/slabinfo")
        .answers("How much memory does an object take?");
    PER_SLAB = gauge("node_slabinfo_objects_per_slab").labels(&["slab"]).help("Objects in a slab.").source("/proc/slabinfo")
        .answers("How many objects share a slab?");
    PAGES = gauge("node_slabinfo_pages_per_slab").labels(&["slab"]).help("Pages of a slab.").source("/proc/slabinfo")
        .answers("How large is a slab?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.slabinfo.slabs-include", "", "Caches to export"),
        text("collector.slabinfo.slabs-exclude", "", "Caches not to export"),
    ],
    build,
};

struct Slabinfo {
    source: Source,
    filter: Filter,
    grouping: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Slabinfo {
        source: Source::new(setup.roots.proc("slabinfo"), 4 << 20),
        filter: setup.filter("collector.slabinfo.slabs-include", "collector.slabinfo.slabs-exclude")?,
        grouping: Grouping::default(),
    }))
}

impl Collector for Slabinfo {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { source, filter, grouping } = self;
        let (path, text) = source.read()?;
        let result = tables::slabinfo(path, text, |slab| {
            if filter.wants(slab.name) {
                let labels = [("slab", slab.name)];
                for (metric, value) in [
                    (&ACTIVE, slab.active_objects),
                    (&OBJECTS, slab.objects),
                    (&SIZE, slab.object_size),
                    (&PER_SLAB, slab.objects_per_slab),
                    (&PAGES, slab.pages_per_slab),
                ] {
                    grouping.sample(metric, &labels, value);
                }
            }
        });
        grouping.write_to(page);
        Ok(result?)
    }
}
