//! `netclass`: what sysfs says about network interfaces.

use std::path::PathBuf;

use hostfs::attributes::{self, parse_prefixed_signed};
use hostfs::text::trim;
use hostfs::{Error, Source};

use crate::catalogue::{Kind, Metric, counter, gauge};
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, switch, text};

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.netclass.ignored-devices", "^$", "Interfaces not to export"),
        switch("collector.netclass.ignore-invalid-speed", false, "Leave speeds out that the driver does not know"),
    ],
    build,
};

/// A number in a file of an interface.
struct Row {
    metric: Metric,
    file: &'static str,
    /// What the kernel's number is multiplied by.
    scale: f64,
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
    ($($entry:ident $file:literal $kind:ident $scale:literal $name:literal $help:literal $question:literal;)*) => {
        $(static $entry: Row = Row { metric: entry($name, Kind::$kind, $help, $question), file: $file, scale: $scale };)*
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
    ADDRESS_ASSIGN "addr_assign_type" Gauge 1.0 "node_network_address_assign_type" "How the interface got its address: 0 permanent, 1 random, 2 stolen, 3 set." "Is it the address of the hardware?";
    CARRIER "carrier" Gauge 1.0 "node_network_carrier" "1 when there is a link." "Is the cable in?";
    CHANGES "carrier_changes" Counter 1.0 "node_network_carrier_changes_total" "Times that the link went up or down." "Does the link flap?";
    UP_CHANGES "carrier_up_count" Counter 1.0 "node_network_carrier_up_changes_total" "Times that the link went up." "Does the link flap?";
    DOWN_CHANGES "carrier_down_count" Counter 1.0 "node_network_carrier_down_changes_total" "Times that the link went down." "Does the link flap?";
    DEVICE_ID "dev_id" Gauge 1.0 "node_network_device_id" "Which of the interfaces with one address this is." "Which port of the card is it?";
    DORMANT "dormant" Gauge 1.0 "node_network_dormant" "1 when the interface waits for something, such as authentication." "Does the port wait for 802.1X?";
    FLAGS "flags" Gauge 1.0 "node_network_flags" "The interface's flags (IFF_*)." "Is the interface up, promiscuous or a loopback?";
    IFINDEX "ifindex" Gauge 1.0 "node_network_iface_id" "Number of the interface." "Which interface do numbers in logs mean?";
    IFLINK "iflink" Gauge 1.0 "node_network_iface_link" "Number of the interface that this one is stacked on or paired with." "Which interface carries this one?";
    LINK_MODE "link_mode" Gauge 1.0 "node_network_iface_link_mode" "0 by default, 1 when the link waits for a supplicant." "May the link become dormant?";
    MTU "mtu" Gauge 1.0 "node_network_mtu_bytes" "Largest packet." "Do the sizes of packets agree along the path?";
    NAME_ASSIGN "name_assign_type" Gauge 1.0 "node_network_name_assign_type" "How the interface got its name: 1 by the kernel, 2 predictable, 3 by the user, 4 renamed." "Will the interface keep its name?";
    GROUP "netdev_group" Gauge 1.0 "node_network_net_dev_group" "Group of the interface." "To which group does the interface belong?";
    SPEED "speed" Gauge 125000.0 "node_network_speed_bytes" "Speed of the link in bytes per second, -125000 when the driver does not know." "How fast is the link?";
    QUEUE "tx_queue_len" Gauge 1.0 "node_network_transmit_queue_length" "Packets that the send queue takes." "Is the send queue long enough?";
    PROTOCOL "type" Gauge 1.0 "node_network_protocol_type" "Kind of hardware (ARPHRD_*)." "Is it Ethernet, a loopback or a tunnel?";
}

/// Words of [`INFO`], a file each.
const WORDS: [&str; 5] = ["address", "broadcast", "duplex", "operstate", "ifalias"];

/// Interfaces whose files stay open: 22 descriptors each, of the 1,024 that a process gets by default.
const KEPT_OPEN: usize = 16;

struct Interface {
    name: Vec<u8>,
    numbers: [Source; 17],
    words: [Source; WORDS.len()],
    /// Of the last scrape.
    values: [Option<i64>; 17],
    texts: [Vec<u8>; WORDS.len()],
}

struct Netclass {
    directory: PathBuf,
    filter: Filter,
    ignore_invalid_speed: bool,
    interfaces: Vec<Interface>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Netclass {
        directory: setup.roots.sys("class/net"),
        filter: Filter::new("", setup.text("collector.netclass.ignored-devices"))?,
        ignore_invalid_speed: setup.is_on("collector.netclass.ignore-invalid-speed"),
        interfaces: Vec::new(),
    }))
}

