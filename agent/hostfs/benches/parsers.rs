//! The parsers of the per-scrape path on the live host's files, and one whole read of a kept-open file.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hostfs::{Roots, Source, diskstats, loadavg, meminfo, mounts, net_dev, netstat, pressure, sockstat, stat, vmstat};

fn parsers(criterion: &mut Criterion) {
    let path = Path::new("bench");
    let mut group = criterion.benchmark_group("parse");
    let mut bench = |file: &str, parse: &mut dyn FnMut(&[u8])| {
        let text = std::fs::read(file).expect("the file is on every Linux");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(file, |bencher| bencher.iter(|| parse(black_box(&text))));
    };
    let mut kept = stat::Stat::default();
    bench("/proc/stat", &mut |text| stat::parse(path, text, &mut kept).expect("a live file"));
    bench("/proc/meminfo", &mut |text| {
        meminfo::Meminfo::new(path, text).fields().for_each(|field| _ = black_box(field))
    });
    bench("/proc/loadavg", &mut |text| _ = black_box(loadavg::parse(path, text)));
    bench("/proc/diskstats", &mut |text| {
        diskstats::Diskstats::new(path, text).disks().for_each(|disk| _ = black_box(disk));
    });
    bench("/proc/net/dev", &mut |text| {
        net_dev::NetDev::new(path, text).interfaces().for_each(|interface| _ = black_box(interface));
    });
    bench("/proc/net/netstat", &mut |text| {
        _ = netstat::Counters::paired(path, text).for_each(|counter| _ = black_box(counter));
    });
    bench("/proc/net/sockstat", &mut |text| {
        _ = sockstat::Sockstat::new(path, text).for_each(|field| _ = black_box(field));
    });
    bench("/proc/vmstat", &mut |text| {
        _ = vmstat::Vmstat::new(path, text).for_each(|_| true, |name, value| _ = black_box((name, value)));
    });
    bench("/proc/pressure/io", &mut |text| _ = black_box(pressure::parse(path, text)));
    bench("/proc/self/mountinfo", &mut |text| {
        mounts::Mounts::info(path, text).mounts().for_each(|mount| _ = black_box(mount))
    });
    group.finish();
}

/// What keeping a file open saves.
fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read /proc/loadavg");
    let path = Roots::default().proc("loadavg");
    let mut source = Source::new(path.clone(), 4096);
    group.bench_function("kept open", |bencher| bencher.iter(|| source.read().map(|(_, text)| text.len())));
    let mut buffer = Vec::new();
    group.bench_function("opened each time", |bencher| bencher.iter(|| hostfs::read_into(&path, &mut buffer, 4096)));
    group.finish();
}

criterion_group!(benches, parsers, reading);
criterion_main!(benches);
