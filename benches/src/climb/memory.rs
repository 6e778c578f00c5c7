//! What connections cost in memory: readings at plateaus, and the slope through them.
//!
//! One subtraction mixes the price of a connection with that of starting up. A least-squares line over at least five
//! plateaus separates them, and its residuals say how far to trust it. Kernel objects and user memory are kept apart,
//! and of user memory the servers' and the generators'.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hostfs::Roots;
use serde::{Deserialize, Serialize};

use super::forecast::OBJECTS;

/// Plateaus from which a slope is quoted.
pub const PLATEAUS: usize = 5;

/// Memory at one moment, in bytes unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Private memory of all servers (PSS).
    pub servers_pss: u64,
    /// Private memory of all generators (PSS).
    pub generators_pss: u64,
    /// `Slab` of /proc/meminfo.
    pub slab: u64,
    /// `SUnreclaim`: what the kernel cannot give back.
    pub slab_unreclaimable: u64,
    /// `PageTables`.
    pub page_tables: u64,
    /// `KernelStack`.
    pub kernel_stacks: u64,
    /// `MemAvailable`: what the whole box has left.
    pub available: u64,
    /// Socket buffers of TCP (`mem` of /proc/net/sockstat), which idle connections do not use.
    pub tcp_buffers: u64,
    /// TCP sockets in use, both ends (`inuse` of /proc/net/sockstat).
    pub tcp_sockets: u64,
    /// Slab caches by name; empty when /proc/slabinfo may not be read.
    pub caches: BTreeMap<String, Cache>,
}

/// One slab cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Objects in use.
    pub objects: u64,
    /// Bytes of its slabs, room for further objects included.
    pub bytes: u64,
}

/// Reads the box; the processes' part is the fleet's to fill in.
///
/// # Errors
/// When procfs cannot be read. An unreadable /proc/slabinfo leaves `caches` empty.
pub fn read(roots: &Roots) -> Result<Memory> {
    let page = u64::try_from(rustix::param::page_size()).expect("a page is smaller than 2^64");
    let mut reader = hostfs::meminfo::Reader::new(roots);
    let meminfo = reader.read().context("/proc/meminfo")?;
    let field = |name| meminfo.value(name).map(Option::unwrap_or_default).context("/proc/meminfo");
    let mut memory = Memory {
        slab: field("Slab")?,
        slab_unreclaimable: field("SUnreclaim")?,
        page_tables: field("PageTables")?,
        kernel_stacks: field("KernelStack")?,
        available: field("MemAvailable")?,
        caches: caches(roots, page),
        ..Memory::default()
    };
    let mut reader = hostfs::sockstat::Reader::new(roots);
    if let Some(sockstat) = reader.read().context("/proc/net/sockstat")? {
        let value = |name| sockstat.value("TCP", name).map(Option::unwrap_or_default).context("/proc/net/sockstat");
        memory.tcp_sockets = value("inuse")?;
        memory.tcp_buffers = value("mem")? * page;
    }
    Ok(memory)
}

fn caches(roots: &Roots, page: u64) -> BTreeMap<String, Cache> {
    /// Larger than the file of any kernel: 300 caches of 130 bytes are 40 KB.
    const LIMIT: usize = 1 << 20;
    let path = roots.proc("slabinfo");
    let mut text = Vec::new();
    let mut caches = BTreeMap::new();
    let merged = merged(roots);
    if hostfs::read_into(&path, &mut text, LIMIT).is_err() {
        return caches;
    }
    let read = hostfs::tables::slabinfo(&path, &text, |slab| {
        let slabs = slab.objects.div_ceil(slab.objects_per_slab.max(1));
        let cache = Cache { objects: slab.active_objects, bytes: slabs * slab.pages_per_slab * page };
        let name = String::from_utf8_lossy(slab.name).into_owned();
        let place = alias(roots, &name);
        let name = place.and_then(|place| merged.get(&place).cloned()).unwrap_or(name);
        caches.insert(name, cache);
    });
    if read.is_err() {
        caches.clear();
    }
    caches
}

/// The kernel merges caches of like objects (SLUB) and shows them under any one of their names. What they share is the
/// target of their links below /sys/kernel/slab: the objects of a connection by that target, joined by plus signs.
fn merged(roots: &Roots) -> BTreeMap<String, String> {
    let mut names = BTreeMap::<String, String>::new();
    for object in OBJECTS {
        if let Some(place) = alias(roots, object.cache) {
            let name = names.entry(place).or_default();
            if !name.is_empty() {
                name.push('+');
            }
            name.push_str(object.cache);
        }
    }
    names
}

/// Where the link of a cache's name leads; `None` for a cache that was not merged.
fn alias(roots: &Roots, name: &str) -> Option<String> {
    let target = std::fs::read_link(roots.sys(format!("kernel/slab/{name}"))).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// What each connection adds, both ends together, by least squares over the plateaus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slopes {
    /// Plateaus that the lines go through.
    pub plateaus: usize,
    /// User memory of the server's end.
    pub server_user: Slope,
    /// User memory of the generator's end.
    pub generator_user: Slope,
    /// Slab of both ends.
    pub kernel: Slope,
    /// Everything that the box has less, both ends, user and kernel (`MemAvailable`).
    pub whole_box: Slope,
    /// Caches that grow, largest first: name, bytes and objects per connection.
    pub caches: Vec<CacheSlope>,
}

