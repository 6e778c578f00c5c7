//! `netclass`: what sysfs says about network interfaces.
//!
//! On a live host most of it comes over netlink, one question for all interfaces (`live`), since 22 files for each of
//! a thousand interfaces are the dearest part of a scrape. Elsewhere, and for what netlink does not have, the files
//! are read (`files`). Both fill the same `Interface`.

mod files;
mod live;

use std::path::PathBuf;

use hostfs::attributes;
use hostfs::link::Link;

use crate::catalogue::{Kind, Metric, counter, gauge};
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, switch, text};
use files::Files;
use live::Live;

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.netclass.ignored-devices", "^$", "Interfaces not to export"),
        switch("collector.netclass.ignore-invalid-speed", false, "Leave speeds out that the driver does not know"),
        switch(
            "collector.netclass.netlink",
            false,
            "Taken for compatibility: netlink is asked where it says what the files say",
        ),
        switch("collector.netclass_rtnl.with-stats", false, "Taken for compatibility: netdev has the counters"),
    ],
    build,
};

/// A number in a file of an interface.
struct Row {
    metric: Metric,
    file: &'static str,
    /// What the kernel's number is multiplied by.
    scale: f64,
    origin: Origin,
}

/// Where a number is on a live host.
#[derive(Clone, Copy)]
enum Origin {
    /// In the answer of netlink.
    Link(fn(&Link) -> Option<i64>),
    /// In its file only; changes with the name or the address of the interface.
    Lasting,
    /// In its file only, and only while the interface is up; the driver is asked.
    Driver,
}

const fn entry(name: &'static str, kind: Kind, help: &'static str, question: &'static str) -> Metric {
    let entry = match kind {
        Kind::Counter => counter(name),
        Kind::Gauge | Kind::Untyped => gauge(name),
    };
    entry.labels(&["device"]).help(help).source("/sys/class/net/*").answers(question)
}

/// Makes the rows, and the list of their entries for the catalogue.
macro_rules! rows {
    ($($entry:ident $file:literal $kind:ident $scale:literal $origin:expr, $name:literal $help:literal $question:literal;)*) => {
        $(static $entry: Row =
            Row { metric: entry($name, Kind::$kind, $help, $question), file: $file, scale: $scale, origin: $origin };)*
        static ROWS: &[&Row] = &[$(&$entry),*];
        /// The catalogue entries of this collector.
        pub static METRICS: &[&Metric] = &[&UP, &INFO, $(&$entry.metric),*];
    };
}

static UP: Metric = entry("node_network_up", Kind::Gauge, "1 when the interface's operstate is up.", "Is the link up?");

static INFO: Metric = gauge("node_network_info")
    .labels(&["device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias"])
    .help("1 for each interface, with its addresses and states in words.")
    .source("/sys/class/net/*")
    .answers("Which card is behind the interface, and in which mode?");

rows! {
    ADDRESS_ASSIGN "addr_assign_type" Gauge 1.0 Origin::Lasting, "node_network_address_assign_type" "How the interface got its address: 0 permanent, 1 random, 2 stolen, 3 set." "Is it the address of the hardware?";
    CARRIER "carrier" Gauge 1.0 Origin::Link(|link| when_up(link, link.carrier?)), "node_network_carrier" "1 when there is a link." "Is the cable in?";
    CHANGES "carrier_changes" Counter 1.0 Origin::Link(|link| Some(link.carrier_changes?.into())), "node_network_carrier_changes_total" "Times that the link went up or down." "Does the link flap?";
    UP_CHANGES "carrier_up_count" Counter 1.0 Origin::Link(|link| Some(link.carrier_ups?.into())), "node_network_carrier_up_changes_total" "Times that the link went up." "Does the link flap?";
    DOWN_CHANGES "carrier_down_count" Counter 1.0 Origin::Link(|link| Some(link.carrier_downs?.into())), "node_network_carrier_down_changes_total" "Times that the link went down." "Does the link flap?";
    DEVICE_ID "dev_id" Gauge 1.0 Origin::Lasting, "node_network_device_id" "Which of the interfaces with one address this is." "Which port of the card is it?";
    DORMANT "dormant" Gauge 1.0 Origin::Link(|link| when_up(link, link.is_dormant())), "node_network_dormant" "1 when the interface waits for something, such as authentication." "Does the port wait for 802.1X?";
    FLAGS "flags" Gauge 1.0 Origin::Link(|link| Some(link.stored_flags()?.into())), "node_network_flags" "The interface's flags (IFF_*)." "Is the interface up, promiscuous or a loopback?";
    IFINDEX "ifindex" Gauge 1.0 Origin::Link(|link| Some(link.index.into())), "node_network_iface_id" "Number of the interface." "Which interface do numbers in logs mean?";
    IFLINK "iflink" Gauge 1.0 Origin::Link(|link| Some(link.link.into())), "node_network_iface_link" "Number of the interface that this one is stacked on or paired with." "Which interface carries this one?";
    LINK_MODE "link_mode" Gauge 1.0 Origin::Link(|link| Some(link.link_mode?.into())), "node_network_iface_link_mode" "0 by default, 1 when the link waits for a supplicant." "May the link become dormant?";
    MTU "mtu" Gauge 1.0 Origin::Link(|link| Some(link.mtu?.into())), "node_network_mtu_bytes" "Largest packet." "Do the sizes of packets agree along the path?";
    NAME_ASSIGN "name_assign_type" Gauge 1.0 Origin::Lasting, "node_network_name_assign_type" "How the interface got its name: 1 by the kernel, 2 predictable, 3 by the user, 4 renamed." "Will the interface keep its name?";
    GROUP "netdev_group" Gauge 1.0 Origin::Link(|link| Some(link.group?.into())), "node_network_net_dev_group" "Group of the interface." "To which group does the interface belong?";
    SPEED "speed" Gauge 125000.0 Origin::Driver, "node_network_speed_bytes" "Speed of the link in bytes per second, -125000 when the driver does not know." "How fast is the link?";
    QUEUE "tx_queue_len" Gauge 1.0 Origin::Link(|link| Some(link.queue_length?.into())), "node_network_transmit_queue_length" "Packets that the send queue takes." "Is the send queue long enough?";
    PROTOCOL "type" Gauge 1.0 Origin::Link(|link| Some(link.hardware.into())), "node_network_protocol_type" "Kind of hardware (ARPHRD_*)." "Is it Ethernet, a loopback or a tunnel?";
}

