//! Interfaces of the live host: netlink for what changes, files for the rest.
//!
//! sysfs names the interfaces: a sysfs that is mounted from elsewhere shows those of another network namespace than
//! netlink does. An interface whose number is not the same in both is read from its files alone.

use std::sync::Arc;

use hostfs::link::{Address, Link, Reader};

use super::{ADDRESS, ALIAS, BROADCAST, DUPLEX, Interface, OPERSTATE, Origin, ROWS, row};
use crate::collector::Failure;
use crate::collectors::twice::Twice;
use crate::flags::Setup;

/// Words of `operstate`, by the kernel's number (IF_OPER_* in include/uapi/linux/if.h).
const OPERSTATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/// For which interface of netlink's the lasting files of an interface were read.
#[derive(Clone, Copy, PartialEq)]
struct Known {
    index: u32,
    address: Address,
}

pub(super) struct Live {
    links: Arc<Twice<Reader>>,
    /// One for each interface of the last scrape, in the order of their names.
    known: Vec<Option<Known>>,
    /// Names of those interfaces' links, sorted, with their places in the answer.
    order: Vec<usize>,
    /// The next interface whose lasting files are read anew.
    turn: usize,
}

impl Live {
    /// `None` when `--path.sysfs` is no live sysfs.
    pub(super) fn new(setup: &Setup) -> Option<Self> {
        setup.roots.has_live_sys().then(|| Self {
            links: setup.links.clone(),
            known: Vec::new(),
            order: Vec::new(),
            turn: 0,
        })
    }

    /// Forgets what was read of files: the interfaces are others now.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Fills all interfaces, which are sorted by name.
    pub(super) fn fill(&mut self, interfaces: &mut [Interface]) -> Result<(), Failure> {
        let Self { links, known, order, turn } = self;
        known.resize(interfaces.len(), None);
        // Name, number and address tell when lasting files change; reading one interface's anew at each scrape is for a
        // change that leaves no such trace, such as renaming there and back.
        *turn = if *turn + 1 < known.len() { *turn + 1 } else { 0 };
        known.get_mut(*turn).into_iter().for_each(|known| *known = None);
        links.first(|links| {
            let links = links.last();
            order.clear();
            order.extend(0..links.len());
            order.sort_unstable_by(|a, b| links[*a].name.cmp(&links[*b].name));
            for (interface, known) in interfaces.iter_mut().zip(known) {
                match order.binary_search_by(|place| links[*place].name.cmp(&interface.name)) {
                    Ok(at) => interface.take(&links[order[at]], known)?,
                    Err(_) => interface.read_files()?,
                }
            }
            Ok(())
        })?
    }
}

impl Interface {
    /// Takes over what netlink says, and reads the files of the rest.
    fn take(&mut self, link: &Link, known: &mut Option<Known>) -> Result<(), Failure> {
        let now = Some(Known { index: link.index, address: link.address });
        let is_known = *known == now;
        if !is_known {
            let index = row("ifindex");
            self.read_number(index)?;
            if self.numbers[index] != Some(link.index.into()) {
                return self.read_files();
            }
        }
        for (at, row) in ROWS.iter().enumerate() {
            match row.origin {
                Origin::Link(number) => self.numbers[at] = number(link),
                Origin::Lasting if is_known => {}
                Origin::Driver if !link.is_up() => self.numbers[at] = None,
                Origin::Lasting | Origin::Driver => self.read_number(at)?,
            }
        }
        let flags = row("flags");
        if self.numbers[flags].is_none() {
            self.read_number(flags)?;
        }
        self.take_words(link)?;
        *known = now;
        Ok(())
    }

    fn take_words(&mut self, link: &Link) -> Result<(), Failure> {
        // A driver that knows no speed knows no duplex either: both are answers to one question to it.
        if self.numbers[row("speed")].is_some() {
            self.read_word(DUPLEX)?;
        } else {
            self.words[DUPLEX].clear();
        }
        write_address(&mut self.words[ADDRESS], &link.address);
        write_address(&mut self.words[BROADCAST], &link.broadcast);
        self.words[ALIAS].clear();
        self.words[ALIAS].extend_from_slice(hostfs::text::trim(&link.alias));
        let state = link.operational.and_then(|number| OPERSTATES.get(usize::from(number)));
        self.words[OPERSTATE].clear();
        self.words[OPERSTATE].extend_from_slice(state.unwrap_or(&"unknown").as_bytes());
        Ok(())
    }
}

/// `02:42:ac:11:00:02`, as the kernel writes it; nothing for an interface without an address.
fn write_address(text: &mut Vec<u8>, address: &Address) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.clear();
    for (index, byte) in address.as_bytes().iter().enumerate() {
        if index > 0 {
            text.push(b':');
        }
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// On this host, whatever its interfaces, netlink and the files say the same, at first and at later scrapes.
    #[test]
    fn live_equals_files() {
        let directory = Path::new("/sys/class/net");
        let names = || hostfs::attributes::names(directory).unwrap();
        let all = || -> Vec<Interface> { names().into_iter().map(|name| Interface::new(directory, name)).collect() };
        let setup = Setup::new(hostfs::Roots::default());
        let Some(mut live) = Live::new(&setup) else { panic!("/sys is no sysfs") };
        let mut filled = all();
        for _ in 0..3 {
            live.fill(&mut filled).unwrap();
            let mut read = all();
            read.iter_mut().for_each(|interface| interface.read_files().unwrap());
            assert_eq!(read.len(), filled.len());
            for (read, filled) in read.iter().zip(&filled) {
                let name = String::from_utf8_lossy(&read.name);
                assert_eq!((&read.numbers, &read.words), (&filled.numbers, &filled.words), "{name}");
            }
        }
    }
}
