//! `udp_queues`: bytes in the queues of all UDP sockets.

use hostfs::{Source, sockstat, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    QUEUES = gauge("node_udp_queues").labels(&["queue", "ip"]).help("Bytes in the queues of UDP sockets, added up.")
        .source("/proc/net/udp, /proc/net/udp6, /proc/net/sockstat, /proc/net/sockstat6").answers("Do programs fetch their datagrams?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// About 128 bytes a socket: two million sockets.
const LIMIT: usize = 256 << 20;

/// More than a line of either file takes: addresses have a fixed width, the other fields are numbers.
const LINE: usize = 512;

/// One family's file, and where the kernel counts its sockets.
struct Family {
    ip: &'static str,
    source: Source,
    sockets: sockstat::Reader,
    protocol: &'static [u8],
}

struct UdpQueues {
    families: [Family; 2],
    /// Whether the count of sockets is that of the same kernel as the files.
    is_live: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let roots = &setup.roots;
    let family = |ip, name: &str, sockets, protocol| {
        let source = Source::table(roots.proc(name), LIMIT, LINE);
        Family { ip, source, sockets, protocol }
    };
    let families = [
        family("v4", "net/udp", sockstat::Reader::new(roots), b"UDP"),
        family("v6", "net/udp6", sockstat::Reader::new_v6(roots), b"UDP6"),
    ];
    Ok(Box::new(UdpQueues { families, is_live: roots.has_live_proc() }))
}

impl Collector for UdpQueues {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut family = page.family(&QUEUES);
        let mut found = false;
        for each in &mut self.families {
            let Some((transmit, receive)) = each.queues(self.is_live)? else { continue };
            found = true;
            family.sample(&[("queue", b"tx"), ("ip", each.ip.as_bytes())], transmit);
            family.sample(&[("queue", b"rx"), ("ip", each.ip.as_bytes())], receive);
        }
        if found { Ok(()) } else { Err(Failure::NoData("neither net/udp nor net/udp6 is there".into())) }
    }
}

impl Family {
    /// Bytes in the send and receive queues; `None` without such a file.
    fn queues(&mut self, is_live: bool) -> Result<Option<(u64, u64)>, Failure> {
        // The kernel walks a table of thousands of slots for the file. Where it counts no socket that is for nothing.
        if is_live && self.sockets()? == Some(0) {
            return Ok(Some((0, 0)));
        }
        let Some((path, text)) = self.source.read_if_present()? else { return Ok(None) };
        Ok(Some(tables::udp_queues(path, text)?))
    }

    fn sockets(&mut self) -> Result<Option<u64>, Failure> {
        let Some(sockstat) = self.sockets.read()? else { return Ok(None) };
        let mut count = None;
        sockstat.for_each(|field| {
            if field.protocol == self.protocol && field.name == b"inuse" {
                count = Some(field.value);
            }
        })?;
        Ok(count)
    }
}
