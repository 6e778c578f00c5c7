//! `udp_queues`: bytes in the queues of all UDP sockets.

use hostfs::{Source, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    QUEUES = gauge("node_udp_queues").labels(&["queue", "ip"]).help("Bytes in the queues of UDP sockets, added up.")
        .source("/proc/net/udp, /proc/net/udp6").answers("Do programs fetch their datagrams?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// About 128 bytes a socket: two million sockets.
const LIMIT: usize = 256 << 20;

/// More than a line of either file takes: addresses have a fixed width, the other fields are numbers.
const LINE: usize = 512;

struct UdpQueues {
    sources: [(&'static str, Source); 2],
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = |name: &str| Source::table(setup.roots.proc(name), LIMIT, LINE);
    Ok(Box::new(UdpQueues { sources: [("v4", source("net/udp")), ("v6", source("net/udp6"))] }))
}

impl Collector for UdpQueues {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut family = page.family(&QUEUES);
        let mut found = false;
        for (ip, source) in &mut self.sources {
            let Some((path, text)) = source.read_if_present()? else { continue };
            let (transmit, receive) = tables::udp_queues(path, text)?;
            found = true;
            family.sample(&[("queue", b"tx"), ("ip", ip.as_bytes())], transmit);
            family.sample(&[("queue", b"rx"), ("ip", ip.as_bytes())], receive);
        }
        if found { Ok(()) } else { Err(Failure::NoData("neither net/udp nor net/udp6 is there".into())) }
    }
}
