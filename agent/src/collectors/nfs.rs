//! `nfs`: calls of this host's NFS client.

use hostfs::nfs::{Reader, V2, V3, V4_CLIENT};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    PACKETS = counter("node_nfs_packets_total").labels(&["protocol"]).help("Packets of the NFS client.")
        .source("/proc/net/rpc/nfs").answers("How much does the client talk?");
    CONNECTIONS = counter("node_nfs_connections_total").help("TCP connections that the NFS client made.")
        .source("/proc/net/rpc/nfs").answers("Do connections break?");
    CALLS = counter("node_nfs_rpcs_total").help("Calls of the NFS client.").source("/proc/net/rpc/nfs")
        .answers("How much is asked of NFS servers?");
    RETRANSMISSIONS = counter("node_nfs_rpc_retransmissions_total").help("Calls that were sent again.")
        .source("/proc/net/rpc/nfs").answers("Do servers or the network lose calls?");
    REFRESHES = counter("node_nfs_rpc_authentication_refreshes_total").help("Times that credentials were refreshed.")
        .source("/proc/net/rpc/nfs").answers("How often do credentials run out?");
    REQUESTS = counter("node_nfs_requests_total").labels(&["method", "proto"])
        .help("Procedures that the NFS client called, by version of the protocol.").source("/proc/net/rpc/nfs")
        .answers("What is asked of NFS servers?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Nfs {
    reader: Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Nfs { reader: Reader::client(&setup.roots) }))
}

impl Collector for Nfs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let client = self.reader.read_client().map_err(Failure::missing_is_no_data)?;
        let mut packets = page.family(&PACKETS);
        packets.sample(&[("protocol", b"udp")], client.network.udp);
        packets.sample(&[("protocol", b"tcp")], client.network.tcp);
        page.single(&CONNECTIONS, client.network.connections);
        page.single(&CALLS, client.calls);
        page.single(&RETRANSMISSIONS, client.retransmissions);
        page.single(&REFRESHES, client.authentication_refreshes);
        let mut requests = page.family(&REQUESTS);
        for (version, methods, counts) in [("2", V2, &client.v2), ("3", V3, &client.v3), ("4", V4_CLIENT, &client.v4)] {
            for (method, count) in methods.iter().zip(counts) {
                requests.sample(&[("method", method.as_bytes()), ("proto", version.as_bytes())], *count);
            }
        }
        Ok(())
    }
}
