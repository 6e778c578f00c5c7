//! `nfsd`: calls to this host's NFS server.

use hostfs::nfs::{Reader, V2, V3, V4_SERVER};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    CACHE_HITS = counter("node_nfsd_reply_cache_hits_total").help("Calls answered from the reply cache: clients that repeat.")
        .source("/proc/net/rpc/nfsd").answers("Do clients lose replies?");
    CACHE_MISSES = counter("node_nfsd_reply_cache_misses_total").help("Calls whose replies went into the reply cache.")
        .source("/proc/net/rpc/nfsd").answers("How many calls change something?");
    UNCACHED = counter("node_nfsd_reply_cache_nocache_total").help("Calls whose replies need no cache.")
        .source("/proc/net/rpc/nfsd").answers("How many calls only read?");
    STALE = counter("node_nfsd_file_handles_stale_total").help("Calls for files that are gone.")
        .source("/proc/net/rpc/nfsd").answers("Do clients hold on to deleted files?");
    DISK_READ = counter("node_nfsd_disk_bytes_read_total").unit("bytes").help("Bytes read for clients.")
        .source("/proc/net/rpc/nfsd").answers("How much do clients read?");
    DISK_WRITTEN = counter("node_nfsd_disk_bytes_written_total").unit("bytes").help("Bytes written for clients.")
        .source("/proc/net/rpc/nfsd").answers("How much do clients write?");
    THREADS = gauge("node_nfsd_server_threads").help("Threads of the server.").source("/proc/net/rpc/nfsd")
        .answers("How many calls can be served at a time?");
    CACHE_SIZE = gauge("node_nfsd_read_ahead_cache_size_blocks").help("Size of the readahead cache.")
        .source("/proc/net/rpc/nfsd").answers("How large is the readahead cache of old kernels?");
    NOT_FOUND = counter("node_nfsd_read_ahead_cache_not_found_total").help("Lookups that the readahead cache missed.")
        .source("/proc/net/rpc/nfsd").answers("Does the readahead cache of old kernels help?");
    PACKETS = counter("node_nfsd_packets_total").labels(&["proto"]).help("Packets of the server.")
        .source("/proc/net/rpc/nfsd").answers("How much does the server talk?");
    CONNECTIONS = counter("node_nfsd_connections_total").help("TCP connections that clients made.")
        .source("/proc/net/rpc/nfsd").answers("Do clients come back often?");
    ERRORS = counter("node_nfsd_rpc_errors_total").labels(&["error"])
        .help("Calls refused for their format, their authentication or an unknown client.")
        .source("/proc/net/rpc/nfsd").answers("Who is refused?");
    CALLS = counter("node_nfsd_server_rpcs_total").help("Calls to the server.").source("/proc/net/rpc/nfsd")
        .answers("How busy is the server?");
    REQUESTS = counter("node_nfsd_requests_total").labels(&["method", "proto"])
        .help("Procedures that clients called, by version of the protocol.").source("/proc/net/rpc/nfsd")
        .answers("What do clients do?");
}

/// Operations of version 4 that are no work of a client and are left out, as node_exporter does.
const NOT_SHOWN: &[&str] = &["Op0Unused", "Op1Unused", "Op2Future", "PutPubFH", "PutRootFH"];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Nfsd {
    reader: Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Nfsd { reader: Reader::server(&setup.roots) }))
}

impl Collector for Nfsd {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let server = self.reader.read_server().map_err(Failure::missing_is_no_data)?;
        page.single(&CACHE_HITS, server.reply_cache[0]);
        page.single(&CACHE_MISSES, server.reply_cache[1]);
        page.single(&UNCACHED, server.reply_cache[2]);
        page.single(&STALE, server.stale_handles);
        page.single(&DISK_READ, server.disk_bytes[0]);
        page.single(&DISK_WRITTEN, server.disk_bytes[1]);
        page.single(&THREADS, server.threads);
        page.single(&CACHE_SIZE, server.read_ahead[0]);
        page.single(&NOT_FOUND, server.read_ahead[1]);
        let mut packets = page.family(&PACKETS);
        packets.sample(&[("proto", b"udp")], server.network.udp);
        packets.sample(&[("proto", b"tcp")], server.network.tcp);
        page.single(&CONNECTIONS, server.network.connections);
        let mut errors = page.family(&ERRORS);
        for (error, count) in ["fmt", "auth", "cInt"].into_iter().zip(server.refused) {
            errors.sample(&[("error", error.as_bytes())], count);
        }
        page.single(&CALLS, server.calls);
        let mut requests = page.family(&REQUESTS);
        for (version, methods, counts) in [("2", V2, &server.v2), ("3", V3, &server.v3), ("4", V4_SERVER, &server.v4)] {
            for (method, count) in methods.iter().zip(counts) {
                if *method != "Null" && !NOT_SHOWN.contains(method) {
                    requests.sample(&[("method", method.as_bytes()), ("proto", version.as_bytes())], *count);
                }
            }
        }
        requests.sample(&[("method", b"WdelegGetattr"), ("proto", b"4")], server.delegation_getattr);
        Ok(())
    }
}
