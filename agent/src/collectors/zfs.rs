//! `zfs`: caches, pools and data sets of ZFS.

use hostfs::zfs::{self, STATES, Stat};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    ABD = untyped("node_zfs_abd_*").help("Count * of the ARC's buffers.").source("/proc/spl/kstat/zfs/abdstats")
        .answers("How does the ARC hold its memory?");
    ARC = untyped("node_zfs_arc_*").help("Count * of the adaptive replacement cache.")
        .source("/proc/spl/kstat/zfs/arcstats").answers("How large is the ARC, and how often does it hit?");
    DBUF = untyped("node_zfs_dbuf_*").help("Count * of the cache of unpacked blocks.")
        .source("/proc/spl/kstat/zfs/dbufstats").answers("How large is the dbuf cache?");
    DMU_TX = untyped("node_zfs_dmu_tx_*").help("Count * of transactions.").source("/proc/spl/kstat/zfs/dmu_tx")
        .answers("Are writers held back?");
    DNODE = untyped("node_zfs_dnode_*").help("Count * of objects in memory.").source("/proc/spl/kstat/zfs/dnodestats")
        .answers("How many objects are held?");
    FM = untyped("node_zfs_fm_*").help("Count * of the fault manager.").source("/proc/spl/kstat/zfs/fm")
        .answers("Were fault reports lost?");
    VDEV_CACHE = untyped("node_zfs_vdev_cache_*").help("Count * of the cache of old versions' devices.")
        .source("/proc/spl/kstat/zfs/vdev_cache_stats").answers("Does the device cache hit?");
    VDEV_MIRROR = untyped("node_zfs_vdev_mirror_*").help("Count * of reads from mirrors.")
        .source("/proc/spl/kstat/zfs/vdev_mirror_stats").answers("Are reads spread over mirrors?");
    XUIO = untyped("node_zfs_xuio_*").help("Count * of I/O without copies.")
        .source("/proc/spl/kstat/zfs/xuio_stats").answers("Is I/O done without copies?");
    ZFETCH = untyped("node_zfs_zfetch_*").help("Count * of the prefetcher.").source("/proc/spl/kstat/zfs/zfetchstats")
        .answers("Does prefetching help?");
    ZIL = untyped("node_zfs_zil_*").help("Count * of the intent log.").source("/proc/spl/kstat/zfs/zil")
        .answers("How much is written synchronously?");
    POOL = untyped("node_zfs_zpool_*").labels(&["zpool"]).help("I/O count * of a pool.")
        .source("/proc/spl/kstat/zfs/*/io").answers("How busy is a pool?");
    DATASET = untyped("node_zfs_zpool_dataset_*").labels(&["dataset", "zpool"]).help("Count * of a data set.")
        .source("/proc/spl/kstat/zfs/*/objset-*").answers("Which data set is busy?");
    STATE = gauge("node_zfs_zpool_state").labels(&["state", "zpool"]).help("1 for the state that a pool is in.")
        .source("/proc/spl/kstat/zfs/*/state").answers("Is a pool degraded?");
}

/// The module's files; versions differ in which they have.
static FILES: [(&str, &Metric); 11] = [
    ("abdstats", &ABD),
    ("arcstats", &ARC),
    ("dbufstats", &DBUF),
    ("dmu_tx", &DMU_TX),
    ("dnodestats", &DNODE),
    ("fm", &FM),
    ("vdev_cache_stats", &VDEV_CACHE),
    ("vdev_mirror_stats", &VDEV_MIRROR),
    ("xuio_stats", &XUIO),
    ("zfetchstats", &ZFETCH),
    ("zil", &ZIL),
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Zfs {
    reader: zfs::Reader,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Zfs { reader: zfs::Reader::new(&setup.roots), samples: Grouping::default() }))
}

impl Collector for Zfs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        self.reader.check().map_err(Failure::missing_is_no_data)?;
        let result = self.gather();
        self.samples.write_to(page);
        result
    }
}

impl Zfs {
    fn gather(&mut self) -> Result<(), Failure> {
        let samples = &mut self.samples;
        for (file, metric) in FILES {
            for stat in self.reader.module(file)?.unwrap_or_default() {
                emit(samples, metric, stat, &[]);
            }
        }
        let pools = self.reader.pools()?;
        for pool in &pools {
            let zpool = ("zpool", pool.as_slice());
            for stat in self.reader.pool_io(pool)?.unwrap_or_default() {
                emit(samples, &POOL, stat, &[zpool]);
            }
        }
        for pool in &pools {
            for file in self.reader.datasets(pool)? {
                let (name, stats) = self.reader.dataset(pool, &file)?;
                for stat in stats {
                    emit(samples, &DATASET, stat, &[("dataset", name), ("zpool", pool)]);
                }
            }
        }
        for pool in &pools {
            if let Some(current) = self.reader.pool_state(pool)? {
                for (index, state) in STATES.iter().enumerate() {
                    let labels = [("state", state.as_bytes()), ("zpool", pool.as_slice())];
                    samples.sample(&STATE, &labels, current == Some(index));
                }
            }
        }
        Ok(())
    }
}

fn emit(samples: &mut Grouping, metric: &'static Metric, stat: Stat<'_>, labels: &[(&str, &[u8])]) {
    samples.sample_named(metric, stat.name, labels, stat.value);
}
