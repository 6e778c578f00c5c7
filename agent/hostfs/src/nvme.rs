//! NVMe controllers and subsystems: `/sys/class/nvme` and `/sys/class/nvme-subsystem` (drivers/nvme/host/sysfs.c).

use crate::attributes::{component, names, value};
use crate::{Result, Roots};

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its name: `nvme0`.
    pub name: Vec<u8>,
    /// Firmware revision.
    pub firmware: Vec<u8>,
    /// Model.
    pub model: Vec<u8>,
    /// Serial number.
    pub serial: Vec<u8>,
    /// State: `live`, `resetting` and so on.
    pub state: Vec<u8>,
    /// Its id in the subsystem.
    pub id: Vec<u8>,
}

/// One subsystem: what several controllers may be paths to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsystem {
    /// Its name: `nvme-subsys0`.
    pub name: Vec<u8>,
    /// NVMe qualified name.
    pub nqn: Vec<u8>,
    /// Model.
    pub model: Vec<u8>,
    /// Serial number.
    pub serial: Vec<u8>,
    /// How requests are spread over paths.
    pub io_policy: Vec<u8>,
    /// Its namespaces' block devices: `nvme0n1`.
    pub namespaces: Vec<Vec<u8>>,
    /// The controllers that lead to it.
    pub paths: Vec<SubsystemPath>,
}

/// One controller of a subsystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubsystemPath {
    /// Its name: `nvme0`.
    pub controller: Vec<u8>,
    /// State, as the kernel says it.
    pub state: Vec<u8>,
    /// `pcie`, `tcp`, `rdma`, `fc`.
    pub transport: Vec<u8>,
}

/// Every controller, sorted by name.
///
/// # Errors
/// When an attribute cannot be read; without NVMe the directory is not there.
pub fn controllers(roots: &Roots) -> Result<Vec<Controller>> {
    let class = roots.sys("class/nvme");
    let mut found = Vec::new();
    for name in names(&class)? {
        let path = class.join(component(&name));
        found.push(Controller {
            firmware: value(&path.join("firmware_rev"))?,
            model: value(&path.join("model"))?,
            serial: value(&path.join("serial"))?,
            state: value(&path.join("state"))?,
            id: value(&path.join("cntlid"))?,
            name,
        });
    }
    Ok(found)
}

/// Every subsystem, sorted by name.
///
/// # Errors
/// When an attribute cannot be read; without NVMe the directory is not there.
pub fn subsystems(roots: &Roots) -> Result<Vec<Subsystem>> {
    let class = roots.sys("class/nvme-subsystem");
    let mut found = Vec::new();
    for name in names(&class)?.into_iter().filter(|name| name.starts_with(b"nvme-subsys")) {
        let path = class.join(component(&name));
        let mut subsystem = Subsystem {
            nqn: value(&path.join("subsysnqn"))?,
            model: value(&path.join("model"))?,
            serial: value(&path.join("serial"))?,
            io_policy: value(&path.join("iopolicy"))?,
            namespaces: Vec::new(),
            paths: Vec::new(),
            name,
        };
        for entry in names(&path)? {
            match kind(&entry) {
                Some(Kind::Namespace) => subsystem.namespaces.push(entry),
                Some(Kind::Controller) => {
                    let controller = path.join(component(&entry));
                    subsystem.paths.push(SubsystemPath {
                        state: value(&controller.join("state"))?,
                        transport: value(&controller.join("transport"))?,
                        controller: entry,
                    });
                }
                None => {}
            }
        }
        found.push(subsystem);
    }
    Ok(found)
}

enum Kind {
    Controller,
    Namespace,
}

/// `nvme0` is a controller, `nvme0n1` a namespace, everything else (`nvme0c0n1`, `power`) neither.
fn kind(name: &[u8]) -> Option<Kind> {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let rest = name.strip_prefix(b"nvme")?;
    match memchr::memchr(b'n', rest) {
        None => digits(rest).then_some(Kind::Controller),
        Some(at) => (digits(&rest[..at]) && digits(&rest[at + 1..])).then_some(Kind::Namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subsystem with a path and a namespace; hidden per-path devices are neither.
    #[test]
    fn names_and_attributes() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(controllers(&roots).unwrap_err().is_not_found());
        assert!(subsystems(&roots).unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/class").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (file, text) in [
            ("firmware_rev", "1B\n"),
            ("model", "Disk  X   \n"),
            ("serial", "S\n"),
            ("state", "live\n"),
            ("cntlid", "7\n"),
        ] {
            assert!(controllers(&roots).unwrap_err().is_not_found());
            put(&format!("nvme/nvme0/{file}"), text);
        }
        assert_eq!(controllers(&roots).unwrap()[0].model, b"Disk  X");
        for (file, text) in [
            ("subsysnqn", "nqn.x\n"),
            ("model", "m\n"),
            ("serial", "s\n"),
            ("iopolicy", "numa\n"),
            ("nvme0/state", "live\n"),
            ("nvme0/transport", "tcp\n"),
            ("nvme0n1/size", "1\n"),
            ("nvme0c0n1/size", "1\n"),
            ("power/control", "on\n"),
        ] {
            put(&format!("nvme-subsystem/nvme-subsys0/{file}"), text);
        }
        let subsystem = &subsystems(&roots).unwrap()[0];
        assert_eq!((subsystem.namespaces.as_slice(), subsystem.paths.len()), (&[b"nvme0n1".to_vec()][..], 1));
    }
}
