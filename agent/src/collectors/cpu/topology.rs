//! What sysfs says per core: thermal throttling, isolation, and which CPUs are on.

use std::path::PathBuf;

use hostfs::{Roots, Source, attributes, cpu_list};

use super::{CORE_THROTTLES, ISOLATED, ONLINE, PACKAGE_THROTTLES};
use crate::collector::Failure;
use crate::exposition::Page;

/// The files of one CPU that were there when the list of CPUs last changed. Most CPUs of virtual machines have none,
/// and asking for files that are not there costs as much as reading them.
struct Files {
    number: Vec<u8>,
    online: Option<Source>,
    throttles: Option<Throttles>,
}

/// A core's throttle counters. CPUs that share a core or a package show the same numbers: only the first is read.
struct Throttles {
    package: u64,
    core: u64,
    core_count: Option<Source>,
    package_count: Option<Source>,
}

pub(super) struct Topology {
    directory: PathBuf,
    /// Text of `present`, which changes when CPUs are added or removed.
    present: Source,
    seen: Option<Vec<u8>>,
    isolated: Source,
    cpus: Vec<Files>,
}

impl Topology {
    pub(super) fn new(roots: &Roots) -> Self {
        let directory = roots.sys("devices/system/cpu");
        Self {
            present: Source::attribute(directory.join("present")),
            isolated: Source::attribute(directory.join("isolated")),
            directory,
            seen: None,
            cpus: Vec::new(),
        }
    }

    pub(super) fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let present = self.present.read_if_present()?.map_or(&b""[..], |(_, text)| text);
        if self.seen.as_deref() != Some(present) {
            self.seen = Some(present.to_vec());
            self.discover()?;
        }
        if let Some((path, text)) = self.isolated.read_if_present()? {
            let mut family = page.family(&ISOLATED);
            for cpu in cpu_list::parse(path, text)? {
                family.sample(&[("cpu", itoa::Buffer::new().format(cpu).as_bytes())], 1u64);
            }
        }
        let mut family = page.family(&PACKAGE_THROTTLES);
        for throttles in self.cpus.iter_mut().filter_map(|cpu| cpu.throttles.as_mut()) {
            if let Some(count) = read(throttles.package_count.as_mut())? {
                family.sample(&[("package", itoa::Buffer::new().format(throttles.package).as_bytes())], count);
            }
        }
        let mut family = page.family(&CORE_THROTTLES);
        for throttles in self.cpus.iter_mut().filter_map(|cpu| cpu.throttles.as_mut()) {
            if let Some(count) = read(throttles.core_count.as_mut())? {
                let (mut package, mut core) = (itoa::Buffer::new(), itoa::Buffer::new());
                let labels = [
                    ("package", package.format(throttles.package).as_bytes()),
                    ("core", core.format(throttles.core).as_bytes()),
                ];
                family.sample(&labels, count);
            }
        }
        let mut family = page.family(&ONLINE);
        for cpu in &mut self.cpus {
            if let Some(online) = read(cpu.online.as_mut())? {
                family.sample(&[("cpu", &cpu.number)], online);
            }
        }
        Ok(())
    }

    /// Lists the CPUs and the files that each has.
    fn discover(&mut self) -> Result<(), Failure> {
        self.cpus.clear();
        let (mut packages, mut cores) = (Vec::new(), Vec::new());
        for name in attributes::numbered(&self.directory, b"cpu")? {
            let directory = self.directory.join(attributes::component(&name));
            let id = |file: &str| attributes::number(&directory.join("topology").join(file)).ok();
            let source = |path: PathBuf| path.exists().then(|| Source::attribute(path));
            let throttle = |file: &str| source(directory.join("thermal_throttle").join(file));
            let throttles = id("physical_package_id").zip(id("core_id")).map(|(package, core)| Throttles {
                package,
                core,
                core_count: throttle("core_throttle_count").filter(|_| is_first(&mut cores, (package, core))),
                package_count: throttle("package_throttle_count").filter(|_| is_first(&mut packages, package)),
            });
            let throttles = throttles.filter(|found| found.core_count.is_some() || found.package_count.is_some());
            self.cpus.push(Files { number: name[3..].to_vec(), online: source(directory.join("online")), throttles });
        }
        Ok(())
    }
}

/// Whether `item` was not in `seen`; it is then.
fn is_first<T: PartialEq>(seen: &mut Vec<T>, item: T) -> bool {
    let first = !seen.contains(&item);
    if first {
        seen.push(item);
    }
    first
}

/// The number in a file that may be gone by now.
fn read(source: Option<&mut Source>) -> Result<Option<u64>, Failure> {
    let Some(source) = source else { return Ok(None) };
    match source.read_if_present()? {
        Some((path, text)) => Ok(Some(hostfs::text::single_u64(path, text)?)),
        None => Ok(None),
    }
}
