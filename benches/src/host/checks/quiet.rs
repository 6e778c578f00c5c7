//! Checks of the box as it is now: is anybody else using it?

use super::super::check::{Check, Fix, Grade};
use super::super::machine::Machine;

/// The share of steal at which a trial is void.
const STEAL_WANTED: f64 = 0.01;

/// The busy share from which the box is not at rest; a quiet box shows below 2 %.
const BUSY_WANTED: f64 = 0.05;

pub(super) fn steal(machine: &Machine) -> Check {
    let name = "steal";
    let wanted = "1 % or less";
    let Some(activity) = machine.live.activity else {
        return Check::unknown(name, "/proc/stat", wanted);
    };
    let seen = format!("{:.1} % over {:.1} s", activity.steal_share * 100.0, activity.seconds);
    if activity.steal_share <= STEAL_WANTED {
        return Check::new(name, Grade::Ok, seen, wanted);
    }
    Check::new(name, Grade::Warn, seen, wanted)
        .because("the hypervisor gives these cores to other guests: trials will be void")
        .fixed_by(Fix::new("wait, or use a machine with dedicated cores", None))
}

pub(super) fn load(machine: &Machine) -> Check {
    let name = "load";
    let wanted = "5 % busy or less before a run";
    let Some(activity) = machine.live.activity else {
        return Check::unknown(name, "/proc/stat", wanted);
    };
    let average = machine.files.proc("loadavg").and_then(|text| Some(text.split(' ').next()?.to_owned()));
    let average = average.map(|one| format!(", load average {one}")).unwrap_or_default();
    let seen = format!("{:.0} % busy over {:.1} s{average}", activity.busy_share * 100.0, activity.seconds);
    if activity.busy_share <= BUSY_WANTED {
        return Check::new(name, Grade::Ok, seen, wanted);
    }
    Check::new(name, Grade::Warn, seen, wanted)
        .because("other programs take caches and cores while trials run; the noise band widens, trials may be void")
        .fixed_by(Fix::new("top (then stop what is not needed)", None))
}
