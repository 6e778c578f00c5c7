//! `bcache`: block caches, their backing devices and their cache devices.

use hostfs::Roots;
use hostfs::bcache::{self, CacheSet};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::{self, Setup};

const SET: &[&str] = &["uuid"];
const BACKING: &[&str] = &["backing_device", "uuid"];
const CACHE: &[&str] = &["cache_device", "uuid"];

crate::metrics! {
    KEY_SIZE = gauge("node_bcache_average_key_size_sectors").labels(SET).help("Data that an index entry stands for, on average.")
        .source("/sys/fs/bcache/*/average_key_size").answers("Is the cache fragmented?");
    BTREE_CACHE = gauge("node_bcache_btree_cache_size_bytes").labels(SET).unit("bytes").help("Memory that holds the index.")
        .source("/sys/fs/bcache/*/btree_cache_size").answers("How much memory does the index take?");
    AVAILABLE = gauge("node_bcache_cache_available_percent").labels(SET).help("Share of the cache without dirty data.")
        .source("/sys/fs/bcache/*/cache_available_percent").answers("Is there room for writes?");
    CONGESTED = gauge("node_bcache_congested").labels(SET).help("How congested the cache is.")
        .source("/sys/fs/bcache/*/congested").answers("Is the cache too slow for its load?");
    ROOT_USAGE = gauge("node_bcache_root_usage_percent").labels(SET).help("Share of the index's root that is in use.")
        .source("/sys/fs/bcache/*/root_usage_percent").answers("Will the index grow deeper?");
    DEPTH = gauge("node_bcache_tree_depth").labels(SET).help("Depth of the index.")
        .source("/sys/fs/bcache/*/tree_depth").answers("How deep is the index?");
    JOURNAL = gauge("node_bcache_active_journal_entries").labels(SET).help("Journal entries that the index has not taken in.")
        .source("/sys/fs/bcache/*/internal/active_journal_entries").answers("Does the journal fill up?");
    NODES = gauge("node_bcache_btree_nodes").labels(SET).help("Nodes of the index.")
        .source("/sys/fs/bcache/*/internal/btree_nodes").answers("How large is the index?");
    READ_DURATION = gauge("node_bcache_btree_read_average_duration_seconds").labels(SET).unit("seconds")
        .help("How long reading a node of the index takes, on average.")
        .source("/sys/fs/bcache/*/internal/btree_read_average_duration_us").answers("Is the cache device slow?");
    RACES = counter("node_bcache_cache_read_races_total").labels(SET).help("Reads whose data was replaced meanwhile.")
        .source("/sys/fs/bcache/*/internal/cache_read_races").answers("Is the cache too small?");
    DIRTY = gauge("node_bcache_dirty_data_bytes").labels(BACKING).unit("bytes")
        .help("Data of a backing device that is only in the cache.").source("/sys/fs/bcache/*/bdev*/dirty_data")
        .answers("How much would be lost with the cache?");
    TARGET = gauge("node_bcache_dirty_target_bytes").labels(BACKING).unit("bytes")
        .help("Amount of dirty data that writeback aims at.").source("/sys/fs/bcache/*/bdev*/writeback_rate_debug")
        .answers("How much dirty data is wanted?");
    RATE = gauge("node_bcache_writeback_rate").labels(BACKING).help("Bytes per second that writeback may write.")
        .source("/sys/fs/bcache/*/bdev*/writeback_rate_debug").answers("How fast is dirty data written back?");
    PROPORTIONAL = gauge("node_bcache_writeback_rate_proportional_term").labels(BACKING)
        .help("Proportional part of the writeback rate.").source("/sys/fs/bcache/*/bdev*/writeback_rate_debug")
        .answers("How does writeback react to dirty data?");
    INTEGRAL = gauge("node_bcache_writeback_rate_integral_term").labels(BACKING)
        .help("Integral part of the writeback rate.").source("/sys/fs/bcache/*/bdev*/writeback_rate_debug")
        .answers("How does writeback react to lasting dirty data?");
    CHANGE = gauge("node_bcache_writeback_change").labels(BACKING).help("Last change of the writeback rate.")
        .source("/sys/fs/bcache/*/bdev*/writeback_rate_debug").answers("Does the writeback rate settle?");
    BYPASSED = counter("node_bcache_bypassed_bytes_total").labels(BACKING).unit("bytes")
        .help("Data that went past the cache; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/bypassed").answers("How much goes past the cache?");
    HITS = counter("node_bcache_cache_hits_total").labels(BACKING)
        .help("Requests found in the cache; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/cache_hits").answers("Does the cache help?");
    MISSES = counter("node_bcache_cache_misses_total").labels(BACKING)
        .help("Requests not found in the cache; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/cache_misses").answers("Is the cache too small?");
    BYPASS_HITS = counter("node_bcache_cache_bypass_hits_total").labels(BACKING)
        .help("Requests meant to go past the cache that were in it; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/cache_bypass_hits").answers("Are large reads in the cache anyway?");
    BYPASS_MISSES = counter("node_bcache_cache_bypass_misses_total").labels(BACKING)
        .help("Requests meant to go past the cache that were not in it; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/cache_bypass_misses").answers("How many requests go to the disk by design?");
    COLLISIONS = counter("node_bcache_cache_miss_collisions_total").labels(BACKING)
        .help("Insertions that lost against a write; the set's total, as node_exporter shows it.")
        .source("/sys/fs/bcache/*/stats_total/cache_miss_collisions").answers("Do reads and writes collide?");
    READAHEADS = counter("node_bcache_cache_readaheads_total").labels(BACKING)
        .help("Readaheads; the set's total, as node_exporter shows it, and absent where the kernel counts none.")
        .source("/sys/fs/bcache/*/stats_total/cache_readaheads").answers("Does the cache read ahead?");
    IO_ERRORS = gauge("node_bcache_io_errors").labels(CACHE).help("Errors of a cache device, halved from time to time.")
        .source("/sys/fs/bcache/*/cache*/io_errors").answers("Is a cache device failing?");
    METADATA = counter("node_bcache_metadata_written_bytes_total").labels(CACHE).unit("bytes")
        .help("Metadata written to a cache device.").source("/sys/fs/bcache/*/cache*/metadata_written")
        .answers("How much wear does the index cause?");
    WRITTEN = counter("node_bcache_written_bytes_total").labels(CACHE).unit("bytes")
        .help("Data written to a cache device.").source("/sys/fs/bcache/*/cache*/written")
        .answers("How much wear does caching cause?");
    UNUSED_PERCENT = gauge("node_bcache_priority_stats_unused_percent").labels(CACHE)
        .help("Share of a cache device that holds nothing.").source("/sys/fs/bcache/*/cache*/priority_stats")
        .answers("Is the cache full?");
    METADATA_PERCENT = gauge("node_bcache_priority_stats_metadata_percent").labels(CACHE)
        .help("Share of a cache device that holds metadata.").source("/sys/fs/bcache/*/cache*/priority_stats")
        .answers("How much of the cache does the index take?");
}

