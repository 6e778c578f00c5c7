//! Bonding masters below `/sys/class/net` (Documentation/networking/bonding.rst).

use crate::attributes::{component, if_present, value};
use crate::{Result, Roots};

/// A bond and how many of its links carry traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// Interface name of the bond.
    pub name: Vec<u8>,
    /// Links that were put into the bond.
    pub slaves: u64,
    /// Links whose carrier is up, as the bond's link monitor sees it.
    pub active: u64,
}

/// Every bond, in the kernel's order.
///
/// # Errors
/// When `bonding_masters` or a state below a bond cannot be read; without the bonding driver the file is not there.
pub fn read(roots: &Roots) -> Result<Vec<Bond>> {
    let class = roots.sys("class/net");
    let masters = value(&class.join("bonding_masters"))?;
    let mut bonds = Vec::new();
    for master in words(&masters) {
        let master_dir = class.join(component(master));
        let mut bond = Bond { name: master.to_vec(), slaves: 0, active: 0 };
        for slave in words(&value(&master_dir.join("bonding/slaves"))?) {
            // Kernels before 3.13 linked `slave_X` instead of `lower_X`.
            let state = |prefix: &str| {
                let link = [prefix.as_bytes(), slave].concat();
                value(&master_dir.join(component(&link)).join("bonding_slave/mii_status"))
            };
            let state = match if_present(state("lower_"))? {
                Some(state) => state,
                None => state("slave_")?,
            };
            bond.slaves += 1;
            bond.active += u64::from(state == b"up");
        }
        bonds.push(bond);
    }
    Ok(bonds)
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Old and new link names, an idle bond, and a slave without a state.
    #[test]
    fn bonds() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/class/net").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("bonding_masters", "bond0 idle\n");
        put("bond0/bonding/slaves", "eth0 eth1\n");
        put("idle/bonding/slaves", "\n");
        put("bond0/lower_eth0/bonding_slave/mii_status", "up\n");
        assert!(read(&roots).unwrap_err().is_not_found());
        put("bond0/slave_eth1/bonding_slave/mii_status", "down\n");
        let bond = |name: &[u8], slaves, active| Bond { name: name.to_vec(), slaves, active };
        assert_eq!(read(&roots).unwrap(), [bond(b"bond0", 2, 1), bond(b"idle", 0, 0)]);
    }
}
