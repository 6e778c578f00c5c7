//! `filefd`: open files of the whole host.

use hostfs::text::fields;
use hostfs::{Error, Source};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    ALLOCATED = gauge("node_filefd_allocated").help("Open files of all processes.").source("/proc/sys/fs/file-nr")
        .answers("How many files and sockets are open on the host?");
    MAXIMUM = gauge("node_filefd_maximum").help("Most files that can be open.").source("/proc/sys/fs/file-nr")
        .answers("How near is the host to its limit of open files?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Filefd {
    source: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Filefd { source: Source::new(setup.roots.proc("sys/fs/file-nr"), 256) }))
}

impl Collector for Filefd {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        // Allocated, unused (always 0 since Linux 2.6), maximum.
        let mut numbers = fields(hostfs::text::trim(text));
        match (numbers.u64(), numbers.u64(), numbers.u64()) {
            (Some(allocated), Some(_), Some(maximum)) => {
                page.single(&ALLOCATED, allocated);
                page.single(&MAXIMUM, maximum);
                Ok(())
            }
            _ => Err(Error::format(path, 1, text).into()),
        }
    }
}