/// A slope and how well it fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Bytes per connection.
    pub bytes: f64,
    /// Standard error of the slope.
    pub error: f64,
}

/// A slab cache's growth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheSlope {
    /// Name of the cache; the kernel merges caches of like objects under one name.
    pub cache: String,
    /// Bytes per connection, slabs that are not full included.
    pub bytes: f64,
    /// Objects per connection.
    pub objects: f64,
}

/// Growth below this many bytes per connection is not listed as a cache of its own: the box's other work does as much.
const LISTED_BYTES: f64 = 8.0;

/// Slopes over `readings` of users and memory; `None` below [`PLATEAUS`] of them.
pub fn slopes<'a>(readings: impl IntoIterator<Item = (u32, &'a Memory)>) -> Option<Slopes> {
    let readings: Vec<(f64, &Memory)> =
        readings.into_iter().map(|(users, memory)| (f64::from(users), memory)).collect();
    if readings.len() < PLATEAUS {
        return None;
    }
    let of = |value: &dyn Fn(&Memory) -> f64| {
        fit(&readings.iter().map(|(users, memory)| (*users, value(memory))).collect::<Vec<_>>())
    };
    let names = readings.iter().flat_map(|(_, memory)| memory.caches.keys()).collect::<std::collections::BTreeSet<_>>();
    let mut caches: Vec<CacheSlope> = names
        .into_iter()
        .map(|name| {
            let cache = |memory: &Memory| memory.caches.get(name).copied().unwrap_or_default();
            CacheSlope {
                cache: name.clone(),
                bytes: of(&|memory| cache(memory).bytes as f64).bytes,
                objects: of(&|memory| cache(memory).objects as f64).bytes,
            }
        })
        .filter(|slope| slope.bytes >= LISTED_BYTES)
        .collect();
    caches.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
    Some(Slopes {
        plateaus: readings.len(),
        server_user: of(&|memory| memory.servers_pss as f64),
        generator_user: of(&|memory| memory.generators_pss as f64),
        kernel: of(&|memory| memory.slab as f64),
        whole_box: of(&|memory| -(memory.available as f64)),
        caches,
    })
}

/// Ordinary least squares of y on x, with the slope's standard error.
fn fit(points: &[(f64, f64)]) -> Slope {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let sum_xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if sum_xx == 0.0 {
        return Slope::default();
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / sum_xx;
    let residuals: f64 = points.iter().map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2)).sum();
    let error = if points.len() > 2 { (residuals / (count - 2.0) / sum_xx).sqrt() } else { 0.0 };
    Slope { bytes: slope, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a fixed price and a price per connection are told apart, each kind of memory by itself.
    #[test]
    fn slopes_are_prices_per_connection() {
        let at = |users: u64| Memory {
            servers_pss: 50_000_000 + 160 * users,
            generators_pss: 9_000_000 + 120 * users,
            slab: 900_000_000 + 10_240 * users,
            available: 20_000_000_000 - 11_000 * users,
            caches: [("TCP".to_owned(), Cache { objects: 7 + 2 * users, bytes: 4096 + 5_000 * users })].into(),
            ..Memory::default()
        };
        let readings: Vec<(u32, Memory)> = [0, 100, 200, 300, 500].map(|users| (users, at(users.into()))).into();
        let slopes = slopes(readings.iter().map(|(users, memory)| (*users, memory))).unwrap();
        let near =
            |slope: Slope, wanted: f64| assert!((slope.bytes - wanted).abs() < 1e-6 && slope.error < 1e-6, "{slope:?}");
        near(slopes.server_user, 160.0);
        near(slopes.generator_user, 120.0);
        near(slopes.kernel, 10_240.0);
        near(slopes.whole_box, 11_000.0);
        assert_eq!(slopes.caches.len(), 1);
        assert!((slopes.caches[0].objects - 2.0).abs() < 1e-9, "{slopes:?}");
    }

    /// Shows that the standard error is that of textbooks: points 1, 2, 2, 4, 5 at 1 to 5 have slope 1.0 and error 0.1826.
    #[test]
    fn a_scattered_line_has_an_error() {
        let slope = fit(&[(1.0, 1.0), (2.0, 2.0), (3.0, 2.0), (4.0, 4.0), (5.0, 5.0)]);
        assert!((slope.bytes - 1.0).abs() < 1e-12, "{slope:?}");
        assert!((slope.error - (0.8_f64 / 3.0 / 10.0).sqrt()).abs() < 1e-12, "{slope:?}");
    }

    /// Shows that four plateaus give no slope.
    #[test]
    fn few_plateaus_give_none() {
        let memory = Memory::default();
        assert_eq!(slopes([1, 2, 3, 4].map(|users| (users, &memory))), None);
    }

    /// Shows that this kernel's own files read.
    #[test]
    fn this_box_reads() {
        let memory = read(&Roots::default()).unwrap();
        assert!(memory.slab > 0 && memory.available > 0, "{memory:?}");
    }
}
