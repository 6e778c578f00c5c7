//! `tcpstat`: TCP connections by state. Off by default: the kernel visits every socket for it.

use hostfs::sock_diag::{self, FAMILIES, STATES, StateCounts};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    STATES_OF = gauge("node_tcp_connection_states").labels(&["state"])
        .help("TCP sockets by state, and the bytes in their queues as rx_queued_bytes and tx_queued_bytes.")
        .source("netlink SOCK_DIAG_BY_FAMILY").answers("In which states are the TCP connections?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Tcpstat;

fn build(_: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Tcpstat))
}

impl Collector for Tcpstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let counts = FAMILIES
            .iter()
            .map(|family| sock_diag::count_states(*family, None))
            .collect::<Result<Vec<StateCounts>, _>>()?;
        let sum = |number: fn(&StateCounts) -> u64| counts.iter().map(number).sum::<u64>();
        let mut family = page.family(&STATES_OF);
        for state in STATES {
            let count = counts.iter().map(|counts| counts.count(state)).sum::<u64>();
            family.sample(&[("state", state.name().as_bytes())], count);
        }
        family.sample(&[("state", b"rx_queued_bytes")], sum(|counts| counts.receive_queued));
        family.sample(&[("state", b"tx_queued_bytes")], sum(|counts| counts.send_queued));
        Ok(())
    }
}
