//! `meminfo`: every field of `/proc/meminfo`, under the kernel's names.

use hostfs::meminfo;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    BYTES = gauge("node_memory_*_bytes").unit("bytes").help("Field * of /proc/meminfo, in bytes.")
        .source("/proc/meminfo").answers("What is the memory used for, and how much can still be had?");
    COUNT = gauge("node_memory_*").help("Field * of /proc/meminfo.").source("/proc/meminfo")
        .answers("How many huge pages are reserved and free?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Meminfo {
    reader: meminfo::Reader,
    name: Vec<u8>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Meminfo { reader: meminfo::Reader::new(&setup.roots), name: Vec::new() }))
}

impl Collector for Meminfo {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for field in self.reader.read()?.fields() {
            let field = field?;
            plain_name(field.name, &mut self.name);
            let metric = if field.is_size { &BYTES } else { &COUNT };
            page.family_named(metric, &self.name).sample(&[], field.value);
        }
        Ok(())
    }
}

/// `Active(anon)` is `Active_anon` in a metric's name.
pub(super) fn plain_name(kernel: &[u8], name: &mut Vec<u8>) {
    name.clear();
    for &byte in kernel {
        match byte {
            b'(' => name.push(b'_'),
            b')' => {}
            _ => name.push(byte),
        }
    }
}
