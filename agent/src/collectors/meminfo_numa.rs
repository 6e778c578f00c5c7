//! `meminfo_numa`: memory by use and NUMA node.

use std::path::PathBuf;

use hostfs::text::{fields, lines};
use hostfs::{Error, Source, attributes};

use super::meminfo::plain_name;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    GAUGE = gauge("node_memory_numa_*").labels(&["node"]).help("Field * of the node's meminfo: bytes, or a count for HugePages fields.")
        .source("/sys/devices/system/node/node*/meminfo").answers("How is memory spread over the NUMA nodes?");
    COUNTER = counter("node_memory_numa_*_total").labels(&["node"]).help("Allocations: field * of the node's numastat.")
        .source("/sys/devices/system/node/node*/numastat").answers("Do tasks get memory of their own node?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct MeminfoNuma {
    directory: PathBuf,
    nodes: Vec<Node>,
    grouping: Grouping,
    name: Vec<u8>,
}

struct Node {
    number: Vec<u8>,
    meminfo: Source,
    numastat: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let directory = setup.roots.sys("devices/system/node");
    Ok(Box::new(MeminfoNuma { directory, nodes: Vec::new(), grouping: Grouping::default(), name: Vec::new() }))
}

impl Collector for MeminfoNuma {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let names = attributes::numbered(&self.directory, b"node")?;
        if names.iter().map(|name| &name[4..]).ne(self.nodes.iter().map(|node| &node.number[..])) {
            let source =
                |name: &[u8], file| Source::new(self.directory.join(attributes::component(name)).join(file), 1 << 16);
            self.nodes = names
                .iter()
                .map(|name| Node {
                    number: name[4..].to_vec(),
                    meminfo: source(name, "meminfo"),
                    numastat: source(name, "numastat"),
                })
                .collect();
        }
        let Self { nodes, grouping, name, .. } = self;
        let result = nodes.iter_mut().try_for_each(|node| node.collect(grouping, name));
        grouping.write_to(page);
        result
    }
}

impl Node {
    fn collect(&mut self, grouping: &mut Grouping, name: &mut Vec<u8>) -> Result<(), Failure> {
        let labels = [("node", &self.number[..])];
        if let Some((path, text)) = self.meminfo.read_if_present()? {
            for (index, line) in lines(text).enumerate() {
                // `Node 0 MemTotal:  24684084 kB`
                let mut split = fields(line).skip(2);
                let field = split.next().and_then(|field| field.strip_suffix(b":"));
                let value = split.next().and_then(hostfs::text::parse_u64);
                let scale = if split.next() == Some(b"kB") { 1024.0 } else { 1.0 };
                let (field, value) = field.zip(value).ok_or_else(|| Error::format(path, index + 1, line))?;
                plain_name(field, name);
                grouping.sample_named(&GAUGE, name, &labels, value as f64 * scale);
            }
        }
        if let Some((path, text)) = self.numastat.read_if_present()? {
            for (index, line) in lines(text).enumerate() {
                let mut split = fields(line);
                let pair = split.next().zip(split.u64());
                let (field, value) = pair.ok_or_else(|| Error::format(path, index + 1, line))?;
                grouping.sample_named(&COUNTER, field, &labels, value);
            }
        }
        Ok(())
    }
}
