//! `time`: the host's clock, its zone and its source.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use hostfs::{Source, attributes, text, timex};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    SECONDS = gauge("node_time_seconds").unit("seconds").help("The host's clock, as a Unix time.").source("clock_gettime(CLOCK_REALTIME)")
        .answers("Does the host's clock agree with Prometheus's?");
    ZONE_OFFSET = gauge("node_time_zone_offset_seconds").labels(&["time_zone"]).unit("seconds")
        .help("Offset of the local time zone to UTC.").source("/etc/localtime").answers("In which time zone does the host live?");
    AVAILABLE = gauge("node_time_clocksource_available_info").labels(&["device", "clocksource"])
        .help("1 for each clock source that the kernel could use.")
        .source("/sys/devices/system/clocksource/clocksource*/available_clocksource")
        .answers("Could the host use a better clock?");
    CURRENT = gauge("node_time_clocksource_current_info").labels(&["device", "clocksource"])
        .help("1 for the clock source that the kernel uses.")
        .source("/sys/devices/system/clocksource/clocksource*/current_clocksource")
        .answers("Did the kernel fall back to a slow clock?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Time {
    directory: PathBuf,
    /// Name, available and current sources of each device, found at the first run: they come with the kernel.
    devices: Option<Vec<(Vec<u8>, Source, Source)>>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Time { directory: setup.roots.sys("devices/system/clocksource"), devices: None }))
}

impl Collector for Time {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        page.single(&SECONDS, now.as_secs_f64());
        let (zone, offset) = timex::local_zone(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        page.family(&ZONE_OFFSET).sample(&[("time_zone", &zone)], offset);
        let devices = match &mut self.devices {
            Some(devices) => devices,
            None => self.devices.insert(discover(&self.directory)?),
        };
        for (metric, current) in [(&AVAILABLE, false), (&CURRENT, true)] {
            let mut family = page.family(metric);
            for (device, available_file, current_file) in &mut *devices {
                let file = if current { current_file } else { available_file };
                for source in text::fields(text::trim(file.read()?.1)) {
                    family.sample(&[("device", device), ("clocksource", source)], 1u64);
                }
            }
        }
        Ok(())
    }
}

fn discover(directory: &std::path::Path) -> Result<Vec<(Vec<u8>, Source, Source)>, Failure> {
    let names = attributes::numbered(directory, b"clocksource")?;
    let source = |name: &[u8], file| Source::attribute(directory.join(attributes::component(name)).join(file));
    let device = |name: &Vec<u8>| {
        let number = name[b"clocksource".len()..].to_vec();
        (number, source(name, "available_clocksource"), source(name, "current_clocksource"))
    };
    Ok(names.iter().map(device).collect())
}
