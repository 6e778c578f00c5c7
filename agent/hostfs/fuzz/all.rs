//! Every text parser of the machine collectors on the same bytes, for the fuzzer and for the test of any bytes.

use std::path::Path;

use hostfs::{
    cpu_list, cpuinfo, diskstats, loadavg, meminfo, mounts, net_dev, netstat, os_release, per_cpu, pressure, sockstat,
    stat, tables, vmstat, zoneinfo,
};

/// Names of the parsers, in the order in which [`one`] numbers them.
pub const NAMES: [&str; 23] = [
    "stat",
    "meminfo",
    "loadavg",
    "diskstats",
    "net_dev",
    "mountinfo",
    "mounts",
    "pressure",
    "sockstat",
    "netstat",
    "snmp6",
    "per_cpu",
    "vmstat",
    "cpuinfo",
    "cpu_list",
    "os_release",
    "zoneinfo",
    "buddyinfo",
    "schedstat",
    "softnet",
    "conntrack",
    "slabinfo",
    "named",
];

/// Runs parser `number` on any bytes: it must return.
pub fn one(number: usize, text: &[u8]) {
    let path = Path::new("fuzz");
    match NAMES[number] {
        "stat" => _ = stat::parse(path, text, &mut stat::Stat::default()),
        "meminfo" => meminfo::Meminfo::new(path, text).fields().for_each(drop),
        "loadavg" => _ = loadavg::parse(path, text),
        "diskstats" => diskstats::Diskstats::new(path, text).disks().for_each(drop),
        "net_dev" => net_dev::NetDev::new(path, text).interfaces().for_each(drop),
        "mountinfo" => mounts::Mounts::info(path, text).mounts().for_each(drop),
        "mounts" => mounts::Mounts::table(path, text).mounts().for_each(drop),
        "pressure" => _ = pressure::parse(path, text),
        "sockstat" => _ = sockstat::Sockstat::new(path, text).for_each(drop),
        "netstat" => _ = netstat::Counters::paired(path, text).for_each(drop),
        "snmp6" => _ = netstat::Counters::single(path, text).for_each(drop),
        "per_cpu" => {
            if let Ok(table) = per_cpu::Table::new(path, text, &mut Vec::new()) {
                // Every number of every row is looked at.
                table.rows().flatten().for_each(|row| _ = row.numbers().fold(0u64, u64::wrapping_add));
            }
        }
        "vmstat" => _ = vmstat::Vmstat::new(path, text).for_each(|_| true, |_, _| {}),
        "cpuinfo" => drop(cpuinfo::parse(text)),
        "cpu_list" => _ = cpu_list::parse(path, text),
        "os_release" => drop(os_release::parse(text)),
        "zoneinfo" => _ = zoneinfo::parse(path, text, |_, _, _, _| {}),
        "buddyinfo" => _ = tables::buddyinfo(path, text, |_, _, _| {}),
        "schedstat" => _ = tables::schedstat(path, text, |_| {}),
        "softnet" => _ = tables::softnet(path, text, |_| {}),
        "conntrack" => _ = tables::conntrack(path, text).and(tables::udp_queues(path, text)),
        "slabinfo" => _ = tables::slabinfo(path, text, |_| {}).and(tables::arp(path, text, |_| {})),
        "named" => _ = tables::named(path, text, &["XfrmInError"]),
        other => panic!("{other} has no arm"),
    }
}