impl Collector for Netclass {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut names = attributes::names(&self.directory).map_err(Failure::missing_is_no_data)?;
        names.retain(|name| self.filter.wants(name));
        if names.iter().ne(self.interfaces.iter().map(|interface| &interface.name)) {
            self.interfaces = names.into_iter().map(|name| Interface::new(&self.directory, name)).collect();
        }
        for (index, interface) in self.interfaces.iter_mut().enumerate() {
            interface.read()?;
            if index >= KEPT_OPEN {
                interface.close();
            }
        }
        self.write(page);
        Ok(())
    }
}

impl Netclass {
    fn write(&self, page: &mut Page) {
        // A file such as bonding_masters lies among the directories: it has no operstate.
        let interfaces = || self.interfaces.iter().filter(|interface| !interface.texts[3].is_empty());
        let mut family = page.family(&UP);
        for interface in interfaces() {
            family.sample(&[("device", &interface.name)], interface.texts[3] == b"up");
        }
        let mut family = page.family(&INFO);
        for Interface { name, texts: [address, broadcast, duplex, operstate, ifalias], values, .. } in interfaces() {
            // IFF_UP is bit 0.
            let flags = ROWS.iter().position(|row| row.file == "flags").and_then(|at| values[at]);
            let admin: &[u8] = flags.map_or(b"", |flags| if flags & 1 == 1 { b"up" } else { b"down" });
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
                let Some(value) = interface.values[index] else { continue };
                if row.file == "speed" && self.ignore_invalid_speed && value < 0 {
                    continue;
                }
                family.sample(&[("device", &interface.name)], value as f64 * row.scale);
            }
        }
    }
}

impl Interface {
    fn new(directory: &std::path::Path, name: Vec<u8>) -> Self {
        let directory = directory.join(attributes::component(&name));
        let source = |file: &str| Source::new(directory.join(file), 4096);
        Self {
            numbers: std::array::from_fn(|index| source(ROWS[index].file)),
            words: WORDS.map(source),
            values: [None; 17],
            texts: Default::default(),
            name,
        }
    }

    /// Reads all files. What the driver does not have (a speed of a link that is down) is `None`.
    fn read(&mut self) -> Result<(), Failure> {
        for (value, source) in self.values.iter_mut().zip(&mut self.numbers) {
            *value = match source.read() {
                Ok((path, text)) => {
                    let number = parse_prefixed_signed(trim(text));
                    Some(number.ok_or_else(|| Error::format(path, 1, text))?)
                }
                Err(error) if is_nothing(&error) => None,
                Err(error) => return Err(error.into()),
            };
        }
        for (text, source) in self.texts.iter_mut().zip(&mut self.words) {
            text.clear();
            match source.read() {
                Ok((_, value)) => text.extend_from_slice(trim(value)),
                Err(error) if is_nothing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        self.numbers.iter_mut().chain(&mut self.words).for_each(Source::close);
    }
}

/// Whether the interface has no such file or value, or the agent no right to it.
fn is_nothing(error: &Error) -> bool {
    error.is_not_found()
        || attributes::is_unsupported(error)
        || attributes::is_forbidden(error)
        || attributes::is_not_a_directory(error)
}
