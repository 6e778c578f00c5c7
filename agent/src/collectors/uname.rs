//! `uname`: names and versions of the system.

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_uname_info").labels(&["sysname", "release", "version", "machine", "nodename", "domainname"])
        .help("1, with what uname(2) says.").source("uname(2)").answers("Which kernel runs on which host?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Uname;

fn build(_: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Uname))
}

impl Collector for Uname {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let uname = rustix::system::uname();
        page.family(&INFO).sample(
            &[
                ("sysname", uname.sysname().to_bytes()),
                ("release", uname.release().to_bytes()),
                ("version", uname.version().to_bytes()),
                ("machine", uname.machine().to_bytes()),
                ("nodename", uname.nodename().to_bytes()),
                ("domainname", uname.domainname().to_bytes()),
            ],
            1u64,
        );
        Ok(())
    }
}
