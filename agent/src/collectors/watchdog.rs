//! `watchdog`: timers that reset a machine that hangs.

use hostfs::{Roots, attributes, watchdog};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    BOOT_STATUS = gauge("node_watchdog_bootstatus").labels(&["name"])
        .help("Flags of the last boot, as WDIOC_GETBOOTSTATUS gives them.").source("/sys/class/watchdog/*/bootstatus")
        .answers("Did the watchdog reset the machine?");
    FIRMWARE = gauge("node_watchdog_fw_version").labels(&["name"]).help("Firmware version of a watchdog.")
        .source("/sys/class/watchdog/*/fw_version").answers("Which firmware does the watchdog have?");
    NO_WAY_OUT = gauge("node_watchdog_nowayout").labels(&["name"])
        .help("Whether a watchdog cannot be stopped once it runs.").source("/sys/class/watchdog/*/nowayout")
        .answers("Can the watchdog be stopped?");
    TIME_LEFT = gauge("node_watchdog_timeleft_seconds").labels(&["name"]).unit("seconds")
        .help("Time until a watchdog resets the machine.").source("/sys/class/watchdog/*/timeleft")
        .answers("How close is a reset?");
    TIMEOUT = gauge("node_watchdog_timeout_seconds").labels(&["name"]).unit("seconds")
        .help("Time without a sign of life after which a watchdog resets the machine.")
        .source("/sys/class/watchdog/*/timeout").answers("How long may the machine hang?");
    PRE_TIMEOUT = gauge("node_watchdog_pretimeout_seconds").labels(&["name"]).unit("seconds")
        .help("How long before the reset a watchdog warns.").source("/sys/class/watchdog/*/pretimeout")
        .answers("Is there time to write a dump?");
    ACCESS_CS0 = gauge("node_watchdog_access_cs0").labels(&["name"])
        .help("Whether the machine was booted from its second flash chip.").source("/sys/class/watchdog/*/access_cs0")
        .answers("Did the watchdog fall back to the other firmware?");
    INFO = gauge("node_watchdog_info").labels(&["identity", "name", "options", "pretimeout_governor", "state", "status"])
        .help("Always 1; the labels describe a watchdog.").source("/sys/class/watchdog/*")
        .answers("Is a watchdog active?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Watchdogs {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Watchdogs { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Watchdogs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        // In the order of the reader's lists.
        let numbers: [&'static Metric; watchdog::NUMBERS.len()] =
            [&ACCESS_CS0, &BOOT_STATUS, &FIRMWARE, &NO_WAY_OUT, &PRE_TIMEOUT, &TIME_LEFT, &TIMEOUT];
        let watchdogs = watchdog::read(&self.roots).map_err(|error| {
            let no_data = attributes::is_forbidden(&error) || attributes::is_unsupported(&error);
            if no_data { Failure::NoData(error.to_string()) } else { Failure::missing_is_no_data(error) }
        })?;
        for watchdog in &watchdogs {
            let name = ("name", watchdog.name.as_slice());
            for (metric, number) in numbers.into_iter().zip(watchdog.numbers) {
                if let Some(number) = number {
                    self.samples.sample(metric, &[name], number);
                }
            }
            let [identity, options, governor, state, status] = &watchdog.texts;
            let labels: [(&str, &[u8]); 6] = [
                ("identity", identity),
                name,
                ("options", options),
                ("pretimeout_governor", governor),
                ("state", state),
                ("status", status),
            ];
            self.samples.sample(&INFO, &labels, 1u64);
        }
        self.samples.write_to(page);
        Ok(())
    }
}
