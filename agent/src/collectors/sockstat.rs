//! `sockstat`: sockets in use by protocol, and their memory.

use hostfs::sockstat::{self, Field};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    SOCKETS = gauge("node_sockstat_*").help("Sockets or memory pages: field * of /proc/net/sockstat or sockstat6.")
        .source("/proc/net/sockstat, /proc/net/sockstat6")
        .answers("How many sockets of each protocol are open, orphaned or in TIME_WAIT?");
    BYTES = gauge("node_sockstat_*_mem_bytes").unit("bytes").help("Memory that * sockets hold for their queues, in bytes.")
        .source("/proc/net/sockstat").answers("How near is the network stack to its memory limit?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Sockstat {
    v4: sockstat::Reader,
    v6: sockstat::Reader,
    page_size: u64,
    name: Vec<u8>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Sockstat {
        v4: sockstat::Reader::new(&setup.roots),
        v6: sockstat::Reader::new_v6(&setup.roots),
        page_size: rustix::param::page_size() as u64,
        name: Vec::new(),
    }))
}

impl Collector for Sockstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { v4, v6, page_size, name } = self;
        for reader in [v4, v6] {
            if let Some(sockstat) = reader.read()? {
                sockstat.for_each(|field| write(page, field, *page_size, name))?;
            }
        }
        Ok(())
    }
}

fn write(page: &mut Page, field: Field<'_>, page_size: u64, name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(field.protocol);
    name.push(b'_');
    name.extend_from_slice(field.name);
    page.family_named(&SOCKETS, name).sample(&[], field.value);
    if field.name == b"mem" {
        page.family_named(&BYTES, field.protocol).sample(&[], field.value.saturating_mul(page_size));
    }
}
