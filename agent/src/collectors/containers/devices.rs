//! Names of block devices, and sizes of huge pages.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use hostfs::Roots;
use hostfs::cgroup::Device;

/// Most names that are kept; then all are learnt anew.
const LIMIT: usize = 4096;

/// `/dev/NAME` of device numbers, from `/sys/dev/block/MAJOR:MINOR`.
#[derive(Debug)]
pub(super) struct DeviceNames {
    dir: PathBuf,
    names: HashMap<(u32, u32), (String, String, String)>,
}

impl DeviceNames {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { dir: roots.sys("dev/block"), names: HashMap::new() }
    }

    /// Looks up what is new among `devices`.
    pub(super) fn learn(&mut self, devices: &[Device]) {
        for device in devices {
            if self.names.len() >= LIMIT {
                self.names.clear();
            }
            let key = (device.major, device.minor);
            if !self.names.contains_key(&key) {
                let number = format!("{}:{}", key.0, key.1);
                let link = fs::read_link(self.dir.join(&number)).ok();
                let name = link.as_ref().and_then(|target| target.file_name()?.to_str());
                // sysfs writes a slash in a device's name as an exclamation mark.
                let name = name.map_or(number, |name| format!("/dev/{}", name.replace('!', "/")));
                self.names.insert(key, (name, key.0.to_string(), key.1.to_string()));
            }
        }
    }

    /// Name, major and minor number as text.
    pub(super) fn of(&self, device: &Device) -> Option<&(String, String, String)> {
        self.names.get(&(device.major, device.minor))
    }
}

/// Sizes that the kernel has, as cgroup files write them: `2MB`, `1GB`.
pub(super) fn huge_page_sizes(roots: &Roots) -> Vec<String> {
    let Ok(entries) = fs::read_dir(roots.sys("kernel/mm/hugepages")) else { return Vec::new() };
    let size = |name: &str| {
        let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kilobytes {
            0..1024 => format!("{kilobytes}KB"),
            1024..1_048_576 => format!("{}MB", kilobytes / 1024),
            _ => format!("{}GB", kilobytes / 1_048_576),
        })
    };
    let mut sizes: Vec<_> =
        entries.filter_map(Result::ok).filter_map(|entry| size(entry.file_name().to_str()?)).collect();
    sizes.sort();
    sizes
}