/// What the kernel only tells of an interface that is up.
fn when_up(link: &Link, value: impl Into<i64>) -> Option<i64> {
    link.is_up().then(|| value.into())
}

/// Place of a file in [`ROWS`].
fn row(file: &str) -> usize {
    ROWS.iter().position(|row| row.file == file).expect("the file has a row")
}

/// Words of [`INFO`], a file each.
const WORDS: [&str; 5] = ["address", "broadcast", "duplex", "operstate", "ifalias"];

/// Places in [`WORDS`].
const ADDRESS: usize = 0;
const BROADCAST: usize = 1;
const DUPLEX: usize = 2;
const OPERSTATE: usize = 3;
const ALIAS: usize = 4;

/// IFF_UP of netdevice(7).
const UP_FLAG: i64 = 1;

/// An interface as it was at the last scrape. What it does not have (a speed while the link is down) is `None`, or an
/// empty word.
struct Interface {
    name: Vec<u8>,
    numbers: [Option<i64>; 17],
    words: [Vec<u8>; WORDS.len()],
    files: Files,
}

struct Netclass {
    directory: PathBuf,
    filter: Filter,
    ignore_invalid_speed: bool,
    live: Option<Live>,
    interfaces: Vec<Interface>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Netclass {
        directory: setup.roots.sys("class/net"),
        filter: Filter::new("", setup.text("collector.netclass.ignored-devices"))?,
        ignore_invalid_speed: setup.is_on("collector.netclass.ignore-invalid-speed"),
        live: Live::new(setup),
        interfaces: Vec::new(),
    }))
}

impl Collector for Netclass {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut names = attributes::names(&self.directory).map_err(Failure::missing_is_no_data)?;
        names.retain(|name| self.filter.wants(name));
        if names.iter().ne(self.interfaces.iter().map(|interface| &interface.name)) {
            self.interfaces = names.into_iter().map(|name| Interface::new(&self.directory, name)).collect();
            self.live.iter_mut().for_each(Live::forget);
        }
        match &mut self.live {
            Some(live) => live.fill(&mut self.interfaces)?,
            None => self.interfaces.iter_mut().try_for_each(Interface::read_files)?,
        }
        for interface in self.interfaces.iter_mut().skip(files::KEPT_OPEN) {
            interface.files.close();
        }
        self.write(page);
        Ok(())
    }
}

impl Netclass {
    fn write(&self, page: &mut Page) {
        // A file such as bonding_masters lies among the directories: it has no operstate.
        let interfaces = || self.interfaces.iter().filter(|interface| !interface.words[OPERSTATE].is_empty());
        let mut family = page.family(&UP);
        for interface in interfaces() {
            family.sample(&[("device", &interface.name)], interface.words[OPERSTATE] == b"up");
        }
        let flags = row("flags");
        let mut family = page.family(&INFO);
        for Interface { name, words: [address, broadcast, duplex, operstate, ifalias], numbers, .. } in interfaces() {
            let admin: &[u8] = match numbers[flags] {
                Some(flags) if flags & UP_FLAG != 0 => b"up",
                Some(_) => b"down",
                None => b"",
            };
            let labels: [(&str, &[u8]); 7] = [
                ("device", name),
                ("address", address),
                ("broadcast", broadcast),
                ("duplex", duplex),
                ("operstate", operstate),
                ("adminstate", admin),
                ("ifalias", ifalias),
            ];
            family.sample(&labels, 1u64);
        }
        for (index, row) in ROWS.iter().enumerate() {
            let mut family = page.family(&row.metric);
            for interface in interfaces() {
                let Some(value) = interface.numbers[index] else { continue };
                if row.file == "speed" && self.ignore_invalid_speed && value < 0 {
                    continue;
                }
                family.sample(&[("device", &interface.name)], value as f64 * row.scale);
            }
        }
    }
}
