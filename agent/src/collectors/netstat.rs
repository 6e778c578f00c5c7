//! `netstat`: counters of IP, ICMP, TCP and UDP.

use hostfs::netstat::{Choice, Reader};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, text};

crate::metrics! {
    FIELD = untyped("node_netstat_*").help("Field * of the network stack's counters.")
        .source("/proc/net/netstat, /proc/net/snmp, /proc/net/snmp6")
        .answers("What do IP, TCP and UDP do, and what do they lose?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[text(
        "collector.netstat.fields",
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|\
         TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|\
         Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|\
         Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
        "Fields to export, as Protocol_Name",
    )],
    build,
};

struct Netstat {
    readers: [(Reader, Choice); 3],
    filter: Filter,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let roots = &setup.roots;
    let readers = [Reader::netstat(roots), Reader::snmp(roots), Reader::snmp6(roots)];
    Ok(Box::new(Netstat {
        readers: readers.map(|reader| (reader, Choice::default())),
        filter: Filter::new(setup.text("collector.netstat.fields"), "")?,
    }))
}

impl Collector for Netstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { readers, filter } = self;
        for (reader, choice) in readers {
            let Some(counters) = reader.read()? else { continue };
            let each = |name: &[u8], value| _ = page.family_named(&FIELD, name).sample(&[], value);
            counters.for_each_chosen(choice, |name| filter.wants(name), each)?;
        }
        Ok(())
    }
}