/// In the order of the reader's list.
static SET_METRICS: [&Metric; bcache::SET_FILES.len()] =
    [&KEY_SIZE, &BTREE_CACHE, &AVAILABLE, &CONGESTED, &ROOT_USAGE, &DEPTH, &JOURNAL, &NODES, &READ_DURATION, &RACES];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::switch("collector.bcache.priorityStats", false, "usage of buckets too, which is slow to read")],
    build,
};

struct Bcache {
    roots: Roots,
    priority: bool,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let priority = setup.is_on("collector.bcache.priorityStats");
    Ok(Box::new(Bcache { roots: setup.roots.clone(), priority, samples: Grouping::default() }))
}

impl Collector for Bcache {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for set in bcache::read(&self.roots, self.priority)? {
            emit(&mut self.samples, &set);
        }
        self.samples.write_to(page);
        Ok(())
    }
}

fn emit(samples: &mut Grouping, set: &CacheSet) {
    let uuid = ("uuid", set.uuid.as_slice());
    for (metric, number) in SET_METRICS.into_iter().zip(set.values) {
        // The file says microseconds and holds nanoseconds.
        let number = number as f64;
        samples.sample(metric, &[uuid], if metric.unit == "seconds" { number * 1e-9 } else { number });
    }
    for device in &set.backing {
        let labels = [("backing_device", device.name.as_slice()), uuid];
        samples.sample(&DIRTY, &labels, device.dirty);
        samples.sample(&TARGET, &labels, device.writeback.target);
        samples.sample(&RATE, &labels, device.writeback.rate);
        samples.sample(&PROPORTIONAL, &labels, device.writeback.proportional);
        samples.sample(&INTEGRAL, &labels, device.writeback.integral);
        samples.sample(&CHANGE, &labels, device.writeback.change);
        let total = &set.total;
        samples.sample(&BYPASSED, &labels, total.bypassed);
        samples.sample(&HITS, &labels, total.hits);
        samples.sample(&MISSES, &labels, total.misses);
        samples.sample(&BYPASS_HITS, &labels, total.bypass_hits);
        samples.sample(&BYPASS_MISSES, &labels, total.bypass_misses);
        samples.sample(&COLLISIONS, &labels, total.miss_collisions);
        if total.readaheads != 0 {
            samples.sample(&READAHEADS, &labels, total.readaheads);
        }
    }
    for cache in &set.caches {
        let labels = [("cache_device", cache.name.as_slice()), uuid];
        samples.sample(&IO_ERRORS, &labels, cache.io_errors);
        samples.sample(&METADATA, &labels, cache.metadata_written);
        samples.sample(&WRITTEN, &labels, cache.written);
        if let Some((unused, metadata)) = cache.priority {
            samples.sample(&UNUSED_PERCENT, &labels, unused);
            samples.sample(&METADATA_PERCENT, &labels, metadata);
        }
    }
}
