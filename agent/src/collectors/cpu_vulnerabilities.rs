//! `cpu_vulnerabilities`: what the kernel does about hardware bugs.

use hostfs::{Roots, attributes};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_cpu_vulnerabilities_info").labels(&["codename", "state", "mitigation"])
        .help("1 for each hardware bug, with the CPU's state and the kernel's mitigation.")
        .source("/sys/devices/system/cpu/vulnerabilities").answers("Which hardware bugs is this host open to?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Vulnerabilities {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Vulnerabilities { roots: setup.roots.clone() }))
}

impl Collector for Vulnerabilities {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let directory = self.roots.sys("devices/system/cpu/vulnerabilities");
        let mut family = page.family(&INFO);
        for codename in attributes::names(&directory).map_err(Failure::missing_is_no_data)? {
            let text = attributes::value(&directory.join(attributes::component(&codename)))?;
            let (state, mitigation) = state(&text);
            family.sample(&[("codename", &codename), ("state", state), ("mitigation", mitigation)], 1u64);
        }
        Ok(())
    }
}

/// `Not affected`, `Vulnerable: why`, `Mitigation: what`, `Unknown: why`.
fn state(text: &[u8]) -> (&'static [u8], &[u8]) {
    let words = |prefix: &[u8]| {
        let rest = text.strip_prefix(prefix)?;
        Some(hostfs::text::trim(rest.strip_prefix(b":").unwrap_or(rest)))
    };
    if words(b"Not affected").is_some() {
        (b"not affected", b"")
    } else if words(b"Vulnerable").is_some() {
        (b"vulnerable", b"")
    } else if let Some(mitigation) = words(b"Mitigation") {
        (b"mitigation", mitigation)
    } else {
        (b"unknown", b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms that the kernel's documentation names.
    #[test]
    fn states() {
        assert_eq!(state(b"Not affected"), (&b"not affected"[..], &b""[..]));
        assert_eq!(
            state(b"Mitigation: Retpolines; IBPB: conditional"),
            (&b"mitigation"[..], &b"Retpolines; IBPB: conditional"[..])
        );
        assert_eq!(state(b"Vulnerable: no microcode").0, b"vulnerable");
        assert_eq!(state(b"Unknown: No mitigations").0, b"unknown");
    }
}
