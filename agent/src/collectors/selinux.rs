//! `selinux`: whether SELinux is on, and how.

use hostfs::{Roots, attributes, text};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    ENABLED = gauge("node_selinux_enabled").help("1 when SELinux is on.").source("/sys/fs/selinux")
        .answers("Is SELinux on?");
    CONFIG_MODE = gauge("node_selinux_config_mode").help("Mode after the next boot: 1 enforcing, 0 permissive, -1 disabled.")
        .source("/etc/selinux/config").answers("Will SELinux still enforce after a reboot?");
    CURRENT_MODE = gauge("node_selinux_current_mode").help("Mode now: 1 enforcing, 0 permissive.")
        .source("/sys/fs/selinux/enforce").answers("Does SELinux enforce its policy?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Selinux {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Selinux { roots: setup.roots.clone() }))
}

impl Collector for Selinux {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let enforce = attributes::optional_number(&self.roots.sys("fs/selinux/enforce"))?;
        page.single(&ENABLED, enforce.is_some());
        let Some(enforce) = enforce else { return Ok(()) };
        let config = attributes::optional(&self.roots.rootfs.join("etc/selinux/config"))?.unwrap_or_default();
        let mode = text::lines(&config).find_map(|line| text::trim(line).strip_prefix(b"SELINUX="));
        let mode: i64 = match mode.map(text::trim) {
            Some(b"enforcing") => 1,
            Some(b"permissive") => 0,
            _ => -1,
        };
        page.single(&CONFIG_MODE, mode);
        page.single(&CURRENT_MODE, enforce);
        Ok(())
    }
}
